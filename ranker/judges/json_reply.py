"""The JSON objects that a model's reply speaks, as against those it only thinks of.

A reply may wrap its answer in prose, code fences, a thought (``<think>…</think>``, or a thought whose opening tag the
chat template wrote) or one more object. Nothing here decides whether an answer is right: that is `verdict`'s.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

MOST_TEXT = 500_000  # characters of a reply; no model writes as many
MOST_MARKS = 12_000  # braces, tags and objects that are looked at; a reply with more is noise
_MOST_COMMAS = 40_000
_FAILED = 4  # marks that an object counts which is not complete: the decoder's errors take long to make
_STRIDE = 4_096  # characters; the decoder's errors count the lines before them, from the beginning of what it is handed
_MOST_MENDED = 50_000  # characters that a repair looks at one by one
_SPARE = 2**18  # characters that may be read again in every reply
_MARK = re.compile(
    r'\{(?P<object>(?=\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:))|\{|\}|<think>|</think>', re.DOTALL
)
_STRING_OR_COMMA = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|,(?=\s*+[}\]])', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|(.))", re.DOTALL)


class UnfitJSON(ValueError):
    """JSON that must not be trusted, or text that is not worth reading."""


class Effort:
    """What may be spent on a reply, however often parts of it are read: time linear in its length.

    Attributes:
        decoded: characters that the JSON decoder has read.
        marks: braces, tags and objects that were looked at; one that is not complete counts more.

    Raises:
        UnfitJSON: the reply is longer than any that is worth reading.
    """

    def __init__(self, text: str):
        if len(text) > MOST_TEXT or text.count(",") > _MOST_COMMAS:
            raise UnfitJSON(
                f"The reply is no verdict: it has {len(text):,} characters and {text.count(','):,} commas."
            )
        self.decoded = 0
        self._most = 2 * len(text) + _SPARE
        self.marks = 0

    def mark(self) -> None:
        """Count a brace or a tag.

        Raises:
            UnfitJSON: what may be spent is spent.
        """
        self.marks += 1
        if self.marks > MOST_MARKS or self.decoded > self._most:
            raise UnfitJSON("The reply is no verdict but a heap of braces.")

    def decode(self, text: str, start: int) -> tuple[Any, int]:
        """The object at `start`, and where it ends.

        Raises:
            JSONDecodeError: it is not complete.
            UnfitJSON: it is nested too deeply.
            ValueError: it must not be trusted.
        """
        try:
            value, end = _DECODER.raw_decode(text, start)
        except json.JSONDecodeError as error:
            self._count(text, start, error.pos)
            self.marks += _FAILED
            raise
        except RecursionError:
            raise UnfitJSON("The reply is nested too deeply.") from None
        self._count(text, start, end)
        return value, end

    def _count(self, text: str, start: int, end: int) -> None:
        self.decoded += end - start
        self.marks += text.count("{", start, end)


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("A JSON object in the reply has the same key twice.")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"The reply holds {name}, which is no number.")


_DECODER = json.JSONDecoder(object_pairs_hook=_members, parse_constant=_no_constant, strict=False)


@dataclass(slots=True)
class Spoken:
    """What a reply says outside of thoughts.

    Attributes:
        objects: the outermost JSON objects.
        prose: the text between them.
        fault: why an object that parses must not be trusted; None where there is none such.
    """

    objects: list[dict[str, Any]] = field(default_factory=list)
    prose: list[str] = field(default_factory=list)
    fault: str | None = None


def spoken(text: str, effort: Effort) -> Spoken:
    """Read a reply from left to right.

    ``<think>`` opens a thought where no object was spoken before it, up to the next ``</think>``, for good where there
    is none; the first ``</think>`` without an opening ends a thought that began with the reply. Inside an object, or
    after a brace that is not closed, a tag is a quotation. Objects inside one that is not complete are prose.

    Raises:
        UnfitJSON: the reply is nested too deeply, or is noise.
    """
    result = Spoken()
    thought_ended = False
    unclosed: list[bool] = []  # braces; whether each opens an object that is not complete
    incomplete = 0  # of those
    at = since = base = 0
    tail = text
    while mark := _MARK.search(text, at):
        effort.mark()
        start, at, kind = mark.start(), mark.end(), mark.group()
        is_object = mark.lastgroup is not None
        if is_object and result.fault is None:
            if start - base > _STRIDE:
                tail, base = text[start:], start
            try:
                value, end = effort.decode(tail, start - base)
            except UnfitJSON:
                raise
            except json.JSONDecodeError:
                pass
            except ValueError as error:
                result.fault = str(error)
            else:
                if not incomplete:
                    result.prose.append(text[since:start])
                    result.objects.append(value)
                    since = base + end
                at = base + end
                continue
        if kind == "{":
            unclosed.append(is_object)
            incomplete += is_object
        elif kind == "}":
            incomplete -= unclosed.pop() if unclosed else 0
        elif unclosed:
            continue
        elif kind == "<think>" and not result.objects:
            result.prose.append(text[since:start])
            end = text.find("</think>", at)
            if end < 0:
                return result
            at = since = end + len("</think>")
            thought_ended = True
        elif kind == "</think>" and not thought_ended:
            result, since, thought_ended = Spoken(), at, True
    result.prose.append(text[since:])
    return result


def repaired(text: str) -> str:
    """`text` without commas before closing brackets, and with backslashes that escape nothing doubled: what models
    write and JSON forbids, where there is only one way to mean it. Text with very many of both comes back as it is."""
    if sum(map(text.count, '"\\}]')) > _MOST_MENDED:
        return text
    return _STRING_OR_COMMA.sub(_repair, text)


def _repair(match: re.Match[str]) -> str:
    matched = match.group()
    return "" if matched == "," else _ESCAPE.sub(_double, matched)


def _double(escape: re.Match[str]) -> str:
    valid = escape[1] is None or escape[1] in '"\\/bfnrt'
    return escape[0] if valid else "\\" + escape[0]


def holders(value: dict[str, Any], key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """The objects inside `value` (itself among them) that have `key`, and how deep each lies."""
    waiting: list[tuple[int, Any]] = [(0, value)]
    while waiting:
        depth, node = waiting.pop()
        if isinstance(node, dict) and key in node:
            yield depth, node
        members = node.values() if isinstance(node, dict) else node
        waiting += [(depth + 1, member) for member in members if isinstance(member, (dict, list))]
