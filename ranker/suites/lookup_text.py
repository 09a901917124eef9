"""How the lookup suite writes materials and replies."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass

from ranker.suites.lookup_words import Domain, Words

Row = tuple[str, ...]
SPARE = 160  # characters by which the length of replies varies


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
class Told:
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
    """A record in a format."""
    if form == "jsonl":
        return json.dumps(dict(zip(head, row, strict=True)))
    if form == "table":
        return "| " + " | ".join(row) + " |"
    if form == "pairs":
        return ", ".join(f"{f}={v}" for f, v in zip(head, row, strict=True))
    return {"csv": ",", "semi": ";", "slashes": " / "}[form].join(row)


def material(form: str, domain: Domain, rows: Sequence[Row], words: Words, random_: random.Random) -> str:
    """The records as a file or a text would show them."""
    head = [domain.key, *(f.name for f in domain.fields)]
    names = head[1:]
    if form in ("csv", "semicolons", "columns"):
        mark = {"csv": ",", "semicolons": ";", "columns": "  |  "}[form]
        return "\n".join(mark.join(row) for row in (head, *rows))
    if form == "markdown":
        return "\n".join("| " + " | ".join(r) + " |" for r in (head, ["---"] * len(head), *rows))
    if form == "json":
        inner = ",\n ".join(json.dumps(dict(zip(head, row, strict=True))) for row in rows)
        return f"[{inner}]"
    if form == "prose":
        pair = random_.choice(words.pairs)
        told: list[str] = []
        for k, *values in rows:
            pairs = [pair.format(f=f, v=v) for f, v in zip(names, values, strict=True)]
            told.append(random_.choice(words.records).format(k=k, p=listed(pairs)))
        return " ".join(told)
    if form == "log":
        day, minute, lines = f"2025-0{random_.randint(1, 9)}-{random_.randint(10, 28)}", 400, []
        for k, *values in rows:
            minute += random_.randint(1, 50)
            joined = " ".join(f'{f}="{v}"' for f, v in zip(names, values, strict=True))
            lines.append(f"[{day} {minute // 60:02}:{minute % 60:02}] INFO {k}: {joined}")
        return "\n".join(lines)
    return ("\n\n" if form in ("blocks", "sections") else "\n").join(
        _entry(form, k, head, (k, *values), i) for i, (k, *values) in enumerate(rows, start=1)
    )


def _entry(form: str, k: str, head: Sequence[str], row: Row, i: int) -> str:
    both = list(zip(head, row, strict=True))
    rest = both[1:]
    if form == "blocks":
        return "\n".join(f"{f}: {v}" for f, v in both)
    if form == "sections":
        return "\n".join([f"[{k}]", *(f"{f} = {v}" for f, v in rest)])
    if form == "yaml":
        return "\n".join([f"- {head[0]}: {k}", *(f"  {f}: {v}" for f, v in rest)])
    if form == "tags":
        return f"<item><b>{k}</b> " + " ".join(f"<i>{f}</i>{v}" for f, v in rest) + "</item>"
    if form == "notes":
        return f"- {k} ({'; '.join(f'{f} {v}' for f, v in rest)})"
    if form == "schedule":
        return " – ".join([row[1], k, *(f"{f} {v}" for f, v in rest[1:])])
    return f"{i}) {k} – " + ", ".join(f"{f}: {v}" for f, v in rest)


def tell(task: Task, answers: Sequence[Answer], style: str, words: Words, random_: random.Random) -> Told:
    """A reply in a style, before it is brought to a length."""
    head = [task.domain.key, *(f.name for f in task.domain.fields)]
    mixed = [
        _shuffled(a, random_) if item.kind == "list" and isinstance(a, tuple) else a
        for item, a in zip(task.items, answers, strict=True)
    ]
    pairs = list(zip(range(len(answers)), task.items, mixed, strict=True))
    plain = [p for p in pairs if p[1].kind not in ("rows", "change")]
    block = ""
    for _, item, answer in (p for p in pairs if p not in plain):
        core = random_.choice(item.cores)
        if not isinstance(answer, Rows):
            block = f"\n{_capital(core)}: {random_.choice(words.nothing)}."
            continue
        lines = "\n".join(written(answer.form, head, row) for row in answer.rows)
        fence = random_.random() < 0.4
        block = f"\n{_capital(core)}:\n" + (f"```\n{lines}\n```" if fence else lines)
    if style not in ("ordinals", "numbered") and random_.random() < 0.3:
        random_.shuffle(plain)
    which, says = random_.randint(0, 3), []
    frames = [random_.choice(words.one), random_.choice(words.many)]
    steady = random_.random() < 0.5
    for i, item, answer in plain:
        core = item.cores[which % len(item.cores)] if steady else random_.choice(item.cores)
        value = _value(item, answer, words, random_)
        if style in ("sentences", "lines", "paragraphs", "numbered"):
            many = isinstance(item.truth, tuple)
            frame = frames[many] if steady else random_.choice(words.many if many else words.one)
            said = frame.format(c=core, C=_capital(core), a=value)
            says.append(f"{i + 1}. {said}" if style == "numbered" else said)
        elif style == "json":
            shown = json.dumps(list(answer) if isinstance(answer, tuple) else value)
            says.append(f"  {json.dumps(core.removeprefix('the '))}: {shown}")
        else:
            says.append(_MARKS[style].format(i=i + 1, c=core, C=_capital(core.removeprefix("the ")), a=value))
    if style == "json":
        return Told(("```json\n{\n" + ",\n".join(says) + "\n}\n```",), "\n", block, False)
    if style == "table":
        says = ["| asked | answer |\n|---|---|\n" + "\n".join(says)]
    gap = {"sentences": " ", "paragraphs": "\n\n"}.get(style, "\n")
    return Told(tuple(says), gap, block, style in ("sentences", "lines", "paragraphs"))


def _shuffled(names: tuple[str, ...], random_: random.Random) -> tuple[str, ...]:
    """The names of a list in the order of the material, or in any other."""
    return tuple(random_.sample(names, len(names))) if random_.random() < 0.5 else names


_MARKS = {
    "bullets": "- {C}: {a}",
    "stars": "* {a} ({c})",
    "keys": "{C}: {a}",
    "bold": "**{C}:** {a}",
    "table": "| {C} | {a} |",
    "ordinals": "{i}. {a}",
    "arrows": "{C} → {a}",
    "tags": "<answer><to>{c}</to>{a}</answer>",
    "brackets": "[{C}] {a}",
}


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def _value(item: Item, answer: Answer, words: Words, random_: random.Random) -> str:
    if isinstance(answer, tuple):
        return listed(answer)
    if not isinstance(answer, str):
        return str(random_.choice(words.nothing))
    return f"{answer} {item.unit}" if item.unit and random_.random() < 0.6 else answer


def padded(bare: Sequence[Told], task: Task, words: Words, random_: random.Random) -> list[str]:
    """The replies, each brought by remarks to a length that is drawn without regard to its worth."""
    floor = max(told.length for told in bare)
    return [_join(told, floor + random_.uniform(0, SPARE), task, words, random_) for told in bare]


def _join(told: Told, length: float, task: Task, words: Words, random_: random.Random) -> str:
    gap = told.gap if told.free else " "
    missing = length - told.length
    again = [random_.choice(words.restate).format(c=random_.choice(item.cores)) for item in task.items]
    pool = [(0, x) for x in (*words.starts, *random_.sample(again, 2))] + [(2, x) for x in words.ends]
    if told.free:
        pool += [(1, x) for x in words.asides]
    chosen: list[list[str]] = [[], [], []]
    for place, aside in random_.sample(pool, len(pool)):
        if len(aside) + len(gap) <= missing + 12 and len(chosen[place]) < (5, 4, 5)[place]:
            chosen[place].append(aside)
            missing -= len(aside) + len(gap)
    parts = list(told.parts)
    for aside in chosen[1]:
        parts.insert(random_.randint(min(1, len(parts)), max(1, len(parts) - 1)), aside)
    if told.free:
        made = gap.join((*chosen[0], *parts)) + told.block
        return made + (("\n" if told.block else gap) + " ".join(chosen[2]) if chosen[2] else "")
    start = " ".join(chosen[0]) + "\n\n" if chosen[0] else ""
    return start + told.gap.join(parts) + told.block + ("\n\n" + " ".join(chosen[2]) if chosen[2] else "")
