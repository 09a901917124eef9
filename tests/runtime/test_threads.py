"""What users wrote, functions and iterators, may wait and may rank by itself: nothing else stands still meanwhile."""

from __future__ import annotations

import asyncio
import gc
import signal
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError
from typing import Any

import pytest

from ranker import (
    ConfigurationError,
    FunctionJudge,
    JudgeError,
    LLMJudge,
    RankerError,
    Trajectory,
    rank_group,
    rank_group_async,
    rank_groups,
    rank_groups_async,
)
from ranker.runtime.event_loop import run_sync
from tests.conftest import make_groups, truthful

pytestmark = pytest.mark.timeout(60)  # most of these once waited for themselves

GROUP = ["a", "bbb", "cc"]
REWARDS = [0.0, 1.0, 0.5]


def lengths(trajectories: Sequence[Trajectory]) -> list[int]:
    return [len(t.messages[-1]["content"]) for t in trajectories]


def of(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": "Write."}, {"role": "assistant", "content": text}] for text in texts]


def test_what_one_judge_ranks_streams_into_another(serve):
    groups = make_groups(12)
    server = serve(groups)
    first = rank_groups(groups, "sim", base_url=server.base_url, progress=False)
    second = rank_groups((ranked.group for ranked in first), lengths, progress=False)
    third = rank_groups((r.group for r in second), "sim", base_url=server.base_url, seed=1, progress=False)
    assert all(truthful(g, r.rewards) for g, r in zip(groups, third, strict=True))


def test_a_chain_can_be_left_early():
    first = rank_groups((of("a", "bb", str(k)) for k in range(1_000)), lengths, progress=False)
    second = rank_groups((ranked.group for ranked in first), lengths, progress=False)
    next(second)
    del first
    started = time.monotonic()
    second.close()
    assert time.monotonic() - started < 5
    assert rank_group(GROUP, lengths, task="Write.").rewards == REWARDS


def test_a_function_judge_may_rank(serve):
    """With any judge: one behind an API, another function, or itself."""
    (group,) = make_groups(1)
    judge = LLMJudge("sim", base_url=serve([group]).base_url)
    assert truthful(group, rank_group(group, lambda ts: rank_group(ts, judge).rewards).rewards)
    assert rank_group(GROUP, lambda ts: rank_group(ts, lengths).rewards, task="Write.").rewards == REWARDS

    def halved(trajectories: Sequence[Trajectory]) -> list[float]:
        if len(trajectories) == 2:
            return [float(n) for n in lengths(trajectories)]
        middle = len(trajectories) // 2
        halves = [trajectories[:middle], trajectories[middle:]]
        return [
            float(r or 0) for ranked in rank_groups(halves, itself, progress=False) for r in ranked.rewards
        ]

    itself = FunctionJudge(halved)
    ranked = list(rank_groups([of("a", "bb", "c", "dd")] * 5, itself, progress=False))
    assert [r.rewards for r in ranked] == [[1 / 6, 5 / 6, 1 / 6, 5 / 6]] * 5


def test_two_function_judges_that_call_each_other_do_not_wait_for_each_other():
    def left(trajectories: Sequence[Trajectory]) -> list[int]:
        rank_group(trajectories[:2], right) if len(trajectories) > 2 else None
        return lengths(trajectories)

    def right(trajectories: Sequence[Trajectory]) -> list[int]:
        rank_group(trajectories[:2], left)
        return lengths(trajectories)

    async def both() -> list[list[float | None]]:
        ranked = [rank_group_async(GROUP, judge, task="Write.") for judge in (left, right) * 10]
        return [r.rewards for r in await asyncio.gather(*ranked)]

    assert asyncio.run(both()) == [REWARDS] * 20


def test_a_function_judge_is_called_once_at_a_time_in_one_thread():
    """As a function needs that holds a model or a connection of its own, however it is handed over."""
    inside, threads = threading.Lock(), set()

    def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        assert inside.acquire(blocking=False)
        time.sleep(0.005)
        threads.add(threading.get_ident())
        inside.release()
        return lengths(trajectories)

    groups = [of("a", "bb", str(k)) for k in range(20)]
    assert len(list(rank_groups(groups, judge, concurrency=8, progress=False))) == 20
    assert len(list(rank_groups(groups, FunctionJudge(judge), progress=False))) == 20
    rank_group(GROUP, judge, task="Write.")
    assert len(threads) == 1


def test_threads_end_with_what_they_were_for():
    rank_group(GROUP, lengths, task="Write.")
    before = threading.active_count()
    for k in range(30):
        rank_group(GROUP, lambda ts: list(lengths(ts)), task="Write.")
        asyncio.run(rank_group_async(GROUP, lengths, task="Write."))
        next(rank_groups((of("a", str(k), str(i)) for i in range(1_000)), lengths, progress=False))
    gc.collect()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert threading.active_count() <= before


@pytest.mark.parametrize("slow", ["iterator", "judge"])
def test_calls_in_flight_go_on_while_a_function_or_an_iterator_takes_its_time(serve, slow):
    """A server that answers in time is not called slow because something else is."""
    groups = make_groups(8)
    server = serve(groups, latency=0.1)

    def arriving():
        for k, group in enumerate(groups):
            if k >= 4:  # there are calls in flight by then
                time.sleep(1.0)
            yield group

    def wait(trajectories: Sequence[Trajectory]) -> list[int]:
        time.sleep(2.0)
        return lengths(trajectories)

    async def beside() -> list[bool]:
        judge = LLMJudge("sim", base_url=server.base_url, timeout=0.5, max_retries=0)
        waiting = (
            asyncio.create_task(rank_group_async(GROUP, wait, task="Write.")) if slow == "judge" else None
        )
        given = arriving() if slow == "iterator" else groups
        ranked = [r async for r in rank_groups_async(given, judge, concurrency=1, progress=False)]
        if waiting is not None:
            assert not waiting.done()
            await waiting
        return [truthful(g, r.rewards) for g, r in zip(groups, ranked, strict=True)]

    assert asyncio.run(beside()) == [True] * 8


async def _judge_that_ranks(trajectories: Sequence[Trajectory]) -> list[float | None]:
    return rank_group(trajectories, lengths).rewards


async def _judge_that_iterates(trajectories: Sequence[Trajectory]) -> list[float | None]:
    return next(rank_groups([trajectories], lengths, progress=False)).rewards


@pytest.mark.parametrize("judge", [_judge_that_ranks, _judge_that_iterates])
def test_a_sync_call_where_it_would_wait_for_itself_says_what_to_do(judge):
    with pytest.raises(ConfigurationError, match=r"wait for themselves.*rank_group_async"):
        rank_group(GROUP, judge, task="Write.")
    with pytest.raises(ConfigurationError, match="rank_groups_async"):
        list(rank_groups([of(*GROUP)] * 3, judge, on_error="skip", progress=False))
    assert rank_group(GROUP, lengths, task="Write.").rewards == REWARDS
    assert asyncio.run(rank_group_async(GROUP, judge, task="Write.")).rewards == REWARDS  # another loop


@pytest.mark.parametrize("error", [SystemExit(3), StopIteration("none"), KeyboardInterrupt()], ids=repr)
def test_what_would_end_a_loop_is_an_error(error):
    def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        raise error

    def groups():
        yield of("a", "bb")
        raise error

    async def own(trajectories: Sequence[Trajectory]) -> list[int]:
        await asyncio.sleep(0)
        raise error

    for one in (judge, own):
        with pytest.raises(JudgeError, match=type(error).__name__):
            rank_group(GROUP, one, task="Write.")
        ranked = list(rank_groups([of(*GROUP)] * 3, one, on_error="skip", progress=False))
        assert [type(r.error) for r in ranked] == [JudgeError] * 3
    with pytest.raises(
        RuntimeError, match=type(error).__name__ if type(error) is not StopIteration else "generator"
    ):
        list(rank_groups(groups(), lengths, progress=False))
    assert rank_group(GROUP, lengths, task="Write.").rewards == REWARDS


class _Ends:
    name = "ends"

    async def verdict(self, lineup: Any, budget: Any) -> Any:
        sys.exit(3)


class _EndsWhenAskedForRoom(_Ends):
    max_group = 2

    async def capacity(self, lineup: Any) -> int:
        sys.exit(3)


def _measures_no_more(trajectory: Trajectory) -> float:
    sys.exit(3)


@pytest.mark.parametrize(
    ("judge", "options"),
    [
        (_Ends(), {}),
        (_EndsWhenAskedForRoom(), {}),
        (lengths, {"reward": "debiased", "covariates": [_measures_no_more]}),
    ],
    ids=["verdict", "capacity", "covariate"],
)
def test_nothing_of_the_users_ends_the_background_loop(judge, options):
    with pytest.raises(RankerError, match="SystemExit: 3"):
        rank_group(GROUP, judge, task="Write.", **options)
    (ranked,) = rank_groups([of(*GROUP)], judge, on_error="skip", progress=False, **options)
    assert "SystemExit: 3" in str(ranked.error)
    assert rank_group(GROUP, lengths, task="Write.").rewards == REWARDS


def test_ctrl_c_in_a_program_of_ones_own_event_loop_ends_it():
    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        signal.raise_signal(signal.SIGINT)
        return lengths(trajectories)

    async def all_groups() -> None:
        groups = [of(*GROUP)] * 3
        async for _ in rank_groups_async(groups, judge, on_error="skip", progress=False):
            pass

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    loop = asyncio.new_event_loop()  # without the handler that asyncio.run installs
    try:
        with pytest.raises(KeyboardInterrupt):
            loop.run_until_complete(all_groups())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.05))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
        signal.signal(signal.SIGINT, before)


def test_the_background_loop_outlives_what_ends_other_loops():
    """A task of the user's that ends the program, a stopped loop: who waits goes on waiting, and gets an answer."""

    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        asyncio.get_running_loop().call_soon(sys.exit, 3)
        await asyncio.sleep(0.05)
        asyncio.get_running_loop().stop()
        await asyncio.sleep(0.05)
        return lengths(trajectories)

    async def ends() -> None:
        sys.exit(3)

    with pytest.raises(SystemExit):
        run_sync(ends())
    assert rank_group(GROUP, judge, task="Write.").rewards == REWARDS
    assert next(rank_groups([of("a", "bb")], judge, progress=False)).rewards == [0.0, 1.0]


async def _waits_for_what_was_cancelled(trajectories: Sequence[Trajectory]) -> list[int]:
    inner = asyncio.ensure_future(asyncio.sleep(60))
    inner.cancel()
    await inner
    return lengths(trajectories)


def _finds_its_work_cancelled(trajectories: Sequence[Trajectory]) -> list[int]:
    raise CancelledError


class _Own:
    name = "own"

    async def verdict(self, lineup: Any, budget: Any) -> Any:
        await _waits_for_what_was_cancelled(lineup.trajectories)


@pytest.mark.parametrize("judge", [_waits_for_what_was_cancelled, _finds_its_work_cancelled, _Own()])
def test_a_judge_that_is_cancelled_from_within_fails_and_ends_no_stream(judge):
    with pytest.raises(JudgeError, match=r"The judge \w+ failed.*[Cc]ancelled"):
        rank_group(GROUP, judge, task="Write.", passes=2)
    ranked = list(rank_groups([of(*GROUP)] * 5, judge, on_error="skip", progress=False))
    assert [type(r.error) for r in ranked] == [JudgeError] * 5
    with pytest.raises(JudgeError):
        list(rank_groups([of(*GROUP)] * 5, judge, progress=False))
    with pytest.raises(JudgeError):
        asyncio.run(rank_group_async(GROUP, judge, task="Write."))


@pytest.mark.parametrize("everything", [False, True])
def test_a_judge_that_cancels_whatever_runs_ends_in_an_error(everything):
    """No caller takes it for the end of the groups."""

    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        for task in asyncio.all_tasks() if everything else [asyncio.current_task()]:
            task.cancel()
        await asyncio.sleep(60)
        return lengths(trajectories)

    with pytest.raises(RankerError, match="cancel"):
        rank_group(GROUP, judge, task="Write.")
    with pytest.raises(RankerError, match="cancel"):
        list(rank_groups([of(*GROUP)] * 5, judge, progress=False))
    assert rank_group(GROUP, lengths, task="Write.").rewards == REWARDS


def test_whoever_cancels_a_call_is_told_so():
    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        await asyncio.sleep(60)
        return lengths(trajectories)

    async def stopped() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(rank_group_async(GROUP, judge, task="Write.", passes=2), 0.1)
        call = asyncio.create_task(rank_group_async(GROUP, judge, task="Write."))
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

    asyncio.run(stopped())


def test_a_function_judge_may_be_a_generator_a_method_or_any_object_that_can_be_called():
    class Plain:
        __hash__ = None  # type: ignore[assignment]

        def __call__(self, trajectories: Sequence[Trajectory]) -> list[int]:
            return lengths(trajectories)

        async def slowly(self, trajectories: Sequence[Trajectory]) -> list[int]:
            return lengths(trajectories)

        def piecemeal(self, trajectories: Sequence[Trajectory]):
            for trajectory in trajectories:
                yield rank_group([trajectory, "x"], lengths, task="Write.") and lengths([trajectory])[0]

    class Async:
        async def __call__(self, trajectories: Sequence[Trajectory]) -> list[int]:
            return lengths(trajectories)

    plain = Plain()

    def returns_a_coroutine(trajectories: Sequence[Trajectory]) -> Any:
        return plain.slowly(trajectories)

    for judge in (plain, plain.slowly, plain.piecemeal, Async(), returns_a_coroutine):
        assert rank_group(GROUP, judge, task="Write.").rewards == REWARDS
