"""The lookup suite: a material of five to nine records, and replies to three to five questions about it.

Asked for are: the value of a record, the record that has a value, a count, a filtered list, the record with the
highest or lowest value, the first three of a sorting, records converted into another format, a copy of a record with
one field changed. Truth, from the task and the text alone (`score`), is the mean over the asked items of

    values, names and counts     1 if that and nothing else is given, else 0
    filtered lists               right names given / right names and others given
    sortings                     the share of pairs of right names that are given in the right order
    conversions and copies       the share of right values among all; half of it in another format than asked for

and 0.05 off for each name anywhere in the reply of a record that the material does not hold, down to 0. An item
counts where the reply names it by one of its phrases (or by its number in a list); of two answers the later one counts.

Mistakes: a neighbour's value, another field's value, a name or record left out or invented, sorted or counted wrongly,
digits swapped, the wrong format, a change not made, an answer "not given". They are drawn for each reply alone.
At difficulty 0 most items of the worst are far off; at 1 replies differ in a slip or two that only a look into the
material shows.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from ranker.suites.attempts import Generator, Members, replies, spread
from ranker.suites.lookup_score import PER_INVENTED, credit, invented, marks, score
from ranker.suites.lookup_text import (
    Answer,
    Domain,
    Field,
    Item,
    Row,
    Rows,
    Task,
    Words,
    listed,
    material,
    padded,
    tell,
    words,
)

RUBRIC = (
    "Better is the reply that answers more of the asked items rightly, as the given material has them; lists, sortings "
    "and converted records count in part, and naming records that the material does not hold takes a little off."
)
_KINDS = (
    "value", "value", "value", "who", "count", "list", "list", "most", "order", "order", "rows", "change",
)  # fmt: skip


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    speech = words(held_out)
    task = draw_task(speech, draw)

    def write() -> list[str]:
        plans = _plans(task, size, difficulty, draw)
        bare = [tell(task, plan, draw.choice(speech.shapes), speech, draw) for plan in plans]
        return padded(bare, task, speech, draw)

    members = replies(task.text, write, partial(score, task), partial(marks, task), distinct=True)
    kinds = [x.kind for x in task.items]
    return members, {"template": task.domain.name, "material": task.material, "kinds": kinds}


groups = Generator("lookup", RUBRIC, _members)


def _plans(task: Task, size: int, difficulty: float, draw: random.Random) -> list[list[Answer]]:
    items = len(task.items)

    def clamped(count: int) -> int:
        return min(max(count, 0), items)

    def plan(count: int) -> list[Answer]:
        answers = [x.truth for x in task.items]
        for place in draw.sample(range(items), clamped(count)):
            answers[place] = _slipped(task, task.items[place], difficulty, draw)
        return answers

    def worth(answers: list[Answer]) -> float:
        right = sum(credit(x, a) for x, a in zip(task.items, answers, strict=True))
        return round(right / items - PER_INVENTED * len(invented(task, repr(answers))), 4)

    def again(count: int) -> int:
        count = clamped(count)
        return count + draw.choice((-1, 0, 1) if difficulty < 0.8 else (0, 0, 1 - count))

    # In some groups nobody gets all of it right.
    return spread(size, items * (1 - difficulty) + 1.6 * difficulty, 0.25, 8, draw, plan, worth, again)


def _slipped(task: Task, item: Item, difficulty: float, draw: random.Random) -> Answer:
    for _ in range(12):
        answer = slip(task, item, draw.random() < difficulty, draw)
        if credit(item, answer) < 1:
            return answer
    return None


# Mistakes


def slip(task: Task, item: Item, subtle: bool, draw: random.Random) -> Answer:
    """Another answer to an item, as a rule a worse one."""
    if not subtle and draw.random() < 0.15:
        return None
    names = [row[0] for row in task.rows]
    others = [name for name in task.domain.names if name not in names]
    if isinstance(item.truth, Rows):
        return _other_rows(task, item.truth, subtle, draw)
    if isinstance(item.truth, tuple):
        return _other_names(item, names, others, subtle, draw)
    truth = str(item.truth)
    if item.kind == "count":
        return str(max(0, int(truth) + draw.choice((-1, 1) if subtle else (-2, -1, 2, 3))))
    if item.kind in ("who", "most"):
        at = next(i for i, name in enumerate(names) if name == truth)
        if subtle:
            return names[at - 1] if at == len(names) - 1 or (draw.random() < 0.5 and at) else names[at + 1]
        return draw.choice(others if draw.random() < 0.3 else names)
    row = next(row for row in task.rows if item.record == row[0])
    return _other_value(task, row, item.field, subtle, draw)


def _other_names(
    item: Item, names: list[str], others: list[str], subtle: bool, draw: random.Random
) -> Answer:
    answer = list(item.truth) if isinstance(item.truth, tuple) else []
    rest = [name for name in names if name not in answer] or others
    if item.kind == "order" and draw.random() < 0.6:
        if subtle:
            at = draw.randrange(len(answer) - 1)
            answer[at : at + 2] = answer[at + 1], answer[at]
        else:
            draw.shuffle(answer)
        return tuple(answer)
    at = draw.randrange(len(answer))
    ways = ["invented", "other", "two", "out"]
    if subtle:
        ways = ["other"] if item.kind == "order" else ["other", "out", "more"]
    way = draw.choice(ways)
    if way == "out" and len(answer) > 1:
        del answer[at]
    elif way == "more":
        answer.insert(at, draw.choice(rest))
    elif way == "invented":
        answer[at] = draw.choice(others)
    else:
        answer[at] = draw.choice(rest)
        if way == "two" and len(rest) > 1:
            answer[at - 1] = draw.choice([name for name in rest if name not in answer])
    return tuple(answer)


def _other_value(task: Task, row: Row, field: int, subtle: bool, draw: random.Random) -> str:
    """A neighbour's value, one with digits swapped, another field's, or one from nowhere."""
    truth, kind = row[field + 1], task.domain.fields[field]
    if subtle and kind.kind in ("int", "dec") and draw.random() < 0.4:
        return _swapped(truth, draw)
    if not subtle and draw.random() < 0.5:
        return str(draw.choice(row[1:])) if draw.random() < 0.5 else _value(kind, draw)
    at = next(i for i, other in enumerate(task.rows) if other == row)
    near = [r[field + 1] for r in task.rows[max(0, at - 1) : at + 2] if r[field + 1] != truth]
    return str(draw.choice(near or [r[field + 1] for r in task.rows]))


def _swapped(truth: str, draw: random.Random) -> str:
    """The number with two neighbouring digits swapped, or its last digit changed."""
    places = [
        i
        for i in range(len(truth) - 1)
        if truth[i : i + 2].isdigit() and truth[i] != truth[i + 1] and not (i == 0 and truth[1] == "0")
    ]
    if not places:
        return truth[:-1] + str((int(truth[-1]) + draw.randint(1, 8)) % 10)
    i = draw.choice(places)
    return truth[:i] + truth[i + 1] + truth[i] + truth[i + 2 :]


def _other_rows(task: Task, truth: Rows, subtle: bool, draw: random.Random) -> Rows:
    rows = list(truth.rows)
    at = draw.randrange(len(rows))
    if not subtle and draw.random() < 0.4:
        forms = [form for form in ("csv", "jsonl", "table", "pairs", "semi", "slashes") if form != truth.form]
        return Rows(draw.choice(forms), truth.rows)
    if not subtle and len(rows) > 1 and draw.random() < 0.5:
        del rows[at]
        return Rows(truth.form, tuple(rows))
    if not subtle:
        other = draw.choice([r for r in task.rows if r[0] != rows[at][0]])
        rows[at] = (rows[at][0], *other[1:])
        return Rows(truth.form, tuple(rows))
    cells = list(rows[at])
    source = next(row for row in task.rows if row[0] == cells[0])
    for _ in range(draw.choice((1, 1, 2))):
        field = draw.randrange(len(cells) - 1)
        if cells[field + 1] != source[field + 1]:  # the change that was asked for is not made
            cells[field + 1] = source[field + 1]
        else:
            cells[field + 1] = _other_value(task, source, field, True, draw)
    rows[at] = tuple(cells)
    return Rows(truth.form, tuple(rows))


# The task


def draw_task(words: Words, draw: random.Random) -> Task:
    """A material with three to five things asked of it."""
    domain = draw.choice(words.domains)
    fields = tuple(
        sorted(
            draw.sample(domain.fields, draw.randint(2, min(4, len(domain.fields)))),
            key=domain.fields.index,
        )
    )
    if all(f.kind == "cat" for f in fields):
        fields = domain.fields
    units = any(f.unit for f in fields) and draw.random() < 0.6
    if not units:
        fields = tuple(replace(f, unit="") for f in fields)
    domain = replace(domain, fields=fields)
    names = draw.sample(domain.names, draw.randint(5, 9 if len(fields) < 4 else 7))
    columns = [_column(f, len(names), draw) for f in fields]
    rows = tuple((name, *(column[i] for column in columns)) for i, name in enumerate(names))
    items: list[Item] = []
    wanted = draw.choice((3, 4, 4, 5))
    block = False
    for _ in range(60):
        kind = draw.choice(_KINDS)
        if len(items) == wanted or (kind in ("rows", "change") and block):
            continue
        item = _item(kind, domain, rows, words, draw)
        taken = [core for other in items for core in other.cores]
        if item and not any(core in taken for core in item.cores):
            items.append(item)
            block = block or kind in ("rows", "change")
    form = draw.choice(words.materials)
    shown = material(form, domain, rows, words, draw)
    mark = draw.choice(("{i}. {q}", "{i}) {q}", "({i}) {q}"))
    asked = "\n".join(mark.format(i=i, q=item.asked) for i, item in enumerate(items, start=1))
    lead = draw.choice(words.leads).format(about=domain.about)
    if units:
        lead += " " + words.units.format(u=", ".join(f"{f.name} in {f.unit}" for f in fields if f.unit))
    turn = draw.choice(words.turns)
    text = f"{lead}\n\n{shown}\n\n{turn}\n{asked}"
    if draw.random() < 0.25:
        text = f"{lead} {turn}\n{asked}\n\n{shown}"
    return Task(text, domain, rows, tuple(items), form)


def _column(field: Field, n: int, draw: random.Random) -> list[str]:
    """Values that differ, but for words, of which few are used so that some stand in several records."""
    if field.kind == "cat":
        some = draw.sample(field.values, min(len(field.values), draw.randint(2, 4)))
        return [draw.choice(some) for _ in range(n)]
    column: list[str] = []
    while len(column) < n:
        value = _value(field, draw)
        if value not in column:
            column.append(value)
    return column


def _value(field: Field, draw: random.Random) -> str:
    if field.kind == "cat":
        return str(draw.choice(field.values))
    if field.kind == "time":
        return f"{draw.randint(6, 21):02}:{draw.randint(0, 59):02}"
    if field.kind == "date":
        return f"2025-{draw.randint(1, 12):02}-{draw.randint(1, 28):02}"
    if field.kind == "dec":
        return f"{draw.uniform(field.low, field.high):.2f}"
    return str(draw.randint(int(field.low), int(field.high)))


def _item(kind: str, domain: Domain, rows: Sequence[Row], words: Words, draw: random.Random) -> Item | None:
    """One thing to ask for; None where the drawn field does not allow it."""
    f = draw.randrange(len(domain.fields))
    field = domain.fields[f]
    row = draw.choice(rows)
    holes = {"o": domain.one, "m": domain.many, "f": field.name, "k": row[0], "v": row[f + 1]}
    truth: Answer = None
    unit = ""
    column = [r[f + 1] for r in rows]
    if kind == "value":
        truth, unit = row[f + 1], field.unit
    elif kind == "who" and column.count(row[f + 1]) == 1:
        truth = row[0]
    elif kind in ("count", "list"):
        if field.kind == "cat":
            cond, names = words.conds[0], [r[0] for r in rows if r[f + 1] == row[f + 1]]
        elif field.kind in ("int", "dec"):
            above = draw.random() < 0.5
            cond = words.conds[1 if above else 2]
            limit = float(row[f + 1])
            names = [r[0] for r in rows if (float(r[f + 1]) > limit if above else float(r[f + 1]) < limit)]
        else:
            return None
        holes["cond"] = cond.format(f=field.name, v=row[f + 1])
        if 2 <= len(names) <= 4:
            truth = tuple(names) if kind == "list" else str(len(names))
    elif kind in ("most", "order") and field.kind != "cat":
        high = draw.random() < 0.5
        ends = ("earliest", "latest") if field.kind in ("time", "date") else ("lowest", "highest")
        holes["d"] = ends[high]
        in_order = sorted(rows, key=lambda r: _sortable(r[f + 1]), reverse=high)
        truth = in_order[0][0] if kind == "most" else tuple(r[0] for r in in_order[:3])
    elif kind in ("rows", "change"):
        form = draw.choice(list(words.formats))
        holes["fmt"] = words.formats[form]
        some: tuple[Row, ...] = (row,)
        if kind == "rows":
            some = tuple(draw.sample(rows, draw.choice((2, 2, 3))))
            holes["ks"] = listed([r[0] for r in some])
        else:
            holes["x"] = _value(field, draw)
            if holes["x"] == row[f + 1]:
                return None
            some = ((*row[: f + 1], holes["x"], *row[f + 2 :]),)
        truth = Rows(form, some)
    if truth is None:
        return None
    cores = tuple(core.format(**holes) for core in words.cores[kind])
    return Item(kind, row[0], cores, truth, f, unit, draw.choice(words.asks[kind]).format(**holes))


def _sortable(value: str) -> tuple[float, str]:
    return (0.0, value) if ":" in value or "-" in value else (float(value), "")
