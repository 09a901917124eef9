"""What was sent to a batch API and what came back, on disk: a killed process goes on where it stopped."""

from __future__ import annotations

import os
import socket
import sqlite3
import time
import weakref
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.runtime.transaction import transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches
    (mark TEXT PRIMARY KEY, batch TEXT, owner TEXT NOT NULL, made REAL NOT NULL, ended INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS requests (key TEXT PRIMARY KEY, mark TEXT NOT NULL, reply TEXT);
CREATE INDEX IF NOT EXISTS by_mark ON requests (mark)
"""
_FORGOTTEN = 900.0  # seconds after which a batch of another machine that has no id is taken for never made


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of requests.

    Attributes:
        mark: our name for it, sent along with it, so that it can be found again.
        batch: the provider's id; None where its making was cut short, or is going on.
        orphan: whether nobody is making it any more.
    """

    mark: str
    batch: str | None
    orphan: bool


class BatchStore:
    """A sqlite file of batches and their requests; several processes may share it.

    A request is known by a hash of everything in it, so the same question finds its batch, or its reply, again.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        with self._told():
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._db.close)
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)

    def reply(self, key: str) -> str | None:
        """The reply to a request, as the provider sent it."""
        row = self._row("SELECT reply FROM requests WHERE key = ?", key)
        return None if row is None or row[0] is None else str(row[0])

    def mark_of(self, key: str) -> str | None:
        """The batch a request without reply was put into; None where there is none."""
        row = self._row("SELECT mark FROM requests WHERE key = ? AND reply IS NULL", key)
        return None if row is None else str(row[0])

    def batch(self, mark: str) -> Batch | None:
        """An open batch; None where it has ended or was given up."""
        row = self._row("SELECT batch, owner, made FROM batches WHERE mark = ? AND NOT ended", mark)
        if row is None:
            return None
        return Batch(
            mark,
            None if row[0] is None else str(row[0]),
            row[0] is None and self._left(str(row[1]), float(str(row[2]))),
        )

    def begin(self, mark: str, keys: Iterable[str]) -> None:
        """Note, before anything is sent, what a batch will hold."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO batches (mark, owner, made) VALUES (?, ?, ?)", (mark, self._owner, time.time())
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO requests VALUES (?, ?, NULL)", ((k, mark) for k in keys)
            )

    def made(self, mark: str, batch: str) -> None:
        """Note the id the provider gave a batch."""
        with self._transaction():
            self._db.execute("UPDATE batches SET batch = ? WHERE mark = ?", (batch, mark))

    def end(self, mark: str, replies: Iterable[tuple[str, str]] = ()) -> None:
        """Keep the replies of a batch that has ended; its requests without one may be sent again."""
        with self._transaction():
            self._db.executemany(
                "UPDATE requests SET reply = ? WHERE key = ?", ((reply, key) for key, reply in replies)
            )
            self._db.execute("DELETE FROM requests WHERE mark = ? AND reply IS NULL", (mark,))
            self._db.execute("UPDATE batches SET ended = 1 WHERE mark = ?", (mark,))

    def forget(self, keys: Iterable[str]) -> None:
        """Forget the replies to some requests."""
        with self._transaction():
            self._db.executemany("DELETE FROM requests WHERE key = ?", ((key,) for key in keys))

    def _left(self, owner: str, made: float) -> bool:
        host, _, pid = owner.rpartition(":")
        if owner == self._owner:
            return True  # we would know its id
        if host != socket.gethostname():
            return time.time() - made > _FORGOTTEN
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return time.time() - made > _FORGOTTEN  # another process may have the number by now

    def _row(self, sql: str, value: str) -> tuple[object, ...] | None:
        with self._told():
            row: tuple[object, ...] | None = self._db.execute(sql, (value,)).fetchone()
            return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._told(), transaction(self._db):
            yield

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"{self.path}, where batches are noted, cannot be used ({error}). Without it requests could be paid "
                "twice, so nothing is sent; make room or mend it."
            ) from None
