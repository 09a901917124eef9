"""Agreement of a group, of a run, and now."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.watch import agreement
from ranker.watch.agreement import WINDOW, Audited, compared, spread
from ranker.watch.watch import Watch

VALUES = st.lists(st.integers(0, 4).map(float), min_size=2, max_size=8)


@pytest.mark.parametrize(
    ("judge", "auditor", "agree", "weight"),
    [
        ([1.0, 0.5, 0.0], [1.0, 0.5, 0.0], 1.0, 1.0),
        ([0.0, 0.5, 1.0], [1.0, 0.5, 0.0], 0.0, 1.0),
        ([0.5, 0.5, 0.5], [1.0, 0.5, 0.0], 0.5, 1.0),
        # pairs (1, 0.9), (1, 0) and (0.9, 0) stake 0.1, 1 and 0.9; only the first is wrong
        ([0.5, 1.0, 0.0], [1.0, 0.9, 0.0], 1.9 / 2.0, 1.0),
        ([1.0, 0.0], [0.3, 0.3], 0.0, 0.0),  # the auditor tells nothing apart
        ([1.0, None, 0.0], [1.0, 1.0, None], 0.0, 0.0),  # no pair has both
        ([1.0, 0.0, 0.0, 0.0], [0.1, 0.0, 0.0, 0.0], 1.0, 0.3 / (0.25 * 4)),
    ],
)
def test_a_group_by_hand(judge, auditor, agree, weight):
    assert compared(judge, auditor) == pytest.approx((agree, weight))


@given(VALUES, st.floats(0.01, 100), st.randoms(use_true_random=False))
def test_neither_order_nor_scale_matter(auditor, scale, rng):
    judge = [rng.random() for _ in auditor]
    one = compared(judge, auditor, max(spread(auditor), 1e-9))
    places = rng.sample(range(len(auditor)), len(auditor))
    moved = [judge[i] for i in places], [scale * auditor[i] for i in places]
    assert compared(*moved, max(scale * spread(auditor), 1e-9)) == pytest.approx(one, abs=1e-9)


@given(VALUES)
def test_the_auditor_agrees_with_itself(auditor):
    alike, weight = compared(auditor, auditor, max(spread(auditor), 1.0))
    assert alike == (1.0 if weight else 0.0)
    assert 0 <= weight <= 1


def audits(values: list[float], first: int = 0, weight: float = 1.0) -> list[Audited]:
    return [Audited(1 + i, i, v, weight) for i, v in enumerate(values, start=first)]


def test_now_forgets_and_the_start_does_not():
    seen = audits([0.9] * 2 * WINDOW + [0.2] * 2 * WINDOW)
    assert agreement.since_start(seen).value == pytest.approx(0.55)
    assert agreement.now(seen).value == pytest.approx(0.2)
    assert agreement.first(seen).value == pytest.approx(0.9)
    assert agreement.first(seen[: WINDOW - 1]).value is None


def test_groups_that_tell_nothing_change_nothing():
    seen = audits([0.9, 0.3, 0.8])
    padded = [seen[0], Audited(1, 7, 0.0, 0.0), *seen[1:]]
    assert agreement.since_start(padded) == agreement.since_start(seen)
    assert agreement.now(padded) == agreement.now(seen)


def test_an_alarm_says_since_when():
    watch = Watch(min_agreement=0.7)
    raised = [watch.add(a.step, [a]) for a in audits([0.95] * 20 + [0.2] * 20)]
    (alarm,) = [a for a in raised if a is not None]
    assert 21 <= alarm.step <= 32
    assert 17 <= alarm.began <= 25
    assert alarm.agreement.below(0.7)
    assert watch.alarm == alarm
    assert watch.metrics()["judge_alarm"] == 1.0


def test_an_alarm_ends_when_agreement_is_back():
    watch = Watch(min_agreement=0.7)
    for a in audits([0.2] * 20):
        watch.add(a.step, [a])
    assert watch.alarm is not None
    for a in audits([0.95] * 40, first=20):
        watch.add(a.step, [a])
    assert watch.alarm is None
    assert len(watch.alarms) == 1


def test_a_drop_from_the_start_is_an_alarm_too():
    fallen = audits([0.92, 0.98] * (WINDOW // 2) + [0.6] * 40)
    one, other = Watch(min_agreement=0.3, max_drop=0.2), Watch(min_agreement=0.3)
    for a in fallen:
        one.add(a.step, [a])
        other.add(a.step, [a])
    assert one.alarms
    assert not other.alarms
    start = agreement.first(fallen).low
    assert start is not None
    assert one.bound() == pytest.approx(start - 0.2)


def test_good_judges_seldom_give_an_alarm():
    rng = np.random.default_rng(5)
    alarms = 0
    for _ in range(200):
        watch = Watch(min_agreement=0.7, max_drop=0.25)
        for a in audits(rng.beta(8 * 0.8, 8 * 0.2, 60).tolist()):
            watch.add(a.step, [a])
        alarms += bool(watch.alarms)
    assert alarms <= 10
