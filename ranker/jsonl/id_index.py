"""An index of ids with a number each, for millions of ids in a few megabytes."""

from __future__ import annotations

import sqlite3
import weakref

from ranker.errors import ConfigurationError

_CACHE_KIB = 8_192  # kept in memory; the rest goes to an unnamed temporary file


class IdIndex:
    """Ids and an integer for each. Exact: ids are not hashed, so none is mistaken for another.

    Up to about 100,000 ids stay in memory; beyond that they go to an unnamed temporary file that disappears with the
    process, some 40 bytes plus the id's own length for each. ``$SQLITE_TMPDIR`` sets its folder.
    """

    def __init__(self) -> None:
        self._db = db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        db.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        db.execute("PRAGMA journal_mode = OFF")
        db.execute("CREATE TABLE ids (name BLOB PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID")
        db.execute("BEGIN")  # never committed: there is no other reader
        self._finish = weakref.finalize(self, db.close)

    def put(self, name: str, value: int) -> None:
        """Set the value of `name`."""
        self._run("INSERT OR REPLACE INTO ids VALUES (?, ?)", name, value)

    def remove(self, name: str) -> None:
        """Forget `name`, if it is there."""
        self._run("DELETE FROM ids WHERE name = ?", name)

    def setdefault(self, name: str, value: int) -> int:
        """The value of `name`, which becomes `value` if it has none."""
        existing = self.get(name)
        if existing is not None:
            return existing
        self.put(name, value)
        return value

    def get(self, name: str) -> int | None:
        """The value of `name`; None if it has none."""
        return self._run("SELECT value FROM ids WHERE name = ?", name)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM ids").fetchone()[0])

    def count(self, value: int) -> int:
        """The number of names with this value."""
        return int(self._db.execute("SELECT count(*) FROM ids WHERE value = ?", (value,)).fetchone()[0])

    def close(self) -> None:
        """Delete everything and free its space."""
        self._finish()

    def _run(self, sql: str, name: str, *values: int) -> int | None:
        try:
            row = self._db.execute(sql, (name.encode("utf-8", "surrogatepass"), *values)).fetchone()
        except sqlite3.OperationalError as error:
            raise ConfigurationError(
                f"The groups' ids cannot be stored ({error}); free some space in the folder of temporary files, or set "
                "SQLITE_TMPDIR to another."
            ) from None
        return None if row is None else int(row[0])
