"""OpenRLHF's remote reward protocol: whole rollouts in one request, and attempts that come one by one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.serving import schemas
from ranker.serving.failure import Failure
from ranker.serving.gathering import Gathering
from ranker.serving.openrlhf import Attempt, attempts_of, groups_in, job_of, response_of
from ranker.testing import JudgeServer
from tests.serve_process import Reply, Served, served

SLOW = 1.0


def long(text: str) -> float:
    return float(len(text))


def rollout(prompts: int, size: int, seed: int = 0) -> dict[str, list[str]]:
    """Attempts in a random order; the longer is the better, and none are equally long."""
    rows = [
        (f"<s>Question {p}?", f"answer {p} " + "z" * (3 * i + p % 3))
        for p in range(prompts)
        for i in range(size)
    ]
    random.Random(seed).shuffle(rows)
    return {
        "query": [f"{p} {a}</s>" for p, a in rows],
        "prompts": [p for p, _ in rows],
        "labels": ["secret label" for _ in rows],
    }


def in_order(sent: dict[str, list[str]], rewards: list[float]) -> bool:
    """Whether the longer of two attempts at one prompt has the higher reward."""
    rows = list(zip(sent["prompts"], map(len, sent["query"]), rewards, strict=True))
    return all((n < m) == (r < s) for p, n, r in rows for q, m, s in rows if p == q)


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    with JudgeServer(long, keep_prompts=True) as server:
        yield server


@pytest.fixture(scope="module")
def server(judge) -> Iterator[Served]:
    with served("--judge", "sim", "--base-url", judge.base_url) as found:
        yield found


async def post(server: Served, body: dict, group: int | None = None) -> Reply:
    return await server.ask("POST", "/openrlhf" + (f"?group={group}" if group else ""), json=body)


async def test_a_whole_rollout_is_grouped_by_prompt(server, judge):
    before, sent = judge.requests, rollout(5, 4)
    reply = await post(server, sent)
    assert reply.status == 200
    told = reply.told
    assert in_order(sent, told["rewards"])
    assert sorted(told["rewards"])[0] == 0.0
    assert all(isinstance(r, float) for r in told["rewards"])
    assert told["scores"] == told["rewards"]
    assert told["extra_logs"] == {}  # the client of 0.8 fails on any other
    assert judge.requests - before == 5
    assert "secret label" not in str(judge.prompts)


def alone(sent: dict[str, list[str]]) -> list[dict[str, list[str]]]:
    return [{name: [values[i]] for name, values in sent.items()} for i in range(len(sent["query"]))]


async def test_attempts_that_come_one_by_one_wait_for_their_like(server, judge):
    before, sent = judge.requests, rollout(6, 4, seed=1)
    replies = await asyncio.gather(*(post(server, one, group=4) for one in alone(sent)))
    assert {r.status for r in replies} == {200}
    assert in_order(sent, [r.told["rewards"][0] for r in replies])
    assert all(r.told["extra_logs"] == {"ranker_tied": [0.0]} for r in replies)
    assert judge.requests - before == 6


async def test_an_attempt_alone_is_refused_not_given_a_number(server, judge):
    before = judge.requests
    reply = await post(server, alone(rollout(1, 2))[0])
    assert (reply.status, reply.error) == (400, "AttemptAlone")
    assert "group=N" in reply.told["error"]["message"]
    assert judge.requests == before


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"query": [], "prompts": []},
        {"query": ["a"], "prompts": ["p", "p"]},
        {"query": ["a", "b"], "prompts": ["p", "p"], "labels": ["x"]},
        {"query": "ab", "prompts": ["p", "p"]},
        {"query": [1, 2], "prompts": ["p", "p"]},
        {"query": ["a", "b"]},
    ],
)
async def test_a_bad_body_is_named(server, body):
    reply = await post(server, body)
    assert (reply.status, reply.error) == (400, "MalformedRequest")


@pytest.mark.parametrize("size", ["0", "1", "-4", "x", "257", "4.0", "９", "99999999"])
async def test_a_bad_group_size_is_named(server, size):
    reply = await server.ask("POST", "/openrlhf", params={"group": size}, json=rollout(1, 4))
    assert (reply.status, reply.error) == (400, "MalformedRequest")


async def test_one_failed_group_fails_the_request_and_the_others_are_kept(tmp_path):
    def knows(text: str) -> float:
        if "answer 2" in text:
            raise KeyError("unknown")
        return long(text)

    sent = rollout(4, 3)
    with JudgeServer(knows) as judge:
        args = ("--judge", "sim", "--base-url", judge.base_url)
        with served(*args, RANKER_CACHE=str(tmp_path)) as server:
            reply = await post(server, sent)
            assert reply.status == 502
            assert "rewards" not in reply.told
            replies = await asyncio.gather(*(post(server, one, group=3) for one in alone(sent)))
            bad = [prompt == "<s>Question 2?" for prompt in sent["prompts"]]
            assert [r.status == 502 for r in replies] == bad
            assert judge.counts["ok"] == 3  # the three good groups were paid for once


async def test_attempts_left_behind_get_504_and_find_each_other_again(judge):
    with served("--judge", "sim", "--base-url", judge.base_url, "--request-timeout", 1) as server:
        sent = rollout(1, 4, seed=2)
        ones = alone(sent)
        replies = await asyncio.gather(*(post(server, one, group=4) for one in ones[:3]))
        assert {(r.status, r.error) for r in replies} == {(504, "GroupIncomplete")}
        assert await server.metric("ranker_attempts_waiting") == 0
        replies = await asyncio.gather(*(post(server, one, group=4) for one in ones))
        assert in_order(sent, [r.told["rewards"][0] for r in replies])


async def test_a_client_that_leaves_after_its_group_was_complete_asks_again_alone(tmp_path):
    sent = rollout(1, 3, seed=3)
    with JudgeServer(long, latency=SLOW) as judge:
        args = ("--judge", "sim", "--base-url", judge.base_url)
        with served(*args, RANKER_CACHE=str(tmp_path)) as server:
            tasks = [asyncio.create_task(post(server, one, group=3)) for one in alone(sent)]
            await server.until("ranker_in_flight", 1)
            tasks[0].cancel()
            rest = [await task for task in tasks[1:]]
            first = await post(server, alone(sent)[0], group=3)
            assert in_order(sent, [r.told["rewards"][0] for r in (first, *rest)])
            assert judge.requests == 1


async def test_a_client_that_leaves_before_is_no_member(server):
    sent = rollout(1, 3, seed=4)
    ghost = asyncio.create_task(post(server, alone(sent)[0], group=3))
    await server.until("ranker_attempts_waiting", 1)
    ghost.cancel()
    await server.until("ranker_attempts_waiting", 0)
    replies = await asyncio.gather(*(post(server, one, group=3) for one in alone(sent)))
    assert in_order(sent, [r.told["rewards"][0] for r in replies])


async def test_attempts_that_wait_are_bounded_in_memory_too(judge):
    args = ("--judge", "sim", "--base-url", judge.base_url, "--max-body", 1, "--concurrency", 1, "--queue", 2)
    with served(*args) as server:
        bodies = [{"query": [f"{i}" * 800_000], "prompts": ["p"], "labels": [""]} for i in range(4)]
        waiting = [asyncio.create_task(post(server, body, group=9)) for body in bodies[:3]]
        await server.until("ranker_attempts_waiting", 3)
        full = await post(server, bodies[3], group=9)
        assert (full.status, full.error) == (429, "QueueFull")
        assert full.headers["Retry-After"]
        for task in waiting:
            task.cancel()
        await server.until("ranker_attempts_waiting", 0)
        sent = rollout(1, 3, seed=6)
        replies = await asyncio.gather(*(post(server, one, group=3) for one in alone(sent)))
        assert in_order(sent, [r.told["rewards"][0] for r in replies])  # there is room again


async def test_what_is_remembered_for_clients_that_ask_again_is_bounded():
    gathering = Gathering(most=1000)
    remembered = []
    for i in range(5):
        attempts = [Attempt(f"p{i}", f"p{i}" + name * 200) for name in "ab"]
        members = await asyncio.gather(*(gathering.join(a, 2, 5) for a in attempts))
        remembered.append((attempts[0], members[0]))
        gathering.remember(attempts[0], 2, members[0])
    assert await gathering.join(remembered[4][0], 2, 0.01) == remembered[4][1]
    assert await gathering.join(remembered[3][0], 2, 0.01) == remembered[3][1]
    with pytest.raises(Failure, match="Fewer than 2"):
        await gathering.join(remembered[0][0], 2, 0.01)


async def test_the_published_client_reads_the_rewards(server):
    agent = pytest.importorskip("openrlhf.utils.agent")
    client = agent.SingleTurnAgentExecutor([server.url + "/openrlhf?group=4"])
    sent = rollout(3, 4, seed=5)
    found = await asyncio.gather(
        *(client._fetch_rewards_via_http(one["query"], one["prompts"], one["labels"]) for one in alone(sent))
    )
    assert in_order(sent, [one[0]["rewards"][0] for one in found])


TEXT = st.text(max_size=30)


@given(
    prompt=st.text(min_size=1, max_size=30),
    response=TEXT,
    lead=st.sampled_from(["", "<s>", "<|begin_of_text|>"]),
)
def test_the_response_is_what_follows_the_prompt(prompt, response, lead):
    query = lead + prompt + response
    assert query.endswith(response_of(prompt, query))
    if query.find(prompt) == len(lead):
        assert response_of(prompt, query) == response


@given(prompts=st.lists(st.sampled_from("abc"), min_size=1, max_size=12))
def test_groups_hold_each_attempt_once_or_are_refused(prompts):
    attempts = [Attempt(prompt, f"{prompt}{i}") for i, prompt in enumerate(prompts)]
    if any(prompts.count(prompt) == 1 for prompt in prompts):
        with pytest.raises(Failure, match="one attempt only"):
            groups_in(attempts)
        return
    groups = groups_in(attempts)
    assert sorted(i for members in groups for i in members) == list(range(len(prompts)))
    assert all(len({prompts[i] for i in members}) == 1 for members in groups)


def test_what_arrives_in_another_order_has_other_places_and_the_same_attempts():
    one, two = job_of("p", ["pa", "pbb"]), job_of("p", ["pbb", "pa"])
    assert one.key != two.key
    assert one.group.task == two.group.task == "p"
    assert [t.messages for t in one.group.trajectories] == [
        t.messages for t in reversed(two.group.trajectories)
    ]
    request = schemas.Attempts(query=["pa"], prompts=["p"], labels=None)
    assert attempts_of(request) == [Attempt("p", "pa")]


async def test_gathering_keeps_groups_of_other_sizes_and_prompts_apart():
    gathering = Gathering()
    asked = [("p", 2), ("q", 2), ("p", 3), ("p", 2), ("q", 2)]
    tasks = [
        asyncio.create_task(gathering.join(Attempt(p, f"{p}{i}"), n, 5)) for i, (p, n) in enumerate(asked)
    ]
    found = await asyncio.gather(*tasks[:2], *tasks[3:])
    assert [job.group.task for job, _ in found] == ["p", "q", "p", "q"]
    assert [place for _, place in found] == [0, 0, 1, 1]
    assert gathering.waiting == 1
    gathering.close()
    with pytest.raises(Failure, match="stopping"):
        await tasks[2]
    assert gathering.waiting == 0
