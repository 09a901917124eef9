"""A judge that is asked for probabilities, from a lineup to a verdict."""

from __future__ import annotations

import asyncio
import itertools
import math
from dataclasses import replace

import pytest
import torch

from ranker import (
    BudgetExceeded,
    ConfigurationError,
    ContextLengthError,
    JudgeError,
    Trajectory,
    rank_group,
)
from ranker.judges.base import Lineup
from ranker.judges.local.judge_file import Setup
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.ways import JOINT, LETTERS, LOGPROB_WAYS, NOISE, texts_of
from ranker.runtime.budget import Budget
from tests.local_models import saved
from tests.tuning_models import group

FREE = sorted(set(LOGPROB_WAYS) - JOINT)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("tiny"))


def judge_of(model, way="pointwise", tolerance=0.0, **options):
    setup = Setup(model, way, tolerance)
    return LogprobJudge(setup, **{"cache": "off", "dtype": "float32", "device": "cpu", **options})


def lineup_of(n=4, seed=0, said=None):
    words = said or [f"red {i} blue {i * i}" for i in range(n)]
    return Lineup(
        tuple(
            Trajectory(
                [{"role": "user", "content": "Say it."}, {"role": "assistant", "content": w}], id=f"t{i}"
            )
            for i, w in enumerate(words)
        ),
        "Count.",
        seed=seed,
        reference="blue 4",
    )


def verdict(judge, lineup):
    return asyncio.run(judge.verdict(lineup, Budget()))


@pytest.mark.parametrize("way", LOGPROB_WAYS)
def test_every_way_gives_a_verdict(model, way):
    made = verdict(judge_of(model, way), lineup_of())
    assert sorted(i for tier in made.tiers for i in tier) == [0, 1, 2, 3]
    assert all(0 <= s <= 1 for s in made.scores)
    assert made.reasons == ("",) * len(made.scores)
    assert made.usage.calls == 1
    assert made.usage.prompt_tokens > 50
    assert made.usage.completion_tokens == 0
    assert made.prompt_id.startswith("ask.v1:")
    best = made.tiers[0][0]
    assert made.scores[best] == max(made.scores)


@pytest.mark.parametrize("way", FREE)
def test_passes_agree_to_the_last_bit(model, way):
    judge, lineup = judge_of(model, way, dtype="bfloat16"), lineup_of(5)
    straight = verdict(judge, lineup).scores
    order = (3, 1, 4, 0, 2)
    moved = replace(lineup, trajectories=tuple(lineup.trajectories[i] for i in order), seed=9)
    assert verdict(judge, moved).scores == tuple(straight[i] for i in order)


@pytest.mark.parametrize("way", LOGPROB_WAYS)
def test_attempts_that_read_alike_tie(model, way):
    made = verdict(judge_of(model, way), lineup_of(said=["red 1", "blue 2", "red 1"]))
    assert made.scores[0] == made.scores[2] != made.scores[1]


def test_a_wide_tolerance_ties_all(model):
    assert (
        verdict(judge_of(model, tolerance=1e5), lineup_of()).tiers == ((0, 1, 2, 3),)
        or len(verdict(judge_of(model, tolerance=1e5), lineup_of()).tiers) == 1
    )


@pytest.mark.parametrize("way", ["pointwise", "expected_digit"])
def test_scores_within_the_noise_of_a_way_tie_whatever_the_judge_file_says(model, way):
    made = verdict(judge_of(model, way, tolerance=0.0), lineup_of(12))
    worth = [math.log(p / (1 - p)) for p in made.scores] if way == "pointwise" else made.scores
    assert len(set(worth)) == 12
    tops = [max(worth[i] for i in tier) for tier in made.tiers]
    for tier, top in zip(made.tiers, tops, strict=True):
        assert all(top - worth[i] <= NOISE[way] + 1e-9 for i in tier)
    assert all(above - below > NOISE[way] - 1e-9 for above, below in itertools.pairwise(tops))
    assert len(made.tiers) < 12


def test_the_cache_knows_everything_that_shapes_a_score(model, tmp_path):
    cache = tmp_path / "replies.sqlite"

    def calls(lineup=None, **how):
        return verdict(judge_of(model, cache=cache, **how), lineup or lineup_of()).usage.calls

    assert calls() == 1
    assert calls() == 0
    assert calls(tolerance=0.3) == 0  # no part of a score
    assert calls(replace(lineup_of(), seed=3)) == 0
    assert calls(replace(lineup_of(), trajectories=lineup_of().trajectories[::-1])) == 0
    assert calls(way="expected_digit") == 1
    assert calls(dtype="bfloat16") == 1
    assert calls(replace(lineup_of(), task="Other.")) == 1
    assert calls(replace(lineup_of(), rubric="Other.")) == 1
    assert calls(way="first_token") == 1
    assert (
        verdict(judge_of(model, cache=cache), lineup_of()).scores
        == verdict(judge_of(model), lineup_of()).scores
    )


def test_a_budget_counts_readings_and_not_what_the_cache_holds(model, tmp_path):
    """Of four passes only the first reads. The turns are a reading of their own."""
    cache, budget = tmp_path / "replies.sqlite", Budget(max_calls=1)
    ranked = [rank_group(group(0), judge_of(model, cache=cache), passes=4, budget=budget) for _ in range(2)]
    assert [(r.usage.calls, r.usage.cached_calls) for r in ranked] == [(1, 3), (0, 4)]
    assert budget.calls == 1
    with pytest.raises(BudgetExceeded):
        rank_group(group(1), judge_of(model, cache=cache), budget=budget)
    turns = [{"role": "assistant", "content": "red"}, {"role": "assistant", "content": "blue"}]
    lineup = replace(lineup_of(2), trajectories=(Trajectory(turns), Trajectory(turns[::-1])))
    with pytest.raises(BudgetExceeded) as caught:
        asyncio.run(judge_of(model, credit="turns").verdict(lineup, Budget(max_calls=1)))
    assert caught.value.usage.calls == 1


def test_the_reference_reaches_the_way_that_needs_it(model):
    judge = judge_of(model, "reference_likelihood")
    for missing in (None, "", "  "):
        with pytest.raises(ConfigurationError, match="reference_likelihood"):
            verdict(judge, replace(lineup_of(), reference=missing))
    one, other = (verdict(judge, replace(lineup_of(), reference=r)).scores for r in ("blue 4", "red"))
    assert one != other
    plain = judge_of(model)
    assert verdict(plain, lineup_of()).scores == verdict(plain, replace(lineup_of(), reference=None)).scores


def test_long_attempts_are_cut_and_it_is_told(model):
    long = lineup_of(said=["blue " * 3_000, "red 1"])
    made = verdict(judge_of(model, context_window=1_500), long)
    assert made.cut[0] > 1_000
    assert made.cut[1] == 0
    with pytest.raises(ContextLengthError):
        verdict(judge_of(model, context_window=300), long)
    assert verdict(judge_of(model, context_window=10**9), lineup_of()).cut == ()


def test_lists_that_do_not_fit_are_told_before(model):
    long = lineup_of(said=[f"{i} " + "blue " * 900 for i in range(9)])
    judge = judge_of(model, "pointwise_in_context", context_window=3_000)
    most = asyncio.run(judge.capacity(long))
    assert 2 <= most < 9
    some = replace(long, trajectories=long.trajectories[:most])
    assert len(verdict(judge, some).scores) == most
    assert asyncio.run(judge.capacity(lineup_of())) == 4
    assert asyncio.run(judge_of(model, context_window=3_000).capacity(long)) == 9
    with pytest.raises(ContextLengthError, match="alone"):
        asyncio.run(judge_of(model, "first_token", context_window=900).capacity(long))


def test_more_attempts_than_letters_are_ranked_in_windows(model):
    judge = judge_of(model, "first_token", max_group=40)
    assert judge.max_group == len(LETTERS)
    words = [f"word {i}" for i in range(28)]
    ranked = rank_group(words, judge, task="Name it.")
    assert sorted(i for tier in ranked.ranking for i in tier) == list(range(28))
    with pytest.raises(JudgeError, match="letters"):
        verdict(judge, lineup_of(28))


def test_a_failing_model_is_a_judge_error(model):
    judge = judge_of(model)
    with torch.no_grad():
        judge.local.load().model.model.norm.weight.fill_(float("nan"))
    with pytest.raises(JudgeError, match="no numbers") as caught:
        verdict(judge, lineup_of())
    assert caught.value.usage.failed_calls == 1
    broken = judge_of(model)
    broken.local.load().model.model.layers[0].mlp.up_proj.weight = torch.nn.Parameter(torch.zeros(3, 5))
    with pytest.raises(JudgeError, match="failed on 4 attempts"):
        verdict(broken, lineup_of())


def test_media_are_told_of(model):
    seen = [{"type": "text", "text": "look"}, {"type": "image_url", "image_url": {"url": "data:,"}}]
    lineup = lineup_of(2)
    first = Trajectory([{"role": "user", "content": seen}, {"role": "assistant", "content": "red"}])
    made = verdict(judge_of(model), replace(lineup, trajectories=(first, lineup.trajectories[1])))
    assert made.warnings == ("The judge cannot see image content.",)


def test_scores_become_rewards(model):
    judge = judge_of(model, form="scores")
    one = group(0)
    ranked = rank_group(one, judge, reward="score")
    assert all(0 <= r <= 1 for r in ranked.rewards)
    assert rank_group(one, judge, passes=2).consistency == pytest.approx(1)


def test_many_groups_at_once_read_as_one_by_one(model):
    judge = judge_of(model)
    lineups = [lineup_of(said=[f"red {i} <|im_end|>", f"blue {i}"]) for i in range(6)]

    async def together():
        return await asyncio.gather(*(judge.verdict(one, Budget()) for one in lineups))

    assert [v.scores for v in asyncio.run(together())] == [verdict(judge, one).scores for one in lineups]


@pytest.mark.slow
def test_bfloat16_changes_little():
    """On the real default model: far less than what parts attempts."""
    exact, rounded = (judge_of("smollm2", dtype=dtype).local.load() for dtype in ("float32", "bfloat16"))
    for way, near in (("pointwise", 0.35), ("first_token", 0.35), ("expected_digit", 0.05)):
        judge = judge_of("smollm2", way)
        given = texts_of(Lineup(tuple(t.bare() for t in group(0).trajectories)))
        a, b = (judge.read(loaded, given)[0] for loaded in (exact, rounded))
        assert a == pytest.approx(b, abs=near)
