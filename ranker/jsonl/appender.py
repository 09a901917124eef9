"""A JSONL file of records that grows by whole lines, whenever its process is killed."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import dump_line, print_of
from ranker.jsonl.id_index import IdIndex
from ranker.jsonl.torn_line import begins_record, is_cut_off, opening_first
from ranker.runtime.file_lock import lock

FAILED = 1
RANKED = ("rewards", "error")


def read_records(path: str | Path) -> Iterator[dict[str, Any]]:
    """The objects of a JSONL file that an Appender has opened; none if it is not a regular file."""
    if Path(path).is_file():
        with open(path, "rb") as file:
            for raw in file:
                yield json.loads(raw)


class BeingWritten(ConfigurationError):
    """Another process is writing the file."""


class Appender:
    """Appends whole lines to a file of records that only one process writes, and indexes the ids it holds.

    On opening, an incomplete last record is removed if it is recognizably one: it follows whole records, or begins with
    an id and one of `holds`. Any other file is refused and left unchanged. A line that cannot be written whole (full
    disk) is removed again, so the file always ends with a complete one.

    Args:
        holds: keys of which every record has one.
        what: the name of a record in messages.

    Attributes:
        done: the ids in the file, each with FAILED if it failed, else with its `print_of`.

    Raises:
        BeingWritten: another process is writing the file.
        ConfigurationError: the file cannot be written, or holds other content.
    """

    def __init__(self, path: str | Path, *, holds: Sequence[str] = RANKED, what: str = "ranked group"):
        self.path = Path(path)
        self._holds, self._what = holds, what
        self._file = _open_locked(self.path)
        self.done = IdIndex()
        try:
            self._recover()
        except BaseException:
            self.close()
            raise

    def _recover(self) -> None:
        end, size = self._check(self.path, self._file, self.done)
        if end < size:
            if os.fstat(self._file).st_size != size:
                raise ConfigurationError(f"{self.path} changed while it was read; another program writes it.")
            os.ftruncate(self._file, end)
        elif size and os.pread(self._file, 1, size - 1) != b"\n":
            try:
                os.write(self._file, b"\n")
            except OSError as error:
                raise self._full(error) from None

    def _check(self, path: Path, file: int, done: IdIndex) -> tuple[int, int]:
        """The offsets at which the last whole record and the file end; both 0 if it is not a regular file.

        Raises:
            ConfigurationError: it holds anything but whole records and at most one incomplete one at its end.
        """
        end = 0
        if not stat.S_ISREG(os.fstat(file).st_mode):
            return end, end
        with open(file, "rb", closefd=False) as lines:
            lines.seek(0)
            for number, raw in enumerate(lines, start=1):
                try:
                    record = json.loads(raw)
                    name = record["id"]
                    if not isinstance(name, str) or not any(key in record for key in self._holds):
                        raise KeyError(self._holds)
                except (ValueError, KeyError, TypeError, RecursionError):
                    cut_off = not raw.endswith(b"\n") and is_cut_off(raw)
                    if cut_off and (end or begins_record(raw, self._holds)):
                        return end, end + len(raw)
                    raise self._foreign(path, number, cut_off) from None
                done.put(name, _mark_of(record))
                end += len(raw)
        return end, end

    def _foreign(self, path: Path, number: int, cut_off: bool) -> ConfigurationError:
        hint = "If a kill of an earlier version cut it off, delete the line; else move" if cut_off else "Move"
        return ConfigurationError(
            f"{path}, line {number}, is no {self._what}; Ranker does not change files that it did not write. {hint} the "
            "file away, or name another."
        )

    def drop_failed(self) -> int:
        """Remove the failed groups from the file, so that they are retried; returns how many.

        Raises:
            ConfigurationError: no space for the file without them, or another file of that name; the file is unchanged.
        """
        failed = self.done.count(FAILED)
        if failed:
            target = Path(os.path.realpath(self.path))  # a link stays one
            beside = target.with_name(target.name + ".partial")
            copy = _open_locked(beside)  # locked before it replaces the file: never without a lock
            try:
                self._check(beside, copy, IdIndex())  # a run that was killed may have left it
            except BaseException:
                os.close(copy)
                raise
            try:
                os.ftruncate(copy, 0)
                with open(self.path, "rb") as lines, open(copy, "ab", closefd=False) as rest:
                    rest.writelines(raw for raw in lines if "error" not in json.loads(raw))
                os.replace(beside, target)
            except BaseException as error:
                os.close(copy)
                beside.unlink(missing_ok=True)
                if isinstance(error, OSError):
                    raise ConfigurationError(f"{beside} cannot be written: {error.strerror}.") from None
                raise
            self.close()
            self._file, self.done = copy, IdIndex()
            self._recover()
        return failed

    def write(self, record: Mapping[str, Any]) -> int:
        """Append one record; returns where in the file it begins.

        Raises:
            ConfigurationError: it could not be written whole; the file is unchanged.
        """
        line = dump_line(opening_first(record, self._holds))
        start = os.fstat(self._file).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            if self.path.is_file():
                os.ftruncate(self._file, start)
            raise self._full(error) from None
        self.done.put(str(record["id"]), _mark_of(record))
        return start

    def _full(self, error: OSError) -> ConfigurationError:
        return ConfigurationError(
            f"{self.path} cannot be written ({error.strerror}). Its contents are complete; free some space and run the same "
            "command again to continue."
        )

    def take_back(self, name: str, start: int) -> None:
        """Remove the last record, which `write` put there.

        Args:
            name: its id.
            start: what `write` returned.

        Raises:
            ConfigurationError: the file does not end with it.
        """
        size = os.fstat(self._file).st_size
        last = os.pread(self._file, size - start, start) if start < size else b""
        try:
            record = json.loads(last)  # of more than one line: no JSON
        except ValueError:
            record = {}
        if record.get("id") != name:
            raise ConfigurationError(
                f"{self.path} does not end with {name!r}; another program has changed it."
            )
        os.ftruncate(self._file, start)
        self.done.remove(name)

    def sync(self) -> None:
        """Wait until everything written is on disk."""
        os.fsync(self._file)

    def close(self) -> None:
        os.close(self._file)
        self.done.close()


def _mark_of(record: Mapping[str, Any]) -> int:
    return FAILED if "error" in record else print_of(record)


def _open_locked(path: Path) -> int:
    """A file opened for appending and locked until it is closed or this process ends."""
    while True:
        try:
            file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            if not lock(file, path):
                raise BeingWritten(f"Another process is writing {path}; wait for it.")
        except BaseException:
            os.close(file)
            raise
        try:
            if os.path.samestat(os.fstat(file), os.stat(path)):
                return file
        except OSError:
            pass
        os.close(file)  # replaced or removed between opening and locking
