"""What is looked for in a list of groups, and the SQL that finds it in an index.

Filters scan the whole table, which is narrow for this reason: a million rows take a fraction of a second in any
combination of filters and any order, where separate indices would be quick for some and slow for others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ranker.viewing.records import STATES, State

Order = Literal["file", "agreement", "spread", "step"]
Cursor = tuple[float | None, int]
_WORD = re.compile(r"[^\W_]+")
_PREFIX = 3  # characters from which the last word may be the beginning of one


@dataclass(frozen=True, slots=True)
class Filter:
    """Attributes:
    words: all of them stand in a group's text; the last may be the beginning of one, if no group has it as it is.
    judge: its name.
    state: whether the group was ranked, tied, failed.
    agreement, spread: the least and the most; None for no bound.
    steps: of these only; None for all.
    order, descending: groups without a value come last either way.
    """

    words: str = ""
    judge: str | None = None
    state: State | None = None
    agreement: tuple[float | None, float | None] = (None, None)
    spread: tuple[float | None, float | None] = (None, None)
    steps: Sequence[int] | None = None
    order: Order = "file"
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """A part of a statement after FROM, and its values."""

    sql: str
    values: tuple[Any, ...]
    order: str


def query_of(wanted: Filter, words: str, judge: int | None, after: Cursor | None = None) -> Query:
    """The rows of a filter.

    Args:
        words: those of the filter as `match_of` has them.
        judge: the number of the judge that the filter names; None where it names none.
        after: value and line of the row that the last page ended with.
    """
    tables = "groups"
    where: list[str] = []
    values: list[Any] = []
    if words:
        tables = "words CROSS JOIN groups ON groups.line = words.rowid"
        where.append("words MATCH ?")
        values.append(words)
    if wanted.judge is not None:
        where.append("judge = ?")
        values.append(-1 if judge is None else judge)
    if wanted.state is not None:
        where.append("state = ?")
        values.append(STATES.index(wanted.state))
    for name, bounds in (("agreement", wanted.agreement), ("spread", wanted.spread)):
        for bound, sign in zip(bounds, (">=", "<="), strict=True):
            if bound is not None:
                where.append(f"{name} {sign} ?")
                values.append(bound)
    if wanted.steps is not None and len(wanted.steps) == 1:  # quicker than a list of one
        where.append("step = ?")
        values.append(wanted.steps[0])
    elif wanted.steps is not None:
        where.append("step IN (SELECT value FROM json_each(?))")
        values.append(json.dumps(list(wanted.steps)))
    order, beyond, more = _order(wanted, bool(words), after)
    where += beyond
    values += more
    condition = f" WHERE {' AND '.join(where)}" if where else ""
    return Query(tables + condition, tuple(values), order)


def match_of(words: str) -> tuple[str, str]:
    """The words as FTS5 takes them, each quoted, so that none is read as an operator; and with the last as the beginning of
    a word, empty where that is not asked for."""
    found = _WORD.findall(words)
    whole = " ".join(f'"{word}"' for word in found)
    begun = bool(found) and words[-1:].isalnum() and len(found[-1]) >= _PREFIX
    return whole, f"{whole}*" if begun else ""


def _order(wanted: Filter, with_words: bool, after: Cursor | None) -> tuple[str, list[str], list[Any]]:
    """ORDER BY, and what keeps out the rows up to the cursor."""
    if wanted.order == "file":
        sign, way = ("<", "DESC") if wanted.descending else (">", "ASC")
        return (
            f"{'words.rowid' if with_words else 'groups.line'} {way}",  # FTS5 has its rows in this order
            [] if after is None else [f"groups.line {sign} ?"],
            [] if after is None else [after[1]],
        )
    key, way, sign = wanted.order, "DESC" if wanted.descending else "ASC", "<" if wanted.descending else ">"
    order = f"{key} IS NULL, {key} {way}, groups.line"
    if after is None:
        return order, [], []
    value, line = after
    if value is None:
        return order, [f"{key} IS NULL AND groups.line > ?"], [line]
    return (
        order,
        [f"({key} {sign} ? OR ({key} = ? AND groups.line > ?) OR {key} IS NULL)"],
        [value, value, line],
    )
