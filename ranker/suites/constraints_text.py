"""Writing for the constraints suite: a text that meets some requirements of a task and misses the others."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

from ranker.suites.attempts import capital
from ranker.suites.constraints_checks import Constraint, shared
from ranker.suites.constraints_checks import words as words_of
from ranker.suites.tables import load_split

SHAPES = ("sentences", "bullets", "numbered", "alphabetical", "verbs", "acrostic")
LENGTHS = ("most", "least", "between")


@dataclass(frozen=True, slots=True)
class Words:
    """One split's material; the tables say what the fields hold."""

    subjects: Mapping[str, tuple[str, ...]]
    openers: tuple[str, ...]
    tails: tuple[str, ...]
    must: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    avoid: Mapping[str, tuple[str, ...]]
    leads: tuple[str, ...]
    wordings: Mapping[str, tuple[str, ...]]
    questions: tuple[str, ...]
    ends: Mapping[str, tuple[str, str]]
    starts: tuple[str, ...]
    acrostics: tuple[str, ...]
    listings: tuple[str, ...]
    markers: tuple[str, ...]


words = partial(load_split, Words, "constraints")


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
        return capital(f"{head}{self.clause}{gap}{self.tail}")


def write(task: Task, missed: frozenset[str], difficulty: float, material: Words, draw: random.Random) -> str:
    """A text on the task that misses these kinds: by a hair with a chance of `difficulty`, otherwise by far."""
    # Sorted, for a set has no order of its own.
    hair = {kind: draw.random() < difficulty for kind in sorted(missed)}
    return _Writer(task, hair, material, draw).write()


class _Writer:
    """Writes one text.

    Attributes:
        asked: the kinds asked for, with their values.
        hair: the kinds to miss, and whether by a hair.
        good: the kinds to meet.
        shape: the kind that says what the text is made of; "" for none.
    """

    def __init__(self, task: Task, hair: dict[str, bool], material: Words, draw: random.Random) -> None:
        self.task, self.hair, self.material, self.draw = task, hair, material, draw
        self.asked = {c.kind: c.value for c in task.constraints}
        self.good = {kind for kind in self.asked if kind not in hair}
        self.shape = next((k for k in self.asked if k in SHAPES), "")

    def write(self) -> str:
        draw, hair = self.draw, self.hair
        pieces = self.pieces()
        self.edges(pieces)
        self.tails(pieces)
        for piece in pieces:  # commas after half of the openers to come, unless they are forbidden
            piece.comma = (
                draw.random() < 0.5 and "comma" not in self.asked and not piece.opener.endswith(" how")
            )
        asking: list[str] = []
        if "question" in self.asked:
            marks = 1 if "question" in self.good else 2 if hair["question"] and len(pieces) > 2 else 0
            asking = draw.sample(self.material.questions, marks)
        self.fit(pieces, self.aim() - sum(len(words_of(q)) for q in asking))
        if "alphabetical" in self.asked:
            pieces.sort(key=lambda p: words_of(p.text()))
            if "alphabetical" in hair:
                at = draw.randrange(len(pieces) - 1)
                pieces[at], pieces[at + 1] = pieces[at + 1], pieces[at]
                if not hair["alphabetical"]:
                    pieces.reverse()
        texts = [p.text() + "." for p in pieces]
        for at, question in zip(draw.sample(range(1, len(texts)), len(asking)), asking, strict=True):
            texts[at] = f"{texts[at][:-1]}; {question}"
        if "exclaim" in self.good:
            texts[-1] = texts[-1][:-1] + "!"
        elif hair.get("exclaim"):
            texts[0] = texts[0][:-1] + "!"
        return self.dressed(self.laid_out(texts))

    def pieces(self) -> list[_Piece]:
        """Clauses in the number that the shape asks for, or not, with the openers that it asks for."""
        task, shape, hair, draw = self.task, self.shape, self.hair, self.draw
        n = task.units if shape or set(self.asked) & set(LENGTHS) else draw.choice((3, 4, 5))
        if not shape and "least" in hair and n > 3:
            n -= 1
        wrong_count = shape in hair and shape in {"sentences", "bullets", "numbered"}
        if wrong_count and (hair[shape] or draw.random() < 0.5):
            n += draw.choice((-1, 1)) * (1 if hair[shape] else draw.choice((1, 2)))
        pieces = [_Piece(c) for c in draw.sample(self.material.subjects[task.subject], min(max(n, 2), 9))]
        if shape == "acrostic":
            by_letter = shared().by_letter
            letters = list(self.asked["acrostic"].lower())
            if shape in hair:
                others = [x for x in by_letter if x not in letters]
                spoiled = [draw.randrange(len(letters))] if hair[shape] else range(len(letters))
                for at in spoiled:
                    letters[at] = draw.choice(others)
            used: set[str] = set()
            for piece, letter in zip(pieces, letters, strict=True):
                fresh = [o for o in by_letter[letter] if o not in used]
                piece.opener, piece.started = draw.choice(fresh or by_letter[letter]), True
                used.add(piece.opener)
        if shape == "verbs":
            bare: set[int] = set()
            if shape in hair:
                bare = {draw.randrange(len(pieces))} if hair[shape] else set(range(len(pieces)))
            for k, (piece, verb) in enumerate(
                zip(pieces, draw.sample(shared().verbs, len(pieces)), strict=True)
            ):
                piece.opener, piece.started = ("" if k in bare else f"{verb} how"), True
        return pieces

    def edges(self, pieces: list[_Piece]) -> None:
        """The first and the last words."""
        if "start" in self.asked:
            if "start" in self.good or self.hair["start"]:
                at = pieces[0] if "start" in self.good else pieces[1]
                at.opener, at.started = self.asked["start"], True
            pieces[0].started = True
        if "end" in self.asked:
            right, other = self.material.ends[self.asked["end"]]
            if "end" in self.good:
                pieces[-1].tail = right
            else:
                pieces[-1].tail = other if self.hair["end"] else ""
                if self.hair["end"] and self.draw.random() < 0.5:
                    pieces[0].tail, pieces[0].pinned = right, True
            pieces[-1].pinned = True

    def tails(self, pieces: list[_Piece]) -> None:
        """The words that must stand, or must not."""
        asked, good, hair, draw = self.asked, self.good, self.hair, self.draw
        wanted: list[str] = []
        if "word" in asked:
            right, near = self.material.must[asked["word"]]
            if "word" in good or hair["word"]:
                wanted.append(draw.choice(right if "word" in good else near))
        if "twice" in asked:
            right, near = self.material.must[asked["twice"]]
            two = draw.sample(right, 2)
            if "twice" not in good:
                two = [two[0], draw.choice(near)] if hair["twice"] else draw.choice((list(right), two[:0]))
            wanted += two
        if "avoid" in asked and "avoid" not in good:
            wanted += draw.sample(self.material.avoid[asked["avoid"]], 1 if hair["avoid"] else 2)
        if "number" in asked:
            year = asked["number"]
            other = draw.choice((year + 1, year - 1, year + 10)) if hair.get("number") else None
            if "number" in good or other:
                wanted.append(draw.choice(("much as in {}", "the way it was in {}")).format(other or year))
        free = [p for p in pieces if not p.pinned]
        for piece, tail in zip(draw.sample(free, len(free)), wanted, strict=False):
            piece.tail, piece.pinned = tail, True

    def aim(self) -> int:
        """How many words the text should have: what the task asks for, or not; else drawn."""
        asked, hair, draw = self.asked, self.hair, self.draw
        kind = next((k for k in asked if k in LENGTHS), "")
        if not kind:
            most = round(self.task.units * draw.uniform(7, 11))
            return most - 3 * ("each" in hair) - 3 * ("title" in self.good)
        low: int
        high: int
        low, high = asked[kind] if kind == "between" else (asked[kind], asked[kind])
        near = draw.choice((1, 1, 2)) if hair.get(kind) else draw.randint(5, 12)
        if kind == "between":
            under = draw.random() < 0.5
            return draw.randint(low, high) if kind in self.good else low - near if under else high + near
        if kind == "most":
            return high + near if kind in hair else high - draw.choice((0, 0, 1, 2, 4))
        return low - near if kind in hair else low + draw.choice((0, 1, 2, 4, 7))

    def fit(self, pieces: list[_Piece], aim: int) -> None:
        """Bring the text to its number of words with openers and tails, the longest sentence to its own."""
        asked, hair, material, draw = self.asked, self.hair, self.material, self.draw
        sizes = [len(words_of(p.text())) for p in pieces]
        cap = asked["each"] if "each" in self.good else 99
        have = sum(sizes)
        slots = [
            (k, part)
            for k, p in enumerate(pieces)
            for part, taken in (("opener", p.started), ("tail", p.pinned))
            if not taken
        ]
        draw.shuffle(slots)
        if "comma" in hair:  # commas need openers
            slots.sort(key=lambda slot: slot[1] == "tail")
        used = {asked.get("start"), *(p.opener for p in pieces)}
        openers = [o for o in material.openers if o not in used]
        fresh = {
            "opener": draw.sample(openers, len(openers)),
            "tail": draw.sample(material.tails, len(material.tails)),
        }
        for place, (k, part) in enumerate(slots):
            need, left = aim - have, len(slots) - place
            if need <= 0:
                break
            room = min(need, cap - sizes[k])
            wish = need / left
            fitting = [x for x in fresh[part] if len(x.split()) <= room]
            if not fitting or (wish < 1 and draw.random() > wish and need > 1):
                continue
            chosen = min(fitting, key=lambda x: abs(len(x.split()) - max(wish, 1) - 0.5))
            if len(chosen.split()) < wish and left <= 3:
                chosen = max(fitting, key=lambda x: len(x.split()))
            fresh[part].remove(chosen)
            setattr(pieces[k], part, chosen)
            sizes[k] += len(chosen.split())
            have += len(chosen.split())
        if "comma" in hair:  # one, or all there can be
            opened = [p for p in pieces if p.opener and not p.opener.endswith(" how")]
            for piece in draw.sample(opened, min(1, len(opened))) if hair["comma"] else opened:
                piece.comma = True
            if not opened:
                pieces[0].tail += ", of course"
        if "each" in hair:
            longest = max(range(len(pieces)), key=lambda k: sizes[k])
            over = asked["each"] + (1 if hair["each"] else 4) - sizes[longest]
            longer = shared().longer
            if over > 0:
                pieces[longest].clause += " " + next(
                    (x for x in longer if len(x.split()) >= over), longer[-1]
                )

    def laid_out(self, texts: list[str]) -> str:
        """The sentences as prose, lines or a list."""
        shape = self.shape
        broken = shape in self.hair and not self.hair[shape] and len(texts) == self.task.units
        if shape == "bullets" and broken:
            return "\n".join(texts) if self.draw.random() < 0.5 else " ".join(texts)
        if shape in {"bullets", "alphabetical", "verbs"} or (shape == "numbered" and broken):
            return "\n".join(f"- {x}" for x in texts)
        if shape == "numbered":
            return "\n".join(f"{k}. {x}" for k, x in enumerate(texts, start=1))
        if shape == "acrostic":
            return "\n".join(texts)
        if shape == "sentences" and broken:
            texts = [f"{texts[0][:-1]}; {texts[1][0].lower()}{texts[1][1:]}", *texts[2:]]
        return " ".join(texts)

    def dressed(self, text: str) -> str:
        """With title, case and quotation marks."""
        good, hair, draw = self.good, self.hair, self.draw
        if "title" in good or hair.get("title"):
            title = self.task.subject
            title = title.split(" ", 1)[1] if title.startswith(("a ", "an ")) else title
            text = f"{title.upper() if 'title' in good else string.capwords(title)}\n\n{text}"
        if "lower" in good:
            text = text.lower()
        elif hair.get("lower"):
            at = draw.choice([k for k, c in enumerate(text) if c.isupper()])
            text = text[:at].lower() + text[at] + text[at + 1 :].lower()
        if "quoted" in good:
            text = f'"{text}"'
        elif hair.get("quoted"):
            text = draw.choice((f'"{text}', f"'{text}'"))
        return text
