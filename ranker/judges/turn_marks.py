"""The turns that a judge's reply names: read to the letter, or a VerdictError."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ranker.errors import VerdictError

Marks = Mapping[int, float]  # by turn, from 0: 1.0 helped, -1.0 hurt; a turn that is not named has none

_WORTH = {"helped": 1.0, "hurt": -1.0}
_FORM = '"turns" must be a list of {"id", "helped", "hurt"}, the latter two lists of turn numbers.'
_MOST = 64  # numbers in a list, where the schema bounds lists


def turns_schema(ids: Sequence[str] | None) -> dict[str, Any]:
    """JSON schema of the member `turns`: the same for every call, unless it names `ids` and bounds lists."""
    name: dict[str, Any] = {"type": "string"} if ids is None else {"enum": list(ids)}
    bounds = {} if ids is None else {"maxItems": _MOST}
    numbers = {"type": "array", "items": {"type": "integer"}, **bounds}
    mark = {
        "type": "object",
        "properties": {"id": name, "helped": numbers, "hurt": numbers},
        "required": ["id", "helped", "hurt"],
        "additionalProperties": False,
    }
    return {"type": "array", "items": mark, **({} if ids is None else {"maxItems": len(ids)})}


def read_turns(
    reply: Mapping[str, Any], ids: Sequence[str], shown: Sequence[Collection[int]], raw: str
) -> tuple[Marks, ...]:
    """What a reply says of turns, for each trajectory.

    Args:
        ids: of the trajectories, as shown.
        shown: for each the numbers of its turns that were shown, from 1.

    Raises:
        VerdictError: it says nothing of turns, or names one that was not shown, in two ways, or not by its number; or an
            id twice or unknown.
    """
    if "turns" not in reply:
        raise VerdictError('The reply has no "turns"; they may be an empty list.', raw_text=raw)
    items = reply["turns"]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise VerdictError(_FORM, raw_text=raw)
    position = {name: i for i, name in enumerate(ids)}
    marks: dict[int, Marks] = {}
    for item in items:
        name = item.get("id")
        if not isinstance(name, str) or not item.keys() <= {"id", *_WORTH}:
            raise VerdictError(_FORM, raw_text=raw)
        if name not in position:
            raise VerdictError(f'"turns" names {name[:80]!r}, which is no ID.', raw_text=raw)
        if position[name] in marks:
            raise VerdictError(f'"turns" must hold an ID once, not {name} twice.', raw_text=raw)
        marks[position[name]] = _marks(item, name, shown[position[name]], raw)
    return tuple(marks.get(i, {}) for i in range(len(ids)))


def _marks(item: Mapping[str, Any], name: str, shown: Collection[int], raw: str) -> Marks:
    marks: dict[int, float] = {}
    for side, worth in _WORTH.items():
        numbers = item.get(side, [])
        if not isinstance(numbers, list) or not all(type(number) is int for number in numbers):
            raise VerdictError(_FORM, raw_text=raw)
        for number in numbers:
            if number not in shown:
                raise VerdictError(
                    f'"turns" names turn {str(number)[:20]} of {name}, which is not shown: {_listed(shown)}.',
                    raw_text=raw,
                )
            if marks.setdefault(number - 1, worth) != worth:
                raise VerdictError(f"Turn {number} of {name} cannot have helped and hurt.", raw_text=raw)
    return marks


def _listed(shown: Collection[int]) -> str:
    """The turns that there are, in short."""
    if not shown:
        return "it has none"
    first, last = min(shown), max(shown)
    whole = len(shown) == last - first + 1
    return f"there are {first} to {last}" if whole else f"of {first} to {last} some were left out"
