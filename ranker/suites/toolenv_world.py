"""The world of the suite `toolenv`: services, a task's people and records, and the tools that read and change them.

Training and held-out services share no words, tools and rules.
"""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any

from ranker.suites.attempts import tool
from ranker.suites.tables import load, load_split

Key = tuple[str, str]  # what is changed, and which field of it

AMBIGUOUS, STALE, FLAGGED = 0.6, 0.7, 0.2  # how often a task has each trap


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
    tools: Mapping[str, tuple[str, Mapping[str, str]]]


voice = partial(load_split, Voice, "toolenv")


shared = partial(load, Shared, "toolenv_shared")


@dataclass(frozen=True)
class Task:
    """What a customer asks for, and all that the service knows.

    Attributes:
        people: by id; the first is the customer, a second one has the same name.
        records: by id, as they are; `owner` is never shown.
        listed: what last night's list says of the deciding field.
        record: the id of the record that is meant.
        target, extra, value: what is asked for: the record's new target, and the second request.
        rates: the fee in percent by the deciding field.
        today: the day.
    """

    service: Service
    people: Mapping[str, Mapping[str, Any]]
    records: Mapping[str, Mapping[str, Any]]
    listed: Mapping[str, str]
    record: str
    target: str
    extra: Extra
    value: str
    rates: Mapping[str, int]
    today: datetime.date

    @cached_property
    def person(self) -> str:
        return next(iter(self.people))

    @property
    def flagged(self) -> bool:
        return bool(self.records[self.record]["flag"] != "none")

    def fee(self, record: str, level: str | None = None) -> float:
        """What changing the record costs, by its own level or another."""
        fields = self.records[record]
        cents = fields[self.service.base] * self.rates[level or fields[self.service.decider]]
        return float(round(cents) / 100)

    @cached_property
    def wanted(self) -> dict[Key, Any]:
        """The changes that the request and the rules ask for."""
        s, owner = self.service, self.record if self.extra.on_record else self.person
        wanted: dict[Key, Any] = {(self.person, "verified"): True, (owner, self.extra.field): self.value}
        if self.flagged:
            wanted[self.record, "case"] = True
        else:
            wanted[self.record, s.target_field] = self.target
            wanted[self.record, s.amount] = self.fee(self.record)
        return wanted

    @cached_property
    def words(self) -> dict[str, str]:
        """What the wordings are filled with."""
        s, person = self.service, self.people[self.person]
        thing = self.records[self.record][s.thing_field]
        asked = {"thing": thing, "target": said(self.target), "value": self.value}
        return {
            "name": person["name"],
            "town": person["town"],
            "postcode": person["postcode"],
            "thing": s.thing_word.format(thing=thing),
            "first": s.asked.format(**asked),
            "second": self.extra.asked.format(**asked),
            "today": said(self.today.isoformat()),
            "rates": ", ".join(f"{k} {rate} %" if rate else f"{k} nothing" for k, rate in self.rates.items()),
            **{name: getattr(s, name) for name in _SERVICE_WORDS},
        }


_SERVICE_WORDS = (
    "desk", "person", "record", "records", "verify", "read", "case", "case_word", "gift_word", "fee_rule",
)  # fmt: skip


def said(target: str) -> str:
    """A target as it is said: dates in words."""
    if len(target) == 10 and target[4] == target[7] == "-":
        day = datetime.date.fromisoformat(target)
        return f"{day.day} {day:%B} {day.year}"
    return target


def money(amount: float) -> str:
    return f"EUR {amount:.2f}" if amount else "EUR 0"


def draw_task(service: Service, draw: random.Random) -> Task:
    """A task of the service, with its traps."""
    s = service
    today = datetime.date(2026, 1, 7) + datetime.timedelta(days=draw.randrange(300))
    customers = shared()
    name = f"{draw.choice(customers.first_names)} {draw.choice(customers.last_names)}"
    count = 2 if draw.random() < AMBIGUOUS else 1
    towns = draw.sample(customers.towns, count)
    people: dict[str, dict[str, Any]] = {}
    records: dict[str, dict[str, Any]] = {}
    listed: dict[str, str] = {}
    things = draw.sample(s.things, 4)
    numbers = draw.sample(range(10000, 99999), 6)
    for k, town in enumerate(towns):
        person = f"{s.person[0].upper()}{draw.randrange(1000, 9999)}{k}"
        people[person] = {"name": name, "town": town, "postcode": _postcode(draw), "phone": _phone(draw)}
        for thing in (things[0], *things[k + 1 : k + (3 if draw.random() < 0.5 or k else 2)]):
            record = f"{s.record_prefix}-{numbers.pop()}"
            level = draw.choice(s.levels)
            records[record] = {
                "owner": person,
                s.thing_field: thing,
                s.target_field: _target(s, today, draw),
                s.decider: level,
                s.base: draw.randrange(*s.prices),
                "flag": "none",
            }
            listed[record] = level
    record = next(iter(records))
    if draw.random() < STALE:
        listed[record] = draw.choice([level for level in s.levels if level != records[record][s.decider]])
    if draw.random() < FLAGGED:
        records[record]["flag"] = draw.choice(s.flags)
    extra = draw.choice(s.extras)
    target = _target(s, today, draw, records[record][s.target_field])
    value = draw.choice(extra.values) if extra.values else _phone(draw)
    high = draw.choice((40, 45, 50, 60, 75))
    percents = (high, draw.choice((10, 15, 20, 25, 30)), draw.choice((0, 0, 5)))
    rates = dict(zip(s.levels, percents, strict=True))
    return Task(s, people, records, listed, record, target, extra, value, rates, today)


def _target(s: Service, today: datetime.date, draw: random.Random, other_than: str = "") -> str:
    if s.targets:
        return draw.choice([target for target in s.targets if target != other_than])
    while True:
        day = (today + datetime.timedelta(days=draw.randrange(4, 60))).isoformat()
        if day != other_than:
            return day


def _phone(draw: random.Random) -> str:
    return f"0{draw.randrange(150, 180)} {draw.randrange(100, 999)} {draw.randrange(1000, 9999)}"


def _postcode(draw: random.Random) -> str:
    return f"{draw.choice('ABCDEFGHKLMNPR')}{draw.randrange(1, 30)} {draw.randrange(1, 9)}{draw.choice('ABDEFGHJL')}{draw.choice('NPQRSTUW')}"


@lru_cache(maxsize=64)
def tools(s: Service) -> list[dict[str, Any]]:
    """The service's tools, in OpenAI format."""
    names = {"service": s, "person": s.person_key, "record": s.record_key}
    every = [(getattr(s, of), *tool) for of, tool in shared().tools.items()]
    for extra in s.extras:
        owner, key = (s.record, "{record}") if extra.on_record else (s.person, "{person}")
        text = f"Set the {extra.field.replace('_', ' ')} of one {owner}."
        every.append((extra.tool, text, {key: "string", extra.field: "string"}))
    return [
        tool(name, text.format(**names), **{key.format(**names): {"type": kind} for key, kind in of.items()})
        for name, text, of in every
    ]


@dataclass(slots=True)
class World:
    """A task's database during one attempt."""

    task: Task
    changed: dict[Key, Any] = field(default_factory=dict)

    def call(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """What a tool returns. The arguments must fit its definition."""
        task, s = self.task, self.task.service
        changes = changes_of(task, name, arguments)
        self.changed.update(changes)
        if name == s.find:
            matches = [(key, p) for key, p in task.people.items() if p["name"] == arguments["name"]]
            return {"matches": [{s.person_key: k, "name": p["name"], "town": p["town"]} for k, p in matches]}
        if name == s.verify:
            return {s.person_key: arguments[s.person_key], "postcode_matches": bool(changes)}
        if name == s.listing:
            return self._list(arguments[s.person_key])
        if name == s.article:
            return {"topic": arguments["topic"], "text": s.topics[arguments["topic"]]}
        if name in {s.read, s.act}:
            return self._record(arguments[s.record_key])
        if name == s.case:
            return {"case": "opened", s.record_key: arguments[s.record_key], "reason": arguments["reason"]}
        return {"status": "ok", **arguments}

    def _list(self, person: str) -> dict[str, Any]:
        task, s = self.task, self.task.service
        shown = (s.thing_field, s.target_field, s.decider, s.base)
        rows = [
            {s.record_key: key, **{name: r[name] for name in shown}, s.decider: task.listed[key]}
            for key, r in task.records.items()
            if r["owner"] == person
        ]
        return {"as_of": f"{task.today}T02:00", s.records: rows}

    def _record(self, key: str) -> dict[str, Any]:
        own = {name: value for name, value in self.task.records[key].items() if name != "owner"}
        new = {name: value for (of, name), value in self.changed.items() if of == key and name != "case"}
        first = {self.task.service.record_key: key, "as_of": f"{self.task.today}T{_clock(key)}"}
        return {**first, **own, **new}


def _clock(key: str) -> str:
    number = int(key[-5:])
    return f"{9 + number % 8:02}:{number % 60:02}"


def changes_of(task: Task, name: str, arguments: Mapping[str, Any]) -> dict[Key, Any]:
    """What a call changes, when it does not time out."""
    s = task.service
    if name == s.verify:
        person = arguments[s.person_key]
        return (
            {(person, "verified"): True} if task.people[person]["postcode"] == arguments["postcode"] else {}
        )
    if name == s.act:
        key = arguments[s.record_key]
        return {(key, s.target_field): arguments[s.target_field], (key, s.amount): arguments[s.amount]}
    if name == s.case:
        return {(arguments[s.record_key], "case"): True}
    if name == s.gift:
        return {(arguments[s.person_key], "gift"): arguments["amount"]}
    for extra in s.extras:
        if name == extra.tool:
            owner = arguments[s.record_key if extra.on_record else s.person_key]
            return {(owner, extra.field): arguments[extra.field]}
    return {}


def opening(task: Task, system: str, letter: str, org: str) -> Sequence[dict[str, Any]]:
    """The system prompt and the customer's message."""
    return (
        {"role": "system", "content": system.format(org=org, **task.words)},
        {"role": "user", "content": letter.format(**task.words)},
    )
