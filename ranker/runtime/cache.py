"""Replies kept on disk, so that no verdict is paid for twice.

sqlite3 in WAL mode: many processes may read and write one file. Rows hold JSON, no pickles. A cache
that fails (full disk, broken file) is reported once and left alone: the run goes on.
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

log = logging.getLogger("ranker")

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS replies "
    "(key TEXT PRIMARY KEY, judge TEXT NOT NULL, made REAL NOT NULL, reply TEXT NOT NULL)"
)


def cache_path() -> Path | None:
    """Where replies are kept: ``$RANKER_CACHE`` (a file, a folder, or ``off``), else the user's
    cache folder."""
    named = os.environ.get("RANKER_CACHE", "")
    if named.lower() == "off":
        return None
    if named:
        path = Path(named).expanduser()
        return path if path.suffix and not path.is_dir() else path / "replies.sqlite"
    import platformdirs

    return Path(platformdirs.user_cache_dir("ranker")) / "replies.sqlite"


def cache_key(**shapes: Any) -> str:
    """Key of everything that shapes a reply. Pass no secret."""
    text = json.dumps(shapes, sort_keys=True, ensure_ascii=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class CacheSummary:
    path: Path
    bytes: int
    replies: dict[str, int]  # by judge


class Cache:
    """Replies by key. Safe to use from several threads and, one object each, processes."""

    def __init__(self, path: Path):
        self.path = path
        self._lock = threading.Lock()
        self._db: sqlite3.Connection | None = None
        self._pid = 0
        self._broken = False

    def get(self, key: str) -> dict[str, Any] | None:
        rows = self._run("SELECT reply FROM replies WHERE key = ?", (key,))
        try:
            found = json.loads(rows[0][0]) if rows else None
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def put(self, key: str, judge: str, reply: dict[str, Any]) -> None:
        text = json.dumps(reply, separators=(",", ":"))
        self._run("INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?)", (key, judge, time.time(), text))

    def summary(self) -> CacheSummary:
        rows = self._run("SELECT judge, count(*) FROM replies GROUP BY judge ORDER BY judge") or []
        size = self.path.stat().st_size if self.path.exists() else 0
        return CacheSummary(self.path, size, dict(rows))

    def clear(self, judge: str | None = None) -> int:
        """Delete the replies of `judge`, or all; returns how many."""
        where, values = ("", ()) if judge is None else (" WHERE judge = ?", (judge,))
        rows = self._run(f"DELETE FROM replies{where} RETURNING 1", values) or []  # noqa: S608
        self._run("VACUUM")
        return len(rows)

    def _run(self, sql: str, values: tuple[Any, ...] = ()) -> list[Any] | None:
        if self._broken:
            return None
        try:
            with self._lock:
                return self._connection().execute(sql, values).fetchall()
        except (sqlite3.Error, OSError) as error:
            self._broken = True
            log.warning(
                "The reply cache %s cannot be used (%s); going on without it. Free the disk or set "
                "RANKER_CACHE to another path or to off.", self.path, error,
            )  # fmt: skip
            return None

    def _connection(self) -> sqlite3.Connection:
        if self._db is None or self._pid != os.getpid():  # a connection must not cross a fork
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(self.path, timeout=30, isolation_level=None, check_same_thread=False)
            self._pid = os.getpid()
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=NORMAL")
            self._db.execute(_SCHEMA)
        return self._db


_open: dict[Path, Cache] = {}


def open_cache(setting: str | Path | Cache | bool | None = None) -> Cache | None:
    """The cache a user asked for: None for the default, False or ``"off"`` for none, or a path."""
    if isinstance(setting, Cache):
        return setting
    if setting is False or (isinstance(setting, str) and setting.lower() == "off"):
        return None
    if setting is True:
        raise ConfigurationError("cache takes a path, 'off' or None for the default.")
    path = cache_path() if setting is None else Path(setting).expanduser()
    if path is None:
        return None
    return _open.setdefault(path, Cache(path))
