"""A stream of results: each as soon as it can be, whatever the source of the groups does meanwhile."""

from __future__ import annotations

import asyncio
import queue
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import CancelledError
from contextvars import ContextVar
from itertools import islice
from typing import Any

import pytest

from ranker import Trajectory, rank_groups, rank_groups_async
from tests.conftest import make_groups, truthful

pytestmark = pytest.mark.timeout(60)  # most of these would wait without end for what they wait for


def of(*texts: str) -> list[list[dict[str, str]]]:
    return [[{"role": "user", "content": "Write."}, {"role": "assistant", "content": text}] for text in texts]


async def lengths(trajectories: Sequence[Trajectory]) -> list[int]:
    return [len(t.messages[-1]["content"]) for t in trajectories]


@pytest.mark.parametrize("ordered", [True, False])
def test_a_source_may_wait_for_the_rewards_of_the_groups_before(ordered):
    """As one whose next attempts are drawn by a policy that learns from these."""
    rewards: queue.Queue[Any] = queue.Queue()

    def groups() -> Iterator[Any]:
        for k in range(5):
            yield of("a", "bbb", "c" * (k + 4))
            assert rewards.get(timeout=30) == [0.0, 0.5, 1.0]

    for ranked in rank_groups(groups(), lengths, ordered=ordered, progress=False):
        rewards.put(ranked.rewards)
    assert rewards.empty()


@pytest.mark.parametrize("ordered", [True, False])
async def test_an_async_source_may_wait_too(ordered):
    rewards: asyncio.Queue[Any] = asyncio.Queue()

    async def groups() -> AsyncIterator[Any]:
        for _ in range(5):
            yield of("a", "bbb")
            assert await rewards.get() == [0.0, 1.0]

    async for ranked in rank_groups_async(groups(), lengths, ordered=ordered, progress=False):
        await rewards.put(ranked.rewards)
    assert rewards.empty()


@pytest.mark.parametrize("ordered", [True, False])
async def test_no_more_than_four_times_the_concurrency_are_under_way(ordered):
    under_way = most = 0

    async def groups() -> AsyncIterator[Any]:
        nonlocal under_way, most
        for k in range(60):
            under_way += 1
            most = max(most, under_way)
            yield of("a", "b" * (k + 2))

    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        await asyncio.sleep(0.002 * (len(trajectories[0].messages[-1]["content"]) % 3))
        return await lengths(trajectories)

    names = []
    async for ranked in rank_groups_async(groups(), judge, concurrency=2, ordered=ordered, progress=False):
        names.append(max(len(t.messages[-1]["content"]) for t in ranked.group))
        under_way -= 1
        await asyncio.sleep(0.001)
    assert 2 < most <= 4 * 2 + 1
    assert sorted(names) == list(range(2, 62))
    assert names == sorted(names) or not ordered


async def test_a_source_that_is_waited_for_is_left_with_the_stream():
    closed = asyncio.Event()

    async def groups() -> AsyncIterator[Any]:
        yield of("a", "bb")
        try:
            await asyncio.sleep(600)
        finally:
            closed.set()

    results = rank_groups_async(groups(), lengths, progress=False)
    assert (await anext(results)).rewards == [0.0, 1.0]
    await results.aclose()
    assert closed.is_set()
    assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("ordered", [True, False])
def test_an_error_of_the_source_comes_after_the_results_of_the_groups_before(serve, ordered):
    """Their calls are paid for, and those of groups that wait for a free slot are made."""
    groups = make_groups(9)
    server = serve(groups, latency=0.1)

    def source(error: BaseException) -> Iterator[Any]:
        yield from groups
        raise error

    options = {"base_url": server.base_url, "ordered": ordered, "concurrency": 3, "progress": False}
    for error, kind in ((ValueError("no more"), ValueError), (CancelledError(), RuntimeError)):
        results = rank_groups(source(error), "sim", **options)
        ranked = list(islice(results, len(groups)))
        with pytest.raises(kind, match=r"no more|CancelledError"):
            next(results)
        assert sorted(r.group.id for r in ranked) == [g.id for g in groups]
        assert all(truthful(r.group, r.rewards) for r in ranked)
    assert server.requests == 18


async def test_an_error_of_an_async_source_does_too():
    async def source() -> AsyncIterator[Any]:
        yield of("a", "bb")
        inner = asyncio.ensure_future(asyncio.sleep(60))
        inner.cancel()
        await inner

    async def slow(trajectories: Sequence[Trajectory]) -> list[int]:
        await asyncio.sleep(0.2)
        return await lengths(trajectories)

    results = rank_groups_async(source(), slow, progress=False)
    assert (await anext(results)).rewards == [0.0, 1.0]
    with pytest.raises(RuntimeError, match="cancelled"):
        await anext(results)


async def test_judges_see_what_an_async_source_says_of_its_group():
    """The variables of its context, such as the span of a trace."""
    current: ContextVar[int] = ContextVar("current")

    async def groups() -> AsyncIterator[Any]:
        for k in range(8):
            current.set(k)
            yield of("a", "b" * (k + 2))

    async def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        said = await lengths(trajectories)
        assert max(said) == current.get() + 2
        return said

    assert [r.rewards async for r in rank_groups_async(groups(), judge, progress=False)]
