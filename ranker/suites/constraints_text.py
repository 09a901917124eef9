"""Writing for the constraints suite: a text that meets some requirements of a task and misses the others."""

from __future__ import annotations

import random
import string
from dataclasses import dataclass
from typing import Any

from ranker.suites.constraints_checks import Constraint, words
from ranker.suites.constraints_words import BY_LETTER, VERBS, Words

SHAPES = ("sentences", "bullets", "numbered", "alphabetical", "verbs", "acrostic")
LENGTHS = ("most", "least", "between")
_LONGER = (  # what makes a sentence long, by length
    "too", "once again", "and then some", "and nobody looks up", "and everyone can hear it",
    "and that takes a good while", "and it goes on for quite long", "and not one of us can say why",
    "and not one of us can say how long", "and not one of us can say for how long",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Task:
    """What one group is asked: a subject and its constraints, the most important first."""

    text: str
    subject: str
    constraints: tuple[Constraint, ...]
    units: int  # sentences, items or lines that fit the task


@dataclass(slots=True)
class _Piece:
    """A sentence in the making: what stands before and after its clause; pinned parts are there for a reason."""

    clause: str
    opener: str = ""
    tail: str = ""
    comma: bool = False
    pinned: bool = False  # the tail
    started: bool = False  # the opener

    def text(self) -> str:
        head = self.opener + (", " if self.comma else " ") if self.opener else ""
        gap = " " if self.tail and self.tail[0] != "," else ""
        made = f"{head}{self.clause}{gap}{self.tail}"
        return made[0].upper() + made[1:]


def write(
    task: Task, missed: frozenset[str], difficulty: float, material: Words, random_: random.Random
) -> str:
    """A text on the task that misses these kinds: by a hair with a chance of `difficulty`, otherwise by far."""
    asked = {c.kind: c.value for c in task.constraints}
    hair = {
        kind: random_.random() < difficulty for kind in sorted(missed)
    }  # sorted: a set has no order of its own
    good = {kind for kind in asked if kind not in missed}
    shape = next((k for k in asked if k in SHAPES), "")
    pieces = _pieces(task, shape, asked, missed, hair, material, random_)
    _edges(pieces, asked, good, hair, material, random_)
    _tails(pieces, asked, good, hair, material, random_)
    _commas(pieces, asked, random_)
    asking: list[str] = []
    if "question" in asked:
        marks = 1 if "question" in good else 2 if hair["question"] and len(pieces) > 2 else 0
        asking = random_.sample(material.questions, marks)
    aim = _aim(task, asked, missed, hair, random_) - sum(len(words(q)) for q in asking)
    _fit(pieces, aim, asked, good, hair, material, random_)
    if "alphabetical" in asked:
        pieces.sort(key=lambda p: words(p.text()))
        if "alphabetical" in missed:
            at = random_.randrange(len(pieces) - 1)
            pieces[at], pieces[at + 1] = pieces[at + 1], pieces[at]
            if not hair["alphabetical"]:
                pieces.reverse()
    told = [p.text() + "." for p in pieces]
    for at, question in zip(random_.sample(range(1, len(told)), len(asking)), asking, strict=True):
        told[at] = f"{told[at][:-1]}; {question}"
    if "exclaim" in good:
        told[-1] = told[-1][:-1] + "!"
    elif hair.get("exclaim"):
        told[0] = told[0][:-1] + "!"
    return _laid_out(told, task, shape, asked, good, hair, random_)


def _pieces(
    task: Task, shape: str, asked: dict[str, Any], missed: frozenset[str], hair: dict[str, bool],
    material: Words, random_: random.Random,
) -> list[_Piece]:  # fmt: skip
    """Clauses in the number that the shape asks for, or not, with the openers that it asks for."""
    n = task.units if shape or set(asked) & set(LENGTHS) else random_.choice((3, 4, 5))
    if not shape and "least" in missed and n > 3:
        n -= 1
    wrong_count = shape in missed and shape in {"sentences", "bullets", "numbered"}
    if wrong_count and (hair[shape] or random_.random() < 0.5):
        n += random_.choice((-1, 1)) * (1 if hair[shape] else random_.choice((1, 2)))
    pieces = [_Piece(c) for c in random_.sample(material.subjects[task.subject], min(max(n, 2), 9))]
    if shape == "acrostic":
        letters = list(asked["acrostic"].lower())
        if shape in missed:
            others = [x for x in BY_LETTER if x not in letters]
            spoiled = [random_.randrange(len(letters))] if hair[shape] else range(len(letters))
            for at in spoiled:
                letters[at] = random_.choice(others)
        used: set[str] = set()
        for piece, letter in zip(pieces, letters, strict=True):
            fresh = [o for o in BY_LETTER[letter] if o not in used]
            piece.opener, piece.started = random_.choice(fresh or BY_LETTER[letter]), True
            used.add(piece.opener)
    if shape == "verbs":
        bare: set[int] = set()
        if shape in missed:
            bare = {random_.randrange(len(pieces))} if hair[shape] else set(range(len(pieces)))
        for k, (piece, verb) in enumerate(zip(pieces, random_.sample(VERBS, len(pieces)), strict=True)):
            piece.opener, piece.started = ("" if k in bare else f"{verb} how"), True
    return pieces


def _edges(
    pieces: list[_Piece], asked: dict[str, Any], good: set[str], hair: dict[str, bool],
    material: Words, random_: random.Random,
) -> None:  # fmt: skip
    """The first and the last words."""
    if "start" in asked:
        if "start" in good or hair["start"]:
            at = pieces[0] if "start" in good else pieces[1]
            at.opener, at.started = asked["start"], True
        pieces[0].started = True
    if "end" in asked:
        right, other = material.ends[asked["end"]]
        if "end" in good:
            pieces[-1].tail = right
        else:
            pieces[-1].tail = other if hair["end"] else ""
            if hair["end"] and random_.random() < 0.5:
                pieces[0].tail, pieces[0].pinned = right, True
        pieces[-1].pinned = True


def _tails(
    pieces: list[_Piece], asked: dict[str, Any], good: set[str], hair: dict[str, bool],
    material: Words, random_: random.Random,
) -> None:  # fmt: skip
    """The words that must stand, or must not."""
    wanted: list[str] = []
    if "word" in asked:
        right, near = material.must[asked["word"]]
        wanted += (
            [random_.choice(right)] if "word" in good else [random_.choice(near)] if hair["word"] else []
        )
    if "twice" in asked:
        right, near = material.must[asked["twice"]]
        two = random_.sample(right, 2)
        if "twice" not in good:
            two = [two[0], random_.choice(near)] if hair["twice"] else random_.choice((list(right), two[:0]))
        wanted += two
    if "avoid" in asked and "avoid" not in good:
        wanted += random_.sample(material.avoid[asked["avoid"]], 1 if hair["avoid"] else 2)
    if "number" in asked:
        year = asked["number"]
        other = random_.choice((year + 1, year - 1, year + 10)) if hair.get("number") else None
        if "number" in good or other:
            wanted.append(random_.choice(("much as in {}", "the way it was in {}")).format(other or year))
    free = [p for p in pieces if not p.pinned]
    for piece, tail in zip(random_.sample(free, len(free)), wanted, strict=False):
        piece.tail, piece.pinned = tail, True


def _commas(pieces: list[_Piece], asked: dict[str, Any], random_: random.Random) -> None:
    """Commas after half of the openers to come, unless commas are forbidden."""
    for piece in pieces:
        piece.comma = random_.random() < 0.5 and "comma" not in asked
        if piece.opener.endswith(" how"):
            piece.comma = False


def _aim(
    task: Task, asked: dict[str, Any], missed: frozenset[str], hair: dict[str, bool], random_: random.Random
) -> int:
    """How many words the text should have: what the task asks for, or not; else drawn."""
    kind = next((k for k in asked if k in LENGTHS), "")
    if not kind:
        return (
            round(task.units * random_.uniform(7, 11))
            - (3 if "each" in missed else 0)
            - (3 if "title" in asked and "title" not in missed else 0)
        )
    low: int
    high: int
    low, high = asked[kind] if kind == "between" else (asked[kind], asked[kind])
    near = random_.choice((1, 1, 2)) if hair.get(kind) else random_.randint(5, 12)
    if kind == "between":
        under = random_.random() < 0.5
        return random_.randint(low, high) if kind not in missed else low - near if under else high + near
    if kind == "most":
        return high + near if kind in missed else high - random_.choice((0, 0, 1, 2, 4))
    return low - near if kind in missed else low + random_.choice((0, 1, 2, 4, 7))


def _fit(
    pieces: list[_Piece], aim: int, asked: dict[str, Any], good: set[str], hair: dict[str, bool],
    material: Words, random_: random.Random,
) -> None:  # fmt: skip
    """Bring the text to its number of words with openers and tails, the longest sentence to its own."""
    sizes = [len(words(p.text())) for p in pieces]
    cap = asked.get("each", 99)
    if "each" in asked and "each" not in good:
        cap = 99
    have = sum(sizes)
    slots = [(k, part) for k, p in enumerate(pieces) for part in ("opener", "tail")
             if not (p.started if part == "opener" else p.pinned)]  # fmt: skip
    random_.shuffle(slots)
    if "comma" in asked and "comma" not in good:  # commas need openers
        slots.sort(key=lambda slot: slot[1] == "tail")
    taken = {p.opener for p in pieces}
    openers = [o for o in material.openers if o not in taken and o != asked.get("start")]
    fresh = {"opener": random_.sample(openers, len(openers)),
             "tail": random_.sample(material.tails, len(material.tails))}  # fmt: skip
    for place, (k, part) in enumerate(slots):
        need, left = aim - have, len(slots) - place
        if need <= 0:
            break
        room = min(need, cap - sizes[k])
        wish = need / left
        fitting = [x for x in fresh[part] if len(x.split()) <= room]
        if not fitting or (wish < 1 and random_.random() > wish and need > 1):
            continue
        chosen = min(fitting, key=lambda x: abs(len(x.split()) - max(wish, 1) - 0.5))
        if len(chosen.split()) < wish and left <= 3:
            chosen = max(fitting, key=lambda x: len(x.split()))
        fresh[part].remove(chosen)
        setattr(pieces[k], part, chosen)
        sizes[k] += len(chosen.split())
        have += len(chosen.split())
    if "comma" in asked and "comma" not in good:  # one, or all there can be
        opened = [p for p in pieces if p.opener and not p.opener.endswith(" how")]
        for piece in random_.sample(opened, min(1, len(opened))) if hair["comma"] else opened:
            piece.comma = True
        if not opened:
            pieces[0].tail += ", of course"
    if "each" in asked and "each" not in good:
        longest = max(range(len(pieces)), key=lambda k: sizes[k])
        over = asked["each"] + (1 if hair["each"] else 4) - sizes[longest]
        if over > 0:
            pieces[longest].clause += " " + next((x for x in _LONGER if len(x.split()) >= over), _LONGER[-1])


def _laid_out(
    told: list[str], task: Task, shape: str, asked: dict[str, Any], good: set[str], hair: dict[str, bool],
    random_: random.Random,
) -> str:  # fmt: skip
    """The sentences as prose, lines or a list; then title, case and quotation marks."""
    broken = shape in hair and not hair[shape]
    if shape in {"bullets", "alphabetical", "verbs"}:
        text = "\n".join(f"- {x}" for x in told)
        if shape == "bullets" and broken and len(told) == task.units:
            text = "\n".join(told) if random_.random() < 0.5 else " ".join(told)
    elif shape == "numbered":
        marks = "-" * len(told) if broken and len(told) == task.units else ""
        text = "\n".join(f"{marks[0]} {x}" if marks else f"{k}. {x}" for k, x in enumerate(told, start=1))
    elif shape == "acrostic":
        text = "\n".join(told)
    else:
        if shape == "sentences" and broken and len(told) == task.units:
            told = [f"{told[0][:-1]}; {told[1][0].lower()}{told[1][1:]}", *told[2:]]
        text = " ".join(told)
    if "title" in asked and ("title" in good or hair["title"]):
        title = task.subject.split(" ", 1)[1] if task.subject.startswith(("a ", "an ")) else task.subject
        text = f"{title.upper() if 'title' in good else string.capwords(title)}\n\n{text}"
    if "lower" in good:
        text = text.lower()
    elif hair.get("lower"):
        at = random_.choice([k for k, c in enumerate(text) if c.isupper()])
        text = text[:at].lower() + text[at] + text[at + 1 :].lower()
    if "quoted" in good:
        text = f'"{text}"'
    elif hair.get("quoted"):
        text = random_.choice((f'"{text}', f"'{text}'"))
    return text
