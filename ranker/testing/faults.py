"""Ways in which a judge server fails, one function each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

Fault = Callable[[web.Request, list[str], str], Awaitable[web.StreamResponse]]


def completion(text: str, *, prompt: int = 0, finish: str = "stop", model: str = "sim") -> web.Response:
    """An ordinary chat completion."""
    wrote = len(text) // 4
    return web.json_response(
        {
            "id": "chatcmpl-sim",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
            ],
            "usage": {"prompt_tokens": prompt, "completion_tokens": wrote, "total_tokens": prompt + wrote},
        }
    )


def failure(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status, headers=headers)


async def _rate_limit(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return failure(429, "Rate limit reached", **{"Retry-After": "0.05"})


async def _server_error(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return failure(500, "The server had an error")


async def _overloaded(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return failure(503, "Overloaded")


async def _hang(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return completion(reply)


async def _disconnect(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return completion(reply)


async def _half_body(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    """Promises a body, sends half of it and hangs up."""
    body = completion(reply).body
    assert isinstance(body, bytes)
    response = web.StreamResponse(
        headers={"Content-Type": "application/json", "Content-Length": str(len(body))}
    )
    await response.prepare(request)
    await response.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return response


async def _wrong_encoding(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    body = completion("Größe: " + reply).text or ""
    return web.Response(body=body.replace("\\u00f6", "ö").encode("utf-16"), content_type="application/json")


async def _not_json(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return web.Response(text="<html><body>Welcome to nginx!</body></html>", content_type="text/html")


async def _bad_json(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return completion(reply.replace('"', "'"))


async def _truncated(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return completion(reply[: len(reply) * 2 // 3], finish="length")


async def _empty(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return completion("")


async def _prose(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    return completion("I think the first one is the best, and the others are worse.")


def _edited(edit: Callable[[list[list[str]]], list[list[str]]]) -> Fault:
    """A reply whose ranking has been tampered with."""

    async def fault(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
        verdict = json.loads(reply)
        if "ranking" in verdict:
            verdict["ranking"] = edit(verdict["ranking"])
        else:
            verdict["scores"] = verdict["scores"][1:]
        return completion(json.dumps(verdict))

    return fault


async def _nan_scores(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    """RULER-style scores, and no numbers."""
    scores = ", ".join(f'{{"id": "{name}", "score": NaN}}' for name in ids)
    return completion(f'{{"reasons": [], "ranking": NaN, "scores": [{scores}]}}')


FAULTS: dict[str, Fault] = {
    "429": _rate_limit,
    "500": _server_error,
    "503": _overloaded,
    "hang": _hang,
    "disconnect": _disconnect,
    "half_body": _half_body,
    "wrong_encoding": _wrong_encoding,
    "not_json": _not_json,
    "bad_json": _bad_json,
    "truncated": _truncated,
    "empty": _empty,
    "prose": _prose,
    "unknown_id": _edited(lambda ranking: [["1"], *ranking[1:]]),
    "missing_id": _edited(lambda ranking: ranking[1:]),
    "repeated_id": _edited(lambda ranking: [*ranking, ranking[0]]),
    "nan": _nan_scores,
}
"""Every fault by name; those from `bad_json` to `nan` are replies that arrive and must not become rewards."""
