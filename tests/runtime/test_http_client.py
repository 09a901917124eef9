"""The client of judges and rollout servers, against real sockets: what it sends, where, and what its failures mean."""

from __future__ import annotations

import asyncio
import contextlib
import math
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import httpx
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.runtime.http_client import HTTPClient, failure, failure_text, retry_after

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
CUT_OFF = b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"


@contextlib.asynccontextmanager
async def answering(reply: bytes | None) -> AsyncIterator[tuple[str, list[str]]]:
    """A server that says `reply` to whatever it reads and hangs up; None: it says nothing. Its address, and the
    requests that it got."""
    requests: list[str] = []
    handlers: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        handlers.add(task)
        requests.append((await reader.readuntil(b"\r\n\r\n")).decode())
        if reply is None:
            await reader.read()
        else:
            writer.write(reply)
        writer.close()
        await writer.wait_closed()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests
        await asyncio.gather(*handlers)


async def post(
    url: str, key: str | None = None, timeout: float = 5.0, proxies: bool = True
) -> httpx.Response:
    client = HTTPClient(url, key, timeout, connections=2, proxies=proxies)
    async with contextlib.aclosing(client):
        return await client.request("/completions", {})


@pytest.mark.parametrize(
    ("reply", "kind"),
    [(b"", "lost"), (CUT_OFF, "lost"), (None, "timeout")],
    ids=["hangs up", "cut", "silent"],
)
async def test_what_a_failure_means(reply, kind):
    async with answering(reply) as (url, requests):
        with pytest.raises(httpx.HTTPError) as caught:
            await post(url, timeout=0.3)
    assert failure(caught.value) == kind
    assert len(requests) == 1, "nothing is sent twice"


async def test_no_server_and_no_address_are_told_apart():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for url, kind in ((f"http://127.0.0.1:{port}", "unreachable"), ("gopher://host", "bad address")):
        with pytest.raises(httpx.HTTPError) as caught:
            await post(url)
        assert failure(caught.value) == kind
    assert failure(openai.OpenAIError("no such option")) == "refused by client"
    own = OSError("reset")
    own.__cause__ = own  # as `raise error from error` leaves it
    assert failure(own) == "lost"
    assert failure_text(ValueError("key abcdef-0123456789 is bad"), "abcdef-0123456789").count("abcdef") == 0


async def test_an_infinite_timeout_is_none():
    async with answering(OK) as (url, _):
        assert (await post(url, timeout=math.inf)).json() == {}


async def test_a_key_goes_where_it_was_meant_to_go_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-environment")
    async with answering(OK) as (elsewhere, seen_elsewhere):
        moved = f"HTTP/1.1 307 Moved\r\nLocation: {elsewhere}/v1\r\nContent-Length: 0\r\n\r\n".encode()
        async with answering(moved) as (url, requests):
            for key in ("key-of-the-judge", None):
                assert (await post(url, key)).status_code == 307
    assert "Bearer key-of-the-judge" in requests[0]
    assert "authorization" not in requests[1].lower()
    assert seen_elsewhere == []


@pytest.mark.parametrize("proxies", [True, False])
async def test_proxies_of_the_environment_are_used_where_that_is_wanted(monkeypatch, proxies):
    async with answering(OK) as (proxy, through_proxy), answering(OK) as (url, directly):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.delenv("no_proxy", raising=False)
        monkeypatch.delenv("NO_PROXY", raising=False)
        await post(url, proxies=proxies)
    assert (len(through_proxy), len(directly)) == ((1, 0) if proxies else (0, 1))


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": ""}, None),
        ({}, None),
    ],
)
def test_retry_after_is_read(headers, seconds):
    assert retry_after(httpx.Headers(headers)) == seconds


@given(st.integers(1, 100_000))
def test_retry_after_may_be_a_date(seconds):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)
    read = retry_after({"retry-after": date})
    assert read is not None
    assert seconds - 5 < read <= seconds
