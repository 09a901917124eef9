"""Group files: JSONL, one group a line."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import GroupError
from ranker.jsonl.objects import Record, read_objects
from ranker.ranked import RESULT_FIELDS, RankedGroup
from ranker.trajectory import TrajectoryGroup, assistant_turns, group_from_dict

REWARD = "reward"  # what a ranked line says of each attempt, beside "rewards" by id
_HIDDEN = ("ground_truth", "metadata", REWARD)  # of an attempt: no judge sees them


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group file: a group, or the error in the line.

    Attributes:
        number: of the line, or of the group in a file that is one array, from 1.
        id: the group's id; ``line:N`` if it has none.
        fields: the line's object as read; empty if it is not an object.
    """

    number: int
    id: str
    group: TrajectoryGroup | None
    error: GroupError | None
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Every `of`-th group of a file, starting with group `index` (from 0)."""

    index: int
    of: int


def read_lines(path: str | Path, part: Part | None = None, *, others: bool = False) -> Iterator[Line]:
    """Read a group file line by line, continuing after bad lines; see `read_objects` for the forms that it may have.

    Args:
        part: read only these groups.
        others: with `part`, also yield the other groups' lines, with their id alone: neither group nor error.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    for count, record in enumerate(read_objects(path)):
        if part is None or count % part.of == part.index:
            yield line_of(record)
        elif others:
            yield Line(record.number, _name_of(record), None, None, {})


def read_groups(path: str | Path) -> list[TrajectoryGroup]:
    """All groups of a file.

    Raises:
        GroupError: a bad line, named by number.
        ConfigurationError: the file cannot be read.
    """
    groups = []
    for line in read_lines(path):
        if line.error is not None:
            raise line.error
        assert line.group is not None
        groups.append(line.group)
    return groups


def _name_of(record: Record) -> str:
    """The id of a line's group; one by its number where it has none that can be used."""
    value = record.fields.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else f"line:{record.number}"


def line_of(record: Record) -> Line:
    """The group of an object of a file, or the error in it."""
    name, fields, number, place = _name_of(record), record.fields, record.number, record.place.capitalize()
    if record.fault is not None:
        return Line(number, name, None, GroupError(f"{place} {record.fault}"), fields)
    value = fields.get("id")
    try:
        if value is not None and (not isinstance(value, (str, int)) or not name.isprintable() or value == ""):
            raise GroupError(f"a group's id must be printable text or an integer, not {value!r}.")
        return Line(number, name, group_from_dict({**fields, "id": name}), None, fields)
    except GroupError as error:
        return Line(number, name, None, GroupError(f"{place}: {error}"), fields)


def dump_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line; lone surrogates, which UTF-8 cannot encode, stay JSON escapes."""
    try:
        return json.dumps(record, ensure_ascii=False, default=str).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, default=str).encode("ascii") + b"\n"


def ranked_record(fields: Mapping[str, Any], ranked: RankedGroup) -> dict[str, Any]:
    """The output record of a group: its line's own fields, each of its attempts with its reward, and the ranking's. Results of
    an earlier ranking in the line are dropped."""
    own = unranked(fields)
    members = own.get("trajectories")
    if ranked.error is None and isinstance(members, list) and len(members) == len(ranked):
        own["trajectories"] = list(map(_rewarded, members, ranked.rewards))
    named = {} if ranked.group.id is None else {"id": ranked.group.id}
    return {**own, **named, **ranked.to_dict()}


def unranked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """A line's fields without what an earlier ranking added."""
    own = {k: v for k, v in fields.items() if k not in RESULT_FIELDS}
    members = own.get("trajectories")
    if isinstance(members, list):
        own["trajectories"] = [
            {k: v for k, v in m.items() if k != REWARD} if isinstance(m, dict) and REWARD in m else m
            for m in members
        ]
    return own


def _rewarded(member: Any, reward: float | None) -> Any:
    """An attempt as it stands in the line, its reward beside its id; one that is a list or a string stays as it is."""
    if not isinstance(member, dict) or "role" in member:
        return member
    named = {"id": member["id"]} if "id" in member else {}
    return {**named, REWARD: reward, **member}


def rewards_of(fields: Mapping[str, Any], group: TrajectoryGroup) -> list[float] | None:
    """The rewards in a ranked line, in the order of its group; None if it was not ranked, or failed: an earlier judge's
    rewards do not replace those of the one that failed.

    Raises:
        GroupError: they are not one finite number for each of the group's trajectories.
    """
    rewards = fields.get("rewards")
    if fields.get("error") is not None or not isinstance(rewards, Mapping):
        return None
    values: list[Any] = [rewards.get(name) for name in group.ids]
    if len(rewards) != len(values) or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise GroupError(
            f"Group {fields.get('id')!r}: its rewards are not one finite number for each of its trajectories. "
            "Rank it again with `ranker rank`."
        )
    return [float(value) for value in values]


def turn_rewards_of(fields: Mapping[str, Any], group: TrajectoryGroup) -> list[list[float | None]] | None:
    """The rewards of turns in a ranked line, in the order of its group; None if it has none, or failed.

    Raises:
        GroupError: they are not, for each trajectory, one number from -1 to 1 or null for each assistant message.
    """
    rewards = fields.get("turn_rewards")
    if fields.get("error") is not None or not isinstance(rewards, Mapping):
        return None
    counts = {name: len(assistant_turns(t)) for name, t in zip(group.ids, group.trajectories, strict=True)}
    values = [rewards.get(name) for name in group.ids]
    if rewards.keys() != counts.keys() or not all(
        isinstance(own, list) and len(own) == count and all(_is_turn_reward(v) for v in own)
        for own, count in zip(values, counts.values(), strict=True)
    ):
        raise GroupError(
            f"Group {fields.get('id')!r}: its turn_rewards are not one number from -1 to 1, or null, for each assistant "
            "message of its trajectories. Rank it again with `ranker rank --credit turns`."
        )
    return [[None if value is None else float(value) for value in own or ()] for own in values]


def _is_turn_reward(value: Any) -> bool:
    return value is None or (type(value) in (int, float) and -1 <= value <= 1)


def print_of(fields: Mapping[str, Any]) -> int:
    """A digest of everything a judge may be shown of a group, even and not 0; 0 if there are no attempts. It tells whether
    a verdict is about exactly these attempts, in whatever order an object names its fields: writing a line may move them."""
    members = fields.get("trajectories")
    if not isinstance(members, list):
        return 0
    shown = [{k: v for k, v in m.items() if k not in _HIDDEN} if isinstance(m, dict) else m for m in members]
    about = [fields.get(k) for k in ("task", "rubric", "reference")]
    text = json.dumps([shown, about], sort_keys=True, default=str)
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") | 1) + 1
