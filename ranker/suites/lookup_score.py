"""What a reply of the lookup suite answers, and what that is worth: as `lookup` says."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from ranker.suites.lookup_text import Answer, Domain, Item, Row, Rows, Task

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
    return sorted(set(_names(task.domain).findall(text)) - {row[0] for row in task.rows})


def credit(item: Item, answer: Answer) -> float:
    """What an answer is worth, from 0 to 1."""
    truth = item.truth
    if answer is None or truth is None:
        return 0.0
    if isinstance(truth, Rows):
        return _rows_credit(truth, answer) if isinstance(answer, Rows) else 0.0
    if isinstance(truth, str):
        return float(answer in (truth, (truth,)))
    names = answer if isinstance(answer, tuple) else (answer,) if isinstance(answer, str) else ()
    if item.kind == "list":
        return len(set(truth) & set(names)) / len(set(truth) | set(names))
    pairs = list(itertools.combinations(names, 2))
    wanted = list(itertools.combinations(truth, 2))
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
    labels, block = _labels(task), _block(task)
    passages: list[list[Any]] = []
    for line, record in _lines(task, text):
        if record and block:
            form, row = record
            wanted = next((r for r in block.rows if r[0] == row[0]), ())
            same = sum(a == b for a, b in zip(wanted, row, strict=False)) / len(row)
            passages.append([line.strip(), same * (1.0 if form == block.form else 0.5)])
            continue
        for part in _parts(line):
            of, rest = _labelled(part, labels)
            if len(of) == 1 and (answer := _answer(task, task.items[of[0]], rest)) is not None:
                passages.append([part.strip(), credit(task.items[of[0]], answer)])
    points = [credit(item, answer) for item, answer in zip(task.items, read(task, text), strict=True)]
    return {"points": points, "passages": passages}


# Reading a reply


def read(task: Task, text: str) -> list[Answer]:
    """What the text answers to each item; None where it gives nothing."""
    answers: list[Answer] = [None] * len(task.items)
    labels, block = _labels(task), _block(task)
    rows: dict[str, list[Row]] = {}
    for line, record in _lines(task, text):
        if record:
            form, row = record
            if row not in rows.setdefault(form, []):
                rows[form].append(row)
            continue
        marked = _MARKED.match(line)
        for part in _parts(line[marked.end() :] if marked else line):
            of, rest = _labelled(part, labels)
            if not of and marked and 0 < int(marked[1]) <= len(answers):
                of = [int(marked[1]) - 1]
            if len(of) == 1:
                answer = _answer(task, task.items[of[0]], rest)
                answers[of[0]] = answers[of[0]] if answer is None else answer
    if block and rows:
        form = max(rows, key=lambda name: len(rows[name]))
        answers = [
            Rows(form, tuple(rows[form])) if x.truth is block else a
            for x, a in zip(task.items, answers, strict=True)
        ]
    return answers


def _block(task: Task) -> Rows | None:
    """The records that the task wants written out."""
    return next((item.truth for item in task.items if isinstance(item.truth, Rows)), None)


def _lines(task: Task, text: str) -> Iterator[tuple[str, tuple[str, Row] | None]]:
    """The lines of a text; with its format and values where one is a record that the task wants written out."""
    labels, block = _labels(task), _block(task)
    for line in text.splitlines():
        record = _row(line, task.domain) if block else None
        yield line, None if record and _labelled(line, labels)[0] else record


def _labels(task: Task) -> list[tuple[str, int]]:
    """The phrases that name items, the longest first."""
    return sorted(
        ((core.removeprefix("the ").lower(), i) for i, item in enumerate(task.items) for core in item.cores),
        key=lambda label: (-len(label[0]), label),
    )


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


def _answer(task: Task, item: Item, text: str) -> Answer:
    """The value or the names in a text without the item's phrase."""
    if isinstance(item.truth, Rows):
        return None
    patterns = [_NUMBER]
    if item.kind in ("who", "most", "list", "order"):
        patterns = [_names(task.domain)]
    elif item.kind != "count":  # where a number was asked for, a word may stand
        number = task.domain.fields[item.field].kind != "cat"
        patterns = [_NUMBER, _values(task.domain)] if number else [_values(task.domain)]
    for pattern in patterns:
        if matches := tuple(dict.fromkeys(pattern.findall(text))):
            return matches
    return None


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


def _row(line: str, domain: Domain) -> tuple[str, Row] | None:
    """The format and the values of a line that is a record."""
    head = domain.head
    line = line.strip()
    form, cells = "", []
    if line.startswith("{") and line.endswith("}"):
        try:
            record = json.loads(line)
        except ValueError:
            return None
        form, cells = "jsonl", [str(record.get(name, "")) for name in head]
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
