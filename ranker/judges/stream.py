"""A chat completion that came as server-sent events, though it was not asked for so."""

from __future__ import annotations

import json
import re
from typing import Any

_LINE = re.compile(r"\s*(?:data|event|id|retry)?:")


def is_stream(text: str) -> bool:
    """Whether a body begins as an event stream does, and not as JSON."""
    return _LINE.match(text) is not None


def joined(text: str) -> dict[str, Any]:
    """The completion that the events add up to, as the body of one that was not streamed.

    Raises:
        ValueError, TypeError: an event is no JSON object, or the stream ends before the completion does.
    """
    body: dict[str, Any] = {}
    message: dict[str, Any] = {"role": "assistant"}
    calls: dict[int, dict[str, Any]] = {}
    finish, ended = None, False
    for data in _events(text):
        if data == "[DONE]":
            ended = True
            break
        event = json.loads(data)
        if event.get("error") or event.get("object") == "error":
            return dict(event)
        body |= {key: value for key, value in event.items() if key != "choices" and value is not None}
        for choice in event.get("choices") or ():
            if choice.get("index", 0) != 0:
                continue
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or choice.get("message") or {}
            for key in ("content", "reasoning_content", "reasoning", "refusal"):
                if isinstance(delta.get(key), str):
                    message[key] = message.get(key, "") + delta[key]
            for call in delta.get("tool_calls") or ():
                spec = calls.setdefault(call.get("index", 0), {"name": "", "arguments": ""})
                for key in spec:
                    spec[key] += (call.get("function") or {}).get(key) or ""
    if not ended and finish is None:
        raise ValueError("the stream of events ends before the completion does")
    if calls:
        message["tool_calls"] = [{"type": "function", "function": spec} for spec in calls.values()]
    return body | {"choices": [{"index": 0, "finish_reason": finish, "message": message}]}


def _events(text: str) -> list[str]:
    """The data of each event; one that was cut off has no blank line after it, and is an event all the same."""
    events = re.split(r"\r?\n\r?\n", text)
    lines = [
        [line[5:].removeprefix(" ") for line in e.splitlines() if line.startswith("data:")] for e in events
    ]
    return ["\n".join(data) for data in lines if data]
