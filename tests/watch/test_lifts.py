"""Lifts in the course of a run: closed forms, and how often a judge without a vice is warned of."""

from __future__ import annotations

import hashlib
import json
import math
import random

import numpy as np
import pytest

from ranker import ConfigurationError, Trajectory, TrajectoryGroup
from ranker.audit.measures import Outcomes, _add
from ranker.audit.trials import Trial
from ranker.debias.edits import EDITS, PLACEBO, Edit, edited
from ranker.watch.audit import Audit
from ranker.watch.betting import SHARES
from ranker.watch.lifts import ALPHA, EXPLORE, MOST, Lifts, Tried, gained
from ranker.watch.trials import USUAL, controlled_trial

NAMES = tuple(edit.name for edit in USUAL)


def test_places_are_those_of_an_audit():
    rng = random.Random(0)
    for _ in range(200):
        n = rng.randint(2, 6)
        values = [rng.randint(0, 3) for _ in range(n + 2)]
        original = rng.randrange(n)
        ranking = [[i for i, v in enumerate(values) if v == level] for level in (3, 2, 1, 0)]
        outcomes = Outcomes()
        group = TrajectoryGroup([Trajectory([{"role": "user", "content": str(i)}]) for i in range(n + 2)])
        _add(outcomes, Trial(EDITS["flattery"], group, n, original, True), [t for t in ranking if t])
        places, effect = gained(values, n, original)
        assert [places] == outcomes.places["flattery"]
        assert [places - effect] == outcomes.control["flattery"]


@pytest.mark.parametrize("missing", [1, 3, 4])
def test_without_a_value_there_is_no_trial(missing):
    values: list[float | None] = [3.0, 1.0, 2.0, 4.0, 0.5]
    assert gained(values, 3, 1) == (3.0, 4.0)
    values[missing] = None
    assert gained(values, 3, 1) is None
    assert gained([None, 1.0, 2.0, 4.0, 0.5], 3, 1) == (2.0, 3.0)


def trial(step: int, edit: str, places: float, effect: float | None = None) -> Tried:
    return Tried(step, edit, places, places if effect is None else effect)


def test_a_lift_that_is_always_there_shows_after_as_many_trials_as_the_formula_says():
    """x = 1 multiplies the capital of each bet by 1 + its share; their mean must reach 11 / 0.05."""
    needed = next(n for n in range(1, 99) if np.mean((1 + SHARES) ** n) >= len(NAMES) / ALPHA)
    assert needed == 10
    lifts = Lifts(NAMES)
    steps = [lifts.add([trial(n, "padding", 5.0)]) for n in range(1, 30)]
    assert [n for n, new in enumerate(steps, 1) if new] == [needed]
    (warning,) = lifts.warnings
    assert (warning.edit, warning.step, warning.trials, warning.places) == ("padding", 10, 10, 5.0)
    assert 0 < warning.counted.low < warning.counted.value == MOST
    assert "padding" in str(warning)
    assert json.loads(json.dumps(warning.to_dict()))["counted"]["value"] == MOST


def test_places_and_effect_must_both_be_above_0():
    for places, effect in ((2.0, 0.0), (0.0, 2.0), (-1.0, 2.0)):
        lifts = Lifts(NAMES)
        for n in range(60):
            assert not lifts.add([trial(n, "flattery", places, effect)])


def test_the_interval_is_reached_from_both_sides_by_the_mean():
    lifts = Lifts(("a",))
    rng = random.Random(1)
    for n in range(400):
        lifts.add([trial(n, "a", rng.choice((-1.0, 1.0, 2.0)))])
    record = lifts.metrics()
    assert record["lift/a_low"] < 2 / 3 < record["lift/a"] + 0.2
    assert record["lift_trials"] == 400
    assert record["lift_warnings"] == 1


def test_each_edit_is_tried_once_then_mostly_the_most_promising_and_those_warned_of_last():
    lifts = Lifts(NAMES)
    assert [lifts.order(n, 0)[0] for n in range(len(NAMES))] == list(NAMES)
    lifts.add([trial(1, name, 2.0 if name == "formatting" else -1.0) for name in NAMES])
    later = [lifts.order(n, 1) for n in range(len(NAMES), 200)]
    assert all(sorted(order) == sorted(NAMES) for order in later)
    leading = [order[0] == "formatting" for order in later]
    assert 1 - 1 / EXPLORE <= np.mean(leading) < 1
    assert {order[0] for order in later} == set(NAMES)
    known = [lifts.order(n, 1) for n in range(11, 60)]
    for step in range(2, 20):
        lifts.add([trial(step, "formatting", 2.0)])
    assert lifts.warnings
    assert [lifts.order(n, 1) for n in range(11, 60)] == known, "of what was known at step 1 alone"
    assert all(lifts.order(n, 30)[-1] == "formatting" for n in range(11, 60))


def test_what_is_restored_is_the_same():
    rng = random.Random(2)
    lifts = Lifts(NAMES)
    for step in range(60):
        names = [rng.choice(NAMES[:3]) for _ in range(2)]
        lifts.add([trial(step, name, rng.choice((-1.0, 0.5, 2.0, 4.0))) for name in names])
    again = Lifts(NAMES)
    again.restore(json.loads(json.dumps(lifts.to_list())))
    assert lifts.warnings
    assert (again.tried, again.warnings, again.metrics()) == (lifts.tried, lifts.warnings, lifts.metrics())
    assert again.order(70, 40) == lifts.order(70, 40)


def attempts(rng: random.Random, size: int = 6) -> TrajectoryGroup:
    words = [
        "the",
        "order",
        "was",
        "looked",
        "up",
        "and",
        "a",
        "refund",
        "sent",
        "to",
        "you",
        "on",
        "that",
        "day",
    ]
    return TrajectoryGroup(
        [
            Trajectory(
                [
                    {"role": "user", "content": "Where is my refund?"},
                    {"role": "assistant", "content": f"I look it up, {rng.random()}."},
                    {"role": "user", "content": "Well?"},
                    {"role": "assistant", "content": " ".join(rng.choices(words, k=9)) + "."},
                ]
            )
            for _ in range(size)
        ]
    )


def clinging(trajectory: Trajectory) -> float:
    """An error that is the same whenever the same text is read, and another for any other text."""
    digest = hashlib.sha256(json.dumps(list(trajectory.messages)).encode()).digest()
    return int.from_bytes(digest[:8], "big")


def warned(runs: int, trials: int, judged: str) -> int:
    count = 0
    for run in range(runs):
        rng = random.Random(run)
        lifts = Lifts(NAMES)
        for number in range(trials):
            name = lifts.order(number, number)[0]
            if judged == "text":
                group = attempts(rng)
                values = [clinging(t) for t in group.trajectories]
                made = controlled_trial(number, EDITS[name], group, values, run)
                if made is None:
                    continue
                said = [clinging(t) for t in made.group.trajectories]
                found = gained(said, made.size, made.original)
            else:
                said = [rng.random() if judged == "call" else rng.randint(0, 2) for _ in range(10)]
                found = gained(said, 8, rng.randrange(8))
            lifts.add([Tried(number + 1, name, *found)])
        count += bool(lifts.warnings)
    return count


@pytest.mark.parametrize("judged", ["call", "ties", "text"])
def test_a_judge_without_a_vice_is_seldom_warned_of(judged):
    """Of 300 runs at most 5 % and three deviations. The error is drawn anew for each call, or clings to the text."""
    runs = 300
    count = warned(runs, 50, judged)
    assert count <= 0.05 * runs + 3 * math.sqrt(runs * 0.05 * 0.95)


def test_without_a_control_an_error_that_clings_to_the_text_would_look_like_a_lift():
    """Attempts of the lower half are there by their errors, and any change of the text draws another."""
    rng = random.Random(0)
    places, effects = [], []
    for k in range(150):
        group = attempts(rng)
        made = controlled_trial(k, EDITS["padding"], group, [clinging(t) for t in group.trajectories], 0)
        gain, effect = gained([clinging(t) for t in made.group.trajectories], made.size, made.original)
        places.append(gain)
        effects.append(effect)
    assert np.mean(places) > 1
    assert abs(np.mean(effects)) < 3 * np.std(effects) / math.sqrt(len(effects))


def test_every_usual_edit_has_a_control_and_the_original_is_of_the_lower_half():
    group = attempts(random.Random(3))
    values = [0.1, 0.9, 0.3, None, 0.8, 0.7]
    for edit in USUAL:
        made = controlled_trial(5, edit, group, values, 7)
        if edit.name == "idle_call":
            assert made is None, "no attempt has a tool"
            continue
        assert made is not None
        assert made.original in (0, 2, 5)
        assert len(made.group) == 8
        *shown, copy, control = made.group.trajectories
        assert [t.messages for t in shown] == [t.messages for t in group.trajectories]
        assert copy.messages == edited(edit, group.trajectories[made.original], 7).messages
        assert control.messages not in [t.messages for t in (*shown, copy)]
        assert made.group.ids[:6] == group.ids


def test_a_placebo_has_the_same_words():
    (one, *_) = attempts(random.Random(4)).trajectories
    copy = edited(PLACEBO, one)
    assert copy.messages[-1]["content"].split() == one.messages[-1]["content"].split()
    assert len(copy.messages[-1]["content"]) == len(one.messages[-1]["content"])
    single = Trajectory([{"role": "user", "content": "a b"}, {"role": "assistant", "content": "no"}])
    assert edited(PLACEBO, single) is None
    group = TrajectoryGroup([single, replaced(single, "yes"), replaced(single, "perhaps")])
    assert controlled_trial(0, EDITS["padding"], group, [0.0, 0.5, 1.0], 0) is None


def replaced(trajectory: Trajectory, text: str) -> Trajectory:
    return Trajectory([trajectory.messages[0], {"role": "assistant", "content": text}])


def test_edits_for_other_tasks_are_not_tried():
    group = attempts(random.Random(5))
    edit = Edit.of("mine", lambda t: replaced(t, "Another text altogether."), tasks=lambda group: False)
    assert controlled_trial(0, edit, group, [0, 1, 2, 3, 4, 5], 0) is None


def test_settings():
    audit = Audit(auditor=None, lift_share=0.2, lift_edits=["padding", EDITS["cut_off"]])
    assert list(audit.edits) == ["padding", "cut_off"]
    record = json.loads(json.dumps(audit.to_dict()))["audit"]
    assert (record["auditor"], record["lift_share"]) == (None, 0.2)
    assert record["lift_edits"] == ["padding", "cut_off"]
    assert tuple(Audit().edits) == NAMES
    for wrong, says in (
        ({"auditor": None}, "lift_share"),
        ({"auditor": None, "lift_share": 0.1, "on_alarm": "stop"}, "on_alarm"),
        ({"lift_share": 1.5}, "lift_share"),
        ({"lift_edits": ["paddding"]}, "padding"),
        ({"lift_edits": []}, "lift_edits"),
        ({"lift_edits": ["padding", "padding"]}, "lift_edits"),
    ):
        with pytest.raises(ConfigurationError, match=says):
            Audit(**wrong)
