"""The world of the suite `toolenv`: a task's people and records, and the tools that read and change them."""

from __future__ import annotations

import datetime
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any

from ranker.suites.toolenv_services import Extra, Service
from ranker.suites.toolenv_words import NAMES, TOWNS

Key = tuple[str, str]  # what is changed, and which field of it

AMBIGUOUS, STALE, FLAGGED = 0.6, 0.7, 0.2  # how often a task has each trap


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
        found = self.records[record]
        cents = found[self.service.base] * self.rates[level or found[self.service.decider]]
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
            "rates": ", ".join(
                f"{level} {rate} %" if rate else f"{level} nothing" for level, rate in self.rates.items()
            ),
            **{name: getattr(s, name) for name in _TOLD},
        }


_TOLD = (
    "desk",
    "person",
    "record",
    "records",
    "verify",
    "read",
    "case",
    "case_word",
    "gift_word",
    "fee_rule",
)


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
    name = " ".join(draw.choice(part) for part in NAMES)
    count = 2 if draw.random() < AMBIGUOUS else 1
    towns = draw.sample(TOWNS, count)
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
    rates = dict(
        zip(s.levels, (high, draw.choice((10, 15, 20, 25, 30)), draw.choice((0, 0, 5))), strict=True)
    )
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
    person, record = {s.person_key: "string"}, {s.record_key: "string"}
    made = [
        _tool(s.find, f"Search a {s.person} by full name.", {"name": "string"}),
        _tool(
            s.verify, f"Check a {s.person} by postcode and note the result.", {**person, "postcode": "string"}
        ),
        _tool(s.listing, f"The {s.records} of a {s.person}, from the nightly list.", person),
        _tool(s.read, f"The current state of one {s.record}.", record),
        _tool(s.act, f"Change one {s.record}.", {**record, s.target_field: "string", s.amount: "number"}),
        _tool(s.case, f"Create a {s.case_word}.", {**record, "reason": "string"}),
        _tool(s.gift, f"Grant {s.gift_word}.", {**person, "amount": "number"}),
        _tool(s.article, "Read an article of the handbook.", {"topic": "string"}),
    ]
    for extra in s.extras:
        owner, key = (s.record, record) if extra.on_record else (s.person, person)
        text = f"Set the {extra.field.replace('_', ' ')} of one {owner}."
        made.append(_tool(extra.tool, text, {**key, extra.field: "string"}))
    return made


def _tool(name: str, description: str, properties: Mapping[str, str]) -> dict[str, Any]:
    parameters = {
        "type": "object",
        "properties": {key: {"type": kind} for key, kind in properties.items()},
        "required": list(properties),
    }
    return {
        "type": "function",
        "function": {"name": name, "description": description, "parameters": parameters},
    }


@dataclass(slots=True)
class World:
    """A task's database during one attempt."""

    task: Task
    changed: dict[Key, Any] = field(default_factory=dict)

    def call(self, name: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """What a tool returns. The arguments must fit its definition."""
        task, s = self.task, self.task.service
        changes = changes_of(task, name, given)
        self.changed.update(changes)
        if name == s.find:
            found = [(key, p) for key, p in task.people.items() if p["name"] == given["name"]]
            return {"matches": [{s.person_key: k, "name": p["name"], "town": p["town"]} for k, p in found]}
        if name == s.verify:
            return {s.person_key: given[s.person_key], "postcode_matches": bool(changes)}
        if name == s.listing:
            return self._list(given[s.person_key])
        if name == s.article:
            return {"topic": given["topic"], "text": s.topics[given["topic"]]}
        if name in {s.read, s.act}:
            return self._record(given[s.record_key])
        if name == s.case:
            return {"case": "opened", s.record_key: given[s.record_key], "reason": given["reason"]}
        return {"status": "ok", **given}

    def _list(self, person: str) -> dict[str, Any]:
        task, s = self.task, self.task.service
        rows = [
            {
                s.record_key: key,
                s.thing_field: r[s.thing_field],
                s.target_field: r[s.target_field],
                s.decider: task.listed[key],
                s.base: r[s.base],
            }
            for key, r in task.records.items()
            if r["owner"] == person
        ]
        return {"as_of": f"{task.today}T02:00", s.records: rows}

    def _record(self, key: str) -> dict[str, Any]:
        own = {name: value for name, value in self.task.records[key].items() if name != "owner"}
        new = {
            name: value
            for (changed, name), value in self.changed.items()
            if changed == key and name != "case"
        }
        first = {self.task.service.record_key: key, "as_of": f"{self.task.today}T{_clock(key)}"}
        return {**first, **own, **new}


def _clock(key: str) -> str:
    number = int(key[-5:])
    return f"{9 + number % 8:02}:{number % 60:02}"


def changes_of(task: Task, name: str, given: Mapping[str, Any]) -> dict[Key, Any]:
    """What a call changes, when it does not time out."""
    s = task.service
    if name == s.verify:
        person = given[s.person_key]
        return {(person, "verified"): True} if task.people[person]["postcode"] == given["postcode"] else {}
    if name == s.act:
        key = given[s.record_key]
        return {(key, s.target_field): given[s.target_field], (key, s.amount): given[s.amount]}
    if name == s.case:
        return {(given[s.record_key], "case"): True}
    if name == s.gift:
        return {(given[s.person_key], "gift"): given["amount"]}
    for extra in s.extras:
        if name == extra.tool:
            return {
                (given[s.record_key if extra.on_record else s.person_key], extra.field): given[extra.field]
            }
    return {}


def opening(task: Task, system: str, letter: str, org: str) -> Sequence[dict[str, Any]]:
    """The system prompt and the customer's message."""
    return (
        {"role": "system", "content": system.format(org=org, **task.words)},
        {"role": "user", "content": letter.format(**task.words)},
    )
