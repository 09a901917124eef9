"""Which real attempts a group is like, by a rule that is right on the suites it speaks of."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import pytest

from ranker import Trajectory
from ranker.judges.embedded.judge import advice
from ranker.judges.embedded.likeness import KINDS, kind_of
from ranker.suites import REAL, load

REAL_FIGURES = {
    "gsm8k-solutions": {"value": 0.44, "low": 0.39, "high": 0.5},
    "game24": {"value": 0.63, "low": 0.45, "high": 0.74},
    "topical-chat": {"value": 0.61, "low": 0.52, "high": 0.69},
}
GENERATED = {"arithmetic": {"value": 0.8, "low": 0.78, "high": 0.82}}


@pytest.mark.parametrize("suite", REAL)
def test_groups_of_each_suite_are_of_its_kind(
    suite: str, real_groups: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RANKER_DATA", str(real_groups))
    [kind] = [kind for kind, suites in KINDS.items() if suite in suites]
    seen = Counter(kind_of(g.trajectories) for g in load(suite, 40).groups)
    assert seen[kind] >= 0.8 * seen.total(), seen
    assert set(seen) <= {kind, None, "replies in a conversation"}


@pytest.mark.parametrize("suite", ["constraints", "answers", "lookup"])
def test_what_is_like_nothing_is_said_to_be(suite: str) -> None:
    assert {kind_of(g.trajectories) for g in load(suite, 10).groups} == {None}


def test_replies_of_any_form_are_looked_at_in_time() -> None:
    def reply(content: object) -> list[Trajectory]:
        return [Trajectory([{"role": "assistant", "content": content}])]

    assert kind_of(reply(None)) is None
    assert kind_of(reply("")) is None
    assert kind_of(reply([{"type": "text", "text": "3 + 4 = 7\n7 * 2 = 14"}])) == "worked calculations"
    began = time.perf_counter()
    for text in (
        "\n" * 300_000,
        "1 " * 150_000,
        "a = " * 90_000,
        "1" + " " * 300_000,
        "x" * 300_000,
        "1+(" * 99_000,
    ):
        kind_of(reply(text))
    assert time.perf_counter() - began < 5


def test_the_advice_names_real_attempts_or_says_that_there_are_none() -> None:
    measured = {"real": REAL_FIGURES, "families": GENERATED}
    told = advice(measured, "worked calculations")
    assert "0.44 (0.39 to 0.50) on gsm8k-solutions, 0.63 (0.45 to 0.74) on game24" in told
    assert "not shown to beat a coin" in told
    assert "arithmetic" not in told
    assert "not shown" not in advice(measured, "replies in a conversation")
    for kind in (None, "code"):  # a kind on which nothing was measured is like none
        told = advice(measured, kind)
        assert "measured on no real attempts that look like these" in told
        assert "generated" in told
        assert "arithmetic 0.80" in told
