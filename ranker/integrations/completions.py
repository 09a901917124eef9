"""Trajectories from the prompts and completions of trainers, which are plain text or message lists."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from ranker.trajectory import Trajectory

_JSON = (type(None), str, int, float, list, tuple, Mapping)


def trajectory_of(
    prompt: Any, completion: Any, tools: Sequence[Mapping[str, Any]] | None = None
) -> Trajectory:
    """One attempt: the prompt followed by the completion.

    Args:
        prompt: text, or chat messages in OpenAI format.
        completion: text, or the messages that follow (tool calls and tool results included).
        tools: the tool definitions available to the attempt, in OpenAI format.

    Raises:
        GroupError: a message is malformed.
    """
    return Trajectory(
        [*messages_of(prompt, "user"), *messages_of(completion, "assistant")], tools=tools or None
    )


def messages_of(content: Any, role: str) -> list[Any]:
    """`content` as a message list; text becomes one message with this role."""
    if isinstance(content, str):
        return [{"role": role, "content": content}]
    if isinstance(content, Mapping):
        return [_without_media(content)]
    return [_without_media(message) for message in content]


def identity(*parts: Any) -> str:
    """A digest that is equal for equal parts (texts, message lists, columns of a row) in every process."""
    text = json.dumps(parts, sort_keys=True, default=_digest)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _without_media(message: Any) -> Any:
    """The message with images replaced by digests, so that a text judge can tell which ones differ."""
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), (list, tuple)):
        return message
    parts = [
        {key: value if isinstance(value, _JSON) else _digest(value) for key, value in part.items()}
        if isinstance(part, Mapping)
        else part
        for part in message["content"]
    ]
    return {**message, "content": parts}


def _digest(value: Any) -> Any:
    """A JSON stand-in for any other value: its content or a digest where available, else its type name."""
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    if hasattr(value, "tobytes"):
        return f"{type(value).__name__} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    if isinstance(value, (date, time, timedelta, Decimal)):  # datetime is a date
        return f"{type(value).__name__} {value}"
    if isinstance(value, (bytes, bytearray)):
        return f"bytes {hashlib.sha256(value).hexdigest()[:16]}"
    return type(value).__name__
