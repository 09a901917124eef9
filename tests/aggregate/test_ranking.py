"""From verdicts to one ranking: ranks, agreement, strengths, and the merging of windows."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ranker import FunctionJudge, Trajectory, TrajectoryGroup, Verdict, rank_group
from ranker.aggregate.ranking import average_ranks, kendall_w, mean_ranking, merge, strengths
from ranker.judges.base import Lineup
from tests.conftest import make_groups

law = settings(derandomize=True, deadline=None, max_examples=150)
RNG = st.randoms(use_true_random=False)


def draw(rng: random.Random, n: int, tie: float = 0.3) -> tuple[tuple[int, ...], ...]:
    """A random ranking of n items in which neighbours tie with chance `tie`."""
    tiers: list[list[int]] = []
    for i in rng.sample(range(n), n):
        if tiers and rng.random() < tie:
            tiers[-1].append(i)
        else:
            tiers.append([i])
    return tuple(map(tuple, tiers))


def places(tiers, n: int) -> list[int]:
    """The tier of each item, as a number for scipy."""
    place = [0] * n
    for t, tier in enumerate(tiers):
        for i in tier:
            place[i] = t
    return place


@law
@given(RNG, st.integers(1, 30))
def test_average_ranks_are_scipys(rng, n):
    """Tied items share the mean of the ranks they span; ranks sum to n(n+1)/2."""
    tiers = draw(rng, n)
    ranks = average_ranks(tiers, n)
    assert [float(r) for r in ranks] == list(stats.rankdata(places(tiers, n), method="average"))
    assert sum(ranks) == n * (n + 1) / 2


@law
@given(RNG, st.integers(2, 10), st.integers(1, 7))
def test_mean_ranking_orders_by_the_mean_rank(rng, n, m):
    """Lower mean rank is better, equal means tie, whatever the order of the rankings."""
    rankings = [draw(rng, n) for _ in range(m)]
    means = np.mean([stats.rankdata(places(r, n)) for r in rankings], axis=0)
    merged = mean_ranking(rankings, n)
    assert sorted(i for tier in merged for i in tier) == list(range(n))
    level = places(merged, n)
    for i in range(n):
        for j in range(n):
            assert (level[i] < level[j]) == (means[i] < means[j] - 1e-9)
    again = mean_ranking(rng.sample(rankings, m), n)
    assert [sorted(t) for t in again] == [sorted(t) for t in merged]


def test_mean_ranking_ties_what_opposite_passes_leave_equal():
    """Two passes that contradict each other say nothing."""
    order = ((0,), (1,), (2,), (3,))
    assert mean_ranking([order, order[::-1]], 4) == ((0, 1, 2, 3),)
    assert mean_ranking([order, order, order], 4) == order
    assert mean_ranking([((0,), (1,), (2,)), ((1,), (0,), (2,)), ((2,), (0,), (1,))], 3) == ((0,), (1,), (2,))


@law
@given(RNG, st.integers(3, 12), st.integers(2, 8))
def test_kendalls_w_follows_from_friedmans_statistic(rng, n, m):
    """W = chi² / (m (n − 1)) with scipy's tie-corrected Friedman chi²."""
    rankings = [draw(rng, n) for _ in range(m)]
    if all(len(r) == 1 for r in rankings):
        assert kendall_w(rankings, n) == 1.0
        return
    columns = np.array([stats.rankdata(places(r, n)) for r in rankings]).T
    expected = stats.friedmanchisquare(*columns).statistic / (m * (n - 1))
    assert kendall_w(rankings, n) == pytest.approx(expected, abs=1e-12)
    assert 0 <= kendall_w(rankings, n) <= 1


def test_kendalls_w_at_its_ends():
    """1 for full agreement, ties included; 0 for opposites; None where nothing can disagree."""
    order, tied = ((2,), (0, 3), (1,)), ((0, 1, 2, 3),)
    assert kendall_w([order], 4) is None
    assert kendall_w([], 4) is None
    assert kendall_w([order] * 3, 4) == 1.0
    assert kendall_w([tied] * 2, 4) == 1.0
    assert kendall_w([((0,), (1,)), ((1,), (0,))], 2) == 0.0
    assert kendall_w([((0,),), ((0,),)], 1) == 1.0
    assert 0 < kendall_w([order, tied], 4) < 1


@pytest.mark.parametrize("prior", [0.1, 0.5])
@pytest.mark.parametrize(("wins", "losses", "ties"), [(3, 0, 0), (3, 1, 0), (0, 4, 0), (2, 2, 3), (5, 1, 2)])
def test_strengths_of_two_items_have_a_closed_form(prior, wins, losses, ties):
    """The odds are the ratio of wins, a tie counting half and the prior once for each side's strength."""
    rankings = [((0,), (1,))] * wins + [((1,), (0,))] * losses + [((0, 1),)] * ties
    first, second = strengths(rankings, 2, prior)
    won, lost = wins + ties / 2 + 2 * prior, losses + ties / 2 + 2 * prior
    assert first / second == pytest.approx(won / lost, rel=1e-6)
    assert first + second == pytest.approx(1)


@law
@given(RNG, st.integers(1, 16), st.integers(1, 5))
def test_strengths_are_positive_and_sum_to_one(rng, n, m):
    """Even where one item always wins, and with rankings that contradict each other."""
    found = strengths([draw(rng, n) for _ in range(m)], n)
    assert len(found) == n
    assert all(s > 0 for s in found)
    assert sum(found) == pytest.approx(1)


@law
@given(RNG, st.integers(2, 16))
def test_strengths_follow_a_single_ranking(rng, n):
    """A better tier has a higher strength; within a tier all are equal."""
    tiers = draw(rng, n)
    found, place = strengths([tiers], n), places(tiers, n)
    for i in range(n):
        for j in range(n):
            if place[i] < place[j]:
                assert found[i] > found[j]
            elif place[i] == place[j]:
                assert found[i] == pytest.approx(found[j], rel=1e-6)


def test_strengths_of_partial_rankings_follow_the_wins():
    """Items that never met are ordered through those that both met."""
    found = strengths([((0,), (1,)), ((1,), (2,)), ((2,), (3,))], 4, prior=0.01)
    assert sorted(range(4), key=lambda i: -found[i]) == [0, 1, 2, 3]


@law
@given(RNG, st.integers(2, 40), st.integers(1, 4))
def test_merge_is_a_ranking_of_all(rng, n, m):
    """Any rankings of any subsets, contradictions and ties included, merge into one exact ranking."""
    rankings = []
    for _ in range(m):
        members = rng.sample(range(n), rng.randint(2, n))
        rankings.append(tuple(tuple(members[i] for i in tier) for tier in draw(rng, len(members))))
    merged = merge(rankings, n)
    assert sorted(i for tier in merged for i in tier) == list(range(n))


@law
@given(RNG, st.integers(2, 20))
def test_merge_of_one_ranking_is_that_ranking(rng, n):
    """Ties are kept."""
    tiers = draw(rng, n)
    assert merge([tiers], n) == tuple(tuple(sorted(t)) for t in tiers)


class Windowed:
    """A judge that never errs, and takes at most `most` trajectories at a time."""

    def __init__(self, most: int, judge: FunctionJudge):
        self.name, self.max_group, self.judge = "windowed", most, judge
        self.shown: list[int] = []

    async def capacity(self, lineup: Lineup) -> int:
        return self.max_group

    async def verdict(self, lineup: Lineup, budget) -> Verdict:
        self.shown.append(len(lineup.trajectories))
        return await self.judge.verdict(lineup, budget)


def shuffled_group(n: int, seed: int) -> tuple[TrajectoryGroup, dict[str, float]]:
    """A group, and the truth of each attempt by its text."""
    (group,) = make_groups(1, size=min(n, 100), seed=seed)
    rng = random.Random(seed)
    if n > 100:
        group = TrajectoryGroup(
            [Trajectory([{"role": "assistant", "content": f"{rng.getrandbits(60):x}"}]) for _ in range(n)]
        )
    return group, {t.messages[-1]["content"]: rng.random() for t in group.trajectories}


def perfect(truth: dict[str, float], most: int) -> Windowed:
    return Windowed(most, FunctionJudge(lambda ts: [truth[t.messages[-1]["content"]] for t in ts]))


@pytest.mark.parametrize("seed", range(5))
def test_windows_of_a_perfect_judge_give_nearly_the_true_order(seed):
    """64 attempts seen 16 at a time: Kendall's tau to the truth is at least 0.95, in 16 calls."""
    group, truth = shuffled_group(64, seed)
    judge = perfect(truth, 16)
    ranked = rank_group(group, judge, seed=seed)
    true = [truth[t.messages[-1]["content"]] for t in group.trajectories]
    assert stats.kendalltau(true, ranked.rewards).statistic >= 0.95
    assert ranked.usage.calls == len(judge.shown) == 16
    assert set(judge.shown) == {16}
    best = max(range(64), key=lambda i: true[i])
    assert ranked.ranking[0] == [best]


@pytest.mark.parametrize(("n", "most"), [(17, 16), (40, 16), (80, 16), (160, 16), (9, 4), (30, 2)])
def test_calls_grow_linearly_with_the_group(n, most):
    """Two rounds of windows that overlap by half: about 4n/size calls, never of more than `most`."""
    group, truth = shuffled_group(n, n)
    judge = perfect(truth, most)
    ranked = rank_group(group, judge)
    assert ranked.usage.calls <= 4 * n / most + 2
    assert max(judge.shown) <= most
    assert sorted(i for tier in ranked.ranking for i in tier) == list(range(n))


def test_a_group_that_fits_is_seen_whole():
    """No windows where one call does."""
    group, truth = shuffled_group(16, 3)
    judge = perfect(truth, 16)
    rank_group(group, judge)
    assert judge.shown == [16]
