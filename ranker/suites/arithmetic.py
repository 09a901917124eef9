"""The arithmetic suite: word problems of three to six steps, and worked solutions with slips.

Truth, from the text alone (`score`): 0.4 for the right final number (the last number of the text), and 0.6 for the
share of the required steps that are credited. The calculations of the text are laid beside the steps in order, as
favourably as possible. A step is credited fully if the right operation is done on the right numbers and worked out
right, by half if only the working out is wrong. A number that an earlier step should give may be the one that
the text found there, so a consistent solution after one slip keeps the credit for its method. Where a calculation
directly follows another of the same left side, it corrects it: the later one counts, and 0.05 is taken off.

Slips: a wrong result, a misprinted one, a wrong operation, a number copied or carried over wrongly, a step left
out, a wrong unit conversion, a correction for the better or the worse, right steps but another number stated.
"""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ranker import TrajectoryGroup
from ranker.suites.arithmetic_stories import HELD_OUT, TRAINING, Operand
from ranker.suites.arithmetic_words import HELD_OUT_WORDS, TRAINING_WORDS
from ranker.suites.arithmetic_work import (
    Line,
    Problem,
    apply,
    draw_problem,
    padded,
    plain,
    tell,
    work,
)
from ranker.suites.attempts import replies
from ranker.suites.draw import rng

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
    told, corrected = _told(text)
    credits = _credits(problem, [made for _, made in told])
    gained = sum(credit for _, credit in credits.values())
    worth = 0.4 * _final(problem, text) + 0.6 * gained / len(problem.steps) - _PER_CORRECTION * len(corrected)
    return round(max(0.0, worth), 4)


def marks(problem: Problem, text: str) -> dict[str, Any]:
    """The credit of each step that the problem needs, and that of each calculation of the text."""
    told, corrected = _told(text)
    credits = _credits(problem, [made for _, made in told])
    by_place = dict(credits.values())
    known = [(match, by_place.get(i, 0.0)) for i, (match, _) in enumerate(told)]
    known += [(match, 0.0) for match in corrected]
    known.sort(key=lambda one: one[0].start())
    end = max((match.end() for match, _ in known), default=0)
    passages = [[match[0], credit] for match, credit in known]
    return {
        "points": [credits.get(k, (0, 0.0))[1] for k in range(len(problem.steps))],
        "passages": [*passages, [text[end:].strip(), float(_final(problem, text))]],
    }


_Calculation = tuple[float, str, float, float]


def _told(text: str) -> tuple[list[tuple[re.Match[str], _Calculation]], list[re.Match[str]]]:
    """The calculations of a text, and those that were taken back."""
    told: list[tuple[re.Match[str], _Calculation]] = []
    corrected: list[re.Match[str]] = []
    for match in _EQUATION.finditer(text):
        a, op, b, c = match.groups()
        made = (_value(a), _OPS.get(op, op), _value(b), _value(c))
        if told and told[-1][1][:3] == made[:3]:
            corrected.append(told.pop()[0])
        told.append((match, made))
    return told, corrected


def _final(problem: Problem, text: str) -> bool:
    numbers = re.findall(_NUMBER, text)
    return bool(numbers) and _value(numbers[-1]) == problem.results[-1]


def _credits(problem: Problem, told: Sequence[_Calculation]) -> dict[int, tuple[int, float]]:
    """For each step that is laid beside a calculation that calculation's place, and the credit; as favourably as
    possible."""
    n, m = len(told), len(problem.steps)
    if n <= m:
        ways = [dict(zip(places, range(n), strict=True)) for places in itertools.combinations(range(m), n)]
    else:
        few = range(min(n, m + 3))
        ways = [dict(zip(range(m), kept, strict=True)) for kept in itertools.combinations(few, m)]
    best: dict[int, tuple[int, float]] = {}
    most = -1.0
    for way in ways:
        credit = _credit(problem, {k: told[i] for k, i in way.items()})
        if sum(credit.values()) > most:
            most = sum(credit.values())
            best = {k: (i, credit.get(k, 0.0)) for k, i in way.items()}
    return best


def _value(text: str) -> float:
    return float(text.replace(",", ""))


def _credit(problem: Problem, told: Mapping[int, _Calculation]) -> dict[int, float]:
    credit: dict[int, float] = {}
    for k, step in enumerate(problem.steps):
        if k not in told:
            continue
        a, op, b, c = told[k]
        left, right = _may_be(problem, step.left, told), _may_be(problem, step.right, told)
        if op == step.op and ((a in left and b in right) or (op in "+*" and a in right and b in left)):
            credit[k] = 1.0 if abs(apply(op, a, b) - c) < 0.006 else 0.5
    return credit


def _may_be(problem: Problem, operand: Operand, told: Mapping[int, _Calculation]) -> tuple[float, ...]:
    """The numbers that may stand for an operand: the true one, and the one found in the text."""
    if isinstance(operand, int):
        return (operand,)
    if not operand.startswith("#"):
        return (problem.given[operand],)
    k = int(operand[1:]) - 1
    return (problem.results[k], told[k][3]) if k in told else (problem.results[k],)


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of worked solutions. At difficulty 0 slips are many and wrong numbers far off; at 1 they are few and
    one digit off."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    random_ = rng("arithmetic", seed, i, size, float(difficulty), held_out)
    stories, words = (HELD_OUT, HELD_OUT_WORDS) if held_out else (TRAINING, TRAINING_WORDS)
    story = random_.choice(stories)
    problem = draw_problem(story, words.people, random_)
    texts: list[str] = []
    truths: list[float] = []
    while True:
        plans = _plans(problem, size, difficulty, random_)
        bare = [tell(problem, *plan, words, random_) for plan in plans]
        texts = padded(bare, words, random_)
        truths = [score(problem, text) for text in texts]
        if len(set(truths)) > 1:
            break
    members = replies(problem.text, texts, truths, [marks(problem, text) for text in texts])
    return TrajectoryGroup(
        members, id=f"arithmetic-{seed}-{i}", rubric=RUBRIC, metadata={"template": story.name}
    )


Worked = tuple[list[Line], float]


def _plans(problem: Problem, size: int, difficulty: float, random_: random.Random) -> list[Worked]:
    """Solutions of different worth, in an order that says nothing."""
    steps = len(problem.steps)
    most = steps * (1 - difficulty) + 1.4 * difficulty
    plans: list[Worked] = []
    seen: set[float] = set()
    best = 1 if random_.random() < 0.2 else 0  # in some groups nobody gets all of it right
    for k in range(size):
        count = best + round((most - best) * (k + random_.uniform(-0.3, 0.3)) / max(1, size - 1))
        for _ in range(6):
            plan = _plan(problem, min(max(count, 0), steps), difficulty, random_)
            worth = score(problem, _equations(problem, *plan))
            if worth not in seen:
                break
            count += random_.choice((-1, 0, 1)) if difficulty < 0.8 else random_.choice((0, 0, 1 - count))
        seen.add(worth)
        plans.append(plan)
    random_.shuffle(plans)
    return plans


def _plan(problem: Problem, count: int, difficulty: float, random_: random.Random) -> Worked:
    steps = len(problem.steps)
    for _ in range(8):
        slips: dict[int, str] = {}
        for place in random_.sample(range(steps), count):
            slip = random_.choice(_SUBTLE if random_.random() < difficulty else _CRUDE)
            slips[steps if slip == "statement" else place] = slip
        lines, answer = work(problem, slips, random_, 0.8 * (1 - difficulty))
        shown = [x for line in lines for x in (line.a, line.b, line.result, line.first or 2)]
        if all(x == int(x) and 1 < x < 10_000_000 for x in (*shown, answer)):
            break
    return lines, answer


def _equations(problem: Problem, lines: Sequence[Line], answer: float) -> str:
    """The bare calculations, enough to be scored."""
    made = []
    for x in lines:
        if x.first is not None:
            made.append(f"{plain(x.a)} {x.op} {plain(x.b)} = {plain(x.first)}")
        made.append(f"{plain(x.a)} {x.op} {plain(x.b)} = {plain(x.result)}")
    return "\n".join([*made, plain(answer)])
