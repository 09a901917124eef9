"""The arithmetic suite: word problems of three to six steps, and worked solutions with slips.

Truth, from the text alone (`score`): 0.4 for the right final number (the last number of the text), and 0.6 for the
share of the required steps that are credited. The calculations of the text are laid beside the steps in order, as
favourably as possible. A step is credited fully if the right operation is done on the right numbers and worked out
right, by half if only the working out is wrong. A number that an earlier step should give may be the one that
the text found there, so a consistent solution after one slip keeps the credit for its method. Where a calculation
directly follows another of the same left side, it corrects it: the later one counts, and 0.05 is taken off.

Slips: a wrong result, a misprinted one, a wrong operation, a number copied or carried over wrongly, a step left
out, a wrong unit conversion, a correction for the better or the worse, right steps but another number stated.
At difficulty 0 slips are many and wrong numbers far off; at 1 they are few and one digit off.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ranker.suites.arithmetic_work import (
    Operand,
    Problem,
    Work,
    apply,
    draw_problem,
    padded,
    plain,
    solution,
    words,
    work,
)
from ranker.suites.attempts import Generator, Members, replies, spread

RUBRIC = (
    "The right final answer counts most; then every calculation counts that the problem needs and that is set up and "
    "worked out correctly, those that follow consistently from an earlier slip included."
)
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_EQUATION = re.compile(rf"({_NUMBER}) ([-+*/×÷−x]) ({_NUMBER}) = ({_NUMBER})")
_OPS = {"×": "*", "x": "*", "÷": "/", "−": "-"}
_CRUDE = ("operation", "operation", "dropped", "unit", "carried", "statement", "wrong", "worsened")
_SUBTLE = ("wrong", "wrong", "copied", "misprint", "mended", "worsened", "statement", "carried")
_PER_CORRECTION = 0.05


def score(problem: Problem, text: str) -> float:
    """How good a worked solution is, as the module says."""
    calculations, corrected = _calculations(text)
    credits = _credits(problem, [numbers for _, numbers in calculations])
    gained = sum(credit for _, credit in credits.values())
    worth = 0.4 * _final(problem, text) + 0.6 * gained / len(problem.steps) - _PER_CORRECTION * len(corrected)
    return round(max(0.0, worth), 4)


def marks(problem: Problem, text: str) -> dict[str, Any]:
    """The credit of each step that the problem needs, and that of each calculation of the text."""
    calculations, corrected = _calculations(text)
    credits = _credits(problem, [numbers for _, numbers in calculations])
    by_place = dict(credits.values())
    known = [(match, by_place.get(i, 0.0)) for i, (match, _) in enumerate(calculations)]
    known += [(match, 0.0) for match in corrected]
    known.sort(key=lambda one: one[0].start())
    end = max((match.end() for match, _ in known), default=0)
    passages = [[match[0], credit] for match, credit in known]
    return {
        "points": [credits.get(k, (0, 0.0))[1] for k in range(len(problem.steps))],
        "passages": [*passages, [text[end:].strip(), float(_final(problem, text))]],
    }


_Calculation = tuple[float, str, float, float]


def _calculations(text: str) -> tuple[list[tuple[re.Match[str], _Calculation]], list[re.Match[str]]]:
    """The calculations of a text, and those that were taken back."""
    calculations: list[tuple[re.Match[str], _Calculation]] = []
    corrected: list[re.Match[str]] = []
    for match in _EQUATION.finditer(text):
        a, op, b, c = match.groups()
        numbers = (_value(a), _OPS.get(op, op), _value(b), _value(c))
        if calculations and calculations[-1][1][:3] == numbers[:3]:
            corrected.append(calculations.pop()[0])
        calculations.append((match, numbers))
    return calculations, corrected


def _final(problem: Problem, text: str) -> bool:
    numbers = re.findall(_NUMBER, text)
    return bool(numbers) and _value(numbers[-1]) == problem.results[-1]


def _credits(problem: Problem, shown: Sequence[_Calculation]) -> dict[int, tuple[int, float]]:
    """For each step that is laid beside a calculation that calculation's place, and the credit; as favourably as
    possible."""
    n, m = len(shown), len(problem.steps)
    if n <= m:
        ways = [dict(zip(places, range(n), strict=True)) for places in itertools.combinations(range(m), n)]
    else:
        few = range(min(n, m + 3))
        ways = [dict(zip(range(m), places, strict=True)) for places in itertools.combinations(few, m)]
    best: dict[int, tuple[int, float]] = {}
    most = -1.0
    for way in ways:
        credit = _credit(problem, {k: shown[i] for k, i in way.items()})
        if sum(credit.values()) > most:
            most = sum(credit.values())
            best = {k: (i, credit.get(k, 0.0)) for k, i in way.items()}
    return best


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _credit(problem: Problem, shown: Mapping[int, _Calculation]) -> dict[int, float]:
    credit: dict[int, float] = {}
    for k, (a, op, b, c) in shown.items():
        step = problem.steps[k]
        left, right = _may_be(problem, step.left, shown), _may_be(problem, step.right, shown)
        if op == step.op and ((a in left and b in right) or (op in "+*" and a in right and b in left)):
            credit[k] = 1.0 if abs(apply(op, a, b) - c) < 0.006 else 0.5
    return credit


def _may_be(problem: Problem, operand: Operand, shown: Mapping[int, _Calculation]) -> tuple[float, ...]:
    """The numbers that may stand for an operand: the true one, and the one that the text shows."""
    true = problem.value(operand, problem.results)
    k = int(operand[1:]) - 1 if isinstance(operand, str) and operand.startswith("#") else -1
    return (true, shown[k][3]) if k in shown else (true,)


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    material = words(held_out)
    story = draw.choice(material.stories)
    problem = draw_problem(story, material.people, draw)

    def write() -> list[str]:
        plans = _plans(problem, size, difficulty, draw)
        return padded([solution(problem, plan, material, draw) for plan in plans], material, draw)

    members = replies(problem.text, write, partial(score, problem), partial(marks, problem))
    return members, {"template": story.name}


groups = Generator("arithmetic", RUBRIC, _members)


def _plans(problem: Problem, size: int, difficulty: float, draw: random.Random) -> list[Work]:
    steps = len(problem.steps)

    def plan(count: int) -> Work:
        return _plan(problem, min(max(count, 0), steps), difficulty, draw)

    def worth(done: Work) -> float:
        return score(problem, equations(done))

    def again(count: int) -> int:
        return count + draw.choice((-1, 0, 1) if difficulty < 0.8 else (0, 0, 1 - count))

    # In some groups nobody gets all of it right.
    return spread(size, steps * (1 - difficulty) + 1.4 * difficulty, 0.2, 6, draw, plan, worth, again)


def _plan(problem: Problem, count: int, difficulty: float, draw: random.Random) -> Work:
    steps = len(problem.steps)
    for _ in range(8):
        slips: dict[int, str] = {}
        for place in draw.sample(range(steps), count):
            slip = draw.choice(_SUBTLE if draw.random() < difficulty else _CRUDE)
            slips[steps if slip == "statement" else place] = slip
        done = work(problem, slips, draw, 0.8 * (1 - difficulty))
        shown = [x for line in done.lines for x in (line.a, line.b, line.result, line.first or 2)]
        if all(x == int(x) and 1 < x < 10_000_000 for x in (*shown, done.answer)):
            break
    return done


def equations(done: Work) -> str:
    """The bare calculations, enough to be scored."""
    lines = []
    for x in done.lines:
        if x.first is not None:
            lines.append(f"{plain(x.a)} {x.op} {plain(x.b)} = {plain(x.first)}")
        lines.append(f"{plain(x.a)} {x.op} {plain(x.b)} = {plain(x.result)}")
    return "\n".join([*lines, plain(done.answer)])
