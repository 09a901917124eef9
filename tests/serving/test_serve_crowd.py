"""Thousands of connections that keep `ranker serve` waiting, in every way a client can, against 1,024 open files."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import select
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator

import pytest

from tests.conftest import make_groups, truthful
from tests.serve_process import Served, body_of, served

GROUPS = make_groups(2)
TOKEN = "0123456789abcdef"
LOCAL = b"Host: localhost\r\nContent-Type: application/json\r\n"
AUTHORISED = b"Authorization: Bearer " + TOKEN.encode() + b"\r\n"
# What 5,000 clients send before they fall silent.
CROWDS = {
    "nothing": b"",
    "half a head": b"POST /rank HTTP/1.1\r\nHost: localho",
    "half a body, no token": b"POST /rank HTTP/1.1\r\n" + LOCAL + b"Content-Length: 1000\r\n\r\n{",
    "half a body": b"POST /rank HTTP/1.1\r\n" + LOCAL + AUTHORISED + b"Content-Length: 1000\r\n\r\n{",
    "half an attempt": b"POST /openrlhf HTTP/1.1\r\n" + LOCAL + AUTHORISED + b"Content-Length: 19000000\r\n\r\n{",
    "chunks": b"POST /rank HTTP/1.1\r\n" + LOCAL + AUTHORISED + b"Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n",
    "kept alive": b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n",
}  # fmt: skip


# Opens so many sockets to a port, sends the same through each, says so, and holds them until its input ends.
CROWD = """
import resource, select, socket, sys
port, n = map(int, sys.argv[1:3])
sends = sys.stdin.buffer.read(int(sys.argv[3]))
_, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
sockets = []
for _ in range(n):
    s = socket.socket()
    s.settimeout(5)
    try:
        s.connect(("127.0.0.1", port))
        s.sendall(sends)
        if sends[:3] == b"GET":
            s.recv(65536)
    except OSError:
        pass
    sockets.append(s)
print(len(sockets), flush=True)
sys.stdin.buffer.read()
"""


@contextlib.contextmanager
def crowd(server: Served, n: int, sends: bytes) -> Iterator[subprocess.Popen[bytes]]:
    """Clients in a process of their own, on their way in."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < n + 100:
        pytest.skip(f"this machine does not let a process have {n} sockets")
    port = server.url.rpartition(":")[2]
    with subprocess.Popen(
        [sys.executable, "-c", CROWD, port, str(n), str(len(sends))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        process.stdin.write(sends)
        process.stdin.flush()
        yield process
        process.stdin.close()


def seconds(server: Served) -> float:
    """Until /health has answered over a new connection."""
    since = time.monotonic()
    with urllib.request.urlopen(server.url + "/health", timeout=20) as reply:
        assert reply.status == 200
    return time.monotonic() - since


def all_there(process: subprocess.Popen[bytes]) -> bool:
    assert process.stdout is not None
    return bool(select.select([process.stdout], [], [], 0.1)[0])


@pytest.mark.parametrize("kind", CROWDS)
async def test_five_thousand_that_wait_do_not_keep_others_out(serve, kind):
    judge = serve(GROUPS)
    with (
        served(
            "--judge", "sim", "--base-url", judge.base_url, files=1_024, RANKER_SERVE_TOKEN=TOKEN
        ) as server,
        crowd(server, 5_000, CROWDS[kind]) as clients,
    ):
        while not all_there(clients):
            assert seconds(server) < 5.0, "also while they come, on a machine that tests keep busy"
        assert min(seconds(server) for _ in range(3)) < 1.0
        reply = await server.rank(body_of(GROUPS[0]), headers={"Authorization": f"Bearer {TOKEN}"})
        assert reply.status == 200
        assert truthful(GROUPS[0], [reply.told["rewards"][t.id] for t in GROUPS[0].trajectories])
        assert server.process.poll() is None
        assert not [line for line in server.said if "Error" in line]


async def test_a_group_before_the_judge_is_not_closed_for_newcomers(serve):
    judge = serve(GROUPS, latency=3.0)
    with served("--judge", "sim", "--base-url", judge.base_url, files=400) as server:
        asked = asyncio.create_task(server.rank(body_of(GROUPS[0])))
        await server.until("ranker_in_flight", 1)
        with crowd(server, 1_000, b"") as clients:
            while not all_there(clients):
                await asyncio.sleep(0)
            assert not asked.done(), "they came while it was ranked"
            assert (await asked).status == 200
