"""Whatever goes wrong with one group is that group's error, and the others are ranked."""

from __future__ import annotations

import json
import traceback
from collections.abc import Sequence
from typing import Any

import pytest

from ranker import GroupError, JudgeCallError, JudgeError, RankedGroup, Trajectory, rank_group, rank_groups
from ranker.jsonl.group_file import ranked_record
from ranker.judges.base import Lineup
from ranker.judges.verdict import Verdict
from ranker.runtime.budget import Budget
from ranker.usage import Usage
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

KEY = "sk-CANARY0123456789abcdef"


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = [value]
    return value


class Faulty:
    """A judge that raises at the attempt "bad", and ranks the others as they come."""

    name = "faulty"

    def __init__(self, error: BaseException):
        self.error = error

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        n = len(lineup.trajectories)
        if any(t.messages[-1]["content"] == "bad" for t in lineup.trajectories):
            raise self.error
        return Verdict(tuple((i,) for i in range(n)), ("",) * n)


def group(*words: str) -> list[list[dict[str, Any]]]:
    return [[{"role": "assistant", "content": word}] for word in words]


def failed_and_ranked(judge: Any, bad: Any) -> RankedGroup:
    """The result of a bad group among two good ones, which are ranked."""
    results = list(
        rank_groups([group("a", "b"), bad, group("c", "d")], judge, on_error="skip", progress=False)
    )
    assert [sorted(r.rewards) for r in (results[0], results[2])] == [[0.0, 1.0]] * 2
    assert results[1].error is not None
    assert set(results[1].rewards) == {None}
    return results[1]


@pytest.mark.parametrize(
    "error",
    [ValueError("no"), KeyError("name"), RecursionError("deep"), UnicodeDecodeError("utf-8", b"\xff", 0, 1, "bad"),
     TimeoutError(), MemoryError(), TypeError(7), OSError(5, "input/output"), ZeroDivisionError()],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_what_a_judge_raises_is_an_error_of_its_group(error):
    failed = failed_and_ranked(Faulty(error), group("bad", "b"))
    assert isinstance(failed.error, JudgeError)
    assert type(error).__name__ in str(failed.error)
    assert failed.error.__cause__ is error
    with pytest.raises(JudgeError):
        rank_group(group("bad", "b"), Faulty(error))


def test_a_key_in_what_a_judge_raises_is_in_no_text_of_the_error():
    inner = RuntimeError(f"header {KEY}")
    inner.__cause__ = ValueError(f"Bearer {KEY}")
    failed = failed_and_ranked(Faulty(inner), group("bad", "b"))
    text = "".join(traceback.format_exception(failed.error))
    assert "CANARY" not in text + str(failed.error)
    assert "RuntimeError" in text


@pytest.mark.timeout(30)  # this once went round and round
@pytest.mark.parametrize("length", [1, 3])
def test_an_error_may_come_from_itself(length):
    ring = [RuntimeError(f"{i} {KEY}") for i in range(length)]
    for one, other in zip(ring, [*ring[1:], ring[0]], strict=True):
        one.__cause__ = other
    failed = failed_and_ranked(Faulty(ring[0]), group("bad", "b"))
    assert "CANARY" not in "".join(traceback.format_exception(failed.error))


@pytest.mark.parametrize(
    "judge",
    [lambda ts: int(f"401: {KEY}"), lambda ts: [f"Bearer {KEY}"] * len(ts), lambda ts: [f"{KEY}"] * len(ts)],
    ids=["raises", "returns no numbers", "returns a key"],
)
def test_a_key_in_what_a_function_raises_or_returns_is_in_no_text_of_the_error(judge, tmp_path):
    (failed,) = rank_groups([group("a", "b")], judge, on_error="skip", progress=False)
    assert isinstance(failed.error, JudgeError)
    assert "[key removed]" in str(failed.error)
    text = "".join(traceback.format_exception(failed.error))
    assert "CANARY" not in text + str(failed.error) + json.dumps(ranked_record({}, failed))


def test_what_a_function_that_ranks_raises_stays_what_it_is():
    """A wrong key of a judge that it asks ends the run, as that of any judge, and what it spent is counted."""
    fatal = JudgeCallError("refused", status_code=401).spent(Usage(calls=2))

    def judge(trajectories: Sequence[Trajectory]) -> list[float]:
        raise fatal

    with pytest.raises(JudgeCallError, match="refused") as caught:
        list(rank_groups([group("a", "b")], judge, on_error="skip", progress=False))
    assert caught.value.usage.calls == 2


@pytest.mark.parametrize(
    "bad",
    [
        [[{"role": "assistant", "content": "a", "function_call": {"function": {"name": "g"}}}], *group("b")],
        [[{"role": "assistant", "content": "a", "function_call": {"name": 7}}], *group("b")],
        [[{"role": "assistant", "content": "a", "function_call": [1]}], *group("b")],
        [[{"role": "assistant", "content": "a", "extra": nested(100_000)}], *group("b")],
        [[{"role": "assistant", "content": [{"type": "text", "text": "a", "extra": nested(5_000)}]}], *group("b")],
        7,
        None,
        {"a": 1},
        [],
    ],
    ids=["function in function_call", "name of a function", "list for a call", "deep", "deep part", "number", "none", "mapping", "empty"],
)  # fmt: skip
def test_what_is_no_group_is_an_error_of_its_own(bad):
    assert isinstance(failed_and_ranked(Faulty(ValueError()), bad).error, GroupError)


def test_the_error_names_the_place_of_a_function_call_of_the_wrong_shape():
    message = {"role": "assistant", "content": "a", "function_call": {"function": {"name": "g"}}}
    with pytest.raises(GroupError, match="message 0, function_call has no name"):
        rank_group([[message], *group("b")], Faulty(ValueError()))


@pytest.mark.parametrize("count", ["1e400", "9" * 300, "9" * 5_000, "-1", '"x"', "[1]"])
def test_a_count_beyond_all_reason_ends_no_run(count):
    def answer(body, n):
        told = json.dumps(chat(json.dumps(verdict(body))))
        return 200, told.replace('"prompt_tokens": 500', f'"prompt_tokens": {count}').encode()

    with ScriptedServer(answer) as server:
        options = {"base_url": server.base_url, "cache": "off", "max_retries": 0, "price": (1.0, 1.0)}
        (ranked,) = rank_groups([GROUP], "m", on_error="skip", progress=False, **options)
    assert ranked.rewards == REWARDS or isinstance(ranked.error, JudgeError)


def test_a_reply_nested_without_end_ends_no_run():
    with ScriptedServer(lambda body, n: (200, b"[" * 100_000)) as server:
        options = {"base_url": server.base_url, "cache": "off", "max_retries": 0}
        (ranked,) = rank_groups([GROUP], "m", on_error="skip", progress=False, **options)
    assert isinstance(ranked.error, JudgeError)
