"""What a trainer is given that cannot work: each is refused, or counted and dropped, by name."""

from __future__ import annotations

import asyncio
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from grpo import Reward, TrainingError
from ranker import ConfigurationError, JudgeCallError
from ranker.testing import FAULTS
from tests.grpo_runs import ROWS, begin, fives, judge_at, likes_fives, lines, spread, train


async def later(group):
    await asyncio.sleep(0)
    raise ValueError("too late")


def exits(group):
    raise TimeoutError("the inner clock")


BAD_REWARDS = {
    "raises": (lambda group: 1 / 0, "ZeroDivisionError: division by zero"),
    "raises later": (later, "ValueError: too late"),
    "raises a timeout": (exits, "TimeoutError: the inner clock"),
    "too few": (lambda group: [1.0] * (len(group) - 1), "returned 3 rewards for 4 trajectories"),
    "too many": (lambda group: [1.0] * (len(group) + 1), "returned 5 rewards for 4 trajectories"),
    "NaN": (lambda group: [0.1, 0.2, float("nan"), 0.3], "returned nan for trajectory 2"),
    "infinite": (lambda group: [float("inf")] * len(group), "returned inf for trajectory 0"),
    "too large": (lambda group: [10**400] * len(group), "for trajectory 0; return a finite number"),
    "text": (lambda group: "0.5", "returned a str"),
    "texts": (lambda group: ["0.5"] * len(group), "returned '0.5' for trajectory 0"),
    "nothing": (lambda group: None, "returned a NoneType"),
    "one number": (lambda group: 0.5, "returned a float"),
    "a dict": (lambda group: dict.fromkeys(range(len(group)), 0.5), "returned a dict"),
    "complex": (lambda group: [1j] * len(group), "returned 1j for trajectory 0"),
}


@pytest.mark.parametrize("kind", BAD_REWARDS)
def test_a_bad_reward_drops_its_group_and_a_bad_function_stops_the_run(kind, tmp_path):
    bad, told = BAD_REWARDS[kind]

    def sometimes(group):
        return bad(group) if group.id in ("r1", "r6") else spread(group)

    _, history = train(sometimes, max_steps=5, out=tmp_path / "run")
    assert sum(line["failed_groups"] for line in history) == 2
    failed = [s for s in lines(tmp_path / "run" / "samples.jsonl") if "error" in s]
    assert sorted(s["row"] for s in failed) == ["r1", "r6"]
    assert all(told in s["error"] for s in failed)
    assert all(r["reward"] is None and r["advantage"] is None for s in failed for r in s["rollouts"])
    with pytest.raises(TrainingError) as caught:
        train(bad, max_steps=50)
    assert told in str(caught.value)
    assert "4 of the latest 4 groups" in str(caught.value)


def test_good_rewards_of_every_kind_are_taken():
    async def awaited(group):
        return spread(group)

    class Callable:
        async def __call__(self, group):
            return np.array(spread(group))

    for good in (
        awaited,
        Callable(),
        lambda g: tuple(spread(g)),
        lambda g: [True, False, None, np.float32(0.5)],
    ):
        _, history = train(good, max_steps=2)
        assert [line["failed_groups"] for line in history] == [0, 0]


def test_a_hung_reward_function_is_a_failed_group():
    stuck = threading.Event()

    def hangs(group):
        if group.id == "r5":
            stuck.wait(60)
        return spread(group)

    _, history = train(hangs, max_steps=5, reward_timeout=1.0)
    stuck.set()
    assert sum(line["failed_groups"] for line in history) == 1
    with pytest.raises(TrainingError, match=r"did not return within reward_timeout = 0\.2 seconds"):
        train(lambda group: threading.Event().wait(30), reward_timeout=0.2)


def test_a_reward_may_take_for_ever():
    def slow(group):
        time.sleep(0.1)
        return spread(group)

    train(slow, max_steps=1, reward_timeout=1e12)


@pytest.mark.parametrize(
    "fault", ["500", "disconnect", "not_json", "bad_json", "prose", "missing_id", "empty"]
)
def test_a_judge_that_fails_now_and_then_costs_groups_and_no_more(serve, fault):
    assert fault in FAULTS
    server = serve(fives, faults={fault: 0.4}, seed=2)
    _, history = train(judge_at(server.base_url, max_retries=0), max_steps=4, max_failed_share=1.0)
    assert len(history) == 4
    assert sum(line["judge_calls"] for line in history) >= 8
    assert all(line["reward_mean"] is None or line["reward_mean"] == pytest.approx(0.5) for line in history)


def test_a_judge_that_is_down_stops_the_run():
    with pytest.raises(TrainingError, match="4 of the latest 4 groups"):
        train(judge_at("http://127.0.0.1:9/v1", max_retries=0), max_steps=9)


@pytest.mark.parametrize("refusal", [{"api_key": "right-key-abcdef"}, {"model": "other"}])
def test_a_wrong_key_or_model_stops_the_run_at_once(serve, refusal, tmp_path):
    server = serve(fives, **refusal)
    secret = "wrong-key-0123456789"
    with pytest.raises((JudgeCallError, ConfigurationError)) as caught:
        train(judge_at(server.base_url, api_key=secret), out=tmp_path / "run", max_steps=9)
    assert server.requests <= 4, "it did not go on asking"
    assert secret not in str(caught.value)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or secret.encode() not in file.read_bytes()


def test_no_key_of_the_environment_reaches_the_run_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("SOME_API_KEY", "plain-words-0123456789")

    async def leaks(policy, row):
        raise RuntimeError("401 for Bearer plain-words-0123456789")

    def leaky(group):
        raise RuntimeError("refused plain-words-0123456789")

    for given in ({"rollout": leaks}, {}):
        with pytest.raises(TrainingError) as caught:
            train(leaky, out=tmp_path / str(len(given)), describe={"judge": "openai/sim"}, **given)
        assert "[key removed]" in str(caught.value)
        assert "0123456789" not in str(caught.value)
    for file in tmp_path.rglob("*"):
        assert file.is_dir() or b"0123456789" not in file.read_bytes(), file


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([], "empty"),
        ([*ROWS, {"question": "t1"}], "Row 10 .*prompt"),
        ([ROWS[0], {"prompt": ""}], "Row 1 "),
        ([ROWS[0], {"prompt": None}], "Row 1 "),
        ([ROWS[0], {"prompt": 7}], "Row 1 "),
        ([ROWS[0], {"prompt": []}], "Row 1 "),
        ([ROWS[0], "t1 t2"], "Row 1 .*is a str"),
        ([ROWS[0], None], "Row 1 .*NoneType"),
        ([ROWS[0], {"prompt": [{"role": "user", "content": "t1"}]}], "Row 1 .*no chat template"),
    ],
)
def test_a_bad_dataset_is_refused_with_the_row_named(rows, told, tmp_path):
    with pytest.raises(ConfigurationError, match=told):
        begin(rows=rows)


@pytest.mark.parametrize("bad", [{"rows": []}, {"reward_fn": "judge"}, {"reward_fn": []}])
def test_what_is_refused_leaves_no_run_folder(bad, tmp_path):
    with pytest.raises(ConfigurationError):
        begin(out=tmp_path / "run", **bad)
    assert not (tmp_path / "run" / "config.json").exists()


def test_rewards_need_names_of_their_own():
    with pytest.raises(ConfigurationError, match="name of its own"):
        begin([Reward(likes_fives), Reward(spread)])


@pytest.mark.parametrize("kind", ["template", "sync", "checker"])
def test_errors_of_rollouts_that_no_attempt_can_mend_come_as_they_are(kind):
    async def chats(policy, row):
        await policy.chat([{"role": "user", "content": row["prompt"]}])

    def broken(trajectory, row):
        return row["answer"]

    given, told = {
        "template": ({"rollout": chats}, "chat template"),
        "sync": ({"rollout": lambda policy, row: []}, "must be async"),
        "checker": ({"checker": broken}, "checker failed: KeyError"),
    }[kind]
    with pytest.raises(ConfigurationError, match=told):
        train(**given)


@pytest.mark.parametrize("answer", ["right", float("nan"), [1.0], np.array([1.0, 2.0])])
def test_a_checker_that_gives_no_number_is_named(answer, tmp_path):
    with pytest.raises(ConfigurationError, match="checker"):
        train(checker=lambda trajectory, row: answer, out=tmp_path / "run")


@pytest.mark.parametrize(
    "truth",
    [
        True,
        None,
        np.float32(0.5),
        np.bool_(True),
    ],
)
def test_a_checker_may_give_any_number(truth, tmp_path):
    _, history = train(checker=lambda trajectory, row: truth, out=tmp_path / "run", save_steps=1)
    assert history[-1]["ground_truth_mean"] == (None if truth is None else float(truth))
    told = lines(tmp_path / "run" / "samples.jsonl")[0]["rollouts"][0]["ground_truth"]
    assert told == truth
    assert not isinstance(told, str)


ODD_ROWS = {
    "a set": {"tags": {1, 2}},
    "bytes": {"image": b"\x89PNG"},
    "a path": {"file": Path("a")},
    "an array": {"answer": np.arange(3)},
    "a whole key": {"answers": {1: "one"}},
    "a tuple": {"answers": (1, 2)},
    "half a surrogate": {"question": "\ud800"},
}


@pytest.mark.parametrize("kind", ODD_ROWS)
def test_rows_of_any_kind_come_through_a_resume(kind, tmp_path):
    rows = [{**row, **ODD_ROWS[kind]} for row in ROWS]
    seen = []

    def reward(group):
        seen.append({k: v for k, v in group.metadata.items() if k not in ("id", "prompt")})
        return spread(group)

    def stop(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            reward,
            rows=rows,
            out=tmp_path / "run",
            report=lambda line: line["step"] < 2 or stop(line),
            save_steps=1,
        )
    (tmp_path / "run" / "rewards.jsonl").unlink()
    train(reward, rows=rows, out=tmp_path / "run", resume=True, save_steps=1)
    assert all(str(s) == str(ODD_ROWS[kind]) for s in seen)


def test_text_that_is_no_utf_8_is_kept(tmp_path):
    """A model may well write "\\ud800" in the arguments of a tool call."""

    async def odd(policy, row):
        said = await policy.complete(row["prompt"])
        return [{"role": "user", "content": "t1 \ud800"}, {"role": "assistant", "content": said}]

    train(spread, rollout=odd, out=tmp_path / "run", save_steps=1)
