"""Group files: JSONL, one group a line."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.jsonl.id_index import Known
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

_HIDDEN = ("ground_truth", "metadata")  # of an attempt: no judge sees them


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


@dataclass(frozen=True, slots=True)
class Part:
    """Every `of`-th group of a file, from group `index` on, counted from 0."""

    index: int
    of: int


def read_lines(path: str | Path, part: Part | None = None, *, others: bool = False) -> Iterator[Line]:
    """Read a group file line by line; a bad line does not end the reading. ``.gz`` files are unpacked.

    Args:
        part: read only these groups.
        others: with `part`, yield the other groups' lines too, with their id alone: neither group nor error.

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
        told = getattr(error, "strerror", None) or error
        raise ConfigurationError(f"{path} cannot be read: {told}.") from None


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
    given = fields.get("id")
    return given if isinstance(given, str) and given else name, fields, None


def _line(raw: bytes, number: int) -> Line:
    name, fields, fault = _read_fields(raw, number)
    if fault is not None:
        return Line(number, name, None, GroupError(f"Line {number} {fault}"), fields)
    given = fields.get("id")
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


FAILED = 1


def print_of(fields: Mapping[str, Any]) -> int:
    """A digest of all that a judge may be shown of a group, even and not 0; 0 where there are no attempts. It tells
    whether a verdict is on the very attempts of a line."""
    members = fields.get("trajectories")
    if not isinstance(members, list):
        return 0
    shown = [{k: v for k, v in m.items() if k not in _HIDDEN} if isinstance(m, dict) else m for m in members]
    told = json.dumps([shown, [fields.get(k) for k in ("task", "rubric", "reference")]], default=str)
    return (int.from_bytes(hashlib.sha256(told.encode()).digest()[:7], "big") | FAILED) + 1


def _mark_of(record: Mapping[str, Any]) -> int:
    return FAILED if "error" in record else print_of(record)


def read_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that an Appender has opened; nothing of what is no regular file."""
    if Path(path).is_file():
        with open(path, "rb") as file:
            for raw in file:
                yield json.loads(raw)


class BeingWritten(ConfigurationError):
    """Another process is writing the file."""


class Appender:
    """Appends whole lines to a file of records that one process writes, and knows which ids it holds.

    A line cut off by a kill is removed on opening. A line that cannot be written whole (full disk) is
    taken back, so the file always ends with a complete one.

    Args:
        holds: keys of which every record has one.
        what: what a record is called in messages.

    Attributes:
        done: the ids the file holds, each with FAILED if it failed, else with its `print_of`; exact, and a few
            megabytes for any number of ids.

    Raises:
        BeingWritten: another process is writing the file.
        ConfigurationError: the file cannot be written, or holds something else.
    """

    def __init__(
        self, path: str | Path, *, holds: Sequence[str] = ("rewards", "error"), what: str = "ranked group"
    ):
        self.path = Path(path)
        self._holds, self._what = holds, what
        self._file = _open_locked(self.path)
        self.done = Known()
        try:
            if self.path.is_file():
                self._recover()
        except BaseException:
            self.close()
            raise

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
                    raise ConfigurationError(
                        f"{self.path}, line {number}, is no {self._what}; move the file away, or name another."
                    ) from None
                self.done.put(str(name), _mark_of(record))
                good += len(raw)
                if not raw.endswith(b"\n"):
                    os.write(self._file, b"\n")
                    good += 1
        os.ftruncate(self._file, good)

    def drop_failed(self) -> int:
        """Take the failed groups out of the file, so that they are tried again; returns how many.

        Raises:
            ConfigurationError: no room for the file without them; the file is as it was.
        """
        failed = self.done.count(FAILED)
        if failed:
            beside = self.path.with_name(self.path.name + ".partial")
            try:
                kept = _open_locked(
                    beside
                )  # locked before it takes the file's place: no moment without a lock
                try:
                    os.ftruncate(kept, 0)
                    with open(self.path, "rb") as file, open(beside, "ab") as copy:
                        copy.writelines(raw for raw in file if "error" not in json.loads(raw))
                    os.replace(beside, self.path)
                except BaseException:
                    os.close(kept)
                    beside.unlink(missing_ok=True)
                    raise
            except OSError as error:
                raise ConfigurationError(f"{beside} cannot be written: {error.strerror}.") from None
            self.close()
            self._file, self.done = kept, Known()
            self._recover()
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
        self.done.put(str(record["id"]), _mark_of(record))

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)
        self.done.close()


def _open_locked(path: Path) -> int:
    """A file opened for appending that no other process can open so until it is closed or this one ends."""
    import fcntl

    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(file)
            raise BeingWritten(f"Another process is writing {path}; wait for it.") from None
        try:
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except OSError:
            pass
        os.close(file)  # replaced or removed between opening and locking
