"""The checkers of the constraints suite: each says from a text alone whether it meets one kind of constraint.

Words are runs of letters, digits, apostrophes and inner hyphens; the marks of list items are none. Words are
compared without regard to case, in exactly the form given. A sentence ends with ".", "!" or "?" before white
space, a closing quotation mark, single or double, or the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ranker.suites.tables import load

_WORD = re.compile(r"\w(?:[\w'’-]*\w)?")
_MARK = re.compile(r"^(?:- |\d+\. )", re.MULTILINE)
_STOP = re.compile(r"[.!?]+[\"”'’]?(?=\s|$)")
_QUOTES = '"“”'


@dataclass(frozen=True, slots=True)
class Constraint:
    """One requirement: its kind, what it asks for, and how the task words it."""

    kind: str
    value: Any
    text: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What both splits use; the table says what the fields hold."""

    verbs: tuple[str, ...]
    years: tuple[int, ...]
    longer: tuple[str, ...]
    clashes: tuple[tuple[str, ...], ...]
    by_letter: Mapping[str, tuple[str, ...]]


shared = partial(load, Shared, "constraints_shared")


def words(text: str) -> list[str]:
    """The words of a text in lower case."""
    return _WORD.findall(_MARK.sub("", text).lower())


def lines(text: str) -> list[str]:
    """The lines of a text that hold something."""
    return [line.strip() for line in text.splitlines() if line.strip()]


def sentences(text: str) -> list[str]:
    """The sentences of a text; list items and lines end one even without a stop."""
    return [s.strip() for line in lines(_MARK.sub("", text)) for s in _STOP.split(line) if words(s)]


def _items(text: str, mark: str = "- ") -> list[str]:
    """The items of a text that is a list and nothing else, a title line excepted; otherwise none."""
    items = lines(text)
    if items and items[0].isupper() and not items[0].startswith(mark):
        items = items[1:]
    return [x[len(mark) :] for x in items] if all(x.startswith(mark) for x in items) else []


def _numbered(text: str, count: int) -> bool:
    return [line.partition(" ")[0] for line in lines(text)] == [f"{k}." for k in range(1, count + 1)]


def _alphabetical(text: str, count: int) -> bool:
    items = [words(item) for item in _items(text)]
    return len(items) == count and items == sorted(items)


def _verbs(text: str, count: int) -> bool:
    verbs = shared().verbs
    items = [words(item) for item in _items(text)]
    return len(items) == count and all(item and item[0] in verbs for item in items)


def _title(text: str) -> bool:
    first, *rest = lines(text)
    return bool(rest) and first.isupper() and not _STOP.search(first)


CHECKS: Mapping[str, Callable[[str, Any], bool]] = {
    "sentences": lambda text, v: len(_STOP.findall(text)) == v,
    "bullets": lambda text, v: len(_items(text)) == v,
    "numbered": _numbered,
    "alphabetical": _alphabetical,
    "verbs": _verbs,
    "acrostic": lambda text, v: "".join(line[0] for line in lines(text)).upper() == v,
    "most": lambda text, v: len(words(text)) <= v,
    "least": lambda text, v: len(words(text)) >= v,
    "between": lambda text, v: v[0] <= len(words(text)) <= v[1],
    "each": lambda text, v: all(len(words(s)) <= v for s in sentences(text)),
    "word": lambda text, v: v in words(text),
    "twice": lambda text, v: words(text).count(v) == 2,
    "avoid": lambda text, v: v not in words(text),
    "comma": lambda text, v: "," not in text,
    "exclaim": lambda text, v: text.rstrip().endswith("!"),
    "start": lambda text, v: words(text)[:1] == [v.lower()],
    "end": lambda text, v: words(text)[-1:] == [v],
    "lower": lambda text, v: text == text.lower(),
    "quoted": lambda text, v: len(text) > 1 and text[0] in _QUOTES and text[-1] in _QUOTES,
    "number": lambda text, v: str(v) in words(text),
    "title": lambda text, v: _title(text),
    "question": lambda text, v: text.count("?") == 1,
}


def met(text: str, constraint: Constraint) -> bool:
    """Whether a text meets a constraint; an empty one meets none."""
    return bool(words(text)) and CHECKS[constraint.kind](text, constraint.value)


def score(text: str, constraints: Sequence[Constraint]) -> float:
    """The weighted share of the constraints met. The last listed weighs 1, each one before it 0.1 more: of two
    texts that meet as many, the one that meets the earlier listed is better, but a text that meets more is
    better than one that meets fewer."""
    weights = [10 + k for k in reversed(range(len(constraints)))]  # in tenths
    gained = sum(w for w, c in zip(weights, constraints, strict=True) if met(text, c))
    return round(gained / sum(weights), 4)
