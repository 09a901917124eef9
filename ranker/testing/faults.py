"""Faults of a judge server, one function each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from aiohttp import web

Fault = Callable[[web.Request, list[str], str], Awaitable[web.StreamResponse]]


def completion(text: str, *, prompt: int = 0, finish: str = "stop", model: str = "sim") -> web.Response:
    """An ordinary chat completion."""
    written = len(text) // 4
    return web.json_response(
        {
            "id": "chatcmpl-sim",
            "object": "chat.completion",
            "created": 0,
            "model": model,
            "choices": [
                {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text}}
            ],
            "usage": {
                "prompt_tokens": prompt,
                "completion_tokens": written,
                "total_tokens": prompt + written,
            },
        }
    )


def failure(status: int, message: str, **headers: str) -> web.Response:
    return web.json_response({"error": {"message": message, "code": status}}, status=status, headers=headers)


async def _hang(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    await asyncio.sleep(3600)
    return completion(reply)


async def _disconnect(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    if request.transport is not None:
        request.transport.close()
    return completion(reply)


async def _half_body(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
    """Announces a body, sends half of it and closes the connection."""
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


def _reply(make: Callable[[list[str], str], web.Response]) -> Fault:
    """A whole reply, made of the ids shown and of the right reply."""

    async def fault(request: web.Request, ids: list[str], reply: str) -> web.StreamResponse:
        return make(ids, reply)

    return fault


def _wrong_encoding(ids: list[str], reply: str) -> web.Response:
    body = completion("Größe: " + reply).text or ""
    return web.Response(body=body.replace("\\u00f6", "ö").encode("utf-16"), content_type="application/json")


def _edited(edit: Callable[[list[list[str]]], list[list[str]]]) -> Fault:
    """A reply whose ranking was edited."""

    def edited(ids: list[str], reply: str) -> web.Response:
        verdict = json.loads(reply)
        if "ranking" in verdict:
            verdict["ranking"] = edit(verdict["ranking"])
        else:
            verdict["scores"] = verdict["scores"][1:]
        return completion(json.dumps(verdict))

    return _reply(edited)


def _nan_scores(ids: list[str], reply: str) -> web.Response:
    """RULER-style scores that are not numbers."""
    scores = ", ".join(f'{{"id": "{name}", "score": NaN}}' for name in ids)
    return completion(f'{{"reasons": [], "ranking": NaN, "scores": [{scores}]}}')


def _wrong_turns(ids: list[str], reply: str) -> web.Response:
    """Turns that no attempt has; of a reply without turns, nothing."""
    verdict = json.loads(reply)
    wrong = [{"id": name, "helped": [999], "hurt": []} for name in ids]
    return completion(json.dumps({**verdict, "turns": wrong}) if "turns" in verdict else "")


FAULTS: dict[str, Fault] = {
    "429": _reply(lambda ids, reply: failure(429, "Rate limit reached", **{"Retry-After": "0.05"})),
    "500": _reply(lambda ids, reply: failure(500, "The server had an error")),
    "503": _reply(lambda ids, reply: failure(503, "Overloaded")),
    "hang": _hang,
    "disconnect": _disconnect,
    "half_body": _half_body,
    "wrong_encoding": _reply(_wrong_encoding),
    "not_json": _reply(
        lambda ids, reply: web.Response(
            text="<html><body>Welcome to nginx!</body></html>", content_type="text/html"
        )
    ),
    "bad_json": _reply(lambda ids, reply: completion(reply.replace('"', "'"))),
    "truncated": _reply(lambda ids, reply: completion(reply[: len(reply) * 2 // 3], finish="length")),
    "empty": _reply(lambda ids, reply: completion("")),
    "prose": _reply(
        lambda ids, reply: completion("I think the first one is the best, and the others are worse.")
    ),
    "unknown_id": _edited(lambda ranking: [["1"], *ranking[1:]]),
    "missing_id": _edited(lambda ranking: ranking[1:]),
    "repeated_id": _edited(lambda ranking: [*ranking, ranking[0]]),
    "nan": _reply(_nan_scores),
    "wrong_turns": _reply(_wrong_turns),
}
"""Every fault by name. `bad_json` to `wrong_turns` are replies that arrive but must not become rewards."""
