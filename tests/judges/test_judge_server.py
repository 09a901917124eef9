"""The simulated judge's server: what it leaves behind."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
import threading
import warnings

from ranker import LLMJudge
from ranker.judges.preflight import preflight
from ranker.testing import JudgeServer


def test_connections_that_come_while_it_stops_are_closed():
    def knock(port: int, connections: list[socket.socket], first: threading.Event) -> None:
        try:
            while True:
                connections.append(socket.create_connection(("127.0.0.1", port), 1))
                first.set()
        except OSError:  # it is gone
            first.set()

    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(10):
            connections: list[socket.socket] = []
            first = threading.Event()
            with JudgeServer(lambda text: 0.0) as server:
                visitor = threading.Thread(target=knock, args=(server.port, connections, first))
                visitor.start()
                assert first.wait(10)
                assert connections
            visitor.join(10)
            for connection in connections:
                connection.close()
        gc.collect()
    assert [str(w.message)[:80] for w in seen if w.category is ResourceWarning] == []


def test_a_request_that_only_tries_the_key_is_answered(caplog):
    with JudgeServer(lambda text: 0.0, api_key="right") as server, caplog.at_level(logging.ERROR):
        judge = LLMJudge("openai/sim", base_url=server.base_url, api_key="right")
        asyncio.run(preflight(judge))
        assert server.requests == 1
        assert not server.counts
    assert not caplog.records
