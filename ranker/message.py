"""One chat message in OpenAI format, checked and made plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranker.errors import GroupError

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def plain_message(message: Any, where: str) -> dict[str, Any]:
    """Return `message` as a plain dict, or raise GroupError naming `where` it stands.

    Accepts a mapping, or an object with ``model_dump()`` such as the OpenAI SDK returns.
    """
    if not isinstance(message, Mapping):
        if not hasattr(message, "model_dump"):
            raise GroupError(
                f"{where} is a {type(message).__name__}; give a dict like "
                '{"role": "user", "content": "…"} or an object with model_dump().'
            )
        message = message.model_dump(exclude_none=True)
    role = message.get("role")
    if role not in ROLES:
        raise GroupError(f"{where} has role {role!r}; roles are {', '.join(ROLES)}.")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        _check_parts(content, where)
    made = dict(message)
    calls = message.get("tool_calls")
    if calls is not None:
        if not isinstance(calls, (list, tuple)):
            raise GroupError(f"{where}: tool_calls must be a list, not {type(calls).__name__}.")
        made["tool_calls"] = [_plain_call(call, f"{where}, tool call {i}") for i, call in enumerate(calls)]
    if message.get("function_call") is not None:
        made["function_call"] = _plain_call(message["function_call"], f"{where}, function_call")
    answered = message.get("tool_call_id")
    if answered is not None and not isinstance(answered, str):
        raise GroupError(f"{where}: tool_call_id must be a string, not {type(answered).__name__}.")
    return made


def _check_parts(content: Any, where: str) -> None:
    if not isinstance(content, (list, tuple)):
        raise GroupError(
            f"{where}: content must be a string, a list of parts or null, not {type(content).__name__}."
        )
    for i, part in enumerate(content):
        if not isinstance(part, (str, Mapping)):
            raise GroupError(
                f'{where}, content part {i} is a {type(part).__name__}; give {{"type": "text", "text": "…"}}.'
            )
        if isinstance(part, str) or part.get("type", "text") not in ("text", "input_text"):
            continue
        if not isinstance(part.get("text"), str):
            raise GroupError(f"{where}, content part {i} has no text.")


def _plain_call(call: Any, where: str) -> dict[str, Any]:
    if not isinstance(call, Mapping):
        if not hasattr(call, "model_dump"):
            raise GroupError(f"{where} is a {type(call).__name__}, not a mapping.")
        call = call.model_dump(exclude_none=True)
    spec = call.get("function") or call.get("custom") or call
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        raise GroupError(f'{where} has no function name; give {{"function": {{"name": "…"}}}}.')
    return dict(call)
