"""What the index keeps of a judged group: figures, and the words that are searched; and a line that tells it from others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.viewing.records import Judged, State

_TEXT = 2_000  # characters of a group that are searched


@dataclass(frozen=True, slots=True)
class Row:
    """What the index keeps of a line."""

    id: str
    judge: str | None
    step: int | None
    size: int
    spread: float | None
    agreement: float | None
    state: State
    text: str


def row_of(group: Judged) -> Row:
    """What the index keeps."""
    right, pairs = group.right
    agreement = group.agreement if group.agreement is not None else right / pairs if pairs else None
    size = max(len(group.members), len(group.truths))
    return Row(group.id, group.judge, group.step, size, group.spread, agreement, group.state, text_of(group))


def text_of(group: Judged) -> str:
    """What is searched of a group: its id, its task, and of every attempt the first words of its last message."""
    fields, count = group.fields, max(1, len(group.members))
    pieces = [group.id, str(fields.get("row") or ""), str(fields.get("task") or "")[:_TEXT]]
    pieces.append(_first(fields.get("prompt") or (_messages(group.members[0]) if group.members else ())))
    pieces += [_last(_messages(member))[: _TEXT // count] for member in group.members]
    return "\n".join(pieces)[: 2 * _TEXT]


def summary_of(group: Judged, most: int = 200) -> str:
    """A line that tells a group from others: its task, or what the user asked."""
    asked = group.fields.get("prompt") or (_messages(group.members[0]) if group.members else ())
    text = group.fields.get("task") or _first(asked)
    return " ".join(str(text)[: 4 * most].split())[:most]


def _messages(member: Any) -> Sequence[Any]:
    if isinstance(member, str):
        return ({"role": "assistant", "content": member},)
    found = member.get("messages", member.get("conversations")) if isinstance(member, Mapping) else member
    return found if isinstance(found, list) else ()


def _first(messages: Sequence[Any]) -> str:
    """The first message that is a user's, or the first of all."""
    every = [m for m in messages[:4] if isinstance(m, Mapping)]
    asked = next((m for m in every if m.get("role", m.get("from")) in ("user", "human")), None)
    first = asked or (every[0] if every else None)
    return "" if first is None else " ".join(_said(first))[:_TEXT]


def _last(messages: Sequence[Any]) -> str:
    """The last message that says something."""
    for message in reversed(messages):
        if isinstance(message, Mapping) and (text := " ".join(_said(message))):
            return text
    return ""


def _said(message: Mapping[str, Any]) -> Iterator[str]:
    content = message.get("content") or message.get("parts") or message.get("value") or ""
    for part in content if isinstance(content, list) else [content]:
        text = part.get("text") if isinstance(part, Mapping) else part
        if isinstance(text, str):
            yield text
