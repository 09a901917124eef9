"""A judge server on loopback that answers each request with what a function says: status, headers and body."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from ranker.testing.simulated import blocks

Answer = Callable[[dict[str, Any], int], Any]


def chat(
    content: Any, finish: str | None = "stop", *, tokens: tuple[int, int] = (500, 50), **message: Any
) -> dict[str, Any]:
    """A chat completion."""
    return {
        "id": "c",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "finish_reason": finish,
                "message": {"role": "assistant", "content": content, **message},
            }
        ],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]},
    }


def verdict(body: dict[str, Any], *, backwards: bool = False) -> dict[str, Any]:
    """The ranking by the number after ``worth`` in each block, highest first."""
    shown = blocks(body["messages"][1]["content"])
    order = sorted(
        shown, key=lambda block: int(block[1].partition("worth ")[2].split()[0]), reverse=not backwards
    )
    return {
        "reasons": [{"id": name, "reason": "r"} for name, _ in shown],
        "ranking": [[name] for name, _ in order],
    }


GROUP = [
    [
        {"role": "user", "content": "Name a prime."},
        {"role": "assistant", "content": f"Attempt worth {worth} points"},
    ]
    for worth in (1, 3, 2)
]
REWARDS = [0.0, 1.0, 0.5]


class ScriptedServer:
    """`answer(body, n)`, n counting requests from 1, gives a completion, or (status, body), or
    (status, body, headers); a body is JSON, or bytes as they are. None closes the connection without a word. Every GET
    gets `models`, or 404."""

    def __init__(self, answer: Answer, models: Any = None):
        self.requests: list[dict[str, Any]] = []
        self.heads: list[tuple[str, dict[str, str]]] = []  # path and headers of each, names in lower case
        self.raw_heads: list[str] = []  # what each POST asked for, and its headers
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._send(200, models, {}) if models else self._send(404, {"error": "no"}, {})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                outer.requests.append(body)
                outer.heads.append((self.path, {k.lower(): v for k, v in self.headers.items()}))
                outer.raw_heads.append(f"{self.requestline}\n{self.headers}")
                reply = answer(body, len(outer.requests))
                if reply is None:
                    self.close_connection = True
                    return
                status, content, *headers = reply if isinstance(reply, tuple) else (200, reply)
                self._send(status, content, headers[0] if headers else {})

            def _send(self, status: int, content: Any, headers: dict[str, str]) -> None:
                raw = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(status)
                for name, value in {"Content-Type": "application/json", **headers}.items():
                    self.send_header(name, value)
                if "Content-Length" not in headers:
                    self.send_header("Content-Length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.base_url = f"http://127.0.0.1:{self._http.server_address[1]}/v1"

    def __enter__(self) -> ScriptedServer:
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._http.shutdown()
        self._http.server_close()
