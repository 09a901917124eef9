"""What a reply of the lookup suite answers, and what that is worth: as `lookup` says."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ranker.suites.lookup_text import Answer, Item, Row, Rows, Task
from ranker.suites.lookup_words import Domain

_NUMBER = re.compile(r"(?<![\w.:-])\d+(?:[-:.]\d+)*(?!\w)")
_MARKED = re.compile(r"^[-*\s]*\(?(\d)[.)]\s+")
PER_INVENTED = 0.05


def score(task: Task, text: str) -> float:
    """How good a reply is, as the module says."""
    answers = read(task, text)
    right = sum(credit(item, answer) for item, answer in zip(task.items, answers, strict=True))
    off = PER_INVENTED * len(invented(task, text))
    return round(max(0.0, right / len(task.items) - off), 4)


def invented(task: Task, text: str) -> list[str]:
    """Names that the text holds, of the domain's records, and the material does not."""
    known = [row[0] for row in task.rows]
    return sorted(set(_names(task.domain).findall(text)) - set(known))


def credit(item: Item, answer: Answer) -> float:
    """What an answer is worth, from 0 to 1."""
    truth = item.truth
    if answer is None or truth is None:
        return 0.0
    if isinstance(truth, Rows):
        return _rows_credit(truth, answer) if isinstance(answer, Rows) else 0.0
    if isinstance(truth, str):
        return float(answer in (truth, (truth,)))
    given = answer if isinstance(answer, tuple) else (answer,) if isinstance(answer, str) else ()
    if item.kind == "list":
        return len(set(truth) & set(given)) / len(set(truth) | set(given))
    pairs = [(a, b) for i, a in enumerate(given) for b in given[i + 1 :]]
    wanted = [(a, b) for i, a in enumerate(truth) for b in truth[i + 1 :]]
    return sum(pair in pairs for pair in wanted) / max(len(wanted), len(pairs))


def _rows_credit(truth: Rows, answer: Rows) -> float:
    by_name = {row[0]: row for row in answer.rows}
    cells = right = 0
    for row in truth.rows:
        cells += len(row)
        right += sum(a == b for a, b in zip(row, by_name.get(row[0], ()), strict=False))
    extra = max(0, len(answer.rows) - len(truth.rows)) * len(truth.rows[0])
    return right / (cells + extra) * (1.0 if answer.form == truth.form else 0.5)


def marks(task: Task, text: str) -> dict[str, Any]:
    """What the answer to each item is worth, and that of each line that answers one."""
    answers = read(task, text)
    passages: list[list[Any]] = []
    labels = _labels(task)
    block = next((item for item in task.items if isinstance(item.truth, Rows)), None)
    for line in text.splitlines():
        row = None if block is None else _row(line, _head(task), task.domain)
        of, _ = _labelled(line, labels)
        if row and block is not None and isinstance(block.truth, Rows) and not of:
            wanted = next((r for r in block.truth.rows if r[0] == row[1][0]), ())
            same = sum(a == b for a, b in zip(wanted, row[1], strict=False)) / len(row[1])
            passages.append([line.strip(), same * (1.0 if row[0] == block.truth.form else 0.5)])
            continue
        for part in _parts(line):
            of, given = _labelled(part, labels)
            if len(of) == 1 and (answer := _given(task, task.items[of[0]], given)) is not None:
                passages.append([part.strip(), credit(task.items[of[0]], answer)])
    return {
        "points": [credit(item, answer) for item, answer in zip(task.items, answers, strict=True)],
        "passages": passages,
    }


# Reading a reply


def read(task: Task, text: str) -> list[Answer]:
    """What the text answers to each item; None where it gives nothing."""
    found: list[Answer] = [None] * len(task.items)
    labels, head = _labels(task), _head(task)
    block = next((i for i, item in enumerate(task.items) if isinstance(item.truth, Rows)), None)
    rows: dict[str, list[Row]] = {}
    for line in text.splitlines():
        row = None if block is None else _row(line, head, task.domain)
        if row and not _labelled(line, labels)[0]:
            if row[1] not in rows.setdefault(row[0], []):
                rows[row[0]].append(row[1])
            continue
        marked = _MARKED.match(line)
        for part in _parts(line[marked.end() :] if marked else line):
            of, given = _labelled(part, labels)
            if not of and marked and 0 < int(marked[1]) <= len(found):
                of = [int(marked[1]) - 1]
            if len(of) == 1:
                answer = _given(task, task.items[of[0]], given)
                found[of[0]] = found[of[0]] if answer is None else answer
    if block is not None and rows:
        form = max(rows, key=lambda name: len(rows[name]))
        found[block] = Rows(form, tuple(rows[form]))
    return found


def _labels(task: Task) -> list[tuple[str, int]]:
    """The phrases that name items, the longest first."""
    return sorted(
        ((core.removeprefix("the ").lower(), i) for i, item in enumerate(task.items) for core in item.cores),
        key=lambda label: (-len(label[0]), label),
    )


def _head(task: Task) -> list[str]:
    return [task.domain.key, *(f.name for f in task.domain.fields)]


def _parts(line: str) -> list[str]:
    return re.split(r"(?<=[.!?])\s+|;\s", line)


def _labelled(part: str, labels: Sequence[tuple[str, int]]) -> tuple[list[int], str]:
    """The items that a part of the text names, and what else it says."""
    of: list[int] = []
    low = part.lower()
    for label, i in labels:
        while (at := low.find(label)) >= 0:
            if i not in of:
                of.append(i)
            part = f"{part[:at]}\t{part[at + len(label) :]}"
            low = part.lower()
    return of, part


def _given(task: Task, item: Item, text: str) -> Answer:
    """The value or the names that a text without the item's phrase gives."""
    if isinstance(item.truth, Rows):
        return None
    if item.kind in ("who", "most", "list", "order"):
        found = tuple(dict.fromkeys(_names(task.domain).findall(text)))
    else:
        field = task.domain.fields[item.field]
        number = item.kind == "count" or field.kind != "cat"
        found = tuple(dict.fromkeys((_NUMBER if number else _values(task.domain)).findall(text)))
        if number and not found and item.kind != "count":  # a number was asked for, a word is given
            found = tuple(dict.fromkeys(_values(task.domain).findall(text)))
    return found or None


@lru_cache(maxsize=128)
def _names(domain: Domain) -> re.Pattern[str]:
    return _any(domain.names)


@lru_cache(maxsize=128)
def _values(domain: Domain) -> re.Pattern[str]:
    """The words that the domain's columns hold, its names included."""
    return _any([*domain.names, *(v for f in domain.fields for v in f.values)])


def _any(words: Sequence[str]) -> re.Pattern[str]:
    longest = sorted(words, key=lambda word: (-len(word), word))
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])")


def _row(line: str, head: Sequence[str], domain: Domain) -> tuple[str, Row] | None:
    """The format and the values of a line that is a record."""
    line = line.strip()
    form, cells = "", []
    if line.startswith("{") and line.endswith("}"):
        try:
            made = json.loads(line)
        except ValueError:
            return None
        form, cells = "jsonl", [str(made.get(name, "")) for name in head]
    elif line.startswith("|"):
        form, cells = "table", line.strip("|").split("|")
    elif line.startswith(f"{head[0]}="):
        pairs = dict(part.partition("=")[::2] for part in line.split(", "))
        form, cells = "pairs", [pairs.get(name, "") for name in head]
    else:
        for name, mark in (("slashes", " / "), ("semi", ";"), ("csv", ",")):
            if mark in line:
                form, cells = name, line.split(mark)
                break
    row = tuple(cell.strip() for cell in cells)
    return (form, row) if len(row) == len(head) and row[0] in domain.names else None
