"""JSON with less around it: no white space, no quotes around plain keys, one head for many like objects."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ranker.errors import GroupError
from ranker.prompting.escaping import neutral

_LINE = 160  # characters of JSON on one line
_quoted = json.JSONEncoder(ensure_ascii=False).encode
_PLAIN_KEY = re.compile(r"[A-Za-z_$][\w$]*\Z", re.ASCII)


def compact(value: Any) -> str:
    """`value` as JSON without white space; what JSON does not know as its `str`.

    Raises:
        GroupError: a value that contains itself or is nested too deeply.
    """
    try:
        try:
            return _dumps(value)
        except TypeError:  # keys that JSON has no form for, as Python's tuples
            return _dumps(_text_keys(value))
    except (ValueError, RecursionError) as error:
        raise GroupError(f"A message holds a value that JSON cannot write ({error}); leave it out.") from None


def json_or_text(text: str) -> str:
    """Text as it is; JSON objects and arrays of some length without their white space. Neutralised."""
    if len(text) > 80 and text[0] in "[{" and text[-1] in "]}":
        try:
            value = json.loads(text, parse_float=_Verbatim, parse_int=_Verbatim, object_pairs_hook=_Pairs)
            return neutral(_dump(value))
        except (ValueError, RecursionError):
            pass
    return neutral(text)


def _dumps(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def _text_keys(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(k): _text_keys(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_text_keys(v) for v in value]
    return value


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
    return _quoted(value)


def _key(key: str) -> str:
    return key if _PLAIN_KEY.match(key) else _quoted(key)


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
