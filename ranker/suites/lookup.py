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
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

from ranker import TrajectoryGroup
from ranker.suites.attempts import replies
from ranker.suites.draw import rng
from ranker.suites.lookup_score import PER_INVENTED, credit, invented, marks, score
from ranker.suites.lookup_text import Answer, Item, Row, Rows, Task, listed, material, padded, tell
from ranker.suites.lookup_words import HELD_OUT, TRAINING, Domain, Field, Words

RUBRIC = (
    "Better is the reply that answers more of the asked items rightly, as the given material has them; lists, sortings "
    "and converted records count in part, and naming records that the material does not hold takes a little off."
)
_KINDS = (
    "value",
    "value",
    "value",
    "who",
    "count",
    "list",
    "list",
    "most",
    "order",
    "order",
    "rows",
    "change",
)


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of replies. At difficulty 0 most items of the worst are far off; at 1 replies differ in a slip or two
    that only a look into the material shows."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    random_ = rng("lookup", seed, i, size, float(difficulty), held_out)
    words = HELD_OUT if held_out else TRAINING
    task = draw_task(words, random_)
    while True:
        plans = _plans(task, size, difficulty, random_)
        bare = [tell(task, plan, random_.choice(words.shapes), words, random_) for plan in plans]
        texts = padded(bare, task, words, random_)
        truths = [score(task, text) for text in texts]
        if len(set(truths)) > 1 and len(set(texts)) == size:
            break
    members = replies(task.text, texts, truths, [marks(task, text) for text in texts])
    return TrajectoryGroup(
        members,
        id=f"lookup-{seed}-{i}",
        rubric=RUBRIC,
        metadata={
            "template": task.domain.name,
            "material": task.material,
            "kinds": [x.kind for x in task.items],
        },
    )


def _plans(task: Task, size: int, difficulty: float, random_: random.Random) -> list[list[Answer]]:
    """Answers of different worth, in an order that says nothing."""
    items = len(task.items)
    most = items * (1 - difficulty) + 1.6 * difficulty
    best = 1 if random_.random() < 0.25 else 0  # in some groups nobody gets all of it right
    plans: list[list[Answer]] = []
    seen: set[float] = set()
    for k in range(size):
        count = best + round((most - best) * (k + random_.uniform(-0.3, 0.3)) / max(1, size - 1))
        for _ in range(8):
            count = min(max(count, 0), items)
            answers = [x.truth for x in task.items]
            for place in random_.sample(range(items), count):
                answers[place] = _slipped(task, task.items[place], difficulty, random_)
            right = sum(credit(x, a) for x, a in zip(task.items, answers, strict=True))
            worth = round(right / items - PER_INVENTED * len(invented(task, repr(answers))), 4)
            if worth not in seen:
                break
            count += random_.choice((-1, 0, 1)) if difficulty < 0.8 else random_.choice((0, 0, 1 - count))
        seen.add(worth)
        plans.append(answers)
    random_.shuffle(plans)
    return plans


def _slipped(task: Task, item: Item, difficulty: float, random_: random.Random) -> Answer:
    for _ in range(12):
        answer = slip(task, item, random_.random() < difficulty, random_)
        if credit(item, answer) < 1:
            return answer
    return None


# Mistakes


def slip(task: Task, item: Item, subtle: bool, random_: random.Random) -> Answer:
    """Another answer to an item, as a rule a worse one."""
    if not subtle and random_.random() < 0.15:
        return None
    names = [row[0] for row in task.rows]
    others = [name for name in task.domain.names if name not in names]
    if isinstance(item.truth, Rows):
        return _other_rows(task, item.truth, subtle, random_)
    if isinstance(item.truth, tuple):
        given = list(item.truth)
        rest = [name for name in names if name not in given] or others
        if item.kind == "order" and random_.random() < 0.6:
            if subtle:
                at = random_.randrange(len(given) - 1)
                given[at : at + 2] = given[at + 1], given[at]
            else:
                random_.shuffle(given)
            return tuple(given)
        at = random_.randrange(len(given))
        ways = ["invented", "other", "two", "out"]
        if subtle:
            ways = ["other"] if item.kind == "order" else ["other", "out", "more"]
        way = random_.choice(ways)
        if way == "out" and len(given) > 1:
            del given[at]
        elif way == "more":
            given.insert(at, random_.choice(rest))
        elif way == "invented":
            given[at] = random_.choice(others)
        else:
            given[at] = random_.choice(rest)
            if way == "two" and len(rest) > 1:
                free = [name for name in rest if name not in given]
                given[at - 1] = random_.choice(free)
        return tuple(given)
    truth = str(item.truth)
    if item.kind == "count":
        return str(max(0, int(truth) + random_.choice((-1, 1) if subtle else (-2, -1, 2, 3))))
    if item.kind in ("who", "most"):
        at = next(i for i, name in enumerate(names) if name == truth)
        if subtle:
            return names[at - 1] if at == len(names) - 1 or (random_.random() < 0.5 and at) else names[at + 1]
        return random_.choice(others if random_.random() < 0.3 else names)
    row = next(row for row in task.rows if item.record == row[0])
    return _other_value(task, row, item.field, subtle, random_)


def _other_value(task: Task, row: Row, field: int, subtle: bool, random_: random.Random) -> str:
    """A neighbour's value, one with digits swapped, another field's, or one from nowhere."""
    truth, kind = row[field + 1], task.domain.fields[field]
    if subtle and kind.kind in ("int", "dec") and random_.random() < 0.4:
        return _swapped(truth, random_)
    if not subtle and random_.random() < 0.5:
        return str(random_.choice(row[1:])) if random_.random() < 0.5 else _draw(kind, random_)
    at = next(i for i, other in enumerate(task.rows) if other == row)
    near = [r[field + 1] for r in task.rows[max(0, at - 1) : at + 2] if r[field + 1] != truth]
    return str(random_.choice(near or [r[field + 1] for r in task.rows]))


def _swapped(truth: str, random_: random.Random) -> str:
    """The number with two neighbouring digits swapped, or its last digit changed."""
    places = [
        i
        for i in range(len(truth) - 1)
        if truth[i : i + 2].isdigit() and truth[i] != truth[i + 1] and not (i == 0 and truth[1] == "0")
    ]
    if not places:
        return truth[:-1] + str((int(truth[-1]) + random_.randint(1, 8)) % 10)
    i = random_.choice(places)
    return truth[:i] + truth[i + 1] + truth[i] + truth[i + 2 :]


def _other_rows(task: Task, truth: Rows, subtle: bool, random_: random.Random) -> Rows:
    rows = list(truth.rows)
    at = random_.randrange(len(rows))
    if not subtle and random_.random() < 0.4:
        forms = [form for form in ("csv", "jsonl", "table", "pairs", "semi", "slashes") if form != truth.form]
        return Rows(random_.choice(forms), truth.rows)
    if not subtle and len(rows) > 1 and random_.random() < 0.5:
        del rows[at]
        return Rows(truth.form, tuple(rows))
    if not subtle:
        other = random_.choice([r for r in task.rows if r[0] != rows[at][0]])
        rows[at] = (rows[at][0], *other[1:])
        return Rows(truth.form, tuple(rows))
    cells = list(rows[at])
    source = next(row for row in task.rows if row[0] == cells[0])
    for _ in range(random_.choice((1, 1, 2))):
        field = random_.randrange(len(cells) - 1)
        if cells[field + 1] != source[field + 1]:  # the change that was asked for is not made
            cells[field + 1] = source[field + 1]
        else:
            cells[field + 1] = _other_value(task, source, field, True, random_)
    rows[at] = tuple(cells)
    return Rows(truth.form, tuple(rows))


# The task


def draw_task(words: Words, random_: random.Random) -> Task:
    """A material with three to five things asked of it."""
    domain = random_.choice(words.domains)
    fields = tuple(
        sorted(
            random_.sample(domain.fields, random_.randint(2, min(4, len(domain.fields)))),
            key=domain.fields.index,
        )
    )
    if all(f.kind == "cat" for f in fields):
        fields = domain.fields
    units = any(f.unit for f in fields) and random_.random() < 0.6
    if not units:
        fields = tuple(replace(f, unit="") for f in fields)
    domain = replace(domain, fields=fields)
    names = random_.sample(domain.names, random_.randint(5, 9 if len(fields) < 4 else 7))
    columns = [_column(f, len(names), random_) for f in fields]
    rows = tuple((name, *(column[i] for column in columns)) for i, name in enumerate(names))
    items: list[Item] = []
    wanted = random_.choice((3, 4, 4, 5))
    block = False
    for _ in range(60):
        kind = random_.choice(_KINDS)
        if len(items) == wanted or (kind in ("rows", "change") and block):
            continue
        item = _item(kind, domain, rows, words, random_)
        taken = [core for other in items for core in other.cores]
        if item and not any(core in taken for core in item.cores):
            items.append(item)
            block = block or kind in ("rows", "change")
    form = random_.choice(words.materials)
    shown = material(form, domain, rows, words, random_)
    mark = random_.choice(("{i}. {q}", "{i}) {q}", "({i}) {q}"))
    asked = "\n".join(mark.format(i=i, q=item.asked) for i, item in enumerate(items, start=1))
    lead = random_.choice(words.leads).format(about=domain.about)
    if units:
        lead += " " + words.units.format(u=", ".join(f"{f.name} in {f.unit}" for f in fields if f.unit))
    turn = random_.choice(words.turns)
    text = f"{lead}\n\n{shown}\n\n{turn}\n{asked}"
    if random_.random() < 0.25:
        text = f"{lead} {turn}\n{asked}\n\n{shown}"
    return Task(text, domain, rows, tuple(items), form)


def _column(field: Field, n: int, random_: random.Random) -> list[str]:
    """Values that differ, but for words, of which few are used so that some stand in several records."""
    if field.kind == "cat":
        some = random_.sample(field.values, min(len(field.values), random_.randint(2, 4)))
        return [random_.choice(some) for _ in range(n)]
    made: list[str] = []
    while len(made) < n:
        value = _draw(field, random_)
        if value not in made:
            made.append(value)
    return made


def _draw(field: Field, random_: random.Random) -> str:
    if field.kind == "cat":
        return str(random_.choice(field.values))
    if field.kind == "time":
        return f"{random_.randint(6, 21):02}:{random_.randint(0, 59):02}"
    if field.kind == "date":
        return f"2025-{random_.randint(1, 12):02}-{random_.randint(1, 28):02}"
    if field.kind == "dec":
        return f"{random_.uniform(field.low, field.high):.2f}"
    return str(random_.randint(int(field.low), int(field.high)))


def _item(
    kind: str, domain: Domain, rows: Sequence[Row], words: Words, random_: random.Random
) -> Item | None:
    """One thing to ask for; None where the drawn field does not allow it."""
    f = random_.randrange(len(domain.fields))
    field = domain.fields[f]
    row = random_.choice(rows)
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
            cond, found = words.conds[0], [r[0] for r in rows if r[f + 1] == row[f + 1]]
        elif field.kind in ("int", "dec"):
            above = random_.random() < 0.5
            cond = words.conds[1 if above else 2]
            limit = float(row[f + 1])
            found = [r[0] for r in rows if (float(r[f + 1]) > limit if above else float(r[f + 1]) < limit)]
        else:
            return None
        holes["cond"] = cond.format(f=field.name, v=row[f + 1])
        if 2 <= len(found) <= 4:
            truth = tuple(found) if kind == "list" else str(len(found))
    elif kind in ("most", "order") and field.kind != "cat":
        high = random_.random() < 0.5
        ends = ("earliest", "latest") if field.kind in ("time", "date") else ("lowest", "highest")
        holes["d"] = ends[high]
        in_order = sorted(rows, key=lambda r: _sortable(r[f + 1]), reverse=high)
        truth = in_order[0][0] if kind == "most" else tuple(r[0] for r in in_order[:3])
    elif kind in ("rows", "change"):
        form = random_.choice(list(words.formats))
        holes["fmt"] = words.formats[form]
        some = (row,)
        if kind == "rows":
            some = tuple(random_.sample(rows, random_.choice((2, 2, 3))))
            holes["ks"] = listed([r[0] for r in some])
        else:
            holes["x"] = _draw(field, random_)
            if holes["x"] == row[f + 1]:
                return None
            some = ((*row[: f + 1], holes["x"], *row[f + 2 :]),)
        truth = Rows(form, some)
    if truth is None:
        return None
    cores = tuple(core.format(**holes) for core in words.cores[kind])
    return Item(kind, row[0], cores, truth, f, unit, random_.choice(words.asks[kind]).format(**holes))


def _sortable(value: str) -> tuple[float, str]:
    return (0.0, value) if ":" in value or "-" in value else (float(value), "")
