"""`ranker serve` as a user runs it: a process, HTTP, a judge server."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import jsonschema
import psutil
import pytest

from ranker.cli.serve import serve
from ranker.errors import ConfigurationError
from ranker.testing import JudgeServer
from tests.conftest import make_groups, truthful
from tests.serve_process import Reply, Served, body_of, refused, served

GROUPS = make_groups(40)
TOKEN = "a-token-of-0123456789-abcdef"


@pytest.fixture(scope="module")
def judge() -> Iterator[JudgeServer]:
    with JudgeServer(GROUPS, keep_prompts=True) as server:
        yield server


@pytest.fixture(scope="module")
def server(judge) -> Iterator[Served]:
    """One for all tests that leave it as it is."""
    with served(
        "--judge", "sim", "--base-url", judge.base_url, "--price", "1,2", "--rubric", "Prefer z."
    ) as found:
        yield found


def shaped(reply: Reply, name: str, document: dict) -> None:
    jsonschema.validate(reply.told, {"$ref": f"#/components/schemas/{name}", **document})


async def test_a_group_comes_back_ranked_as_the_document_says(server, judge):
    document = (await server.ask("GET", "/openapi.json")).told
    for group in GROUPS[:3]:
        reply = await server.rank(body_of(group))
        assert reply.status == 200
        shaped(reply, "Ranked", document)
        told = reply.told
        assert told["id"] == group.id
        assert truthful(group, [told["rewards"][t.id] for t in group.trajectories])
        assert sorted(n for tier in told["ranking"] for n in tier) == ["t0", "t1", "t2", "t3"]
        assert told["judge"] == "sim"
        assert told["usage"]["calls"] == 1
        assert told["usage"]["cost_usd"] > 0
    assert "Prefer z." in judge.prompts[-1][0]["content"]


async def test_turns_come_back_where_the_server_asks_for_them(judge):
    """As the document says, with a value or null for each assistant message."""
    with served("--judge", "sim", "--base-url", judge.base_url, "--credit", "turns") as server:
        document = (await server.ask("GET", "/openapi.json")).told
        reply = await server.rank(body_of(GROUPS[0]))
        shaped(reply, "Ranked", document)
        assert reply.told["turn_rewards"] == {f"t{i}": [None] for i in range(4)}
        assert reply.told["prompt_id"].startswith("turns.v1:")


async def test_rubric_passes_and_seed_are_the_requests(server, judge):
    told = (await server.rank(body_of(GROUPS[4], rubric="Prefer y.", passes=2, seed=7))).told
    assert told["usage"]["calls"] == 2
    assert told["consistency"] == 1.0
    shown = [p[0]["content"] for p in judge.prompts[-2:]]
    assert all("Prefer y." in text and "Prefer z." not in text for text in shown)
    assert judge.prompts[-1] != judge.prompts[-2]  # another order


async def test_a_group_without_ids_is_answered_by_position(server):
    group = GROUPS[5]
    body = {"trajectories": [{"messages": list(t.messages)} for t in group.trajectories]}
    told = (await server.rank(body)).told
    assert truthful(group, [told["rewards"][str(i)] for i in range(4)])
    assert "id" not in told


async def test_many_at_once(server):
    replies = await asyncio.gather(*(server.rank(body_of(g)) for g in GROUPS))
    for group, reply in zip(GROUPS, replies, strict=True):
        assert reply.told["id"] == group.id
        assert truthful(group, [reply.told["rewards"][t.id] for t in group.trajectories])


HOSTILE = [
    "__proto__",
    "</script><b>",
    "\ud800",
    "a\nb\r\nSet-Cookie: x",
    "",
    "x" * 10_000,
    "t0",
    "{{7*7}}",
    "\x00",
]


async def test_hostile_ids_come_back_as_they_were(server):
    (group,) = make_groups(1, size=len(HOSTILE), seed=5)
    body = body_of(group)
    with JudgeServer([group]) as judge, served("--judge", "sim", "--base-url", judge.base_url) as other:
        for member, name in zip(body["trajectories"], HOSTILE, strict=True):
            member["id"] = name
        reply = await other.rank(body)
        assert reply.status == 200
        assert list(reply.told["rewards"]) == HOSTILE
        assert truthful(group, list(reply.told["rewards"].values()))
        assert "Set-Cookie" not in reply.headers


def whole(**change: object) -> dict:
    return {**body_of(GROUPS[0]), **change}


@pytest.mark.parametrize(
    ("body", "status", "kind"),
    [
        (b"{", 400, "MalformedRequest"),
        (b"", 400, "MalformedRequest"),
        (b"\xff\xfe", 400, "MalformedRequest"),
        (b"[1]", 400, "MalformedRequest"),
        (b"[" * 200_000, 400, "MalformedRequest"),
        (b'{"trajectories": ' + b"9" * 5_000 + b"}", 400, "MalformedRequest"),
        (b'{"metadata": {"a": NaN}}', 400, "MalformedRequest"),
        (b"{}", 400, "GroupError"),
        (whole(trajectories=[]), 400, "GroupError"),
        (whole(trajectories=[{"messages": []}]), 400, "GroupError"),
        (whole(trajectories=[{"messages": [1]}]), 400, "GroupError"),
        (
            whole(trajectories=[{"id": "a", "messages": [{"role": "user", "content": "x"}]}] * 2),
            400,
            "GroupError",
        ),
        (whole(trajectories=[{"id": 3, "messages": [{"role": "user", "content": "x"}]}]), 400, "GroupError"),
        (whole(task=3), 400, "GroupError"),
        (whole(id="a\nb"), 400, "MalformedRequest"),
        (whole(id=7), 400, "MalformedRequest"),
        (whole(rubric=" "), 400, "MalformedRequest"),
        (whole(rubric=["x"]), 400, "GroupError"),
        (whole(passes=0), 400, "MalformedRequest"),
        (whole(passes=True), 400, "MalformedRequest"),
        (whole(passes=65), 400, "MalformedRequest"),
        (whole(passes="2"), 400, "MalformedRequest"),
        (whole(seed=1.5), 400, "MalformedRequest"),
        (whole(seed=2**63), 400, "MalformedRequest"),
    ],
)
async def test_a_bad_body_is_named(server, judge, body, status, kind):
    before = judge.requests
    sent = {"json": body} if isinstance(body, dict) else {"data": body}
    reply = await server.ask("POST", "/rank", headers={"Content-Type": "application/json"}, **sent)
    assert (reply.status, reply.error) == (status, kind)
    assert reply.told["error"]["message"]
    assert not reply.told["error"]["retryable"]
    assert reply.headers["Content-Type"].startswith("application/json")
    assert judge.requests == before


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/rank", {}, 405),
        ("POST", "/health", {}, 405),
        ("POST", "/rank", {"Content-Type": "text/plain"}, 415),  # what a page in a browser may send unasked
        ("POST", "/rank", {"Content-Type": "application/x-www-form-urlencoded"}, 415),
        ("OPTIONS", "/rank", {"Origin": "http://evil", "Access-Control-Request-Method": "POST"}, 405),
    ],
)
async def test_every_refusal_is_json(server, method, path, headers, status):
    reply = await server.ask(method, path, headers=headers, data=b"{}" if method == "POST" else None)
    assert reply.status == status
    shaped(reply, "Error", (await server.ask("GET", "/openapi.json")).told)
    assert not [name for name in reply.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize("declared", [False, True])
async def test_a_body_of_100_megabytes_is_refused_and_not_held(server, declared):
    memory = psutil.Process(server.process.pid)
    before = most = memory.memory_info().rss
    headers = {"Content-Type": "application/json"}
    if declared:
        headers["Content-Length"] = "100000000"

    async def pieces():
        nonlocal most
        for _ in range(100):
            yield b" " * 1_000_000
            most = max(most, memory.memory_info().rss)

    try:
        reply = await server.ask("POST", "/rank", data=pieces(), headers=headers)
        assert (reply.status, reply.error) == (413, "TooLarge")
    except aiohttp.ClientError:
        pass  # the connection was closed on a client that was still sending
    assert max(most, memory.memory_info().rss) - before < 70_000_000  # the limit is 20
    assert await server.metric("ranker_requests_total") > 0
    assert 'route="/rank",status="413"' in (await server.ask("GET", "/metrics")).raw.decode()
    assert (await server.rank(body_of(GROUPS[0]))).status == 200


async def test_the_page_and_the_document_need_nothing_from_elsewhere(server):
    page = (await server.ask("GET", "/docs")).raw.decode()
    assert not re.findall(r"(?:src|href)=[\"']?(?:https?:)?//", page)
    assert "<script" not in page
    document = (await server.ask("GET", "/openapi.json")).told
    for path in document["paths"]:
        assert path in page
    for schema in document["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(schema)
    example = document["paths"]["/rank"]["post"]["requestBody"]["content"]["application/json"]["example"]
    jsonschema.validate(example, {"$ref": "#/components/schemas/Group", **document})


async def test_metrics_count(judge):
    groups = make_groups(4, seed=9)
    with (
        JudgeServer(groups[:3]) as sim,
        served("--judge", "sim", "--base-url", sim.base_url, "--price", "1,2") as server,
    ):
        for group in groups[:3]:
            await server.rank(body_of(group))
        assert (await server.rank(body_of(groups[3]))).status == 502  # the judge does not know it
        await server.ask("GET", "/nowhere")
        assert await server.metric("ranker_groups_ranked_total") == 3
        assert await server.metric("ranker_groups_failed_total") == 1
        assert await server.metric("ranker_judge_calls_total") == sim.requests
        assert await server.metric("ranker_judge_tokens_total") > 0
        assert await server.metric("ranker_judge_cost_usd_total") > 0
        assert await server.metric("ranker_queue_depth") == await server.metric("ranker_in_flight") == 0
        text = (await server.ask("GET", "/metrics")).raw.decode()
        assert 'ranker_requests_total{route="/rank",status="200"} 3.0' in text
        assert 'ranker_requests_total{route="other",status="404"} 1.0' in text
        assert 'ranker_request_seconds_count{route="/rank"} 4.0' in text


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_is_demanded_and_never_told(judge, tmp_path):
    record = tmp_path / "calls.jsonl"
    with served(
        "--judge", "sim", "--base-url", judge.base_url, "--record", record, RANKER_SERVE_TOKEN=TOKEN
    ) as server:
        assert (await server.rank(body_of(GROUPS[0]), headers=bearer(TOKEN))).status == 200
        at = server.url.replace("//", f"//anyone:{TOKEN}@")
        basic = await Served(server.process, at).rank(body_of(GROUPS[0]))
        assert basic.status == 200
        wrong = ["", "x" * len(TOKEN), TOKEN[:-1], TOKEN + "x", "\u00e9" * 20]
        for headers in ({}, *map(bearer, wrong), {"Authorization": TOKEN}, {"Authorization": "Basic %%%"}):
            for method, path in (("POST", "/rank"), ("POST", "/openrlhf"), ("GET", "/metrics")):
                reply = await server.ask(method, path, headers=headers)
                assert (reply.status, reply.error) == (401, "Unauthorized")
                assert reply.headers["WWW-Authenticate"].startswith("Bearer")
                assert TOKEN not in reply.raw.decode()
        for path in ("/health", "/health/live", "/docs", "/openapi.json"):
            assert (await server.ask("GET", path)).status == 200
        metrics = await server.ask("GET", "/metrics", headers=bearer(TOKEN))
        assert TOKEN not in metrics.raw.decode() + "".join(server.said) + record.read_text()
        assert TOKEN not in " ".join(psutil.Process(server.process.pid).cmdline())


async def test_a_request_that_is_not_http_does_not_bring_the_token_into_the_log(judge):
    lines = [
        "Authorization: Bearer {}\x00",
        "Authorization Bearer {}",
        "Authorization: Bearer {}" + "x" * 10_000,
    ]
    with served("--judge", "sim", "--base-url", judge.base_url, RANKER_SERVE_TOKEN=TOKEN) as server:
        for line in lines:
            reader, writer = await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))
            writer.write(f"POST /rank HTTP/1.1\r\nHost: localhost\r\n{line.format(TOKEN)}\r\n\r\n".encode())
            assert b" 400 " in await reader.readline()
            writer.close()
            await writer.wait_closed()
        assert (await server.rank(body_of(GROUPS[0]), headers=bearer(TOKEN))).status == 200
        server.process.terminate()
        await server.ended()
    assert TOKEN not in "".join(server.said)


async def test_the_token_may_lie_in_a_file(judge, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    with served("--judge", "sim", "--base-url", judge.base_url, "--token-file", tmp_path / "token") as server:
        assert (await server.rank(body_of(GROUPS[0]))).status == 401
        assert (await server.rank(body_of(GROUPS[0]), headers=bearer(TOKEN))).status == 200


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"host": "0.0.0.0"}, "token"),
        ({"token_env": "NOT_SET_ANYWHERE"}, r"\$NOT_SET_ANYWHERE"),
        ({"token_env": "SHORT_TOKEN"}, "at least 16"),
        ({"token_file": Path("/nowhere/token")}, "cannot be read"),
        ({"token_env": "T", "token_file": Path("/nowhere/token")}, "not both"),
        ({"max_cost": 1.0}, "--price"),
        ({"rubric": "@/nowhere/rubric"}, "rubric"),
        ({"host": "192.0.2.1", "token_env": "LONG_TOKEN"}, "cannot be listened on"),
    ],
)
def test_what_cannot_work_is_said_at_the_start(monkeypatch, given, told):
    monkeypatch.setenv("SHORT_TOKEN", "short")
    monkeypatch.setenv("LONG_TOKEN", TOKEN)
    with pytest.raises(ConfigurationError, match=told) as raised:
        serve(judge="sim", base_url="http://127.0.0.1:9/v1", **given)
    assert TOKEN not in str(raised.value)


def test_a_port_that_is_taken_is_named_and_ends_with_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = refused("--judge", "sim", "--base-url", "http://127.0.0.1:9/v1", "--port", port)
    assert done.returncode == 2
    assert str(port) in done.stderr
    assert "Traceback" not in done.stderr
