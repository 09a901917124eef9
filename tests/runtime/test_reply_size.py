"""Replies that would fill the memory, from real servers: refused by size, whether they come packed or not."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.runtime.reply_size import MOST, Unpacker, UnreadableReply
from tests.scripted_server import ScriptedServer, chat, verdict

MEGABYTE = 2**20


def packed(megabytes: int) -> bytes:
    """So many megabytes of spaces in gzip: a thousandth of that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    return b"".join(packer.compress(b" " * MEGABYTE) for _ in range(megabytes)) + packer.flush()


# Ranks a group and prints: the error's type and text, megabytes of memory that this took, seconds of computing in the
# longest time for which the event loop stood still.
RANK = """
import asyncio, json, resource, sys, time
from ranker import rank_group_async
from tests.scripted_server import GROUP

def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

async def main(url):
    longest = 0.0
    async def tick():
        nonlocal longest
        while True:
            since = time.thread_time()
            await asyncio.sleep(0)
            longest = max(longest, time.thread_time() - since)
    rank = lambda where: rank_group_async(GROUP, "m", base_url=where, max_retries=0, max_reasks=0, progress=False)
    await rank(url)
    before, ticking = megabytes(), asyncio.create_task(tick())
    try:
        await rank(url)
        fault = None
    except Exception as error:
        fault = [type(error).__name__, str(error)]
    print(json.dumps([fault, megabytes() - before, longest]))

asyncio.run(main(sys.argv[1]))
"""

BODIES: dict[str, tuple[bytes, dict[str, str], str]] = {
    "plain": (b" " * 40 * MEGABYTE, {}, "larger than 2,097,152 bytes."),
    "gzip": (packed(200), {"Content-Encoding": "gzip"}, "larger than 2,097,152 bytes unpacked"),
    "garbage after gzip": (packed(1) + b"x" * 40 * MEGABYTE, {"Content-Encoding": "gzip"}, "larger than"),
    "damaged": (b"{}" * 100, {"Content-Encoding": "gzip"}, "compression is damaged"),
    "a million values": (b"[" + b"[]," * 690_000 + b"0]", {}, "not a chat completion"),
    "another packing": (b"{}", {"Content-Encoding": "br"}, "packed as 'br', where gzip was offered"),
}


@pytest.mark.parametrize("kind", BODIES)
def test_a_reply_that_would_fill_the_memory_is_refused(kind):
    """It costs no more memory than a reply may have, and other calls go on meanwhile."""
    body, headers, said = BODIES[kind]
    first = lambda request: chat(json.dumps(verdict(request)))  # noqa: E731
    with ScriptedServer(lambda request, n: first(request) if n == 1 else (200, body, headers)) as server:
        url = server.base_url
        done = subprocess.run(
            [sys.executable, "-c", RANK, url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
    (error, text), grown, longest = json.loads(done.stdout)
    assert error == "JudgeCallError"
    assert said in text
    assert url in text
    assert grown < 30, "megabytes"
    assert longest < 0.1, "seconds without an event"


async def test_a_packed_reply_is_read():
    """Gzip of ordinary size is unpacked, as every client does."""
    from ranker import rank_group_async
    from tests.scripted_server import GROUP, REWARDS

    def answer(request: dict[str, Any], n: int) -> Any:
        raw = json.dumps(chat(json.dumps(verdict(request)))).encode()
        return 200, gzip.compress(raw), {"Content-Encoding": "gzip"}

    with ScriptedServer(answer) as server:
        ranked = await rank_group_async(GROUP, "m", base_url=server.base_url)
    assert ranked.rewards == REWARDS


@given(st.binary(max_size=5_000), st.integers(0, 5_000), st.integers(1, 700), st.sampled_from(("", "gzip")))
def test_a_body_is_read_whole_or_refused(body, most, step, encoding):
    """Cut into pieces of any size, up to the bound and not a byte beyond."""
    unpacker = Unpacker(encoding, most)
    raw = gzip.compress(body, 0) if encoding else body
    pieces = [raw[i : i + step] for i in range(0, len(raw), step)]
    if max(len(body), len(raw)) <= most:
        assert b"".join(map(unpacker.feed, pieces)) == body
    else:
        with pytest.raises(UnreadableReply):
            b"".join(map(unpacker.feed, pieces))


def test_the_bound_holds_replies_of_models():
    """128,000 tokens in a script that JSON escapes, 6 bytes a character, and as much again for quotes of it."""
    assert MOST >= 2 * 128_000 * 6
