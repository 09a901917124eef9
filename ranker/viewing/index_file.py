"""The sqlite file of an index: where it is, its tables, and whether it still belongs to the file it was made of."""

from __future__ import annotations

import hashlib
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, BinaryIO

from ranker.runtime.cache import cache_path
from ranker.runtime.transaction import transaction

TAIL = 256  # bytes before the end that tell whether a file only grew
_VERSION = 1  # of the tables and of what is put into them
_KEPT = 12  # indices in the folder
_BUSY = 30.0  # seconds that another process may hold the file
_SCHEMA = """
CREATE TABLE facts (name TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE groups (line INTEGER PRIMARY KEY, start INTEGER, length INTEGER, crc INTEGER, judge INTEGER, step INTEGER,
                     size INTEGER, spread REAL, agreement REAL, state INTEGER);
CREATE TABLE ids (hash INTEGER, line INTEGER, PRIMARY KEY (hash, line)) WITHOUT ROWID;
CREATE TABLE judges (number INTEGER PRIMARY KEY, name BLOB UNIQUE, groups INTEGER);
CREATE TABLE faults (line INTEGER PRIMARY KEY, fault TEXT);
CREATE VIRTUAL TABLE words USING fts5(text, content='', columnsize=0, detail=none);
"""


def connect(path: Path) -> sqlite3.Connection:
    """A connection in autocommit mode."""
    db = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    db.execute("PRAGMA synchronous = NORMAL")
    return db


def prepare(path: Path, file: Path) -> None:
    """Make the tables, unless they are there; empty them where they are of what the file was before."""
    for _ in range(2):
        with closing(connect(path)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version in (0, _VERSION):
                with transaction(db):
                    if not db.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
                        for statement in filter(str.strip, _SCHEMA.split(";")):
                            db.execute(statement)
                        db.execute(f"PRAGMA user_version = {_VERSION}")
                if _is_stale(db, file):
                    clear(db, file)
                return
        remove(path)  # of another version
    raise sqlite3.OperationalError("another version makes it again and again")


def clear(db: sqlite3.Connection, file: Path) -> None:
    """Empty the tables, unless another process did: whoever reads meanwhile sees all or nothing."""
    with transaction(db):
        if _is_stale(db, file):
            for table in ("facts", "groups", "ids", "judges", "faults"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 - one of these names
            db.execute("INSERT INTO words (words) VALUES ('delete-all')")


def _is_stale(db: sqlite3.Connection, file: Path) -> bool:
    try:
        with open(file, "rb") as opened:
            return changed(db, opened)
    except OSError:
        return bool(fact(db, "end", 0))


def changed(db: sqlite3.Connection, file: BinaryIO) -> bool:
    """Whether what was indexed is no longer there: the file became shorter, or differs before the end of the index, or
    was written again in place."""
    end, state = fact(db, "end", 0), os.fstat(file.fileno())
    if not end:
        return False
    if state.st_size < end or (
        state.st_size == fact(db, "size", 0) and state.st_mtime_ns != fact(db, "mtime", 0)
    ):
        return True
    file.seek(max(0, end - TAIL))
    return bool(file.read(end - max(0, end - TAIL)) != fact(db, "tail", b""))


def fact(db: sqlite3.Connection, name: str, default: Any) -> Any:
    """What is noted under a name."""
    row = db.execute("SELECT value FROM facts WHERE name = ?", (name,)).fetchone()
    return default if row is None else row[0]


def put(db: sqlite3.Connection, **facts: Any) -> None:
    """Note facts."""
    db.executemany("INSERT OR REPLACE INTO facts VALUES (?, ?)", facts.items())


def folder_of_indices() -> Path | None:
    """Where indices are kept; None where nothing is."""
    cache = cache_path()
    return None if cache is None else cache.with_name("views")


def name_of(file: Path) -> str:
    """The name of a file's index."""
    return hashlib.sha256(os.path.realpath(file).encode("utf-8", "surrogateescape")).hexdigest()[:24]


def evict(folder: Path) -> None:
    """Keep the indices that were used last."""
    every = sorted(folder.glob("*.sqlite"), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in every[_KEPT:]:
        remove(path)


def remove(path: Path) -> None:
    """Remove an index."""
    for suffix in ("", "-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
