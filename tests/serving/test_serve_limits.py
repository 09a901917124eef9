"""`ranker serve` under load and in trouble: full queues, budgets, judges that are down, clients that leave, stops."""

from __future__ import annotations

import asyncio
import signal
import socket

import pytest

from tests.conftest import make_groups, truthful
from tests.serve_process import Served, body_of, served

GROUPS = make_groups(30)


def asked(server: Served, i: int, **more) -> asyncio.Task:
    return asyncio.create_task(server.rank(body_of(GROUPS[i]), **more))


async def left(server: Served, i: int, name: str, value: float) -> None:
    """Ask, and go away as soon as a metric says so."""
    task = asked(server, i)
    await server.until(name, value)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_full_queue_refuses_and_loses_none_of_its_own(serve):
    judge = serve(GROUPS, latency=1.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--concurrency", 2, "--queue", 3) as server:
        replies = await asyncio.gather(*(server.rank(body_of(g)) for g in GROUPS[:20]))
        taken = [r for r in replies if r.status == 200]
        full = [r for r in replies if r.status == 429]
        assert len(taken) + len(full) == 20
        assert 5 <= len(taken) < 20
        assert all(r.error == "QueueFull" and int(r.headers["Retry-After"]) >= 1 for r in full)
        assert all(r.told["error"]["retryable"] for r in full)
        assert judge.requests == len(taken)
        assert (await server.rank(body_of(GROUPS[20]))).status == 200  # and there is room again


async def test_a_budget_ends_with_402(serve):
    judge = serve(GROUPS)
    with served("--judge", "sim", "--base-url", judge.base_url, "--max-calls", 2) as server:
        statuses = [(await server.rank(body_of(g))).status for g in GROUPS[:4]]
        assert statuses == [200, 200, 402, 402]
        assert judge.requests == 2


async def test_equal_requests_at_once_are_one_judge_call(serve):
    judge = serve(GROUPS, latency=1.0)
    with served("--judge", "sim", "--base-url", judge.base_url) as server:
        replies = await asyncio.gather(*(server.rank(body_of(GROUPS[0])) for _ in range(5)))
        assert {r.status for r in replies} == {200}
        assert len({r.raw for r in replies}) == 1
        assert judge.requests == 1


async def test_a_client_that_leaves_does_not_lose_its_verdict(serve, tmp_path):
    judge = serve(GROUPS, latency=1.0)
    with served("--judge", "sim", "--base-url", judge.base_url, RANKER_CACHE=str(tmp_path)) as server:
        await left(server, 0, "ranker_in_flight", 1)
        await server.until("ranker_groups_ranked_total", 1)
        again = await server.rank(body_of(GROUPS[0]))
        assert again.status == 200, again.told
        assert again.told["usage"]["cached_calls"] == 1
        await left(server, 1, "ranker_in_flight", 1)
        joined = await server.rank(body_of(GROUPS[1]))  # while the first is before the judge
        assert joined.status == 200
        assert judge.requests == 2


async def test_a_client_that_leaves_the_queue_costs_nothing(serve):
    judge = serve(GROUPS, latency=2.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--concurrency", 1) as server:
        first = asked(server, 0)
        await server.until("ranker_in_flight", 1)
        await left(server, 1, "ranker_queue_depth", 1)
        await server.until("ranker_queue_depth", 0)
        assert (await first).status == 200
        assert (await server.rank(body_of(GROUPS[2]))).status == 200
        assert judge.requests == 2


async def test_an_answer_that_takes_too_long_is_504_and_then_free(serve, tmp_path):
    judge = serve(GROUPS, latency=5.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--request-timeout", 2.0, "--concurrency", 1,
                RANKER_CACHE=str(tmp_path)) as server:  # fmt: skip
        first = asked(server, 0)
        await server.until("ranker_in_flight", 1)  # the order of two requests at once is the system's
        unstarted, late = await asked(server, 1), await first
        assert (late.status, late.error) == (504, "TimedOut")
        assert late.told["error"]["retryable"]
        assert unstarted.status == 504
        await server.until("ranker_groups_ranked_total", 1)
        again = await server.rank(body_of(GROUPS[0]))
        assert again.status == 200, again.told
        assert again.told["usage"]["cached_calls"] == 1
        assert judge.requests == 1  # the one whose turn did not come was not paid for


async def test_a_judge_that_is_down_is_502_and_one_that_comes_back_is_waited_for(serve):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}/v1"
    with served("--judge", "sim", "--base-url", address, "--concurrency", 2, "--queue", 2) as server:
        replies = await asyncio.gather(*(server.rank(body_of(g)) for g in GROUPS[:12]))
        down = [r for r in replies if r.status == 502]
        assert {r.status for r in replies} == {502, 429}
        assert len(down) >= 4
        assert all(r.told["error"]["retryable"] and int(r.headers["Retry-After"]) >= 1 for r in down)
        assert all(r.error == "JudgeCallError" for r in down)
        assert await server.metric("ranker_queue_depth") == await server.metric("ranker_in_flight") == 0
        waiting = asked(server, 20)
        await server.until("ranker_in_flight", 1)
        serve(GROUPS, port=port)
        assert (await waiting).status == 200


async def test_a_judge_that_only_talks_is_502_and_not_retryable(serve):
    judge = serve(GROUPS, faults={"prose": 1.0})
    with served("--judge", "sim", "--base-url", judge.base_url) as server:
        reply = await server.rank(body_of(GROUPS[0]))
        assert (reply.status, reply.error) == (502, "VerdictError")
        assert not reply.told["error"]["retryable"]
        assert "rewards" not in reply.told


async def test_a_group_that_does_not_fit_is_422(serve):
    judge = serve(GROUPS, window=200)
    with served("--judge", "sim", "--base-url", judge.base_url, "--context-window", 200) as server:
        long = body_of(GROUPS[0])
        for i, member in enumerate(long["trajectories"]):
            member["messages"] = [{"role": "assistant", "content": f"{i} " * 20_000}]
        reply = await server.rank(long)
        assert (reply.status, reply.error) == (422, "ContextLengthError")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
async def test_stopped_it_finishes_what_is_under_way_and_takes_no_more(serve, number, code):
    judge = serve(GROUPS, latency=2.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--concurrency", 3) as server:
        tasks = [asked(server, i) for i in range(5)]
        await server.until("ranker_queue_depth", 2)
        server.signal(number)
        while (await server.ask("GET", "/health")).status != 503:
            await asyncio.sleep(0.01)
        refused = await server.rank(body_of(GROUPS[10]))
        assert (refused.status, refused.error) == (503, "ShuttingDown")
        assert refused.headers["Retry-After"]
        assert (await server.ask("GET", "/health/live")).status == 200
        for group, reply in zip(GROUPS, await asyncio.gather(*tasks), strict=False):
            assert reply.status == 200
            assert truthful(group, list(reply.told["rewards"].values()))
        assert await server.ended() == code
        assert judge.requests == 5


async def test_when_the_grace_is_over_the_rest_is_cut_off_and_told(serve):
    judge = serve(GROUPS, latency=60.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--grace", 0.5) as server:
        task = asked(server, 0)
        await server.until("ranker_in_flight", 1)
        server.signal(signal.SIGTERM)
        reply = await task
        assert (reply.status, reply.error) == (503, "ShuttingDown")
        assert await server.ended() == 1
        await asyncio.sleep(0.3)  # the judge server sees that its client has gone
    assert "1 groups were cut off" in "".join(server.said)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 1), (signal.SIGINT, 130)])
async def test_a_second_signal_stops_at_once(serve, number, code):
    judge = serve(GROUPS, latency=60.0)
    with served("--judge", "sim", "--base-url", judge.base_url, "--grace", 100) as server:
        task = asked(server, 0)
        await server.until("ranker_in_flight", 1)
        server.signal(number)
        while (await server.ask("GET", "/health")).status != 503:
            await asyncio.sleep(0.01)
        server.signal(number)
        assert await server.ended() == code
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.sleep(0.3)  # the judge server sees that its client has gone


async def test_killed_and_started_again_the_verdicts_are_there(serve, tmp_path):
    judge = serve(GROUPS)
    args = ("--judge", "sim", "--base-url", judge.base_url)
    with served(*args, RANKER_CACHE=str(tmp_path)) as server:
        first = [(await server.rank(body_of(g))).told for g in GROUPS[:5]]
        server.signal(signal.SIGKILL)
        await server.ended()
    with served(*args, RANKER_CACHE=str(tmp_path)) as server:
        again = [(await server.rank(body_of(g))).told for g in GROUPS[:5]]
    assert judge.requests == 5
    assert [a["rewards"] for a in again] == [f["rewards"] for f in first]
    assert all(a["usage"]["cached_calls"] == 1 and a["usage"]["calls"] == 0 for a in again)
