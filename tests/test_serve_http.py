"""What `ranker serve` does with connections, heads and bodies, and what it says of a wrong field."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from ranker.extras import install
from ranker.testing import JudgeServer
from tests.conftest import make_groups
from tests.serve_process import Served, body_of, served

GROUPS = make_groups(3)
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def server() -> Iterator[Served]:
    with (
        JudgeServer(GROUPS) as judge,
        served("--judge", "sim", "--base-url", judge.base_url, "--max-body", 1) as process,
    ):
        yield process


async def connect(server: Served) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", int(server.url.rpartition(":")[2]))


async def test_idle_connections_and_unfinished_heads_do_not_stop_the_others(server):
    writers = [(await connect(server))[1] for _ in range(400)]
    try:
        for writer in writers[::2]:
            writer.write(b"POST /rank HTTP/1.1\r\nHost: localhost\r\n")
            await writer.drain()
        assert (await server.ask("GET", "/health", seconds=10)).status == 200
        assert (await server.rank(body_of(GROUPS[0]), seconds=30)).status == 200
    finally:
        for writer in writers:
            writer.close()


async def test_a_client_that_sends_everything_before_it_reads_sees_why_it_was_refused(server):
    reader, writer = await connect(server)
    size = 12 * MEGABYTE
    head = f"POST /rank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {size}\r\n\r\n"
    writer.write(head.encode() + b" " * size)
    await asyncio.wait_for(writer.drain(), 30)
    reply = await asyncio.wait_for(reader.read(), 30)  # to the end: the server closes
    writer.close()
    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in reply
    assert json.loads(reply.partition(b"\r\n\r\n")[2])["error"]["type"] == "TooLarge"


async def test_a_client_that_waits_for_100_continue_need_not_send_a_body_that_is_refused(server):
    reader, writer = await connect(server)
    writer.write(
        b"POST /rank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n"
        b"Expect: 100-continue\r\n\r\n"
    )
    assert b" 413 " in await asyncio.wait_for(reader.readline(), 30)
    writer.close()


async def test_a_connection_serves_one_request_after_another(server):
    reader, writer = await connect(server)
    bad = b'{"trajectories": 3}'
    head = f"POST /rank HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {len(bad)}\r\n\r\n"
    for _ in range(2):
        writer.write(head.encode() + bad)
        answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
        assert answer.startswith(b"HTTP/1.1 400 ")
        length = int(answer.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        await reader.readexactly(length)
    writer.close()


@pytest.mark.parametrize("path", ["/health", "/health/live", "/metrics", "/docs", "/openapi.json"])
async def test_head_is_answered_as_get_without_a_body(server, path):
    full, head = await server.ask("GET", path), await server.ask("HEAD", path)
    assert (full.status, head.status, head.raw) == (200, 200, b"")
    assert head.headers["Content-Type"] == full.headers["Content-Type"]
    assert head.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"passes": 65}, r'"passes": Input should be less than or equal to 64.'),
        ({"passes": "2"}, r'"passes": Input should be a valid integer.'),
        ({"id": "a\nb"}, r'''"id": a group's id must be printable text.'''),
        ({"rubric": ["x"]}, r'"rubric": Input should be a string.'),
        ({"rubric": " "}, "The rubric is empty; say what to prefer, or leave it out."),
        ({"trajectories": [{"messages": ["hidden"]}]}, '"trajectories.0.messages.0": Input should be an object.'),
        ({"trajectories": [{}, {}]}, '"trajectories.0.messages": Field required (and 1 more).'),
    ],
)  # fmt: skip
async def test_a_wrong_field_is_named_with_what_it_should_be(server, change, message):
    reply = await server.rank({**body_of(GROUPS[0]), **change})
    assert reply.status == 400
    assert reply.told["error"]["message"].startswith(message)
    assert "hidden" not in reply.told["error"]["message"]


async def test_unknown_fields_are_ignored(server):
    body = body_of(GROUPS[1], colour="blue")
    body["trajectories"][0]["colour"] = "blue"
    assert (await server.rank(body)).status == 200


def run(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_importing_the_library_imports_no_web_framework():
    code = "import sys, ranker; print([m for m in ('fastapi', 'pydantic', 'uvicorn') if m in sys.modules])"
    assert run(code).stdout.strip() == "[]"


@pytest.mark.parametrize("package", ["fastapi", "uvicorn", "prometheus_client"])
def test_without_the_extra_the_command_says_how_to_install_it(package):
    code = f"import sys; sys.modules[{package!r}] = None; from ranker.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", "--judge", "sim", "--base-url", "http://127.0.0.1:9/v1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert package in done.stderr
    assert install("serve") in done.stderr


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost"}, 200),
        ({"Host": "LOCALHOST:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "localhost:8000", "Origin": "http://localhost:8000"}, 200),
        ({"Host": "rebound.example"}, 403),
        ({"Host": "localhost.rebound.example"}, 403),
        ({"Host": "127.0.0.1.rebound.example:8000"}, 403),
        ({"Host": "[::1"}, 403),
        ({"Origin": "https://page.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "localhost:8000", "Origin": "http://localhost:3000"}, 403),
        ({"Host": "page.example", "Origin": "http://page.example"}, 403),
    ],
)
async def test_without_a_token_only_this_machine_and_no_page_is_answered(server, headers, status):
    """A site may point its name at 127.0.0.1, or post to it from a page; whether the server lives is no secret."""
    for path, body in (("/rank", body_of(GROUPS[0])), ("/metrics", None)):
        method = "GET" if body is None else "POST"
        reply = await server.ask(method, path, json=body, headers=headers)
        assert reply.status == status
        assert status == 200 or reply.error == "Forbidden"
    assert (await server.ask("GET", "/health", headers=headers)).status == 200


async def test_with_a_token_names_and_origins_do_not_matter():
    token = "0123456789abcdef"
    with (
        JudgeServer(GROUPS) as judge,
        served("--judge", "sim", "--base-url", judge.base_url, RANKER_SERVE_TOKEN=token) as server,
    ):
        headers = {
            "Host": "ranker.example",
            "Origin": "https://page.example",
            "Authorization": f"Bearer {token}",
        }
        assert (await server.rank(body_of(GROUPS[0]), headers=headers)).status == 200
