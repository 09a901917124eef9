"""An index of a JSONL file: where each group stands and what it can be filtered by. The file itself is never loaded.

It is an sqlite file in the folder of the reply cache, so that a file that was seen before opens at once, and it grows as
the file does. Whole batches of lines are committed together with the place they end at: a process that is killed loses
at most a batch, and several processes may index one file.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
import time
import weakref
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from ranker.errors import ConfigurationError
from ranker.runtime.transaction import transaction
from ranker.viewing.find import Cursor, Filter, match_of, query_of
from ranker.viewing.index_file import (
    TAIL,
    changed,
    clear,
    connect,
    evict,
    fact,
    folder_of_indices,
    name_of,
    prepare,
    put,
    remove,
)
from ranker.viewing.index_rows import hash_of, insert, judge_number
from ranker.viewing.lines import Stale, take
from ranker.viewing.records import STATES

_COUNTED = 10_000  # groups with some words, at most


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of the file and what the index has of it; see `rows.Row`."""

    line: int
    start: int
    length: int
    crc: int
    judge: str | None
    step: int | None
    size: int
    spread: float | None
    agreement: float | None
    state: str


@dataclass(frozen=True, slots=True)
class Facts:
    """Attributes:
    end: bytes indexed, of `size`.
    groups: lines indexed that hold a group or should.
    judges: groups of each.
    states: groups in each.
    steps: the first and the last; None where there are none.
    torn: whether the file ends in an incomplete line.
    bad: numbers and faults of the first bad lines.
    """

    end: int
    size: int
    groups: int
    judges: dict[str, int]
    states: dict[str, int]
    steps: tuple[int, int] | None
    torn: bool
    bad: tuple[tuple[int, str], ...]

    @property
    def done(self) -> bool:
        return self.torn or self.end >= self.size


class Index:
    """The index of one JSONL file, which may not be there yet.

    Attributes:
        file: what is indexed.
        path: where the index is.
    """

    def __init__(self, file: Path):
        self.file = file
        self._torn = False
        self.path = self._open()

    def _open(self) -> Path:
        folder = folder_of_indices()
        if folder is not None:
            path = folder / f"{name_of(self.file)}.sqlite"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                prepare(path, self.file)
                os.utime(path)
                evict(folder)
                return path
            except (OSError, sqlite3.Error):
                pass  # a full or read-only cache, or a damaged one: a temporary index does as well
        handle, name = tempfile.mkstemp(prefix="ranker-view-", suffix=".sqlite")
        os.close(handle)
        weakref.finalize(self, remove, Path(name))
        try:
            prepare(Path(name), self.file)
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"No index can be made ({error}): free some space in {Path(name).parent}, or set TMPDIR to another folder."
            ) from None
        return Path(name)

    def restart(self) -> None:
        """Begin anew: the file was replaced, or changed in its middle."""
        self._torn = False
        with self._db() as db:
            clear(db, self.file)

    @contextmanager
    def _db(self) -> Iterator[sqlite3.Connection]:
        """A connection.

        Raises:
            ConfigurationError: the index cannot be used.
        """
        try:
            with closing(connect(self.path)) as db:
                yield db
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"The index {self.path} cannot be used ({error}); free some space, remove it, or set RANKER_CACHE to "
                "another folder."
            ) from None

    def grow(self, seconds: float = 0.2) -> bool:
        """Index further lines for about so long; whether there may be more.

        Raises:
            Stale: the file became shorter, or is another one; `restart`.
            ConfigurationError: the file cannot be read, or the index not be written.
        """
        until = time.monotonic() + seconds
        try:
            with open(self.file, "rb") as file, self._db() as db:
                if changed(db, file):
                    raise Stale
                while True:
                    if not self._batch(db, file):
                        return False
                    if time.monotonic() > until:
                        return True
        except FileNotFoundError:
            return False  # it is still to come
        except OSError as error:
            raise ConfigurationError(f"{self.file} cannot be read: {error.strerror}.") from None

    def _batch(self, db: sqlite3.Connection, file: BinaryIO) -> bool:
        """Index a batch of lines; whether there may be more."""
        end, line = fact(db, "end", 0), fact(db, "line", 0)
        took = take(file, end, line, open_line=bool(fact(db, "open", 0)))
        self._torn = took.torn
        if took.end == end:
            return False
        with transaction(db):
            if fact(db, "end", 0) != end:  # another process was here
                return True
            insert(db, took)
            file.seek(max(0, took.end - TAIL))
            state = os.fstat(file.fileno())
            put(
                db,
                end=took.end,
                line=took.line,
                open=int(took.open),
                tail=file.read(took.end - max(0, took.end - TAIL)),
                mtime=state.st_mtime_ns,
                size=state.st_size,
            )
        return not took.torn and took.end < state.st_size

    def find(self, wanted: Filter, after: Cursor | None = None, most: int = 50) -> list[Entry]:
        """The next groups of a filter, in its order."""
        with self._db() as db:
            query = query_of(wanted, _match(db, wanted.words), judge_number(db, wanted.judge), after)
            names = _judges(db)
            rows = db.execute(
                f"SELECT groups.* FROM {query.sql} ORDER BY {query.order} LIMIT ?",  # noqa: S608 - no text from outside
                (*query.values, most),
            )
            return [_entry(row, names) for row in rows]

    def count(self, wanted: Filter) -> tuple[int, bool]:
        """How many groups pass a filter, and whether there may be more: those with common words are not all counted."""
        with self._db() as db:
            query = query_of(wanted, _match(db, wanted.words), judge_number(db, wanted.judge))
            counted = f"SELECT count(*) FROM {query.sql}"  # noqa: S608 - no text from outside
            if wanted.words:
                counted = f"SELECT count(*) FROM (SELECT 1 FROM {query.sql} LIMIT {_COUNTED + 1})"  # noqa: S608
            found = int(db.execute(counted, query.values).fetchone()[0])
            more = bool(wanted.words) and found > _COUNTED
            return (_COUNTED if more else found), more

    def entry(self, line: int) -> Entry | None:
        with self._db() as db:
            row = db.execute("SELECT * FROM groups WHERE line = ?", (line,)).fetchone()
            return None if row is None else _entry(row, _judges(db))

    def of_id(self, name: str, most: int = 16) -> list[Entry]:
        """The first lines about the group of this id. Another group may, rarely, be among them."""
        with self._db() as db:
            rows = db.execute(
                "SELECT groups.* FROM ids JOIN groups USING (line) WHERE hash = ? ORDER BY line LIMIT ?",
                (hash_of(name), most),
            )
            names = _judges(db)
            return [_entry(row, names) for row in rows]

    def read(self, entry: Entry) -> bytes:
        """The line itself.

        Raises:
            Stale: it is no longer there.
            ConfigurationError: the file cannot be read.
        """
        try:
            with open(self.file, "rb") as file:
                file.seek(entry.start)
                raw = file.read(entry.length)
        except FileNotFoundError:
            raise Stale from None
        except OSError as error:
            raise ConfigurationError(f"{self.file} cannot be read: {error.strerror}.") from None
        if zlib.crc32(raw) != entry.crc:
            raise Stale
        return raw

    def facts(self) -> Facts:
        """What is known of the file so far."""
        size = self.file.stat().st_size if self.file.exists() else 0
        with self._db() as db:
            found = dict(db.execute("SELECT name, value FROM facts"))
            judges = {
                _text(n): c
                for n, c in db.execute("SELECT name, groups FROM judges ORDER BY groups DESC LIMIT 100")
            }
            faults = tuple(db.execute("SELECT line, fault FROM faults ORDER BY line LIMIT 20"))
        states: dict[str, int] = {name: found.get(f"state {name}", 0) for name in STATES}
        low, high = found.get("step low"), found.get("step high")
        return Facts(
            end=found.get("end", 0),
            size=size,
            groups=sum(states.values()),
            judges=judges,
            states=states,
            steps=None if low is None or high is None else (low, high),
            torn=self._torn,
            bad=faults,
        )


def _match(db: sqlite3.Connection, words: str) -> str:
    """The words that are searched. Whole ones are found at once, while the groups of all words with a beginning must be
    gathered first: that is done where no group has the whole ones."""
    whole, begun = match_of(words)
    if begun and not db.execute("SELECT 1 FROM words WHERE words MATCH ? LIMIT 1", (whole,)).fetchone():
        return begun
    return whole


def _judges(db: sqlite3.Connection) -> dict[int, str]:
    return {number: _text(name) for number, name in db.execute("SELECT number, name FROM judges LIMIT 10000")}


def _entry(row: tuple[Any, ...], judges: dict[int, str]) -> Entry:
    line, start, length, crc, judge, step, size, spread, agreement, state = row
    judged_by = judges.get(judge)
    return Entry(line, start, length, crc, judged_by, step, size, spread, agreement, STATES[state])


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "surrogatepass")
