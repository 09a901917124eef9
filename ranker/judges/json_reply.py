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

MOST_MARKS = 20_000  # braces and tags outside of JSON objects; a reply with more is noise
_MARK = re.compile(
    r'(?P<object>\{(?=\s*+"[^"\\]*+(?:\\.[^"\\]*+)*+"\s*+:))|(?P<brace>\{)|(?P<close>\})|(?P<think><think>)|(?P<end></think>)',
    re.DOTALL,
)
_STRING_OR_COMMA = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|,(?=\s*+[}\]])', re.DOTALL)
_ESCAPE = re.compile(r"\\(?:u[0-9a-fA-F]{4}|(.))", re.DOTALL)


class UnfitJSON(ValueError):
    """JSON that must not be trusted, or text that is not worth reading."""


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


def spoken(text: str) -> Spoken:
    """Read a reply from left to right, in time linear in its length.

    ``<think>`` opens a thought where no object was spoken before it, up to the next ``</think>``, for good where there
    is none; the first ``</think>`` without an opening ends a thought that began with the reply. Inside an object, or
    after a brace that is not closed, a tag is a quotation. Objects inside one that is not complete are prose.

    Raises:
        UnfitJSON: the reply is nested too deeply, or is noise.
    """
    result = Spoken()
    thought_ended = False
    patience = 4 * len(text) + 65_536  # characters that may be read twice
    unclosed: list[bool] = []  # braces; whether each opens an object that is not complete
    at = since = marks = 0
    while mark := _MARK.search(text, at):
        marks += 1
        if marks > MOST_MARKS or patience < 0:
            raise UnfitJSON("The reply is no verdict but a heap of braces.")
        start, at, kind = mark.start(), mark.end(), mark.lastgroup
        if kind == "object" and result.fault is None:
            try:
                value, end = _DECODER.raw_decode(text, start)
            except json.JSONDecodeError as error:
                patience -= error.pos - start
            except RecursionError:
                raise UnfitJSON("The reply is nested too deeply.") from None
            except ValueError as error:  # UnfitJSON, or a number of thousands of digits
                result.fault = str(error)
            else:
                if not any(unclosed):
                    result.prose.append(text[since:start])
                    result.objects.append(value)
                    since = end
                at = end
                continue
        if kind in ("object", "brace"):
            unclosed.append(kind == "object")
        elif kind == "close":
            del unclosed[-1:]
        elif kind == "think" and not unclosed and not result.objects:
            result.prose.append(text[since:start])
            end = text.find("</think>", at)
            if end < 0:
                return result
            at = since = end + len("</think>")
            thought_ended = True
        elif kind == "end" and not unclosed and not thought_ended:
            result, since, thought_ended = Spoken(), at, True
    result.prose.append(text[since:])
    return result


def repaired(text: str) -> str:
    """`text` without commas before closing brackets, and with backslashes that escape nothing doubled: what models
    write and JSON forbids, where there is only one way to mean it."""
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


def _no_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise UnfitJSON("A JSON object in the reply has the same key twice.")
    return members


def _no_constant(name: str) -> float:
    raise UnfitJSON(f"The reply holds {name}, which is no number.")


_DECODER = json.JSONDecoder(object_pairs_hook=_no_repeats, parse_constant=_no_constant, strict=False)
