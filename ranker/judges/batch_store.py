"""Batches, their requests and replies on disk, so that a killed process can resume."""

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
from ranker.runtime.transaction import check_database, transaction

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches
    (mark TEXT PRIMARY KEY, batch TEXT, owner TEXT NOT NULL, made REAL NOT NULL, ended INTEGER NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS requests (key TEXT PRIMARY KEY, mark TEXT NOT NULL, reply TEXT);
CREATE INDEX IF NOT EXISTS by_mark ON requests (mark)
"""
_ORPHANED_AFTER = 900.0  # seconds after which another machine's batch without an id counts as never created


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of requests.

    Attributes:
        mark: our own id, sent as metadata, by which the batch can be found again.
        batch: the provider's id; None while the batch is being created or if that was interrupted.
        orphan: whether the process that was creating it is gone.
    """

    mark: str
    batch: str | None
    orphan: bool


class BatchStore:
    """A sqlite file of batches and their requests; several processes may share it.

    The key of a request is a hash of its content, so an identical request finds its batch or reply again.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._owner = f"{socket.gethostname()}:{os.getpid()}"
        with self._errors_as_configuration():
            self._db = sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False)
            weakref.finalize(self, self._db.close)
            check_database(self._db, self.path, "batches")
            for statement in _SCHEMA.split(";"):
                self._db.execute(statement)

    def reply(self, key: str) -> str | None:
        """The raw reply to a request; None if there is none yet."""
        row = self._row("SELECT reply FROM requests WHERE key = ?", key)
        return None if row is None or row[0] is None else str(row[0])

    def mark_of(self, key: str) -> str | None:
        """The mark of the batch of a request without a reply; None if it is in no batch."""
        row = self._row("SELECT mark FROM requests WHERE key = ? AND reply IS NULL", key)
        return None if row is None else str(row[0])

    def batch(self, mark: str) -> Batch | None:
        """An open batch; None if it has ended or was abandoned."""
        row = self._row("SELECT batch, owner, made FROM batches WHERE mark = ? AND NOT ended", mark)
        if row is None:
            return None
        return Batch(
            mark,
            None if row[0] is None else str(row[0]),
            row[0] is None and self._is_orphaned(str(row[1]), float(str(row[2]))),
        )

    def begin(self, mark: str, keys: Iterable[str]) -> None:
        """Record the requests of a batch before anything is sent."""
        with self._transaction():
            self._db.execute(
                "INSERT INTO batches (mark, owner, made) VALUES (?, ?, ?)", (mark, self._owner, time.time())
            )
            self._db.executemany(
                "INSERT OR REPLACE INTO requests VALUES (?, ?, NULL)", ((k, mark) for k in keys)
            )

    def set_id(self, mark: str, batch: str) -> None:
        """Record the provider's id of a batch."""
        with self._transaction():
            self._db.execute("UPDATE batches SET batch = ? WHERE mark = ?", (batch, mark))

    def end(self, mark: str, replies: Iterable[tuple[str, str]] = ()) -> None:
        """Store the replies of a batch that has ended; its requests without a reply may be sent again."""
        with self._transaction():
            self._db.executemany(
                "UPDATE requests SET reply = ? WHERE key = ?", ((reply, key) for key, reply in replies)
            )
            self._db.execute("DELETE FROM requests WHERE mark = ? AND reply IS NULL", (mark,))
            self._db.execute("UPDATE batches SET ended = 1 WHERE mark = ?", (mark,))

    def forget(self, keys: Iterable[str]) -> None:
        """Delete the replies to these requests."""
        with self._transaction():
            self._db.executemany("DELETE FROM requests WHERE key = ?", ((key,) for key in keys))

    def _is_orphaned(self, owner: str, created: float) -> bool:
        host, _, pid = owner.rpartition(":")
        if owner == self._owner:
            return True  # this process would know its id
        if host != socket.gethostname():
            return time.time() - created > _ORPHANED_AFTER
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return time.time() - created > _ORPHANED_AFTER  # the pid may have been reused

    def _row(self, sql: str, value: str) -> tuple[object, ...] | None:
        with self._errors_as_configuration():
            row: tuple[object, ...] | None = self._db.execute(sql, (value,)).fetchone()
            return row

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors_as_configuration(), transaction(self._db):
            yield

    @contextmanager
    def _errors_as_configuration(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise ConfigurationError(
                f"The batch store {self.path} cannot be used ({error}). Without it requests could be billed "
                "twice, so nothing is sent; free disk space or repair the file."
            ) from None
