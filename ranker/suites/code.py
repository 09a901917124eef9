"""Code: small functions, right ones and ones with a slip, graded by hidden tests that are really run.

A trajectory is one reply: a function in a fenced block and a few sentences. Its truth is the share of hidden tests
that the function passes. Names, comments, docstrings and the sentences around are drawn with no eye to the truth,
and up to a length that is drawn so too. The harder, the closer in quality the replies, and the rarer the cases that
tell them apart.
"""

from __future__ import annotations

import ast
import difflib
import itertools
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache, partial

from ranker.suites.attempts import Generator, Members
from ranker.suites.sandbox import Case, Tests, share_passed, shares_passed
from ranker.suites.tables import load, load_split
from ranker.trajectory import Trajectory

RUBRIC = (
    "Better is the reply whose function returns the right result in more cases, rare and edge cases included, by the "
    "wording of the task. Style, comments, length and speed do not matter."
)
SHORTEST, LONGEST = 60, 500  # characters of comments and sentences, above the longest bare function
NEARNESS = 0.05  # how closely a variant's share follows the share aimed at

_FENCE = re.compile(r"```python\n(.*?)```", re.DOTALL)


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


words = partial(load_split, Words, "code")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to write a function, right or not, and the share of its tests that it passes."""

    source: str
    slips: tuple[str, ...]
    share: float
    right: str = field(default="", compare=False)  # the source without the slips


def checker(trajectory: Trajectory, function: Function) -> float:
    """The truth of a reply: the share of hidden tests that the function in its fenced block passes."""
    fenced = _FENCE.search(str(trajectory.messages[-1]["content"]))
    return share_passed(fenced[1], function.tests) if fenced else 0.0


@lru_cache(maxsize=2)
def variants(held_out: bool) -> tuple[tuple[Variant, ...], ...]:
    """For each function of a split all its variants: the right ones, and those with one slip or two."""
    functions = words(held_out).functions
    edits = [[(style, *edit) for style in f.styles for edit in _edits(style)] for f in functions]
    jobs = [(source, f.tests) for f, some in zip(functions, edits, strict=True) for _, source, _ in some]
    shares = iter(shares_passed(jobs, seconds=20.0))
    return tuple(
        tuple(Variant(source, slips, next(shares), style.source) for style, source, slips in some)
        for some in edits
    )


def _edits(style: Style) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield style.source, ()
    for label, old, new in style.slips:
        yield style.source.replace(old, new), (label,)
    for (first, old, new), (second, older, newer) in itertools.combinations(style.slips, 2):
        if style.source.replace(old, "").count(older) == style.source.replace(old, new).count(older) == 1:
            yield style.source.replace(old, new).replace(older, newer), (first, second)


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    material = words(held_out)
    at = draw.randrange(len(material.functions))
    function = material.functions[at]
    opening = _opening(function, material, draw)
    chosen = _chosen(variants(held_out)[at], size, difficulty, draw)
    floor = max(len(variant.source) for variant in chosen) + SHORTEST
    members = []
    for k, variant in enumerate(chosen):
        length = floor + draw.randrange(LONGEST - SHORTEST)
        lines = _renamed(variant.source, draw).rstrip("\n").split("\n")
        reply = _reply(lines, material, length, draw)
        members.append(
            Trajectory(
                [*opening, {"role": "assistant", "content": reply}],
                id=chr(97 + k) if k < 26 else f"t{k}",
                ground_truth=variant.share,
                metadata={"slips": list(variant.slips), "marks": {"passages": _passages(variant, lines)}},
            )
        )
    return members, {"template": function.name, "suite": "code"}


groups = Generator("code", RUBRIC, _members)


def _chosen(known: tuple[Variant, ...], size: int, difficulty: float, draw: random.Random) -> list[Variant]:
    """Variants whose shares are spread from 1 down to a floor that rises with the difficulty."""
    floor = 0.8 * difficulty
    while True:
        aims = [floor + (1.05 - floor) * (i + draw.random()) / size for i in range(size)]
        draw.shuffle(aims)
        chosen: list[Variant] = []
        for aim in aims:
            fresh = [variant for variant in known if variant not in chosen]
            chosen.append(_nearby(fresh or known, aim, draw))
        if len({variant.share for variant in chosen}) > 1:
            return chosen


def _nearby(known: Sequence[Variant], aim: float, draw: random.Random) -> Variant:
    weights = [2.0 ** -(abs(variant.share - aim) / NEARNESS) for variant in known]
    return draw.choices(known, weights)[0]


def _opening(function: Function, words: Words, draw: random.Random) -> list[dict[str, str]]:
    call, value = function.example
    task = draw.choice(words.tasks).format(
        signature=function.signature, asked=function.asked, call=call, value=value
    )
    return [{"role": "system", "content": draw.choice(words.systems)}, {"role": "user", "content": task}]


def _passages(variant: Variant, lines: Sequence[str]) -> list[list[str | float]]:
    """The lines of a variant's code as they stand in the reply, 0 for those that a slip put there or changed.

    Blank lines and `def` lines are left out. A line that a slip took away has no mark.
    """
    old, new = (source.rstrip("\n").split("\n") for source in (variant.right, variant.source))
    blocks = difflib.SequenceMatcher(None, old, new, autojunk=False).get_matching_blocks()
    right = {at for _, start, n in blocks for at in range(start, start + n)}
    return [
        [line, float(at in right)]
        for at, line in enumerate(lines)
        if line.strip() and not line.lstrip().startswith("def ")
    ]


def _reply(lines: list[str], words: Words, length: int, draw: random.Random) -> str:
    """The lines of code among comments and sentences, as near to the length as whole ones allow."""
    before, after, notes = [draw.choice(words.openers)], list[str](), dict[int, str]()
    left = length - sum(len(line) + 1 for line in lines) - len(before[0]) - len("```python```\n\n")
    for place, text in _extras(lines, words, draw):
        if left < 30:
            break
        if len(text) > left + 15:
            continue
        left -= len(text) + 1
        if place is None:
            if draw.random() < 0.25 and len(before) < 3:
                before.insert(0, text)
            else:
                after.append(text)
        else:
            notes[place] = text
    body = [part for i, line in enumerate(lines) for part in ([notes[i]] if i in notes else []) + [line]]
    code = "```python\n" + "\n".join(body) + "\n```"
    return "\n\n".join(part for part in (" ".join(before), code, " ".join(after)) if part)


def _extras(lines: list[str], words: Words, draw: random.Random) -> list[tuple[int | None, str]]:
    """Sentences (no place) and comments or a docstring (before which line), in a random order."""
    extras: list[tuple[int | None, str]] = [(None, text) for text in words.sentences]
    start = next(i for i, line in enumerate(lines) if line.startswith("def "))
    extras.append((start + 1, "    " + draw.choice(words.docstrings)))
    for i, line in enumerate(lines[start + 2 :], start + 2):
        bare = line.lstrip(" ")
        comments = words.comments.get(bare.split(" ")[0].rstrip(":"), ())
        if comments and not bare.startswith(("else", "elif", "except")):
            extras.append((i, line[: len(line) - len(bare)] + draw.choice(comments)))
    draw.shuffle(extras)
    return extras


def _renamed(source: str, draw: random.Random) -> str:
    """Some local names, replaced by others that mean the same."""
    for name, others in load(Shared, "code_shared").names.items():
        other = draw.choice((name, *others))
        if other != name and not re.search(rf"\b{other}\b", source):
            source = re.sub(rf"\b{name}\b", other, source)
    return source
