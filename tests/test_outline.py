"""What is seen of groups in Python: one line each, a table, rows, and frames."""

from __future__ import annotations

import builtins
from typing import Any

import pytest

import ranker
from ranker import ConfigurationError, JudgeError, RankedGroup, Trajectory, TrajectoryGroup, Usage

ASK = {"role": "user", "content": "Name a prime."}


def group(n: int = 3, text: str = "It is {i}.", **fields: Any) -> TrajectoryGroup:
    said = ([ASK, {"role": "assistant", "content": text.format(i=i)}] for i in range(n))
    return TrajectoryGroup(
        [Trajectory(messages, id=f"t{i}") for i, messages in enumerate(said)], id="primes", **fields
    )


def ranked(of: TrajectoryGroup | None = None, **fields: Any) -> RankedGroup:
    of = of or group()
    n = len(of)
    usual: dict[str, Any] = {
        "rewards": [i / (n - 1) for i in range(n)],
        "ranking": [[i] for i in reversed(range(n))],
        "reasons": [f"Reason {i}." for i in range(n)],
        "judge": "openai/gpt-5-mini",
        "usage": Usage(calls=1, cost_usd=0.0012),
    }
    return RankedGroup(of, **{**usual, **fields})


def test_a_group_has_a_length_and_is_gone_through() -> None:
    made = group()
    assert len(made) == len(ranked(made)) == 3
    assert list(made) == list(ranked(made)) == list(made.trajectories)
    assert [reward for _, reward in zip(ranked(made), ranked(made).rewards, strict=True)] == [0.0, 0.5, 1.0]


def test_repr_is_a_line_with_counts_and_first_words() -> None:
    one = Trajectory(
        [ASK, {"role": "assistant", "content": "23\n because " + "x" * 10_000}],
        tools=[{"type": "function", "function": {"name": "f"}}],
        id="a",
        ground_truth=0.5,
    )
    assert repr(one).startswith('<Trajectory a: 2 messages, 1 tool, ground_truth=0.5, "23 because xxx')
    assert (
        repr(group(task="Name a prime.")) == '<TrajectoryGroup primes: 3 trajectories, task "Name a prime.">'
    )
    assert repr(ranked()) == (
        "<RankedGroup primes: 3 trajectories, judge openai/gpt-5-mini, rewards [0.00, 0.50, 1.00]>"
    )
    failed = ranked(rewards=[None] * 3, ranking=[], error=JudgeError("the judge was away"))
    assert repr(failed).endswith("failed: JudgeError>")
    huge = ranked(group(500, "w " * 5_000))
    for value in (one, group(task="y" * 9_000), huge, huge.group, huge.group.trajectories[0]):
        assert len(repr(value)) < 250
        assert "\n" not in repr(value)


def test_repr_of_what_has_no_text_or_no_name() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    silent = Trajectory([{"role": "assistant", "content": None, "tool_calls": [call]}])
    assert repr(silent) == '<Trajectory: 1 message, "no text">'
    parts = Trajectory([{"role": "user", "content": [{"type": "text", "text": "seen"}]}])
    assert '"seen"' in repr(parts)


def test_print_is_a_table_in_the_judges_order() -> None:
    head, heads, *rows = str(ranked()).split("\n")
    assert head == "Group primes: 3 attempts, judge openai/gpt-5-mini, 1 call, $0.0012"
    assert heads.split() == ["place", "reward", "id", "reason"]
    assert [row.split(maxsplit=3) for row in rows] == [
        ["1", "1.00", "t2", "Reason 2."], ["2", "0.50", "t1", "Reason 1."], ["3", "0.00", "t0", "Reason 0."],
    ]  # fmt: skip


def test_print_fits_a_screen_whatever_the_attempts_hold() -> None:
    hostile = "a\x1b[31m\u202e\n" * 5_000
    large = ranked(group(64, "w " * 5_000), reasons=[hostile] * 64, warnings=(hostile,) * 9)
    lines = str(large).split("\n")
    assert len(lines) <= 20
    assert all(len(line) <= 100 for line in lines)
    assert not {"\x1b", "\u202e"} & set(str(large))
    assert "50 more" in str(large)
    failed = ranked(rewards=[None] * 3, ranking=[], reasons=[], error=JudgeError(hostile))
    assert len(str(failed).split("\n")) == 2
    assert "Failed: JudgeError: a" in str(failed)


def test_print_shows_the_truth_where_it_is_known_and_the_attempt_where_there_is_no_reason() -> None:
    known = TrajectoryGroup([Trajectory(t.messages, id=t.id, ground_truth=0.25) for t in group()])
    told = str(ranked(known, reasons=[""] * 3, consistency=0.75))
    assert told.split("\n", maxsplit=1)[0].endswith("consistency 0.75")
    assert told.split("\n")[1].split() == ["place", "reward", "truth", "id", "attempt"]
    assert "It is 2." in told


def test_rows_have_the_same_columns_whatever_the_group() -> None:
    tied = ranked(rewards=[0.75, 0.75, 0.0], ranking=[[0, 1], [2]], consistency=1.0).to_dicts()
    assert tied[0] == {
        "group": "primes", "trajectory": "t0", "place": 1, "reward": 0.75, "reason": "Reason 0.",
        "ground_truth": None, "consistency": 1.0, "judge": "openai/gpt-5-mini", "error": None,
    }  # fmt: skip
    assert [row["place"] for row in tied] == [1, 1, 3]
    failed = ranked(rewards=[None] * 3, ranking=[], reasons=[], error=JudgeError("away")).to_dicts()
    assert [list(row) for row in failed] == [list(tied[0])] * 3
    assert {(row["place"], row["reward"], row["error"]) for row in failed} == {
        (None, None, "JudgeError: away")
    }


def test_frames_of_one_group_and_of_many() -> None:
    pytest.importorskip("pandas")
    bare = TrajectoryGroup(group().trajectories)
    frame = ranker.to_pandas([ranked(), ranked(bare)])
    assert list(frame["group"]) == ["primes"] * 3 + [1] * 3
    assert frame.groupby("group", sort=False)["reward"].mean().tolist() == [0.5, 0.5]
    assert ranked().to_pandas().to_dict("records")[2]["reward"] == 1.0
    assert list(ranker.to_pandas([]).columns) == list(frame.columns)


def test_frames_without_pandas_say_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigurationError, match=r"pip install pandas.*to_dicts"):
        ranked().to_pandas()
