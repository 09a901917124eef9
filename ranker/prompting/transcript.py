"""A trajectory as text a judge can read: one piece a message, all foreign text neutralised.

A piece opens with a tag that says who speaks (`<user>`, `<assistant>`, `<call NAME>` for a tool
call, `<tool NAME>` for its result) and runs to the next one. Tool-call ids, which differ between
attempts that do the same, are replaced by the tool's name. JSON of
calls and results is written without white space.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ranker.prompting.escaping import neutral
from ranker.trajectory import Trajectory

_LINE = 160  # characters of JSON on one line
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$]*\Z", re.ASCII)
_SAFE_NAME = re.compile(r"[\w.:/-]{1,128}\Z", re.ASCII)
_REASONING_KEYS = ("reasoning_content", "reasoning", "thinking")
_MEDIA = {"image": "image", "image_url": "image", "input_image": "image", "audio": "audio",
          "input_audio": "audio", "file": "file", "input_file": "file", "document": "file"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Transcript:
    """One trajectory's pieces of text, in order, and the kinds of media left out of them."""

    pieces: tuple[str, ...]
    media: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def transcribe(trajectory: Trajectory) -> Transcript:
    """Render a trajectory's tools, messages and further histories. Ids, metadata and ground truth
    are never read."""
    media: list[str] = []
    pieces = [_tools(trajectory.tools)] if trajectory.tools else []
    pieces += _messages(trajectory.messages, media)
    for i, history in enumerate(trajectory.histories, start=2):
        pieces.append(f"<history {i}>\n")
        pieces += _messages(history, media)
    return Transcript(tuple(pieces), tuple(media))


def transcript_of(trajectory: Trajectory) -> Transcript:
    """`transcribe`, once for each trajectory: several passes and windows show the same text."""
    memo = trajectory._memo
    if "transcript" not in memo:
        memo["transcript"] = transcribe(trajectory)
    return memo["transcript"]  # type: ignore[no-any-return]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _tools(tools: Iterable[Mapping[str, Any]]) -> str:
    lines = (neutral(_compact(tool.get("function") or tool)) for tool in tools)
    return "<tools>\n" + "\n".join(lines) + "\n"


def _messages(messages: Iterable[Mapping[str, Any]], media: list[str]) -> list[str]:
    pieces: list[str] = []
    labels: dict[str, str] = {}  # tool-call id -> label, the latest call of that id
    for message in messages:
        role = message["role"]
        content = message.get("content")
        for key in _REASONING_KEYS:
            thought = message.get(key)
            if isinstance(thought, str) and thought:
                pieces.append(f"<reasoning>\n{neutral(thought)}\n")
                break
        if role in {"tool", "function"}:
            label = labels.get(message.get("tool_call_id") or "") or _result_label(message)
            pieces.append(f"<{role} {label}>\n{_body(content, media, compact=True)}\n")
            continue
        calls = message.get("tool_calls") or ()
        legacy = message.get("function_call")
        if isinstance(legacy, Mapping):
            calls = (*calls, {"function": legacy})
        refused = message.get("refusal")
        refusal = refused if isinstance(refused, str) else ""
        body = _body(content, media) if content else ""
        speaker = message.get("name")
        if body or not (calls or refusal):
            who = f"{role} {_label(speaker)}" if isinstance(speaker, str) else role
            pieces.append(f"<{who}>\n{body}\n")
        if refusal:
            pieces.append(f"<refusal>\n{neutral(refusal)}\n")
        if calls:
            pieces += _calls(calls, labels)
    return pieces


def _calls(calls: Iterable[Mapping[str, Any]], labels: dict[str, str]) -> list[str]:
    pieces: list[str] = []
    seen: dict[str, int] = {}
    for call in calls:
        spec = call.get("function") or call.get("custom") or call
        name = _label(spec["name"])
        seen[name] = seen.get(name, 0) + 1
        # Two calls of one tool in one turn are numbered, so that results find their call.
        label = name if seen[name] == 1 else f"{name} #{seen[name]}"
        if isinstance(call.get("id"), str):
            labels[call["id"]] = label
        arguments = spec.get("arguments", spec.get("input", ""))
        text = _json_or_text(arguments) if isinstance(arguments, str) else neutral(_compact(arguments))
        pieces.append(f"<call {label}>{text}\n")
    return pieces


def _result_label(message: Mapping[str, Any]) -> str:
    name = message.get("name") or message.get("tool_call_id") or "result"
    return _label(str(name))


def _label(name: str) -> str:
    """A name as it may stand inside a tag: no bracket, no line break."""
    if _SAFE_NAME.match(name):
        return name
    quoted = json.dumps(name)
    return quoted.replace("<", "\\u003c").replace(">", "\\u003e")


def _json_or_text(text: str) -> str:
    """Text as it is; JSON objects and arrays of some length without their white space."""
    if len(text) > 80 and text[0] in "[{" and text[-1] in "]}":
        try:
            value = json.loads(text, parse_float=_Verbatim, parse_int=_Verbatim, object_pairs_hook=_Pairs)
            return neutral(_dump(value))
        except (ValueError, RecursionError):
            pass
    return neutral(text)


class _Verbatim(str):
    """A number as it was written; reading and printing it must not change a digit."""


class _Pairs(list):  # type: ignore[type-arg]
    """An object's pairs as they were written, repeated keys included."""


def _dump(value: Any) -> str:
    """JSON without white space and without quotes around plain keys (JSON5). Objects in a list that
    all have the same keys become `table(KEYS)[[values], …]`. A long object or list gets a line for each
    member: members that recur can then be shared, and a reader can follow."""
    if isinstance(value, _Verbatim):
        return str(value)
    if isinstance(value, _Pairs):
        return _enclose("{", [f"{_key(k)}:{_dump(v)}" for k, v in value], "}")
    if isinstance(value, list):
        keys = _columns(value)
        if keys is not None:
            rows = [_enclose("[", [_dump(v) for _, v in row], "]") for row in value]
            return _enclose(f"table({','.join(map(_key, keys))})[", rows, "]")
        return _enclose("[", [_dump(v) for v in value], "]")
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.match(key) else json.dumps(key, ensure_ascii=False)


def _columns(rows: list[Any]) -> list[str] | None:
    """The keys that all of at least two objects have in the same order, or None."""
    if len(rows) < 2 or not all(isinstance(row, _Pairs) and len(row) > 1 for row in rows):
        return None
    keys = [k for k, _ in rows[0]]
    return keys if all([k for k, _ in row] == keys for row in rows) else None


def _enclose(opening: str, members: list[str], closing: str) -> str:
    line = opening + ",".join(members) + closing
    if len(line) <= _LINE or len(members) < 2:
        return line
    return opening + ",\n".join(members) + closing


def _body(content: Any, media: list[str], compact: bool = False) -> str:
    """A message's content. Only what tools return is made compact: the layout of an answer may be what
    was asked for."""
    if content is None:
        return ""
    if isinstance(content, str):
        return _json_or_text(content) if compact else neutral(content)
    shown: list[str] = []
    words: list[str] = []  # neighbouring texts are neutralised together: no tag hides in the seam
    for part in content:
        text = _part_text(part)
        if text is None:
            shown += [neutral("\n".join(words))] if words else []
            shown.append(_placeholder(part, media))
            words = []
        else:
            words.append(text)
    shown += [neutral("\n".join(words))] if words else []
    return "\n".join(shown)


def _part_text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    for key in ("text", "thinking", "reasoning", "refusal", "content"):
        if isinstance(part.get(key), str):
            return str(part[key])
    return None


def _placeholder(part: Mapping[str, Any], media: list[str]) -> str:
    """What cannot be shown is named, with a digest: two different images never look identical."""
    tag = _MEDIA.get(str(part.get("type")), "file")
    digest = hashlib.sha256(_compact(part).encode("utf-8", "backslashreplace")).hexdigest()[:8]
    media.append(tag)
    return f"<{tag} {digest}>"
