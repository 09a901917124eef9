"""Rewards: bounded, the same for equals, independent of the input's order, with known closed forms."""

from __future__ import annotations

import itertools
import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import (
    ConfigurationError,
    ContextLengthError,
    LLMJudge,
    TrajectoryGroup,
    Verdict,
    rank_group,
    rank_groups,
)
from ranker.aggregate.rewards import RULES, rank_rewards, score_rewards, strength_rewards, top_heavy_rewards
from ranker.judges.verdict import tiers_of
from tests.aggregate.test_ranking import draw, places
from tests.conftest import make_groups

law = settings(derandomize=True, deadline=None, max_examples=150)
RNG = st.randoms(use_true_random=False)


def scores_as_verdict(tiers, n: int) -> Verdict:
    scores = tuple(1 / (1 + place) for place in places(tiers, n))
    return Verdict(tiers_of(scores), scores=scores)


BY_RULE = {
    "rank": rank_rewards,
    "top_heavy": top_heavy_rewards,
    "strength": lambda tiers, n: strength_rewards([tiers], n),
    "score": lambda tiers, n: score_rewards([scores_as_verdict(tiers, n)], n),
}
EVERY_RULE = pytest.mark.parametrize("rule", sorted(BY_RULE))


def test_every_rule_is_tested():
    """The table above names every rule that follows from one ranking; for debiased rewards see tests/debias."""
    assert {*BY_RULE, "debiased"} == set(RULES)


@EVERY_RULE
@law
@given(rng=RNG, n=st.integers(1, 24))
def test_rewards_are_bounded_and_follow_the_ranking(rule, rng, n):
    """From 0 to 1; better tiers get more, and all in a tier get exactly the same."""
    tiers = draw(rng, n)
    rewards, place = BY_RULE[rule](tiers, n), places(tiers, n)
    assert len(rewards) == n
    assert all(0 <= r <= 1 for r in rewards)
    for i in range(n):
        for j in range(n):
            assert (rewards[i] > rewards[j]) == (place[i] < place[j])


@EVERY_RULE
@law
@given(rng=RNG, n=st.integers(1, 24))
def test_rewards_move_with_their_trajectories(rule, rng, n):
    """Permuting the input permutes the rewards."""
    tiers = draw(rng, n)
    moved = rng.sample(range(n), n)
    turned = tuple(tuple(moved[i] for i in tier) for tier in tiers)
    straight, again = BY_RULE[rule](tiers, n), BY_RULE[rule](turned, n)
    assert [again[moved[i]] for i in range(n)] == pytest.approx(straight, rel=1e-9)


@EVERY_RULE
@law
@given(rng=RNG, n=st.integers(1, 24))
def test_rewards_do_not_depend_on_the_order_within_a_tier(rule, rng, n):
    """A tier is a set."""
    tiers = draw(rng, n, tie=0.6)
    mixed = tuple(tuple(rng.sample(tier, len(tier))) for tier in tiers)
    assert BY_RULE[rule](mixed, n) == pytest.approx(BY_RULE[rule](tiers, n), rel=1e-12)


@EVERY_RULE
@pytest.mark.parametrize("n", [2, 3, 5, 8, 20])
def test_all_tied_get_the_same(rule, n):
    """No trace of a difference that normalising by a tiny deviation would blow up."""
    rewards = BY_RULE[rule]((tuple(range(n)),), n)
    assert len(set(rewards)) == 1


@EVERY_RULE
def test_a_group_of_one_has_a_reward(rule):
    """There is nothing to compare, and no error."""
    (reward,) = BY_RULE[rule](((0,),), 1)
    assert 0 <= reward <= 1


@law
@given(RNG, st.integers(2, 24))
def test_rank_rewards_in_closed_form(rng, n):
    """(n − rank) / (n − 1): mean 1/2 whatever the ties, the sole best 1, the sole worst 0."""
    tiers = draw(rng, n)
    rewards = rank_rewards(tiers, n)
    before = 0
    for tier in tiers:
        for i in tier:
            assert rewards[i] == pytest.approx((n - before - (len(tier) + 1) / 2) / (n - 1))
        before += len(tier)
    assert math.fsum(rewards) / n == pytest.approx(0.5)
    if len(tiers[0]) == 1:
        assert rewards[tiers[0][0]] == 1.0
    if len(tiers[-1]) == 1:
        assert rewards[tiers[-1][0]] == 0.0


def test_rank_rewards_by_hand():
    """The example of the documentation."""
    assert rank_rewards(((2,), (0, 3), (1,)), 4) == [0.5, 0.0, 1.0, 0.5]
    assert rank_rewards(((0, 1), (2,)), 3) == [0.75, 0.75, 0.0]
    assert rank_rewards(((0, 1, 2, 3),), 4) == [0.5] * 4
    assert rank_rewards(((0,),), 1) == [0.5]


@law
@given(RNG, st.integers(2, 24))
def test_top_heavy_rewards_in_closed_form(rng, n):
    """1/log2(1 + rank), scaled to 1 at the top and 0 at the bottom; the sum does not depend on ties."""

    def gain(rank: int) -> float:
        last = 1 / math.log2(1 + n)
        return (1 / math.log2(1 + rank) - last) / (1 - last)

    order = tuple((i,) for i in rng.sample(range(n), n))
    rewards = top_heavy_rewards(order, n)
    assert [rewards[i] for (i,) in order] == pytest.approx([gain(rank) for rank in range(1, n + 1)])
    assert rewards[order[0][0]] == 1.0
    assert rewards[order[-1][0]] == 0.0
    assert math.fsum(top_heavy_rewards(draw(rng, n), n)) == pytest.approx(math.fsum(rewards))


def test_top_heavy_rewards_tell_most_at_the_top():
    """Each step down the ranking costs less than the one before."""
    rewards = top_heavy_rewards(tuple((i,) for i in range(8)), 8)
    steps = [a - b for a, b in itertools.pairwise(rewards)]
    assert steps == sorted(steps, reverse=True)
    assert top_heavy_rewards(((0, 1),), 2) == [0.5, 0.5]


@law
@given(RNG, st.integers(1, 12), st.integers(1, 4))
def test_strength_rewards_sum_to_one(rng, n, m):
    """They are a distribution over the group, whatever the passes say."""
    rewards = strength_rewards([draw(rng, n) for _ in range(m)], n)
    assert math.fsum(rewards) == pytest.approx(1)
    assert all(r > 0 for r in rewards)


@law
@given(RNG, st.integers(2, 10), st.integers(1, 4))
def test_strength_rewards_of_twins_are_exactly_equal(rng, n, m):
    """Two trajectories that tie with each other in every pass get the same reward, to the last bit."""
    rankings = []
    for _ in range(m):
        tiers = draw(rng, n)
        rankings.append(tuple((*tier, n) if 0 in tier else tier for tier in tiers))
    rewards = strength_rewards(rankings, n + 1)
    assert rewards[0] == rewards[n]


def test_strength_rewards_of_two_in_closed_form():
    """The odds of winning k of k passes grow with k, and contradictions cancel."""
    one, two = (((0,), (1,)), ((1,), (0,)))
    odds = [(r := strength_rewards([one] * k, 2))[0] / r[1] for k in (1, 2, 4)]
    assert odds == sorted(odds)
    assert odds[0] > 1
    assert strength_rewards([one, two], 2) == pytest.approx([0.5, 0.5])


@law
@given(st.lists(st.lists(st.floats(0, 1), min_size=3, max_size=3), min_size=1, max_size=5))
def test_score_rewards_are_means_over_passes(columns):
    """The judge's own numbers, averaged; never out of their bounds."""
    verdicts = [Verdict(tiers_of(scores), scores=tuple(scores)) for scores in columns]
    rewards = score_rewards(verdicts, 3)
    for i in range(3):
        given_scores = [scores[i] for scores in columns]
        assert rewards[i] == pytest.approx(sum(given_scores) / len(columns))
        assert 0 <= rewards[i] <= 1
    assert score_rewards(verdicts[::-1], 3) == rewards


def test_scores_need_a_judge_that_gives_them():
    """Scores are never made up from ranks."""
    scored, ranked = Verdict(((0,), (1,)), scores=(1.0, 0.0)), Verdict(((0,), (1,)))
    for verdicts, n in (([ranked], 2), ([scored, ranked], 2), ([scored], 3)):
        with pytest.raises(ConfigurationError, match='reward="rank"'):
            score_rewards(verdicts, n)
    with pytest.raises(ConfigurationError, match="score"):
        rank_group(["a", "b"], lambda ts: [[0], [1]], task="t", reward="score")


def test_a_judge_without_scores_tells_what_its_verdicts_cost(serve):
    (group,) = make_groups(1)
    judge = LLMJudge("sim", base_url=serve([group]).base_url)
    with pytest.raises(ConfigurationError, match="score") as caught:
        rank_group(group, judge, passes=2, reward="score")
    assert caught.value.usage.calls == 2
    assert caught.value.usage.prompt_tokens > 0


@pytest.mark.parametrize(("limit", "words"), [({"max_group": 4}, 2), ({"context_window": 4_000}, 1_000)])
def test_a_group_too_large_to_be_scored_in_one_call_fails_alone_and_unasked(serve, limit, words):
    """Windows have no scores of the whole group; with another reward it is ranked in windows."""
    large = [" ".join(f"word{i}-{k}" for k in range(words + i)) for i in range(8)]
    groups = [[f"{name}", f"{name} and more"] for name in "abcde"]
    groups.insert(3, large)
    groups = [TrajectoryGroup(group, task="Write.") for group in groups]
    server = serve(lambda text: float(len(text)))
    judge = LLMJudge("sim", base_url=server.base_url, form="scores", **limit)
    ranked = list(rank_groups(groups, judge, reward="score", on_error="skip", progress=False))
    failed = ranked.pop(3)
    assert isinstance(failed.error, ContextLengthError)
    assert 'reward="score" needs the whole group in one call' in str(failed.error)
    assert failed.usage.calls == 0
    assert [r.rewards for r in ranked] == [[0.0, 1.0]] * 5
    assert server.requests == 5
    assert rank_group(groups[3], judge).usage.calls > 1


@pytest.mark.parametrize("rule", ["rank", "top_heavy", "strength"])
@pytest.mark.parametrize("passes", [1, 2, 3])
def test_identical_trajectories_get_exactly_the_same(rule, passes):
    """Through the whole way from a group to its rewards, for every rule and number of passes."""
    rng = random.Random(passes)
    members = [f"attempt {i}" for i in (0, 1, 2, 0, 3, 1, 4)]
    ranked = rank_group(
        members,
        lambda ts: [[i] for i in rng.sample(range(len(ts)), len(ts))],
        task="t",
        reward=rule,
        passes=passes,
    )
    assert ranked.rewards[0] == ranked.rewards[3]
    assert ranked.rewards[1] == ranked.rewards[5]
    assert len({ranked.rewards[i] for i in (0, 1, 2, 4, 6)}) == 5 or passes > 1
