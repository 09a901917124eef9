"""The study of turns: what a turn is worth, the judge that marks it, and the figures."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from benchmarks.turns import plan, report
from benchmarks.turns.__main__ import study
from benchmarks.turns.judging import Judge
from benchmarks.turns.truths import turn_truths
from grpo import ProcessRewards
from ranker import ConfigurationError, TrajectoryGroup
from ranker.suites import desk_world as desk

ROWS = desk.rows(60)


@pytest.mark.parametrize("competence", [0.0, 0.3, 0.7, 1.0])
def test_the_turns_of_an_attempt_add_up_to_its_truth(competence: float) -> None:
    rng = random.Random(competence)
    for row in ROWS:
        attempt = desk.clerk(row, competence, rng)
        truths = turn_truths(attempt, row)
        assert len(truths) == sum(m["role"] == "assistant" for m in attempt.messages)
        assert all(truth <= 0 for truth in truths)
        assert sum(truths) == pytest.approx(desk.checker(attempt, row) - 1)


def test_a_turn_is_worth_what_it_spoils() -> None:
    row = ROWS[0]
    order, action = row["order"], row["action"]
    other = next(a for a in desk.ACTIONS if a != action)
    look = ("look_up", {"order": order})

    def played(act: str, said: str) -> list[float]:
        return turn_truths(
            desk.play(row, [look, ("resolve", {"order": order, "action": act})], desk.ACTIONS[said]), row
        )

    assert played(action, action) == [0.0, 0.0, 0.0]
    assert played(other, other) == [0.0, -0.4, 0.0]
    assert played(action, other) == [0.0, 0.0, -0.2]
    assert turn_truths(desk.play(row, [look], "hello"), row) == [0.0, -0.8]


def group(index: int = 0) -> TrajectoryGroup:
    rng = random.Random(index)
    attempts = [desk.clerk(ROWS[index], 0.4, rng) for _ in range(5)]
    return TrajectoryGroup([*attempts, attempts[0]], id=str(index), metadata=ROWS[index])


def test_marks_are_right_as_often_as_they_are_to_be() -> None:
    right: list[bool] = []
    for index, _ in enumerate(ROWS):
        of = group(index)
        said = Judge(0, marks=0.8)(of)
        assert isinstance(said, ProcessRewards)
        assert said.values == Judge(0)(of), "the ranking is the same with and without marks"
        assert (said.values[0], said.turns[0]) == (said.values[-1], said.turns[-1]), "equal attempts are one"
        for attempt, marks in zip(of.trajectories[:-1], said.turns, strict=False):
            right += [
                ((m or 0) > 0) == (t >= 0)
                for m, t in zip(marks or (), turn_truths(attempt, of.metadata), strict=True)
            ]
    assert sum(right) / len(right) == pytest.approx(0.8, abs=0.05)
    alone = Judge(0, marks=1.0, ranks=False)(group())
    assert isinstance(alone, ProcessRewards)
    assert alone.values is None


def record(curve: list[float], final: float, share: float | None = None) -> dict[str, Any]:
    shares = None if share is None else [share] * len(curve)
    return {"curve": curve, "final": final, "signal_share": shares, "judge_accuracy": [0.8] * len(curve)}


def test_figures_count_steps_and_compare_with_outcome() -> None:
    setting = plan.Setting("small", 4, 1)
    arms = [plan.ARMS[name] for name in ("truth", "outcome", "marks-0.8")]
    units = [plan.Unit(setting, arm, seed) for seed in range(2) for arm in arms]
    curves = {
        "truth": [0.5, 0.95, 1, 1],
        "outcome": [0.5, 0.6, 0.8, 0.85],
        "marks-0.8": [0.5, 0.95, 1.0, 1.0],
    }
    records = {
        u.id: record(curves[u.arm.name], curves[u.arm.name][-1], 0.4 if u.arm.marks else None) for u in units
    }
    (found,) = report.figures(units, records, {0: 0.4, 1: 0.6})
    assert found["level"] == pytest.approx(0.95)
    truth, outcome, marked = found["arms"]
    assert (truth["steps"].value, outcome["steps"].value, marked["steps"].value) == (2, 4, 2)
    assert (outcome["reached"], outcome["steps_change"]) == (0, None)
    assert marked["steps_change"].value == pytest.approx(-0.5)
    assert marked["steps_change_of_means"].value == -0.5
    assert marked["final_difference"].value == pytest.approx(0.15)
    assert marked["signal_share"].value == pytest.approx(0.4)
    assert report.curves(found, 1).png()[:4] == report.changes(found).png()[:4] == b"\x89PNG"
    assert report.table([found]).row_count == 3
    (empty,) = report.figures(units, {}, {0: 0.5, 1: 0.5})
    assert empty["arms"] == []


def test_units() -> None:
    units = plan.units(plan.chosen(), 5)
    assert (
        len(units)
        == len({u.id for u in units})
        == 5 * (len(plan.ARMS) + len(plan.TWICE) + len(plan.IN_QUICK))
    )
    with pytest.raises(ConfigurationError, match="no such arm"):
        plan.chosen(["marks"])


def test_a_small_study_goes_on_where_it_stopped(tmp_path: Any) -> None:
    for only in (["marks-1"], ["marks-1", "marks-0.65"]):
        assert study(tmp_path, 1, only, ["small"], 1)
    runs = [json.loads(line) for line in (tmp_path / "runs.jsonl").read_text().splitlines()]
    assert len(runs) == len({run["id"] for run in runs}) == 2 + 2 * 2 + 2, (
        "the truth and the outcome have twice the seeds"
    )
    found = json.loads((tmp_path / "turns.json").read_text())
    assert [len(s["arms"]) for s in found["settings"]] == [4]
    assert (tmp_path / "curves_small.png").exists()
