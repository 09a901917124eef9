"""A sqlite file that several processes write: all or nothing, and in no other program's file."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Run the block in a write transaction on `db`, which is in autocommit mode; roll back on failure."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:  # some failures end the transaction
            db.execute("ROLLBACK")
        raise


def check_database(db: sqlite3.Connection, path: Path, table: str) -> None:
    """Refuse a file that is there and was not made by us; nothing is written.

    Args:
        table: the one that is made first.

    Raises:
        sqlite3.DatabaseError: it is no database, or one of other tables.
    """
    with open(path, "rb") as file:
        head = file.read(16)
    if head and head != b"SQLite format 3\0":  # sqlite itself takes a file of one byte for an empty one
        raise sqlite3.DatabaseError("file is not a database")
    tables = {str(name) for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and table not in tables:
        raise sqlite3.DatabaseError(f"it is another program's database, with {', '.join(sorted(tables))}")


def is_busy(error: sqlite3.Error) -> bool:
    """Whether another process has locked the file, so that the same statement may work later."""
    return (getattr(error, "sqlite_errorcode", 0) & 0xFF) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
