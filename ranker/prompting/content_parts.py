"""A message's content as text: words, placeholders for what cannot be shown, and the thoughts, tool
calls and tool results that Anthropic, Bedrock, Gemini, Mistral and Inspect write among the words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ranker.prompting.compact_json import compact, json_or_text
from ranker.prompting.escaping import label, neutral
from ranker.prompting.fields import digest, empty, left, write_fields, write_json
from ranker.prompting.tool_calls import Calls, has_name

MEDIA = {"image": "image", "image_url": "image", "input_image": "image", "audio": "audio", "input_audio": "audio",
          "file": "file", "input_file": "file", "document": "file", "video": "file", "video_url": "file"}  # fmt: skip
_WORDS = ("text", "input_text", "output_text", "summary_text", "reasoning_text", "refusal")
_CALLS = ("tool_use", "server_tool_use", "mcp_tool_use", "function_call", "tool_call", "tool-call")
_NESTED_CALLS = ("toolUse", "functionCall", "function_call")
_NESTED_RESULTS = ("toolResult", "functionResponse", "function_response")
_OUTPUTS = ("content", "output", "response", "result")
_CALL_IDS = ("tool_use_id", "toolUseId", "call_id", "tool_call_id", "id")
_PAYLOAD = (
    "source", "data", "url", "image_url", "input_audio", "file", "file_id", "file_data", "file_url", "image", "audio",
    "video", "media_type", "mime_type", "format", "detail",
)  # fmt: skip
_THOUGHTS = ("thinking", "reasoning", "text", "summary", "content")


class Content:
    """The pieces that a message's parts become, in the order of the parts.

    Neighbouring words, placeholders and fields stand in one piece, each on a line of its own.
    """

    def __init__(self, role: str, opening: str, calls: Calls, media: list[str]):
        self.pieces: list[str] = []
        self._role, self._opening, self._calls, self._media = role, opening, calls, media
        self._lines: list[str] = []
        self._words: list[str] = []  # neighbouring texts are neutralised together: no tag hides in the seam

    def add(self, part: Any) -> None:
        """Write one more part."""
        if isinstance(part, str):
            self._words.append(part)
            return
        kind = _kind(part)
        if kind in MEDIA:
            self._write_media(part, kind)
        elif kind in _CALLS and has_name(part):
            self._write_pieces(self._calls.write(part, self._media))
        elif kind == "tool_result":
            self._write_pieces(_result(part, ("type",), self._calls, self._media))
        elif (thought := thought_of(part)) is not None:
            self._write_pieces([f"<reasoning>\n{neutral(thought)}\n"])
        elif not self._write_nested(part):
            self._write_words(part, kind)

    def close(self) -> list[str]:
        """The pieces, once all parts are written."""
        self._flush()
        if self._lines:
            body = "\n".join(self._lines)
            if body:
                self.pieces.append(f"<{self._opening}>\n{body}\n")
            self._lines = []
        return self.pieces

    def lines(self) -> str:
        """The words, placeholders and fields alone, where no piece can open within another."""
        self._flush()
        return "\n".join(self._lines)

    def add_data(self, part: Any) -> None:
        """Write a part of what a tool returned: objects without a type are data, shown whole."""
        if isinstance(part, str):
            self._words.append(part)
        elif (kind := _kind(part)) in MEDIA:
            self._write_media(part, kind)
        elif not kind and any(key != "text" and not empty(value) for key, value in part.items()):
            self._line(f"<{self._role} part>{write_json(part, self._media)}")
        else:
            self._write_words(part, kind)

    def _write_words(self, part: Mapping[str, Any], kind: str) -> None:
        field = "refusal" if kind == "refusal" else "text"
        words = part.get(field)
        if isinstance(words, str) and (not kind or kind in _WORDS):
            self._words.append(words)
            for line in write_fields(self._role, part, ("type", field), self._media):
                self._line(line)
            return
        # A part without a type says by its keys what it is: an id in it may be anything.
        sealed = ("data",) if kind == "redacted_thinking" else ()
        whole = dict(left(part, sealed)) if kind else part
        if not empty(whole):
            self._line(f"<{self._role} part>{write_json(whole, self._media)}")

    def _write_media(self, part: Mapping[str, Any], kind: str) -> None:
        source = part.get("source")
        inline = isinstance(source, Mapping) and source.get("type") in ("text", "content")
        if kind == "document" and (inline or not empty(part.get("document"))):
            self._line(f"<{self._role} part>{write_json(dict(left(part, ())), self._media)}")
            return
        self._media.append(MEDIA[kind])
        self._line(f"<{MEDIA[kind]} {digest(compact(part))}>")
        words = [key for key in ("text", "transcript") if isinstance(part.get(key), str) and part[key]]
        self._words += [part[key] for key in words]
        for line in write_fields(self._role, part, ("type", kind, *_PAYLOAD, *words), self._media):
            self._line(line)

    def _write_nested(self, part: Mapping[str, Any]) -> bool:
        """Write a part that says by a key what it is, as Bedrock's and Gemini's do; False if it is none."""
        for key in (*_NESTED_CALLS, *_NESTED_RESULTS):
            record = part.get(key)
            if not isinstance(record, Mapping):
                continue
            if key in _NESTED_RESULTS:
                pieces = _result(record, (), self._calls, self._media)
            elif has_name(record):
                pieces = self._calls.write(record, self._media)
            else:
                continue
            self._write_pieces(pieces)
            for line in write_fields(self._role, part, (key,), self._media):
                self._line(line)
            return True
        return False

    def _write_pieces(self, pieces: list[str]) -> None:
        self.close()
        self.pieces += pieces

    def _line(self, line: str) -> None:
        self._flush()
        self._lines.append(line)

    def _flush(self) -> None:
        if self._words:
            self._lines.append(neutral("\n".join(self._words)))
            self._words = []


def result_body(content: Any, role: str, media: list[str]) -> str:
    """What a tool returned. Only this is made compact: the layout of an answer may be what was asked for."""
    if content is None:
        return ""
    if isinstance(content, str):
        return json_or_text(content)
    if not isinstance(content, (list, tuple)) or not all(
        isinstance(part, (str, Mapping)) for part in content
    ):
        return neutral(compact(content))
    writer = Content(role, role, Calls(), media)
    for part in content:
        writer.add_data(part)
    return writer.lines()


def _kind(part: Mapping[str, Any]) -> str:
    """A part's type, empty where it has none."""
    kind = part.get("type")
    return kind if isinstance(kind, str) else "" if kind is None else "?"


def _result(record: Mapping[str, Any], read: tuple[str, ...], calls: Calls, media: list[str]) -> list[str]:
    """The piece of a tool result that stands among the parts of a message."""
    called = next((name for key in _CALL_IDS if (name := calls.label(record.get(key)))), None)
    name = record.get("name")
    shown = () if called and not is_label(called, name) else ("name",)
    named = next((str(record[key]) for key in ("name", *_CALL_IDS) if not empty(record.get(key))), "result")
    output = next((key for key in _OUTPUTS if not empty(record.get(key))), "content")
    lines = [result_body(record.get(output), "tool", media)]
    lines += write_fields("tool", record, (*read, *shown, output), media)
    return [f"<tool {called or label(named)}>\n" + "\n".join(lines) + "\n"]


def is_label(called: str, name: Any) -> bool:
    """Whether a call's label says the name already."""
    plain = label(name) if isinstance(name, str) else None
    return plain is not None and (called == plain or called.startswith(f"{plain} #"))


def thought_of(part: Mapping[str, Any]) -> str | None:
    """The text of a part that is nothing but a thought, None for any other part."""
    inner = part.get("reasoningContent")  # Bedrock
    if isinstance(inner, Mapping) and not any(left(part, ("reasoningContent",))):
        record = inner.get("reasoningText")
        plain = isinstance(record, Mapping) and not any(left(inner, ("reasoningText",)))
        return _only_text(record, ("text",), ()) if plain else None
    if part.get("thought") is True:  # Gemini
        return _only_text(part, ("text",), ("thought",))
    kind = _kind(part) or ("thinking" if "thinking" in part else "")
    if kind in {"thinking", "reasoning"} or kind.startswith("reasoning."):
        return _only_text(part, _THOUGHTS, ("type", "format"))
    return None


def thoughts_of(blocks: Any) -> str | None:
    """The text of a list of thoughts, as LiteLLM and OpenRouter add to a message; None if it holds more."""
    if not isinstance(blocks, (list, tuple)):
        return None
    texts = [thought_of(block) if isinstance(block, Mapping) else None for block in blocks]
    return "\n".join(text for text in texts if text) if all(text is not None for text in texts) else None


def _only_text(record: Any, keys: tuple[str, ...], read: tuple[str, ...]) -> str | None:
    """The text under one of `keys`, None where the record says anything else."""
    spoken = [key for key in keys if not empty(record.get(key))]
    if len(spoken) != 1 or any(left(record, (*read, spoken[0]))):
        return None
    value = record[spoken[0]]
    if isinstance(value, str):
        return value
    return _joined(value) if isinstance(value, (list, tuple)) else None


def _joined(parts: Iterable[Any]) -> str | None:
    texts: list[str] = []
    for part in parts:
        plain = isinstance(part, Mapping) and part.get("type", "text") in _WORDS
        text = _only_text(part, ("text",), ("type",)) if plain else part
        if not isinstance(text, str):
            return None
        texts.append(text)
    return "\n".join(texts)
