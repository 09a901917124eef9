"""Attempts verbatim: what tells apart those whose transcripts come out the same.

A transcript leaves out what rarely matters: white space of JSON, whether arguments came as text or as an
object, where one part of a content ends. An exact piece is the whole message as JSON, after a tag that no
text can forge (`<assistant as JSON>`). Ids of tool calls, which every attempt draws anew, are numbered in
the order of their appearance: attempts that differ in nothing else are equal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranker.errors import GroupError
from ranker.prompting.compact_json import compact
from ranker.prompting.fields import SILENT, empty, write_json
from ranker.prompting.tool_calls import as_mapping
from ranker.prompting.transcript import Transcript, transcribe, transcript_of
from ranker.trajectory import Trajectory

_CALL_IDS = ("tool_call_id", "tool_use_id", "toolUseId", "call_id")
_CALL_PARTS = ("tool_use", "tool_call", "tool-call", "tool_result", "function_call", "function_call_output")
_CALL_FIELDS = (
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "toolUse",
    "toolResult",
)


def plain(trajectory: Trajectory) -> list[tuple[str, Any]]:
    """A trajectory's units, as in `transcribe`, with their tags: tool definitions, messages, openings of
    histories. Nothing is left out but the ids of calls, which are numbered."""
    units: list[tuple[str, Any]] = [
        ("tools", list(trajectory.tools) if trajectory.tools is not None else None)
    ]
    for i, history in enumerate((trajectory.messages, *trajectory.histories), start=1):
        if i > 1:
            units.append((f"history {i}", None))
        ids: dict[str, str] = {}
        units += [(message["role"], _renamed(message, ids)) for message in history]
    return units


def key_of(units: Sequence[tuple[str, Any]]) -> str:
    """A text that equal attempts share; the order of fields says nothing.

    Raises:
        GroupError: a value that JSON cannot write.
    """
    try:
        return json.dumps(units, sort_keys=True, default=str)
    except (TypeError, ValueError):
        return compact(units)
    except RecursionError:
        raise GroupError("A message holds a value that is nested too deeply; leave it out.") from None


def verbatim(trajectories: Sequence[Trajectory]) -> list[Transcript]:
    """Transcripts that differ wherever the attempts differ in anything a judge is shown.

    The units at the beginning and the end that all have in common are shown as ever.
    """
    attempts = [plain(trajectory) for trajectory in trajectories]
    notes: list[list[str]] = [[] for _ in attempts]
    pieces = [
        [_piece(tag, unit, media) for tag, unit in units]
        for units, media in zip(attempts, notes, strict=True)
    ]
    before = _common(pieces)
    after = _common([p[before:][::-1] for p in pieces])
    shown: list[Transcript] = []
    for trajectory, own, media in zip(trajectories, pieces, notes, strict=True):
        exact = transcribe(trajectory, {i: own[i] for i in range(before, len(own) - after)})
        shown.append(Transcript(exact.pieces, (*transcript_of(trajectory).media, *media), exact.turns))
    return shown


def differences(one: Any, other: Any, path: str = "") -> Iterator[str]:
    """The names of the fields in which two plain values differ, as ``tool_calls.index``."""
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in {**one, **other}:
            name = f"{path}.{key}" if path else str(key)
            if key in one and key in other:
                yield from differences(one[key], other[key], name)
            else:
                yield name
    elif _is_list(one) and _is_list(other) and len(one) == len(other):
        for left, right in zip(one, other, strict=True):
            yield from differences(left, right, path)
    elif (type(one), one) != (type(other), other):
        yield path


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))


def _common(lists: Sequence[Sequence[str]]) -> int:
    """How many items at the beginning all lists have in common."""
    count = 0
    for items in zip(*lists, strict=False):
        if any(item != items[0] for item in items):
            break
        count += 1
    return count


def _piece(tag: str, unit: Any, media: list[str]) -> str:
    if not unit:  # no tools, or the opening of a history
        return "" if tag == "tools" else f"<{tag}>\n"
    return f"<{tag} as JSON>\n{write_json(_spoken(unit), media)}\n"


def _spoken(unit: Any) -> Any:
    """A unit without the fields that no judge is shown."""
    if _is_list(unit):
        return [_open(tool) if isinstance(tool, Mapping) else tool for tool in unit]
    message = _open(unit)
    for key in ("content", "parts", "tool_calls", "invalid_tool_calls"):
        if _is_list(message.get(key)):
            message[key] = [_open(p, _id_of(p, key)) if isinstance(p, Mapping) else p for p in message[key]]
    return message


def _id_of(part: Mapping[str, Any], field: str) -> tuple[str, ...]:
    """The silent fields that must be seen: the number of a call, and the id of data without a type."""
    untyped = field == "content" and part.get("type") is None
    return ("id", *_CALL_IDS) if untyped or field.endswith("calls") or part.get("type") in _CALL_PARTS else ()


def _open(record: Mapping[str, Any], seen: tuple[str, ...] = _CALL_IDS) -> dict[str, Any]:
    return {k: v for k, v in record.items() if (k not in SILENT or k in seen) and not empty(v)}


def _renamed(message: Mapping[str, Any], ids: dict[str, str]) -> dict[str, Any]:
    record = _number(message, ids, _CALL_IDS)
    for key in ("tool_calls", "invalid_tool_calls"):
        if _is_list(message.get(key)):
            record[key] = [_call(call, ids) for call in message[key]]
    if isinstance(message.get("function_call"), Mapping):
        record["function_call"] = _call(message["function_call"], ids)
    extra = message.get("additional_kwargs")
    if isinstance(extra, Mapping) and _is_list(extra.get("tool_calls")):
        record["additional_kwargs"] = {
            **extra,
            "tool_calls": [_call(c, ids) for c in extra["tool_calls"]],
        }
    for key in ("content", "parts"):
        if _is_list(message.get(key)):
            record[key] = [_part(part, ids) for part in message[key]]
    return record


def _call(call: Any, ids: dict[str, str]) -> Any:
    if isinstance(call, Mapping):
        return _number(call, ids, ("id", *_CALL_IDS))
    inner = as_mapping(call)
    if isinstance(inner, Mapping) and isinstance(inner.get("id"), str) and inner["id"]:
        # Written as text: the id is replaced where it stands, all else stays as written.
        return call.replace(json.dumps(inner["id"]), json.dumps(_number_of(inner["id"], ids)))
    return call


def _part(part: Any, ids: dict[str, str]) -> Any:
    if not isinstance(part, Mapping):
        return part
    record = _number(part, ids, ("id", *_CALL_IDS) if part.get("type") in _CALL_PARTS else _CALL_IDS)
    for key in _CALL_FIELDS:
        if isinstance(part.get(key), Mapping):
            record[key] = _number(part[key], ids, ("id", *_CALL_IDS))
    return record


def _number(record: Mapping[str, Any], ids: dict[str, str], keys: tuple[str, ...]) -> dict[str, Any]:
    return {k: _number_of(v, ids) if k in keys and isinstance(v, str) and v else v for k, v in record.items()}


def _number_of(call_id: str, ids: dict[str, str]) -> str:
    return ids.setdefault(call_id, f"call {len(ids) + 1}")
