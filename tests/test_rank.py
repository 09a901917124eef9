"""From groups to rewards through a real judge server."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import threading
import time

import pytest

import ranker
from ranker import (
    BudgetExceeded,
    ConfigurationError,
    FunctionJudge,
    GroupError,
    JudgeError,
    LLMJudge,
    Trajectory,
    TrajectoryGroup,
    Usage,
    Verdict,
    VerdictError,
    rank_group,
    rank_group_async,
    rank_groups,
    rank_groups_async,
)
from ranker.testing import Behaviour
from tests.conftest import make_groups, truthful


def test_rewards_follow_the_truth_in_the_order_given(serve):
    (group,) = make_groups(1, size=6)
    server = serve([group])
    ranked = rank_group(group, judge="openai/sim", base_url=server.base_url)
    assert truthful(group, ranked.rewards)
    assert max(ranked.rewards) == 1.0
    assert min(ranked.rewards) == 0.0
    best = max(range(6), key=lambda i: group.trajectories[i].ground_truth)
    assert ranked.ranking[0] == [best]
    assert all(reason.startswith("quality") for reason in ranked.reasons)
    assert ranked.consistency is None
    assert ranked.usage.calls == 1
    assert ranked.usage.prompt_tokens > 0
    assert ranked.usage.cost_usd is None
    assert ranked.prompt_id.startswith("rank.v1:")


def test_order_of_the_input_changes_nothing_but_the_order_of_the_output(serve):
    (group,) = make_groups(1, size=5)
    server = serve([group], Behaviour(noise=0.5, position_bias=0.3), keep_prompts=True)
    straight = rank_group(group, "sim", base_url=server.base_url)
    order = random.Random(3).sample(range(5), 5)
    turned = TrajectoryGroup([group.trajectories[i] for i in order], id="g0")
    again = rank_group(turned, "sim", base_url=server.base_url)
    assert again.rewards == [straight.rewards[i] for i in order]
    assert server.prompts[0] == server.prompts[1]


def test_seed_decides_order_and_ids(serve):
    (group,) = make_groups(1)
    server = serve([group], keep_prompts=True)
    for seed in (1, 1, 2):
        rank_group(group, "sim", base_url=server.base_url, seed=seed)
    first, second, third = server.prompts
    assert first == second
    assert first != third


def test_nothing_hidden_reaches_the_judge(serve):
    groups = make_groups(3)
    marked = [
        TrajectoryGroup(
            [
                Trajectory(
                    t.messages,
                    id=f"secret-id-{g}{i}",
                    ground_truth=0.123456 + i,
                    metadata={"x": "secret-meta"},
                )
                for i, t in enumerate(group.trajectories)
            ],
            id="secret-group",
            metadata={"y": "secret-meta"},
        )
        for g, group in enumerate(groups)
    ]
    server = serve(groups, keep_prompts=True)
    for group in marked:
        rank_group(group, "sim", base_url=server.base_url, passes=3)
    prompts = repr(server.prompts)
    assert len(server.prompts) == 9
    assert "secret" not in prompts
    assert ".123456" not in prompts


def test_identical_trajectories_are_judged_once_and_tie(serve):
    (group,) = make_groups(1, size=3)
    twins = [
        *group.trajectories,
        *(Trajectory(t.messages, ground_truth=t.ground_truth) for t in group.trajectories[:2]),
    ]
    server = serve([group], keep_prompts=True)
    ranked = rank_group(twins, "sim", base_url=server.base_url)
    assert server.prompts[0][1]["content"].count("<trajectory id=") == 3
    assert ranked.rewards[0] == ranked.rewards[3]
    assert ranked.rewards[1] == ranked.rewards[4]
    assert truthful(TrajectoryGroup(twins), ranked.rewards)


@pytest.mark.parametrize("members", [["only"], ["same", "same", "same"]])
def test_nothing_to_compare_costs_no_call(serve, members):
    server = serve(lambda text: 0.0)
    ranked = rank_group(members, "sim", base_url=server.base_url, task="Say it.")
    assert ranked.rewards == [0.5] * len(members)
    assert ranked.usage.calls == server.requests == 0


def test_passes_are_balanced_and_their_agreement_reported(serve):
    """Two passes show every trajectory at the same mean place; a judge that only likes the first place
    then ties all of them, and disagrees with itself."""
    (group,) = make_groups(1)
    flat = serve(lambda text: 0.0, Behaviour(position_bias=1.0))
    ranked = rank_group(group, "sim", base_url=flat.base_url, passes=2)
    assert ranked.rewards == [0.5] * 4
    assert ranked.consistency == 0.0
    honest = serve([group])
    assert rank_group(group, "sim", base_url=honest.base_url, passes=4).consistency == 1.0


@pytest.mark.parametrize("reward", ["rank", "score", "strength", "top_heavy"])
def test_every_reward_rule_follows_the_truth(serve, reward):
    (group,) = make_groups(1, size=5)
    server = serve([group])
    ranked = rank_group(group, "sim", base_url=server.base_url, reward=reward, passes=2)
    assert truthful(group, ranked.rewards)
    assert all(0 <= r <= 1 for r in ranked.rewards)


def test_large_groups_are_ranked_in_windows_with_linear_calls(serve):
    (group,) = make_groups(1, size=48)
    server = serve([group])
    judge = LLMJudge("sim", base_url=server.base_url, max_group=12)
    ranked = rank_group(group, judge)
    assert ranked.usage.calls == server.requests == 2 * (2 * 48 // 12)
    truths = [t.ground_truth for t in group.trajectories]
    from scipy.stats import kendalltau

    assert kendalltau(truths, ranked.rewards).statistic > 0.95
    assert "overlapping windows" in ranked.warnings[0]


def test_a_small_window_shortens_then_splits_then_gives_up(serve):
    def long(i: int, size: int) -> Trajectory:
        text = " ".join(f"word{i}-{k}" for k in range(size))
        return Trajectory([{"role": "user", "content": "Go."}, {"role": "assistant", "content": text}])

    server = serve(lambda text: float(len(text)))
    group = [long(0, 1500), long(1, 1500), long(2, 10)]
    judge = LLMJudge("sim", base_url=server.base_url, context_window=6_000)
    ranked = rank_group(group, judge)
    assert ranked.cut[0] > 0
    assert ranked.cut[1] > 0
    assert ranked.cut[2] == 0
    many = [long(i, 1000) for i in range(8)]
    split = rank_group(many, LLMJudge("sim", base_url=server.base_url, context_window=4_000))
    assert split.usage.calls > 2
    assert "overlapping windows" in split.warnings[0]
    with pytest.raises(Exception, match=r"need \d+ tokens") as caught:
        rank_group(many, LLMJudge("sim", base_url=server.base_url, context_window=1_500))
    assert type(caught.value).__name__ == "ContextLengthError"
    assert caught.value.needed > 0


def test_many_groups_stream_in_order_and_keep_failures_apart(serve):
    groups = make_groups(40)
    broken = [Trajectory([{"role": "user", "content": "unknown to the server"}]), *groups[0].trajectories[:2]]
    mixed = [*groups[:5], broken, "nonsense", *groups[5:]]
    server = serve(groups)
    ranked = list(rank_groups(mixed, "sim", base_url=server.base_url, on_error="skip", progress=False))
    assert [type(r.error).__name__ for r in ranked[5:7]] == ["JudgeCallError", "GroupError"]
    assert ranked[5].rewards == [None, None, None]
    assert ranked[5].usage.failed_calls == ranked[5].usage.calls > 0
    good = ranked[:5] + ranked[7:]
    assert all(truthful(g, r.rewards) for g, r in zip(groups, good, strict=True))


def test_raise_stops_at_the_first_failure(serve):
    groups = make_groups(6)
    server = serve(groups)
    results = rank_groups([groups[0], [], *groups[1:]], "sim", base_url=server.base_url, progress=False)
    assert truthful(groups[0], next(results).rewards)
    with pytest.raises(GroupError, match="empty"):
        next(results)


def test_max_calls_stops_before_the_call_that_would_exceed_it(serve):
    groups = make_groups(10)
    server = serve(groups)
    options = {"base_url": server.base_url, "progress": False, "max_calls": 4}
    ranked = list(rank_groups(groups, "sim", on_error="skip", **options))
    assert server.requests == 4
    assert sum(r.error is None for r in ranked) == 4
    assert {type(r.error) for r in ranked if r.error} == {BudgetExceeded}
    with pytest.raises(BudgetExceeded, match="max_calls=4"):
        list(rank_groups(groups, "sim", **options))


@pytest.mark.parametrize(("size", "options"), [(4, {"passes": 4}), (12, {"passes": 2, "max_group": 4})])
def test_calls_in_flight_when_a_limit_is_met_are_counted_and_kept(serve, tmp_path, size, options):
    """Those of other passes and windows of the group are paid for: a later run does not pay for them again."""
    warm, group = (make_groups(1, size=n, seed=n)[0] for n in (2, size))
    server = serve([warm, group], latency=0.2)
    judge = LLMJudge(
        "sim", base_url=server.base_url, cache=tmp_path / "c.sqlite", max_group=options.pop("max_group", 32)
    )
    rank_group(warm, judge)  # so that the first call does not go alone
    with pytest.raises(BudgetExceeded, match="max_calls=3") as caught:
        rank_group(group, judge, max_calls=3, **options)
    assert caught.value.usage.calls == 3
    assert caught.value.usage.completion_tokens > 0
    assert server.requests == server.counts["ok"] == 1 + 3
    again = rank_group(group, judge, **options)
    assert again.usage.cached_calls == 3


def test_groups_in_flight_when_a_limit_ends_the_run_are_kept(serve, tmp_path):
    """Also where their results are not waited for."""
    warm, *groups = make_groups(9)
    server = serve([warm, *groups], latency=0.2)
    judge = LLMJudge("sim", base_url=server.base_url, cache=tmp_path / "c.sqlite")
    rank_group(warm, judge)
    with pytest.raises(BudgetExceeded):
        list(rank_groups(groups, judge, max_calls=3, ordered=False, progress=False))
    assert server.requests == server.counts["ok"] == 1 + 3
    again = rank_groups(groups, judge, progress=False)
    assert sum(r.usage.cached_calls for r in again) == 3


def test_max_cost_is_never_exceeded_however_many_calls_are_in_flight(serve):
    groups = make_groups(60)
    server = serve(groups, latency=0.01)
    judge = LLMJudge("sim", base_url=server.base_url, price=(1000.0, 1000.0))
    one = rank_group(groups[0], judge).usage.cost_usd
    limit = 20 * one
    ranked = list(
        rank_groups(groups, judge, max_cost_usd=limit, on_error="skip", progress=False, concurrency=32)
    )
    spent = sum(r.usage.cost_usd for r in ranked)
    assert 0.5 * limit < spent <= limit
    with pytest.raises(ConfigurationError, match="price"):
        rank_group(groups[0], LLMJudge("sim", base_url=server.base_url), max_cost_usd=1.0)


def test_a_function_can_judge():
    group = ["aa", "a", "aaaa"]
    by_length = rank_group(group, lambda ts: [len(t.messages[-1]["content"]) for t in ts], task="Write.")
    assert by_length.rewards == [0.5, 0.0, 1.0]

    async def tiers(trajectories):
        await asyncio.sleep(0)
        return [[i] for i in sorted(range(3), key=lambda i: len(trajectories[i].messages[-1]["content"]))]

    assert rank_group(group, FunctionJudge(tiers), task="Write.").rewards == [0.5, 1.0, 0.0]
    for bad in (
        lambda ts: [1.0],
        lambda ts: [[0], [0], [1]],
        lambda ts: 7,
        lambda ts: [float("nan")] * 3,
        lambda ts: {0: 0.9, 1: 0.1, 2: 0.5},
        lambda ts: {0.9, 0.1, 0.5},
        lambda ts: "102",
        lambda ts: b"102",
        lambda ts: 1 / 0,
    ):
        with pytest.raises(JudgeError):
            rank_group(group, bad, task="Write.")


class Own:
    """A judge of one's own that says the same of every lineup."""

    name = "own"
    credit = "turns"

    def __init__(self, tiers, **members):
        self.said = Verdict(tiers, usage=Usage(calls=1), **members)

    async def verdict(self, lineup, budget):
        return self.said


ORDERED = ((0,), (1,), (2,))
UNFIT = {
    "one left out": (((0,), (1,)), {}, "exactly once"),
    "one twice": (((0,), (1,), (2,), (0,)), {}, "exactly once"),
    "one twice in a tier": (((0, 1, 2, 2),), {}, "exactly once"),
    "from the end": (((-1,), (0,), (1,)), {}, "exactly once"),
    "one too far": (((0,), (1,), (5,)), {}, "exactly once"),
    "no integers": ((("a",), ("b",), ("c",)), {}, "cannot be used"),
    "tiers by key": ({0: 0.1, 1: 0.5, 2: 0.9}, {}, "no list"),
    "tiers without order": ({(2,), (1,), (0,)}, {}, "no list"),
    "scores by key": (ORDERED, {"scores": {0: 0.2, 1: 0.9, 0.5: 0.1}}, "no list"),
    "no tiers": (None, {}, "cannot be used"),
    "score NaN": (ORDERED, {"scores": (float("nan"), 0.5, 1.0)}, "0 to 1"),
    "score infinite": (ORDERED, {"scores": (float("inf"), 0.5, 0.0)}, "0 to 1"),
    "score beyond all floats": (ORDERED, {"scores": (10**400, 0.5, 0.0)}, "cannot be used"),
    "score above 1": (ORDERED, {"scores": (5.0, 0.5, 0.0)}, "0 to 1"),
    "score below 0": (ORDERED, {"scores": (0.5, -3.0, 0.0)}, "0 to 1"),
    "too few scores": (ORDERED, {"scores": (0.1, 0.2)}, "each of 3"),
    "too many scores": (ORDERED, {"scores": (0.1, 0.2, 0.3, 0.4)}, "each of 3"),
    "too few reasons": (ORDERED, {"reasons": ("a", "b")}, "each of 3"),
    "a reason that is none": (ORDERED, {"reasons": ("a", "b", 7)}, "text"),
    "too few cut": (ORDERED, {"cut": (1,)}, "each of 3"),
    "cut below 0": (ORDERED, {"cut": (1, 0, -1)}, "-1 characters"),
    "too few turns": (ORDERED, {"turns": ({}, {})}, "each of 3"),
    "turns in a list": (ORDERED, {"turns": ([1.0], [0.5], [0.0])}, "mapping"),
    "a turn that is not there": (ORDERED, {"turns": ({0: 1.0, 1: 1.0}, {}, None)}, "that has 1"),
    "a turn worth NaN": (ORDERED, {"turns": ({0: float("nan")}, {}, None)}, "-1 to 1"),
    "a turn worth too much": (ORDERED, {"turns": ({0: 2.0}, {}, None)}, "-1 to 1"),
}


@pytest.mark.parametrize("passes", [1, 2])
@pytest.mark.parametrize("name", UNFIT)
def test_an_unfit_verdict_of_a_judge_of_ones_own_becomes_no_reward(name, passes):
    tiers, members, fault = UNFIT[name]
    with pytest.raises(VerdictError, match=fault) as caught:
        rank_group(["a", "b", "c"], Own(tiers, **members), task="t", passes=passes)
    assert caught.value.usage.calls >= 1
    assert "own" in str(caught.value)


def test_what_is_no_verdict_becomes_no_reward():
    own = Own(ORDERED)
    own.said = [[0], [1], [2]]
    with pytest.raises(VerdictError, match="must return a Verdict, not a list"):
        rank_group(["a", "b", "c"], own, task="t")


def test_a_fit_verdict_of_a_judge_of_ones_own_is_taken():
    """Reasons, scores, cuts and turns may each be left out."""
    members = {
        "reasons": ("best", "middle", "worst"),
        "scores": (1, 0.5, 0),
        "cut": (0, 7, 0),
        "turns": ({0: 1.0}, None, {}),
    }
    whole = rank_group(["a", "b", "c"], Own(ORDERED, **members), task="t", reward="score", credit="turns")
    assert sorted(zip(whole.rewards, whole.reasons, whole.cut, whole.turn_rewards, strict=True)) == [
        (0.0, "worst", 0, [None]),
        (0.5, "middle", 7, [None]),
        (1.0, "best", 0, [1.0]),
    ]
    bare = rank_group(["a", "b", "c"], Own(((), (0,), (1, 2))), task="t")
    assert sorted(bare.rewards) == [0.25, 0.25, 1.0]
    assert (bare.reasons, bare.cut) == ([""] * 3, ())


def test_a_function_judge_never_sees_the_truth():
    (group,) = make_groups(1)
    seen = []
    rank_group(group, lambda ts: seen.extend(ts) or [[i] for i in range(len(ts))])
    assert all(t.ground_truth is None and t.id is None and not t.metadata for t in seen)


async def test_sync_calls_work_inside_a_running_loop(serve):
    (group,) = make_groups(1)
    server = serve([group])
    assert truthful(group, rank_group(group, "sim", base_url=server.base_url).rewards)
    assert truthful(group, (await rank_group_async(group, "sim", base_url=server.base_url)).rewards)


def test_async_use_leaves_no_connection_behind(serve):
    """A loop that ends closes its connections: an unclosed one would fail this run as a warning."""
    (group,) = make_groups(1)
    server = serve([group])
    for _ in range(3):
        assert asyncio.run(rank_group_async(group, "sim", base_url=server.base_url)).error is None


async def test_async_stream_takes_async_input_and_can_be_left_early(serve):
    groups = make_groups(50)
    server = serve(groups, latency=0.02)

    async def arriving():
        for group in groups:
            yield group

    results = rank_groups_async(arriving(), "sim", base_url=server.base_url, progress=False, concurrency=4)
    async for ranked in results:
        assert truthful(groups[0], ranked.rewards)
        break
    await results.aclose()
    at_close = server.requests
    await asyncio.sleep(0.2)
    assert server.requests <= at_close + 4


def test_rubric_is_text_or_a_file(serve, tmp_path):
    (group,) = make_groups(1)
    server = serve([group], keep_prompts=True)
    (tmp_path / "r.md").write_text("Prefer the kindest.")
    rank_group(group, "sim", base_url=server.base_url, rubric=tmp_path / "r.md")
    rank_group(group, "sim", base_url=server.base_url, rubric="Prefer the shortest.")
    rank_group(TrajectoryGroup(group.trajectories, rubric="Prefer blue."), "sim", base_url=server.base_url)
    system_prompts = [p[0]["content"] for p in server.prompts]
    assert "kindest" in system_prompts[0]
    assert "shortest" in system_prompts[1]
    assert "blue" in system_prompts[2]
    for bad in (tmp_path / "none.md", " "):
        with pytest.raises(ConfigurationError, match="rubric"):
            rank_group(group, "sim", base_url=server.base_url, rubric=bad)


def test_concurrency_bounds_calls_in_flight(serve):
    groups = make_groups(30)
    server = serve(groups, latency=0.05)
    started = time.monotonic()
    list(rank_groups(groups, "sim", base_url=server.base_url, progress=False, concurrency=3))
    assert time.monotonic() - started >= 0.05 * 30 / 3


def test_interrupt_reaches_the_caller(serve):
    groups = make_groups(5)
    server = serve(groups, latency=30.0)
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        list(rank_groups(groups, "sim", base_url=server.base_url, progress=False))
    timer.join()


@pytest.mark.parametrize(
    ("options", "fault"),
    [
        ({"passes": 0}, "at least once"),
        ({"reward": "best"}, "choose one of"),
        ({"temprature": 1}, "temprature"),
        ({"base_url": "localhost:8000"}, "http://"),
        ({"structured": "yaml"}, "json_schema"),
    ],
)
def test_settings_that_cannot_work_say_so(options, fault):
    with pytest.raises(ConfigurationError, match=fault):
        rank_group(["a", "b"], "sim", task="t", **{"base_url": "http://127.0.0.1:9/v1", **options})


def test_default_judge_comes_from_the_environment(serve, monkeypatch):
    (group,) = make_groups(1)
    server = serve([group])
    monkeypatch.setenv("RANKER_JUDGE", "openai/from-env")
    assert rank_group(group, base_url=server.base_url).judge == "from-env"


def test_a_slow_reader_gets_everything_in_order(serve):
    """Reading ahead is bounded, and stopping and going on loses nothing."""
    groups = make_groups(700, size=2)
    server = serve(lambda text: float(len(text)))
    results = rank_groups(groups, "sim", base_url=server.base_url, progress=False, concurrency=8)
    first = next(results)
    time.sleep(0.6)
    assert server.requests <= 256 + 1 + 4 * 8 + 1
    rest = list(results)
    assert [r.group.id for r in (first, *rest)] == [g.id for g in groups]


def test_an_option_that_no_judge_has_is_answered_with_the_nearest_name():
    """A misspelt option is named together with the one that was meant; it is never passed over."""
    for wrong, near in (
        ("temprature", "temperature"),
        ("max_token", "max_tokens"),
        ("concurency", "concurrency"),
    ):
        with pytest.raises(ConfigurationError, match=f"{wrong}.*did you mean '{near}'"):
            rank_group([[{"role": "assistant", "content": x}] for x in "ab"], "m", **{wrong: 1})


def test_an_option_of_the_other_function_is_answered_with_its_name():
    attempts = [[{"role": "assistant", "content": x}] for x in "ab"]
    for name in ("concurrency", "on_error", "ordered"):
        with pytest.raises(ConfigurationError, match=rf"{name} .* belongs to rank_groups;"):
            rank_group(attempts, "m", **{name: 1})
    with pytest.raises(ConfigurationError, match=r"task .* belongs to rank_group;"):
        list(rank_groups([attempts], "m", task="t", progress=False))


def test_the_module_shows_its_public_names_and_no_others():
    """What an editor offers after ``ranker.`` is what the documentation lists."""
    assert sorted(dir(ranker)) == sorted(ranker.__all__)
    assert all(hasattr(ranker, name) for name in ranker.__all__)
