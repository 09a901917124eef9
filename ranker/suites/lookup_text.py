"""How the lookup suite writes materials and replies."""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial

import jinja2

from ranker.suites.attempts import capital
from ranker.suites.attempts import padded as fill
from ranker.suites.tables import load, load_split

Row = tuple[str, ...]
SPARE = 160  # characters by which the length of replies varies


@dataclass(frozen=True, slots=True)
class Field:
    """A column: `kind` is "int", "dec", "time", "date" or "cat"; numbers lie from `low` to `high`."""

    name: str
    kind: str
    low: float = 0
    high: float = 0
    values: tuple[str, ...] = ()
    unit: str = ""

    @classmethod
    def parse(cls, text: str) -> Field:
        """The field that a table writes as `NAME: a/b`, `NAME: time`, `NAME: date` or `NAME in UNIT: LOW-HIGH`."""
        name, _, spec = text.partition(": ")
        name, _, unit = name.partition(" in ")
        if spec in ("time", "date"):
            return cls(name, spec)
        if "/" in spec:
            return cls(name, "cat", values=tuple(spec.split("/")))
        low, _, high = spec.partition("-")
        return cls(name, "dec" if "." in spec else "int", float(low), float(high), unit=unit)


@dataclass(frozen=True, slots=True)
class Domain:
    """What the records of a material are: `names` are theirs, more than any material has."""

    name: str
    one: str
    many: str
    about: str
    key: str
    names: tuple[str, ...]
    fields: tuple[Field, ...]

    @property
    def head(self) -> list[str]:
        """The names of all columns."""
        return [self.key, *(f.name for f in self.fields)]


@dataclass(frozen=True, slots=True)
class Words:
    """How one split speaks; the tables say what the fields hold."""

    domains: tuple[Domain, ...]
    leads: tuple[str, ...]
    turns: tuple[str, ...]
    asks: Mapping[str, tuple[str, ...]]
    cores: Mapping[str, tuple[str, ...]]
    conds: tuple[str, str, str]
    one: tuple[str, ...]
    many: tuple[str, ...]
    nothing: tuple[str, ...]
    restate: tuple[str, ...]
    starts: tuple[str, ...]
    asides: tuple[str, ...]
    ends: tuple[str, ...]
    records: tuple[str, ...]
    pairs: tuple[str, ...]
    materials: tuple[str, ...]
    shapes: tuple[str, ...]
    formats: Mapping[str, str]
    units: str


@dataclass(frozen=True, slots=True)
class Shared:
    """What both splits use; the table says what the fields hold."""

    records: Mapping[str, str]
    whole: Mapping[str, str]
    entries: Mapping[str, str]
    marks: Mapping[str, str]


words = partial(load_split, Words, "lookup")


@dataclass(frozen=True, slots=True)
class Rows:
    """Records written out in one of the formats."""

    form: str
    rows: tuple[Row, ...]


Answer = str | tuple[str, ...] | Rows | None  # a value, names, records, nothing


@dataclass(frozen=True, slots=True)
class Item:
    """One thing asked for: of which record, by which phrases a reply may name it, in which words it is asked."""

    kind: str
    record: str
    cores: tuple[str, ...]
    truth: Answer
    field: int = 0  # the column that it is about
    unit: str = ""
    asked: str = ""


@dataclass(frozen=True, slots=True)
class Task:
    """A material, with what is asked of it."""

    text: str
    domain: Domain
    rows: tuple[Row, ...]
    items: tuple[Item, ...]
    material: str


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply before it is brought to a length: parts with something between, and a block of records after them."""

    parts: tuple[str, ...]
    gap: str
    block: str
    free: bool  # asides may stand between the parts

    @property
    def length(self) -> int:
        return len(self.gap.join(self.parts)) + len(self.block)


def listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + " and " + words[-1]


def written(form: str, head: Sequence[str], row: Row) -> str:
    """A record in a format: one of `records` in the shared table."""
    fields = list(zip(head, row, strict=True))
    return _template(_shared().records[form]).render(cells=row, fields=fields)


def material(form: str, domain: Domain, rows: Sequence[Row], words: Words, draw: random.Random) -> str:
    """The records as a file or a text would show them."""
    head = domain.head
    if form == "prose":
        pair = draw.choice(words.pairs)
        texts: list[str] = []
        for k, *values in rows:
            pairs = [pair.format(f=f, v=v) for f, v in zip(head[1:], values, strict=True)]
            texts.append(draw.choice(words.records).format(k=k, p=listed(pairs)))
        return " ".join(texts)
    records = [list(zip(head, row, strict=True)) for row in rows]
    if form in _shared().whole:
        return _template(_shared().whole[form]).render(head=head, rows=list(rows), records=records)
    template = _template(_shared().entries[form])
    day, minute, entries = "", 400, []
    if form == "log":
        day = f"2025-0{draw.randint(1, 9)}-{draw.randint(10, 28)}"
    for i, fields in enumerate(records, start=1):
        if form == "log":
            minute += draw.randint(1, 50)
        clock = f"{minute // 60:02}:{minute % 60:02}"
        k, rest = fields[0][1], fields[1:]
        entries.append(template.render(k=k, i=i, fields=fields, rest=rest, day=day, clock=clock))
    return ("\n\n" if form in ("blocks", "sections") else "\n").join(entries)


_shared = partial(load, Shared, "lookup_shared")


@cache
def _template(source: str) -> jinja2.Template:
    environment = jinja2.Environment(autoescape=False)
    environment.filters["dumps"] = lambda fields: json.dumps(dict(fields))
    return environment.from_string(source)


def tell(task: Task, answers: Sequence[Answer], style: str, words: Words, draw: random.Random) -> Reply:
    """A reply in a style, before it is brought to a length."""
    mixed = [
        _shuffled(a, draw) if item.kind == "list" and isinstance(a, tuple) else a
        for item, a in zip(task.items, answers, strict=True)
    ]
    pairs = list(zip(range(len(answers)), task.items, mixed, strict=True))
    plain = [p for p in pairs if p[1].kind not in ("rows", "change")]
    block = ""
    for _, item, answer in (p for p in pairs if p not in plain):
        core = draw.choice(item.cores)
        if not isinstance(answer, Rows):
            block = f"\n{capital(core)}: {draw.choice(words.nothing)}."
            continue
        lines = "\n".join(written(answer.form, task.domain.head, row) for row in answer.rows)
        fence = draw.random() < 0.4
        block = f"\n{capital(core)}:\n" + (f"```\n{lines}\n```" if fence else lines)
    if style not in ("ordinals", "numbered") and draw.random() < 0.3:
        draw.shuffle(plain)
    which, says = draw.randint(0, 3), []
    frames = [draw.choice(words.one), draw.choice(words.many)]
    steady = draw.random() < 0.5
    for i, item, answer in plain:
        core = item.cores[which % len(item.cores)] if steady else draw.choice(item.cores)
        value = _value(item, answer, words, draw)
        if style in ("sentences", "lines", "paragraphs", "numbered"):
            many = isinstance(item.truth, tuple)
            frame = frames[many] if steady else draw.choice(words.many if many else words.one)
            text = frame.format(c=core, C=capital(core), a=value)
            says.append(f"{i + 1}. {text}" if style == "numbered" else text)
        elif style == "json":
            shown = json.dumps(list(answer) if isinstance(answer, tuple) else value)
            says.append(f"  {json.dumps(core.removeprefix('the '))}: {shown}")
        else:
            says.append(
                _shared().marks[style].format(i=i + 1, c=core, C=capital(core.removeprefix("the ")), a=value)
            )
    if style == "json":
        return Reply(("```json\n{\n" + ",\n".join(says) + "\n}\n```",), "\n", block, False)
    if style == "table":
        says = ["| asked | answer |\n|---|---|\n" + "\n".join(says)]
    gap = {"sentences": " ", "paragraphs": "\n\n"}.get(style, "\n")
    return Reply(tuple(says), gap, block, style in ("sentences", "lines", "paragraphs"))


def _shuffled(names: tuple[str, ...], draw: random.Random) -> tuple[str, ...]:
    """The names of a list in the order of the material, or in any other."""
    return tuple(draw.sample(names, len(names))) if draw.random() < 0.5 else names


def _value(item: Item, answer: Answer, words: Words, draw: random.Random) -> str:
    if isinstance(answer, tuple):
        return listed(answer)
    if not isinstance(answer, str):
        return str(draw.choice(words.nothing))
    return f"{answer} {item.unit}" if item.unit and draw.random() < 0.6 else answer


def padded(bare: Sequence[Reply], task: Task, words: Words, draw: random.Random) -> list[str]:
    """The replies, each brought by remarks to a length that is drawn without regard to its worth."""
    floor = max(reply.length for reply in bare)
    return [_padded(reply, floor + draw.uniform(0, SPARE), task, words, draw) for reply in bare]


def _padded(reply: Reply, length: float, task: Task, words: Words, draw: random.Random) -> str:
    gap = reply.gap if reply.free else " "
    again = [draw.choice(words.restate).format(c=draw.choice(item.cores)) for item in task.items]
    pool = [(0, x) for x in (*words.starts, *draw.sample(again, 2))] + [(2, x) for x in words.ends]
    if reply.free:
        pool += [(1, x) for x in words.asides]
    before, parts, after = fill(reply.parts, pool, length - reply.length, len(gap), (5, 4, 5), draw)
    end = " ".join(after)
    if reply.free:
        text = gap.join((*before, *parts)) + reply.block
        return text + ("\n" if reply.block else gap) + end if after else text
    start = " ".join(before) + "\n\n" if before else ""
    return start + reply.gap.join(parts) + reply.block + ("\n\n" + end if after else "")
