"""Intervals: closed cases, laws, and how often they cover the true figure when judges are simulated."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, norm

from ranker.bench.measures import METRICS, kendall, parts
from ranker.statistics import (
    DRAWS,
    NOTHING,
    Estimate,
    difference,
    fieller,
    mean,
    paired,
    percentile,
    ratio,
    resampled,
    resamples,
)
from tests.bench_runs import answers, seen

FIRST, SECOND = np.triu_indices(4, 1)
BENCHES, GROUPS = 1_000, 120


def agreeing(truth, thought):
    """How many of the 6 pairs of each group of 4 are ordered right."""
    return (
        ((truth[..., FIRST] > truth[..., SECOND]) == (thought[..., FIRST] > thought[..., SECOND]))
        .sum(-1)
        .astype(float)
    )


def drawn(rng, sigma, *shape):
    """Pairs ordered right by a judge with normal noise; a random one where sigma is None."""
    truth = rng.random((*shape, 4))
    return agreeing(
        truth, rng.random(truth.shape) if sigma is None else truth + sigma * rng.normal(size=truth.shape)
    )


def test_nothing_and_one_group():
    none = np.array([])
    assert ratio(none, none) == Estimate(None, None, None)
    assert ratio(np.zeros(3), np.zeros(3)) == Estimate(None, None, None)
    one = np.array([3.0]), np.array([6.0])
    assert ratio(*one, share=True) == Estimate(0.5, 0.0, 1.0)
    assert ratio(*one) == Estimate(0.5, None, None)


def test_groups_that_say_nothing_change_nothing():
    rng = np.random.default_rng(0)
    num, den = drawn(rng, 0.3, 40), np.full(40, 6.0)
    padded = np.insert(num, 7, 0.0), np.insert(den, 7, 0.0)
    assert ratio(*padded, share=True) == ratio(num, den, share=True)


@pytest.mark.parametrize("n", [2, 5, 30, 200])
def test_where_all_are_right_the_interval_is_the_exact_binomial_one(n):
    ones, zeros = np.ones(n), np.zeros(n)
    right = ratio(6 * ones, 6 * ones, share=True)
    assert (right.value, right.high) == (1.0, 1.0)
    assert right.low == pytest.approx(beta.ppf(0.025, n, 1))  # Clopper-Pearson
    wrong = ratio(zeros, 6 * ones, share=True)
    assert (wrong.value, wrong.low) == (0.0, 0.0)
    assert wrong.high == pytest.approx(beta.ppf(0.975, 1, n))


def test_equal_groups_that_no_float_holds_keep_the_figure_inside():
    for n in (3, 7, 30):
        estimate = ratio(np.full(n, 1 / 3), np.full(n, 1.0))
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.high - estimate.low < 1e-9


def test_the_width_is_that_of_students_interval():
    """For a mean of many groups the bootstrap must agree with the textbook."""
    rng = np.random.default_rng(1)
    num = rng.normal(0.6, 0.2, 200)
    estimate = ratio(num, np.ones(200))
    half = 1.972 * num.std(ddof=1) / 200**0.5
    assert estimate.low == pytest.approx(num.mean() - half, abs=0.05 * half)
    assert estimate.high == pytest.approx(num.mean() + half, abs=0.05 * half)


def test_groups_weigh_by_their_pairs():
    estimate = ratio(np.array([15.0, 0.0] * 20), np.array([15.0, 1.0] * 20), share=True)
    assert estimate.value == pytest.approx(15 / 16)


def test_the_same_groups_are_drawn_for_every_judge_and_seed():
    num, den = np.arange(10.0), np.full(10, 9.0)
    assert np.array_equal(resampled(num, den, 3), resampled(num, den, 3))
    assert not np.array_equal(resampled(num, den, 3), resampled(num, den, 4))
    assert len(resampled(num, den)) == DRAWS


@pytest.mark.parametrize("sigma", [None, 0.3, 0.1])
def test_an_interval_of_accuracy_holds_the_truth_in_95_of_100_benches(sigma):
    rng = np.random.default_rng(7)
    true = 0.5 if sigma is None else drawn(rng, sigma, 400_000).mean() / 6
    den = np.full(GROUPS, 6.0)
    found = [ratio(num, den, share=True) for num in drawn(rng, sigma, BENCHES, GROUPS)]
    held = np.mean([e.low <= true <= e.high for e in found])
    assert 0.93 <= held <= 0.97
    # as often above as below, about
    assert 0.01 <= np.mean([e.high < true for e in found]) <= 0.045
    assert 0.01 <= np.mean([e.low > true for e in found]) <= 0.045


def test_an_interval_of_tau_holds_the_truth_too():
    """Of a random judge, whose tau is 0."""
    rng = np.random.default_rng(8)
    taus = 2 * drawn(rng, None, BENCHES // 2, GROUPS) / 6 - 1  # no ties: tau is 2 · accuracy − 1
    found = [ratio(num, np.ones(GROUPS)) for num in taus]
    assert 0.92 <= np.mean([e.low <= 0 <= e.high for e in found]) <= 0.98
    truth, rewards = (0.1, 0.4, 0.2, 0.9), (1 / 3, 0.0, 2 / 3, 1.0)
    num, den = METRICS["pairwise_accuracy"].parts(answers(seen(truth, rewards)))
    assert kendall(rewards, truth) == pytest.approx(2 * num / den - 1)


def test_a_small_suite_still_holds_it():
    rng = np.random.default_rng(9)
    true, den = drawn(rng, 0.3, 400_000).mean() / 6, np.full(12, 6.0)
    found = [ratio(num, den, share=True) for num in drawn(rng, 0.3, BENCHES, 12)]
    assert np.mean([e.low <= true <= e.high for e in found]) >= 0.925


def test_a_judge_does_not_differ_from_itself():
    rng = np.random.default_rng(2)
    a = drawn(rng, 0.3, 50), np.full(50, 6.0)
    estimate, error = difference(a, a)
    assert estimate.value == error == 0.0
    assert estimate.low == -estimate.high
    assert estimate.high == pytest.approx(1 - 0.025 ** (1 / 50))  # groups unlike these may exist


def test_agreement_on_few_groups_leaves_room_for_groups_that_were_not_drawn():
    """Two judges that are both right on all of 5 groups may well differ by much on the sixth."""
    for n in (2, 5, 100):
        full = np.full(n, 6.0)
        estimate, _ = difference((full, full), (full, full))
        assert estimate.high == pytest.approx(beta.ppf(0.975, 1, n))
        tau, _ = difference((full, full), (full, full), span=2.0)
        assert tau.high == pytest.approx(2 * estimate.high)


def test_a_paired_difference_is_narrower_where_judges_err_alike():
    rng = np.random.default_rng(3)
    truth = rng.random((GROUPS, 4))
    shared = truth + 0.3 * rng.normal(size=truth.shape)
    den = np.full(GROUPS, 6.0)
    alike = [(agreeing(truth, shared + 0.05 * rng.normal(size=truth.shape)), den) for _ in range(2)]
    apart = [(agreeing(truth, truth + 0.3 * rng.normal(size=truth.shape)), den) for _ in range(2)]
    widths = []
    for pair in (alike, apart):
        estimate, error = difference(*pair)
        assert estimate.value == pytest.approx((pair[0][0].sum() - pair[1][0].sum()) / den.sum())
        widths.append(estimate.high - estimate.low)
        assert estimate.high - estimate.low == pytest.approx(2 * 1.98 * error, rel=0.1)
    one, other = [ratio(*a, share=True) for a in alike]
    unpaired = ((one.high - one.low) ** 2 + (other.high - other.low) ** 2) ** 0.5
    assert widths[0] < 0.6 * unpaired
    assert widths[0] < 0.6 * widths[1]


def test_a_difference_holds_the_true_one_in_95_of_100_benches():
    rng = np.random.default_rng(4)
    truth = rng.random((BENCHES, GROUPS, 4))
    noise = rng.normal(size=truth.shape)
    a = agreeing(truth, truth + 0.2 * noise)
    b = agreeing(truth, truth + 0.2 * noise + 0.3 * rng.normal(size=truth.shape))
    big = rng.random((400_000, 4))
    common = rng.normal(size=big.shape)
    more = 0.3 * rng.normal(size=big.shape)
    true = (agreeing(big, big + 0.2 * common) - agreeing(big, big + 0.2 * common + more)).mean() / 6
    den = np.full(GROUPS, 6.0)
    found = [difference((x, den), (y, den))[0] for x, y in zip(a, b, strict=True)]
    assert 0.93 <= np.mean([e.low <= true <= e.high for e in found]) <= 0.97


def test_a_difference_is_over_the_groups_that_count_for_both():
    a = np.array([6.0, 3.0, 6.0, 0.0]), np.array([6.0, 6.0, 6.0, 0.0])
    b = np.array([3.0, 3.0, 0.0, 6.0]), np.array([6.0, 6.0, 0.0, 6.0])
    assert difference(a, b)[0].value == pytest.approx(9 / 12 - 6 / 12)
    none = np.zeros(4), np.zeros(4)
    assert difference(a, none) == (Estimate(None, None, None), None)
    single = np.array([6.0]), np.array([6.0])
    assert difference(single, single) == (Estimate(0.0, None, None), None)


def test_parts_of_no_groups_are_empty():
    num, den = parts(METRICS["regret"], [])
    assert num.shape == den.shape == (0,)


def test_an_estimate_told():
    assert f"{Estimate(0.75, 0.7, 0.8)}" == "0.750 (0.700 to 0.800)"
    assert f"{Estimate(0.75, 0.7, 0.8):.2f}" == "0.75 (0.70 to 0.80)"
    assert f"{Estimate(None, None, None)}" == "–"
    assert norm.ppf(0.975) == pytest.approx(1.96, abs=0.001)


def test_groups_that_all_say_the_same_leave_room_for_others():
    num, den = np.full(3, 3.0), np.full(3, 6.0)
    found = ratio(num, den, share=True)
    room = 1 - 0.025 ** (1 / 3)
    assert found.value == 0.5
    assert found.low == pytest.approx(0.5 * (1 - room))
    assert found.high == pytest.approx(0.5 + 0.5 * room)


counts = st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=25)


def columns(pairs):
    """Pairs ordered right and pairs, the fewer of two drawn numbers being ordered right."""
    low_high = np.sort(np.array(pairs, dtype=float), axis=1)
    return low_high[:, 0], low_high[:, 1]


@settings(max_examples=50, deadline=None)
@given(counts)
def test_a_share_lies_in_its_interval_and_that_in_0_to_1(pairs):
    estimate = ratio(*columns(pairs), share=True)
    if estimate.value is not None:
        assert 0 <= estimate.low <= estimate.value <= estimate.high <= 1


@settings(max_examples=50, deadline=None)
@given(counts, counts)
def test_a_difference_is_the_negative_of_its_reverse(a, b):
    n = min(len(a), len(b))
    one, other = columns(a[:n]), columns(b[:n])
    forth, error = difference(one, other)
    back, same = difference(other, one)
    assert same == pytest.approx(error)
    for x, y in ((forth.value, back.value), (forth.low, back.high), (forth.high, back.low)):
        assert (x is None) == (y is None)
        assert x is None or x == pytest.approx(-y, abs=1e-9)
    negative = -forth
    assert -negative == forth


@settings(max_examples=50, deadline=None)
@given(counts)
def test_a_judge_beside_itself_differs_by_nothing(pairs):
    estimate, _ = difference(columns(pairs), columns(pairs))
    assert estimate.value in (None, 0.0)


def test_resamples_draw_as_many_groups_as_there_are_and_are_shared():
    times_BN = resamples(7, 3, 100)
    assert times_BN.shape == (100, 7)
    assert (times_BN.sum(1) == 7).all()
    assert resamples(7, 3, 100) is times_BN
    with pytest.raises(ValueError, match="read-only"):
        times_BN[0, 0] = 1


def test_a_plain_percentile_interval_is_of_the_resampled_statistic():
    rng = np.random.default_rng(5)
    values = rng.normal(0.6, 0.2, 200)
    estimate = percentile(np.mean, values)
    half = 1.96 * values.std() / 200**0.5
    assert estimate.value == pytest.approx(values.mean())
    assert estimate.low == pytest.approx(values.mean() - half, abs=0.08 * half)
    assert estimate.high == pytest.approx(values.mean() + half, abs=0.08 * half)
    drawn_B = np.random.default_rng(0).choice(values, (2_000, 200)).mean(1)  # as recorded results were drawn
    assert (estimate.low, estimate.high) == tuple(np.quantile(drawn_B, (0.025, 0.975)))
    assert percentile(np.mean, values[:1]) == Estimate(values[0], values[0], values[0])


def test_columns_are_resampled_together():
    def correlation(x, y, axis):
        return (x * y).mean(axis)

    x = np.arange(10.0) - 4.5
    assert percentile(correlation, x, x).low > 0  # drawn apart, it would spread around 0


def test_intervals_of_a_mean_are_students():
    estimate = mean([1.0, 2.0, 3.0, 4.0, 5.0])
    assert estimate.value == 3
    assert estimate.high - 3 == pytest.approx(2.776445 * 1.5811388 / 5**0.5)
    assert mean([2.0]) == Estimate(2.0, None, None)
    assert mean([]) == NOTHING
    assert paired({0: 3.0, 1: 4.0, 2: 9.0}, {0: 1.0, 1: 2.0, 3: 5.0}) == Estimate(2.0, 2.0, 2.0)


def test_an_interval_ends_where_the_figure_does_and_its_reach_does_not():
    values = [0.0, 0.0, 1.0]
    free, bound = mean(values), mean(values, (0.0, 1.0))
    assert free.low < 0.0
    assert free.high > 1.0
    assert bound == Estimate(free.value, 0.0, 1.0)
    near = mean([0.0, 0.0, 1.0, 0.0, 0.0, 0.0], (0.0, 1.0))
    assert near.low == 0.0
    assert near.reach == pytest.approx(mean([0.0, 0.0, 1.0, 0.0, 0.0, 0.0]).reach)
    assert free.reach == pytest.approx((free.high - free.low) / 2)
    assert NOTHING.reach is None
    six = np.full(3, 6.0)
    apart, error = difference((six, six), (0 * six, six))
    assert (apart.value, apart.high, error) == (1.0, 1.0, 0.0)
    assert apart.low < 1.0


def test_equal_values_within_bounds_leave_room_for_others():
    room = 1 - 0.025 ** (1 / 4)
    assert mean([1.0] * 4, (-1.0, 3.0)) == Estimate(
        1.0, pytest.approx(1 - 2 * room), pytest.approx(1 + 2 * room)
    )
    assert mean([1.0], (-1.0, 3.0)) == Estimate(1.0, -1.0, 3.0)
    assert ratio(np.full(4, -1.0), np.ones(4), within=(-1.0, 1.0)) == Estimate(
        -1.0, -1.0, pytest.approx(-1 + 2 * room)
    )
    assert ratio(np.ones(1), np.ones(1), within=(-1.0, 1.0)) == Estimate(1.0, -1.0, 1.0)


def test_fiellers_interval_of_a_ratio_of_means():
    gains = {0: 0.45, 1: 0.5, 2: 0.55}
    assert fieller(gains, gains) == Estimate(1.0, pytest.approx(1.0), pytest.approx(1.0))
    half = fieller({0: 0.2, 1: 0.3, 2: 0.25}, {0: 0.5, 1: 0.5, 2: 0.5})
    alone = mean([0.4, 0.6, 0.5])  # with a constant denominator it is the interval of a mean
    assert (half.value, half.low, half.high) == pytest.approx((alone.value, alone.low, alone.high))
    assert fieller({0: 1.0}, {1: 1.0}) == NOTHING
    unbounded = fieller({0: 1.0, 1: 1.0}, {0: -0.9, 1: 1.0})
    assert unbounded.low is None


def test_fiellers_interval_covers_the_ratio_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(2000):
        x = 0.5 + 0.02 * rng.standard_normal(5)
        y = 0.4 + 0.03 * rng.standard_normal(5)
        estimate = fieller(dict(enumerate(y)), dict(enumerate(x)))
        inside += estimate.low <= 0.8 <= estimate.high
    assert inside / 2000 == pytest.approx(0.95, abs=0.015)


def test_an_estimate_lies_above_or_below_a_bound_only_with_its_whole_interval():
    estimate = Estimate(0.6, 0.5, 0.7)
    assert estimate.above(0.49)
    assert not estimate.above(0.5)
    assert estimate.below(0.71)
    assert not estimate.below(0.7)
    assert not NOTHING.above(0)
    assert not NOTHING.below(1)
    assert Estimate(2 / 3, None, None).to_dict(3) == {"value": 0.667, "low": None, "high": None}
