"""The functions that the suite `code` asks for, and the words around them."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from ranker.suites.sandbox import Case, Tests
from ranker.suites.tables import load, load_split


@dataclass(frozen=True, slots=True)
class Style:
    """A right source, and slips: a label, a text in the source, and what stands there instead."""

    source: str
    slips: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class Function:
    """A function to write; the tables say what the fields hold."""

    signature: str
    asked: str
    example: tuple[str, str]
    cases: str
    styles: tuple[Style, ...]

    @property
    def name(self) -> str:
        return self.signature.partition("(")[0]

    @property
    def tests(self) -> Tests:
        """The hidden tests."""
        return _tests(self.name, self.cases)


@cache
def _tests(name: str, cases: str) -> Tests:
    return Tests(name, tuple(Case(*case) for case in ast.literal_eval(f"[{cases}]")))


@dataclass(frozen=True, slots=True)
class Words:
    """One split's functions and wordings; the tables say what the fields hold."""

    functions: tuple[Function, ...]
    systems: tuple[str, ...]
    tasks: tuple[str, ...]
    openers: tuple[str, ...]
    sentences: tuple[str, ...]
    docstrings: tuple[str, ...]
    comments: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Shared:
    """What both splits use: local names, and others that mean the same."""

    names: Mapping[str, tuple[str, ...]]


def words(held_out: bool) -> Words:
    return load_split(Words, "code", held_out)


def other_names() -> Mapping[str, tuple[str, ...]]:
    return load(Shared, "code_shared").names
