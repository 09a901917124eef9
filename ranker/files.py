"""Group files: JSONL, one group a line."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a group file: a group, or what is wrong with the line.

    Attributes:
        number: counted from 1.
        id: the group's id; ``line:N`` where it has none.
        fields: the line's object as read, empty where it is none.
    """

    number: int
    id: str
    group: TrajectoryGroup | None
    error: GroupError | None
    fields: Mapping[str, Any]


def read_lines(path: str | Path) -> Iterator[Line]:
    """Read a group file line by line; a bad line does not end the reading.

    Raises:
        ConfigurationError: the file cannot be read.
    """
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if raw.strip():
                    yield _line(raw, number)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None


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


def _line(raw: bytes, number: int) -> Line:
    name = f"line:{number}"
    try:
        fields = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        return Line(number, name, None, GroupError(f"Line {number} is not UTF-8: {error.reason}."), {})
    except (ValueError, RecursionError) as error:
        return Line(number, name, None, GroupError(f"Line {number} is not JSON: {error}."), {})
    if not isinstance(fields, dict):
        kind = type(fields).__name__
        return Line(number, name, None, GroupError(f"Line {number} is a {kind}, not an object."), {})
    given = fields.get("id")
    if isinstance(given, str) and given:
        name = given
    try:
        if given is not None and (not isinstance(given, str) or not given.isprintable() or not given):
            raise GroupError(f"a group's id must be printable text, not {given!r}.")
        return Line(number, name, group_from_dict({**fields, "id": name}), None, fields)
    except GroupError as error:
        return Line(number, name, None, GroupError(f"Line {number}: {error}"), fields)


def group_from_dict(fields: Mapping[str, Any]) -> TrajectoryGroup:
    """Make a group of a line's object; fields it does not know are left alone."""
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
    """A record as a line; lone surrogates, which UTF-8 cannot hold, stay JSON escapes."""
    try:
        return json.dumps(record, ensure_ascii=False, default=str).encode("utf-8") + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, default=str).encode("ascii") + b"\n"


def ranked_record(line: Line, ranked: RankedGroup) -> dict[str, Any]:
    """The output record of a group: its own fields, and what ranking added."""
    kept = {k: v for k, v in line.fields.items() if k != "error"}
    return {**kept, "id": line.id, **ranked.to_dict()}


def read_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that an Appender has opened; nothing of what is no regular file."""
    if Path(path).is_file():
        with open(path, "rb") as file:
            for raw in file:
                yield json.loads(raw)


class Appender:
    """Appends whole lines to a file of records that one process writes, and knows which ids it holds.

    A line cut off by a kill is removed on opening. A line that cannot be written whole (full disk) is
    taken back, so the file always ends with a complete one.

    Args:
        holds: keys of which every record has one.
        what: what a record is called in messages.

    Raises:
        ConfigurationError: the file cannot be written, or another process is writing it.
    """

    def __init__(
        self, path: str | Path, *, holds: Sequence[str] = ("rewards", "error"), what: str = "ranked group"
    ):
        import fcntl

        self.path = Path(path)
        self._holds, self._what = holds, what
        self.done: dict[str, bool] = {}  # id -> whether it failed
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ConfigurationError(f"Another process is writing {path}; wait for it.") from None
        if self.path.is_file():
            self._recover()

    def _recover(self) -> None:
        good = 0
        with open(self.path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                try:
                    record = json.loads(raw)
                    name = record["id"]
                    if not any(key in record for key in self._holds):
                        raise KeyError(self._holds)
                except (ValueError, KeyError, TypeError):
                    if not raw.endswith(b"\n"):
                        break  # the last line of a run that was killed
                    os.close(self._file)
                    raise ConfigurationError(
                        f"{self.path}, line {number}, is no {self._what}; move the file away, or name another."
                    ) from None
                self.done[name] = "error" in record
                good += len(raw)
                if not raw.endswith(b"\n"):
                    os.write(self._file, b"\n")
                    good += 1
        os.ftruncate(self._file, good)

    def drop_failed(self) -> int:
        """Take the failed groups out of the file, so that they are tried again; returns how many."""
        failed = sum(self.done.values())
        if failed:
            with open(self.path, "rb") as file:
                kept = [raw for raw in file if "error" not in json.loads(raw)]
            beside = self.path.with_name(self.path.name + ".partial")
            beside.write_bytes(b"".join(kept))
            os.replace(beside, self.path)
            os.close(self._file)
            self.__init__(self.path, holds=self._holds, what=self._what)  # type: ignore[misc]
        return failed

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record.

        Raises:
            ConfigurationError: it could not be written whole; the file is as it was.
        """
        line = dump_line(record)
        start = os.fstat(self._file).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            if self.path.is_file():
                os.ftruncate(self._file, start)
            raise ConfigurationError(
                f"{self.path} cannot be written ({error.strerror}). What it holds is complete; make room and "
                "run the same command again to go on."
            ) from None
        self.done[str(record["id"])] = "error" in record

    def close(self) -> None:
        os.close(self._file)
