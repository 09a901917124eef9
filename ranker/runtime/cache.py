"""A reply cache on disk, so that no verdict is paid for twice.

sqlite3 in WAL mode: several processes may read and write the file. Rows hold JSON, no pickles. A cache
that fails (full disk, corrupt file) is reported once and then ignored: the run continues. One that another process
has locked is not waited for: a reply that is asked for meanwhile counts as missing, one to be kept is written later, in
a thread.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.runtime.transaction import check_database, is_busy

log = logging.getLogger("ranker")

_AT_ONCE = 0.05  # seconds that an event loop waits for a lock
_AT_LAST = 30.0  # seconds that a thread waits, or a command
_PAUSE = 1.0  # seconds after such a wait in which a locked file is left alone
_FAULTS = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)  # of a damaged file, too
_PUT = "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)"
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies "
    "(key TEXT PRIMARY KEY, judge TEXT NOT NULL, made REAL NOT NULL, reply TEXT NOT NULL)"
)


def cache_path() -> Path | None:
    """Path of the cache: ``$RANKER_CACHE`` (a file, a folder, or ``off``), else in the user's cache
    folder; None if it is off."""
    setting = os.environ.get("RANKER_CACHE", "")
    if setting.lower() == "off":
        return None
    if setting:
        path = Path(os.path.expanduser(setting))
        return path if path.suffix and not path.is_dir() else path / "replies.sqlite"
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranker")) / "replies.sqlite"


def cache_key(**inputs: Any) -> str:
    """A key from everything that influences a reply. Do not pass secrets."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CacheSummary:
    path: Path
    bytes: int
    replies: dict[str, int]  # by judge


class Cache:
    """Replies by key. Thread-safe; each process needs its own object."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._left_behind: list[
            Any
        ] = []  # of the process that this one was forked from; not to be closed here
        self._broken = False
        self._locked_until = 0.0  # by the monotonic clock
        self._late: list[tuple[Any, ...]] = []  # rows that wait for a lock
        self._writer: threading.Thread | None = None

    def get(self, key: str) -> dict[str, Any] | None:
        rows = self._run("SELECT reply FROM replies WHERE key = ?", (key,))
        try:
            reply = json.loads(rows[0][0]) if rows else None
        except (ValueError, TypeError, RecursionError):
            return None
        return reply if isinstance(reply, dict) else None

    def put(self, key: str, judge: str, reply: dict[str, Any]) -> None:
        row = (key, judge, time.time(), json.dumps(reply, separators=(",", ":")))
        if self._run(_PUT, row) is None and not self._broken:
            self._write_later(row)

    def summary(self) -> CacheSummary:
        rows = self._run(
            "SELECT judge, count(*) FROM replies GROUP BY judge ORDER BY judge", patience=_AT_LAST
        )
        size = self.path.stat().st_size if self.path.exists() else 0
        return CacheSummary(self.path, size, dict(rows or []))

    def clear(self, judge: str | None = None) -> int:
        """Delete the replies of `judge`, or of all judges; returns their number."""
        where, values = ("", ()) if judge is None else (" WHERE judge = ?", (judge,))
        rows = self._run(f"DELETE FROM replies{where} RETURNING 1", values, _AT_LAST) or []  # noqa: S608
        self._run("VACUUM", patience=_AT_LAST)
        return len(rows)

    def _run(self, sql: str, values: tuple[Any, ...] = (), patience: float = _AT_ONCE) -> list[Any] | None:
        """The rows of a statement; None if the file cannot be used now."""
        if self._pid != os.getpid():  # neither locks nor connections cross a fork
            self._left_behind.append(self._db)
            self._lock, self._db, self._writer, self._pid = threading.Lock(), None, None, os.getpid()
        if self._broken or (patience == _AT_ONCE and time.monotonic() < self._locked_until):
            return None
        try:
            with self._lock:
                if self._db is None:
                    self._db = _connect(self.path, patience)
                if patience != _AT_ONCE:  # of a command, which does nothing else
                    self._db.execute(f"PRAGMA busy_timeout = {int(patience * 1000)}")
                return self._db.execute(sql, values).fetchall()
        except _FAULTS as error:
            if isinstance(error, sqlite3.Error) and is_busy(error) and patience == _AT_ONCE:
                self._locked_until = time.monotonic() + _PAUSE
            else:
                self._give_up(error)
            return None

    def _write_later(self, row: tuple[Any, ...]) -> None:
        """Write a row in a thread that may wait. The process does not end before it has."""
        with self._lock:
            self._late.append(row)
            if self._writer is None:
                self._writer = threading.Thread(target=self._write_late, name="ranker-cache")
                self._writer.start()

    def _write_late(self) -> None:
        db: sqlite3.Connection | None = None
        try:
            db = _connect(self.path, _AT_LAST)
            while True:
                with self._lock:
                    rows, self._late = self._late, []
                    if not rows:
                        self._writer = None
                        return
                db.executemany(_PUT, rows)
        except _FAULTS as error:
            self._give_up(error)
        finally:
            if db is not None:
                db.close()

    def _give_up(self, error: Exception) -> None:
        self._broken = True
        log.warning(
            "The reply cache %s cannot be used (%s); continuing without it. Free the disk or set RANKER_CACHE to "
            "another path or to off.", self.path, error,
        )  # fmt: skip


def _connect(path: Path, patience: float) -> sqlite3.Connection:
    path.parent.mkdir(parents=True, exist_ok=True)
    db = sqlite3.connect(path, timeout=patience, isolation_level=None, check_same_thread=False)
    db.text_factory = lambda raw: raw.decode(
        errors="replace"
    )  # an entry with damaged bytes is no reply, and no error
    check_database(db, path, "replies")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=NORMAL")
    db.execute(_SCHEMA)
    return db


_open: dict[Path, Cache] = {}


def open_cache(setting: str | Path | Cache | bool | None = None) -> Cache | None:
    """The cache for a user setting: None for the default, False or ``"off"`` for none, or a path."""
    if isinstance(setting, Cache):
        return setting
    if setting is False or (isinstance(setting, str) and setting.lower() == "off"):
        return None
    if setting is True:
        raise ConfigurationError("cache takes a path, 'off' or None for the default.")
    path = cache_path() if setting is None else Path(os.path.expanduser(setting))
    if path is None:
        return None
    return _open.setdefault(path, Cache(path))
