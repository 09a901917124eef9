"""Batches of lines as rows of an index."""

from __future__ import annotations

import hashlib
import sqlite3

from ranker.viewing.index_file import fact, put
from ranker.viewing.lines import Taken
from ranker.viewing.records import STATES


def insert(db: sqlite3.Connection, took: Taken) -> None:
    """Add a batch to the tables."""
    judges: dict[str | None, int | None] = {None: None}
    counts: dict[str, int] = {}
    for *_, row in took.rows:
        counts[row.state] = counts.get(row.state, 0) + 1
        if row.judge not in judges:
            judges[row.judge] = judge_number(db, row.judge, add=True)
    if took.faults:
        counts["bad"] = len(took.faults)
    db.executemany(
        "INSERT INTO groups VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            (*place, judges[r.judge], r.step, r.size, r.spread, r.agreement, STATES.index(r.state))
            for *place, r in took.rows
        ]
        + [(*place, None, None, 0, None, None, STATES.index("bad")) for *place, _ in took.faults],
    )
    db.executemany("INSERT INTO ids VALUES (?, ?)", [(hash_of(row.id), line) for line, *_, row in took.rows])
    db.executemany(
        "INSERT INTO words (rowid, text) VALUES (?, ?)",
        [(line, _plain(row.text)) for line, *_, row in took.rows],
    )
    db.executemany(
        "INSERT INTO faults VALUES (?, ?)", [(line, _plain(fault)) for line, *_, fault in took.faults]
    )
    for name, number in judges.items():
        among = sum(row.judge == name for *_, row in took.rows) if name is not None else 0
        db.execute("UPDATE judges SET groups = groups + ? WHERE number = ?", (among, number))
    for name, count in counts.items():
        put(db, **{f"state {name}": fact(db, f"state {name}", 0) + count})
    steps = [row.step for *_, row in took.rows if row.step is not None]
    if steps:
        put(
            db,
            **{
                "step low": min(*steps, fact(db, "step low", min(steps))),
                "step high": max(*steps, fact(db, "step high", max(steps))),
            },
        )


def judge_number(db: sqlite3.Connection, name: str | None, *, add: bool = False) -> int | None:
    """The number of a judge."""
    if name is None:
        return None
    blob = name.encode("utf-8", "surrogatepass")
    if add:
        db.execute("INSERT OR IGNORE INTO judges (name, groups) VALUES (?, 0)", (blob,))
    row = db.execute("SELECT number FROM judges WHERE name = ?", (blob,)).fetchone()
    return None if row is None else int(row[0])


def _plain(text: str) -> str:
    """Text that UTF-8 can hold."""
    return text.encode("utf-8", "replace").decode()


def hash_of(name: str) -> int:
    """Of an id, as sqlite keeps it."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)
