"""A set of names with a number each, for millions of names in a few megabytes."""

from __future__ import annotations

import sqlite3
import weakref

from ranker.errors import ConfigurationError

_CACHE_KIB = 8_192  # what is kept in memory; the rest lies in a nameless temporary file


class Known:
    """Names and a whole number for each, exact whatever their number: no hashing, so no name is ever taken
    for another.

    Up to about 100,000 names stay in memory; beyond that they lie in a temporary file that has no name and
    vanishes with the process, some 40 bytes and the name's own length for each. ``$SQLITE_TMPDIR`` says where.
    """

    def __init__(self) -> None:
        self._db = db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("CREATE TABLE known (name BLOB PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        db.execute("BEGIN")  # never committed: nobody else reads it
        self._finish = weakref.finalize(self, db.close)

    def put(self, name: str, value: int) -> None:
        """Know `name`; a later value replaces the earlier one."""
        self._run("INSERT OR REPLACE INTO known VALUES (?, ?)", name, value)

    def first(self, name: str, value: int) -> int:
        """The value that `name` was given first, which is `value` if it was not known."""
        found = self._run("SELECT value FROM known WHERE name = ?", name)
        if found is None:
            self._run("INSERT INTO known VALUES (?, ?)", name, value)
        return value if found is None else found

    def __contains__(self, name: str) -> bool:
        return self._run("SELECT value FROM known WHERE name = ?", name) is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM known").fetchone()[0])

    def get(self, name: str) -> int | None:
        """The value of `name`; None where it is not known."""
        return self._run("SELECT value FROM known WHERE name = ?", name)

    def count(self, value: int) -> int:
        """How many names have this value."""
        return int(self._db.execute("SELECT count(*) FROM known WHERE value = ?", (value,)).fetchone()[0])

    def close(self) -> None:
        """Forget everything and free its place."""
        self._finish()

    def _run(self, sql: str, name: str, *values: int) -> int | None:
        try:
            row = self._db.execute(sql, (name.encode("utf-8", "surrogatepass"), *values)).fetchone()
        except sqlite3.OperationalError as error:
            raise ConfigurationError(
                f"The ids of the groups cannot be kept ({error}); make room in the folder of temporary files, or set "
                "SQLITE_TMPDIR to another."
            ) from None
        return None if row is None else int(row[0])
