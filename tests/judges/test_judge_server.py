"""The simulated judge's server: what it leaves behind."""

from __future__ import annotations

import gc
import socket
import threading
import warnings

from ranker.testing import JudgeServer


def test_connections_that_come_while_it_stops_are_closed():
    def knock(port: int, made: list[socket.socket], first: threading.Event) -> None:
        try:
            while True:
                made.append(socket.create_connection(("127.0.0.1", port), 1))
                first.set()
        except OSError:  # it is gone
            first.set()

    gc.collect()
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always", ResourceWarning)
        for _ in range(10):
            made: list[socket.socket] = []
            first = threading.Event()
            with JudgeServer(lambda text: 0.0) as server:
                visitor = threading.Thread(target=knock, args=(server.port, made, first))
                visitor.start()
                assert first.wait(10)
                assert made
            visitor.join(10)
            for connection in made:
                connection.close()
        gc.collect()
    assert [str(w.message)[:80] for w in seen if w.category is ResourceWarning] == []
