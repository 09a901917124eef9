"""The services of the suite `toolenv`, with their words, tools and rules. Training and held-out ones share none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranker.suites.tables import load, load_split


@dataclass(frozen=True, slots=True)
class Extra:
    """The second thing a customer may ask for."""

    tool: str
    field: str
    on_record: bool
    values: tuple[str, ...]
    asked: str
    done: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Service:
    """A service with people, records and tools; the tables say what the fields hold."""

    name: str
    orgs: tuple[str, ...]
    desk: str
    person: str
    record: str
    records: str
    find: str
    verify: str
    listing: str
    read: str
    act: str
    case: str
    gift: str
    article: str
    person_key: str
    record_key: str
    record_prefix: str
    thing_field: str
    thing_word: str
    things: tuple[str, ...]
    target_field: str
    targets: tuple[str, ...]
    asked: str
    done: tuple[str, ...]
    decider: str
    levels: tuple[str, str, str]
    base: str
    prices: tuple[int, int]
    amount: str
    fee_rule: str
    flags: tuple[str, ...]
    case_word: str
    gift_word: str
    extras: tuple[Extra, ...]
    topics: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Voice:
    """One split's services and wordings; the tables say what the fields hold."""

    services: tuple[Service, ...]
    systems: tuple[str, ...]
    letters: tuple[str, ...]
    case: tuple[str, ...]
    undone: tuple[str, ...]
    openers: tuple[str, ...]
    closers: tuple[str, ...]
    thoughts: Mapping[str, tuple[str, ...]]
    retries: tuple[str, ...]
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Shared:
    """What both splits use; the table says what the fields hold."""

    first_names: tuple[str, ...]
    last_names: tuple[str, ...]
    towns: tuple[str, ...]
    mistakes: tuple[tuple[float, float, Mapping[str, Any]], ...]


def voice(held_out: bool) -> Voice:
    return load_split(Voice, "toolenv", held_out)


def shared() -> Shared:
    return load(Shared, "toolenv_shared")
