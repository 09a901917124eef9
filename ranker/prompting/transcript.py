"""A trajectory as text a judge can read: one piece a message, all foreign text neutralised.

A piece opens with a tag that says who speaks (`<user>`, `<assistant>`, `<call NAME>` for a tool
call, `<tool NAME>` for its result) and runs to the next one. Tool-call ids, which differ between
attempts that do the same, are replaced by the tool's name. JSON of
calls and results is written without white space. Fields that have no form of their own follow as
JSON (`<assistant field NAME>`), parts likewise (`<assistant part>`); those that no judge is shown are
listed in `ranker.prompting.fields`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ranker.errors import GroupError
from ranker.prompting.compact_json import compact
from ranker.prompting.content_parts import Content, is_label, result_body, thoughts_of
from ranker.prompting.escaping import label, neutral
from ranker.prompting.fields import empty, left, write_field
from ranker.prompting.tool_calls import Calls, as_mapping, has_name
from ranker.trajectory import Trajectory

_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking", "tool_plan")
_REASONING_BLOCKS = ("thinking_blocks", "reasoning_details")
_REASONING = frozenset((*_REASONING_KEYS, *_REASONING_BLOCKS))
_RESULT_READ = frozenset(("role", "content", "tool_call_id"))
_TURN_READ = frozenset(("role", "content", "tool_calls", "function_call"))
# What every item of OpenAI's Responses says, and where Inspect has a message from.
_UNSAID = {"type": ("message",), "status": ("completed",), "source": ("input", "generate")}


@dataclass(frozen=True, slots=True)
class Transcript:
    """One trajectory as text.

    Attributes:
        pieces: in order.
        media: the kinds of media left out of them.
        turns: for each assistant message the number of its first piece.
    """

    pieces: tuple[str, ...]
    media: tuple[str, ...] = ()
    turns: tuple[int, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def transcribe(trajectory: Trajectory, exact: Mapping[int, str] | None = None) -> Transcript:
    """Render a trajectory's tools, messages and further histories. Ids, metadata and ground truth
    are never read.

    Args:
        exact: pieces to show in the place of units, by number; a unit is the tool definitions (number 0), a
            message, or the opening of a history.

    Raises:
        GroupError: a value in a message that JSON cannot write.
    """
    instead = exact or {}
    media: list[str] = []
    pieces: list[str] = []
    turns: list[int] = []
    number = 0

    def add(written: list[str], seen: list[str]) -> None:
        nonlocal number
        if number in instead:
            pieces.extend(filter(None, [instead[number]]))
        else:
            pieces.extend(written)
            media.extend(seen)
        number += 1

    try:
        add([_tools(trajectory.tools)] if trajectory.tools else [], [])
        for i, history in enumerate((trajectory.messages, *trajectory.histories), start=1):
            if i > 1:
                add([f"<history {i}>\n"], [])
            calls = Calls()
            for message in history:
                seen: list[str] = []
                if message["role"] == "assistant":
                    turns.append(len(pieces))
                add(_message(message, calls, seen), seen)
    except RecursionError:
        raise GroupError("A message holds a value that is nested too deeply; leave it out.") from None
    return Transcript(tuple(pieces), tuple(media), tuple(turns))


def transcript_of(trajectory: Trajectory) -> Transcript:
    """`transcribe`, once for each trajectory: several passes and windows show the same text."""
    memo = trajectory._memo
    if "transcript" not in memo:
        memo["transcript"] = transcribe(trajectory)
    return memo["transcript"]  # type: ignore[no-any-return]


def shown_as(trajectory: Trajectory, transcript: Transcript) -> Trajectory:
    """The same attempt, bare, with another transcript in the place of its own."""
    copy = trajectory.bare()
    object.__setattr__(copy, "_memo", {"transcript": transcript})
    return copy


def content_of(message: Mapping[str, Any]) -> tuple[str, Any]:
    """The field that holds a message's content, and the content: Gemini calls it `parts`."""
    content = message.get("content")
    if empty(content) and isinstance(message.get("parts"), (list, tuple)):
        return "parts", message["parts"]
    return "content", content


def _tools(tools: Iterable[Mapping[str, Any]]) -> str:
    return "<tools>\n" + "\n".join(neutral(compact(_definition(tool))) for tool in tools) + "\n"


def _definition(tool: Mapping[str, Any]) -> Any:
    """What to show of a tool's definition: the function alone where nothing else is said."""
    function = tool.get("function")
    usual = isinstance(function, Mapping) and function and tool.get("type") in (None, "function")
    return function if usual and not any(left(tool, ("function", "type"))) else tool


def _message(message: Mapping[str, Any], calls: Calls, media: list[str]) -> list[str]:
    role = message["role"]
    read, pieces = _reasoning(message)
    write = _result if role in {"tool", "function"} else _turn
    pieces += write(message, role, read, calls, media)
    return pieces


def _reasoning(message: Mapping[str, Any]) -> tuple[set[str], list[str]]:
    """The thoughts before a message, each once, and the fields they were read from."""
    read: set[str] = set()
    if message.keys().isdisjoint(_REASONING):
        return read, []
    thoughts: list[str] = []
    for key in _REASONING_KEYS:
        thought = message.get(key)
        if isinstance(thought, str) and thought:
            read.add(key)
            if thought not in thoughts:
                thoughts.append(thought)
    for key in _REASONING_BLOCKS:
        if key in message and (thought := thoughts_of(message[key])):
            read.add(key)
            if thought not in thoughts:
                thoughts.append(thought)
    return read, [f"<reasoning>\n{neutral(thought)}\n" for thought in thoughts]


def _result(
    message: Mapping[str, Any], role: str, read: set[str], calls: Calls, media: list[str]
) -> list[str]:
    called = calls.label(message.get("tool_call_id"))
    names = [key for key in ("name", "function") if not empty(message.get(key))]
    shown = called or label(str(message[names[0]] if names else message.get("tool_call_id") or "result"))
    read |= {key for key in names if is_label(shown, message[key])}
    piece = f"<{role} {shown}>\n{result_body(message.get('content'), role, media)}\n"
    return [piece, *_unread(message, role, _RESULT_READ, read, media)]


def _turn(message: Mapping[str, Any], role: str, read: set[str], calls: Calls, media: list[str]) -> list[str]:
    calls.next_turn()
    asked = list(message.get("tool_calls") or ())
    legacy = message.get("function_call")
    if legacy is not None:
        asked.append({"function": as_mapping(legacy)})
    if not asked and (asked := _hidden_calls(message.get("additional_kwargs"))):
        read.add("additional_kwargs")
    refused = message.get("refusal")
    refusal = refused if isinstance(refused, str) else ""
    speaker = message.get("name")
    opening = f"{role} {label(speaker)}" if isinstance(speaker, str) else role
    field, content = content_of(message)
    pieces: list[str] = []
    if isinstance(content, str):
        pieces = [f"<{opening}>\n{neutral(content)}\n"] if content else []
    elif content:
        writer = Content(role, opening, calls, media)
        for part in content:
            writer.add(part)
        pieces = writer.close()
    if not (pieces or asked or refusal):
        pieces = [f"<{opening}>\n\n"]
    if isinstance(speaker, str) and any(piece.startswith(f"<{opening}>\n") for piece in pieces):
        read.add("name")
    read.add(field)
    if refusal:
        read.add("refusal")
        pieces.append(f"<refusal>\n{neutral(refusal)}\n")
    for call in asked:
        pieces += calls.write(call, media)
    return pieces + _unread(message, role, _TURN_READ, read, media)


def _hidden_calls(extra: Any) -> list[Any]:
    """The calls that LangChain puts among a message's further arguments, where nothing else is there."""
    if not isinstance(extra, Mapping) or [key for key, _ in left(extra, ())] != ["tool_calls"]:
        return []
    calls = extra["tool_calls"]
    usable = isinstance(calls, (list, tuple)) and all(isinstance(c, Mapping) and has_name(c) for c in calls)
    return list(calls) if usable else []


def _unread(
    message: Mapping[str, Any], role: str, usual: frozenset[str], read: set[str], media: list[str]
) -> list[str]:
    """Pieces for the fields of a message that have no form of their own."""
    if message.keys() <= usual | read:
        return []
    pieces: list[str] = []
    for key, value in left(message, usual | read):
        if key == "audio" and isinstance(value, Mapping):  # its id and its end are drawn anew
            value = dict(left(value, ()))
        if value not in _UNSAID.get(key, ()):
            pieces.append(f"{write_field(role, key, value, media)}\n")
    return pieces
