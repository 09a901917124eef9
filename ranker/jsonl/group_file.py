"""Group files: JSONL, one group a line."""

from __future__ import annotations

import gzip
import hashlib
import json
import math
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.ranked import RESULT_FIELDS, RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

_HIDDEN = ("ground_truth", "metadata")  # of an attempt: no judge sees them


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group file: a group, or the error in the line.

    Attributes:
        number: of the line, from 1.
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
    """Read a group file line by line, continuing after bad lines. ``.gz`` files are decompressed.

    Args:
        part: read only these groups.
        others: with `part`, also yield the other groups' lines, with their id alone: neither group nor error.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    count = -1
    try:
        with gzip.open(path, "rb") if str(path).endswith(".gz") else open(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.strip():
                    continue
                count += 1
                if part is None or count % part.of == part.index:
                    yield _line(raw, number)
                elif others:
                    yield Line(number, _read_fields(raw, number)[0], None, None, {})
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path} cannot be read: {reason}.") from None


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


def _read_fields(raw: bytes, number: int) -> tuple[str, dict[str, Any], str | None]:
    """The id and the object of a line, and what keeps it from being one."""
    name = f"line:{number}"
    try:
        fields = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return name, {}, f"is not UTF-8: {error.reason}."
    except (ValueError, RecursionError) as error:
        return name, {}, f"is not JSON: {error}."
    if not isinstance(fields, dict):
        return name, {}, f"is a {type(fields).__name__}, not an object."
    value = fields.get("id")
    return value if isinstance(value, str) and value else name, fields, None


def _line(raw: bytes, number: int) -> Line:
    name, fields, fault = _read_fields(raw, number)
    if fault is not None:
        return Line(number, name, None, GroupError(f"Line {number} {fault}"), fields)
    value = fields.get("id")
    try:
        if value is not None and (not isinstance(value, str) or not value.isprintable() or not value):
            raise GroupError(f"a group's id must be printable text, not {value!r}.")
        return Line(number, name, group_from_dict({**fields, "id": name}), None, fields)
    except GroupError as error:
        return Line(number, name, None, GroupError(f"Line {number}: {error}"), fields)


def group_from_dict(fields: Mapping[str, Any]) -> TrajectoryGroup:
    """Build a group from a line's object; unknown fields are ignored."""
    members = fields.get("trajectories")
    if not isinstance(members, list):
        raise GroupError('the object has no list "trajectories".')
    trajectories = []
    for i, member in enumerate(members):
        if not isinstance(member, Mapping):
            raise GroupError(f"trajectory {i} is a {type(member).__name__}, not an object.")
        if "messages" not in member:
            raise GroupError(f'trajectory {i} has no "messages".')
        known = {k: member[k] for k in ("messages", "tools", "id", "ground_truth", "metadata") if k in member}
        if known.get("metadata") is None:
            known.pop("metadata", None)
        try:
            trajectories.append(Trajectory(**known, histories=member.get("histories") or ()))
        except GroupError as error:
            raise GroupError(f"trajectory {i}: {error}") from None
    return TrajectoryGroup(
        trajectories,
        fields.get("id"),
        fields.get("task"),
        fields.get("rubric"),
        fields.get("metadata") or {},
        fields.get("reference"),
    )


def dump_line(record: Mapping[str, Any]) -> bytes:
    """A record as a line; lone surrogates, which UTF-8 cannot encode, stay JSON escapes."""
    try:
        return json.dumps(record, ensure_ascii=False, default=str).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, default=str).encode("ascii") + b"\n"


def ranked_record(fields: Mapping[str, Any], ranked: RankedGroup) -> dict[str, Any]:
    """The output record of a group: its line's own fields, and the ranking's. Results of an earlier ranking in the line
    are dropped."""
    own = {k: v for k, v in fields.items() if k not in RESULT_FIELDS}
    named = {} if ranked.group.id is None else {"id": ranked.group.id}
    return {**own, **named, **ranked.to_dict()}


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


def print_of(fields: Mapping[str, Any]) -> int:
    """A digest of everything a judge may be shown of a group, even and not 0; 0 if there are no attempts. It tells whether
    a verdict is about exactly these attempts."""
    members = fields.get("trajectories")
    if not isinstance(members, list):
        return 0
    shown = [{k: v for k, v in m.items() if k not in _HIDDEN} if isinstance(m, dict) else m for m in members]
    text = json.dumps([shown, [fields.get(k) for k in ("task", "rubric", "reference")]], default=str)
    return (int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big") | 1) + 1
