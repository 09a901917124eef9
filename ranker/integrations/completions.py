"""Prompts and completions as trainers hold them, plain text or message lists, made into trajectories."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from typing import Any

from ranker.trajectory import Trajectory


def trajectory_of(
    prompt: Any, completion: Any, tools: Sequence[Mapping[str, Any]] | None = None
) -> Trajectory:
    """One attempt: what was asked, then what the policy did.

    Args:
        prompt: text, or chat messages in OpenAI format.
        completion: text, or the messages that follow (tool calls and tool results included).
        tools: the tool definitions the attempt had, in OpenAI format.

    Raises:
        GroupError: a message is malformed.
    """
    return Trajectory(
        [*messages_of(prompt, "user"), *messages_of(completion, "assistant")], tools=tools or None
    )


def messages_of(given: Any, role: str) -> list[Any]:
    """`given` as messages; a text becomes one message of `role`."""
    if isinstance(given, str):
        return [{"role": role, "content": given}]
    if isinstance(given, Mapping):
        return [_plain(given)]
    return [_plain(message) for message in given]


def identity(*parts: Any) -> str:
    """A digest that is the same for equal parts (texts, message lists, columns of a row), in every process."""
    told = json.dumps(parts, sort_keys=True, default=_named)
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest()


def _plain(message: Any) -> Any:
    """The message with pictures replaced by their digests: a judge of text is told only which differ."""
    if not isinstance(message, Mapping) or not isinstance(message.get("content"), (list, tuple)):
        return message
    parts = [
        {key: value if _is_json(value) else _named(value) for key, value in part.items()}
        if isinstance(part, Mapping)
        else part
        for part in message["content"]
    ]
    return {**message, "content": parts}


def _is_json(value: Any) -> bool:
    return value is None or isinstance(value, (str, int, float, list, tuple, Mapping))


def _named(value: Any) -> Any:
    """What stands for a value that JSON cannot hold: its content if it tells it, else only its type."""
    if hasattr(value, "model_dump"):
        return value.model_dump(exclude_none=True)
    if hasattr(value, "tobytes"):
        return f"{type(value).__name__} {hashlib.sha256(value.tobytes()).hexdigest()[:16]}"
    if isinstance(value, (date, time, timedelta, Decimal)):  # datetime is a date
        return f"{type(value).__name__} {value}"
    if isinstance(value, (bytes, bytearray)):
        return f"bytes {hashlib.sha256(value).hexdigest()[:16]}"
    return type(value).__name__
