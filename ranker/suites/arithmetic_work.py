"""Solving the arithmetic suite's problems, with or without slips, and telling the solution."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from ranker.suites.attempts import capital
from ranker.suites.attempts import padded as fill
from ranker.suites.tables import load_split

Operand = str | int  # a quantity's name, "#k" for what step k finds (from 1), or a constant
_SIGNS = ({"*": "×", "/": "÷"}, {"*": "*"}, {"*": "x"}, {"*": "×", "/": "/", "-": "−"})


@dataclass(frozen=True, slots=True)
class Step:
    """One calculation: what it finds, and how."""

    what: str
    op: str
    left: Operand
    right: Operand

    @classmethod
    def parse(cls, text: str) -> Step:
        """The step that a table writes as `what = left op right`."""
        what, _, formula = text.rpartition(" = ")
        left, op, right = formula.split(" ")
        return cls(what, op, int(left) if left.isdigit() else left, int(right) if right.isdigit() else right)


@dataclass(frozen=True, slots=True)
class Story:
    """A word problem with quantities to be drawn; the tables say what the fields hold."""

    name: str
    text: str
    ranges: Mapping[str, tuple[int, int, int]]
    steps: tuple[Step, ...]
    unit: str
    nudged: str = ""


@dataclass(frozen=True, slots=True)
class Words:
    """One split's stories, and how their solutions are worded; the tables say what the fields hold."""

    stories: tuple[Story, ...]
    people: tuple[str, ...]
    lines: tuple[str, ...]
    again: tuple[str, ...]
    answers: tuple[str, ...]
    starts: tuple[str, ...]
    asides: tuple[str, ...]
    ends: tuple[str, ...]
    layouts: tuple[tuple[str, str], ...]


words = partial(load_split, Words, "arithmetic")


@dataclass(frozen=True, slots=True)
class Problem:
    """A story with its quantities drawn: what the task says, and what solves it."""

    text: str
    quantities: Mapping[str, int]
    steps: tuple[Step, ...]
    unit: str
    results: tuple[float, ...]

    def value(self, operand: Operand, results: Sequence[float]) -> float:
        """The number that stands for an operand, where the steps before gave these results."""
        return _value(operand, self.quantities, results)


@dataclass(frozen=True, slots=True)
class Line:
    """One calculation as it is shown; `first` is a result that is taken back at once."""

    step: int
    a: float
    op: str
    b: float
    result: float
    first: float | None = None


@dataclass(frozen=True, slots=True)
class Work:
    """The calculations of a solution, and the answer that it states."""

    lines: tuple[Line, ...]
    answer: float


def apply(op: str, a: float, b: float) -> float:
    if op == "/":
        return a / b if b else 0.0
    return a + b if op == "+" else a - b if op == "-" else a * b


def draw_problem(story: Story, people: Sequence[str], draw: random.Random) -> Problem:
    """Quantities for a story with which every step comes out as a whole number above 1."""
    while True:
        quantities = {k: draw.randrange(low, high + 1, by) for k, (low, high, by) in story.ranges.items()}
        results = _solve(story.steps, quantities)
        if story.nudged and results is not None:
            step = [step for step in story.steps if step.op == "/"][-1]
            over = _value(step.left, quantities, results) % _value(step.right, quantities, results)
            name = story.nudged.lstrip("-")
            quantities[name] += int(over) if story.nudged.startswith("-") else -int(over)
            results = _solve(story.steps, quantities) if quantities[name] > 1 else None
        if results is not None and all(r > 1 and r == int(r) for r in results):
            text = story.text.format(name=draw.choice(people), **quantities)
            return Problem(text, quantities, story.steps, story.unit, tuple(results))


def _value(operand: Operand, quantities: Mapping[str, int], results: Sequence[float]) -> float:
    if isinstance(operand, int):
        return operand
    return results[int(operand[1:]) - 1] if operand.startswith("#") else quantities[operand]


def _solve(steps: Sequence[Step], quantities: Mapping[str, int]) -> list[float] | None:
    results: list[float] = []
    for step in steps:
        left, right = _value(step.left, quantities, results), _value(step.right, quantities, results)
        results.append(apply(step.op, left, right))
        if results[-1] < 1:
            return None
    return results


def work(problem: Problem, slips: Mapping[int, str], draw: random.Random, crude: float) -> Work:
    """A solution with slips at some steps; `crude` is the chance that a wrong number is far off."""
    results: list[float] = []
    lines: list[Line] = []
    for k, step in enumerate(problem.steps):
        a, b = problem.value(step.left, results), problem.value(step.right, results)
        op, slip = step.op, slips.get(k)
        if slip == "dropped":
            results.append(a if isinstance(step.left, str) and step.left.startswith("#") else max(a, b))
            continue
        if slip == "operation":
            op = {"*": "+", "+": "*", "-": "+", "/": "*"}[op]
        elif slip in {"copied", "unit", "carried"}:
            a, b = _misread(problem, step, slip, (a, b), results, draw)
        right = round(apply(op, a, b), 2)
        off = _off(right, draw, crude)
        first = {"mended": off, "worsened": right}.get(slip or "")
        shown = off if slip in {"wrong", "misprint", "worsened"} else right
        lines.append(Line(k, a, op, b, shown, first))
        results.append(right if slip == "misprint" else shown)
    answer = results[-1]
    if len(problem.steps) in slips:  # what is stated is not the last result
        answer = draw.choice(results[:-1]) if draw.random() < crude else _off(answer, draw, crude)
    return Work(tuple(lines), answer)


def _misread(
    problem: Problem,
    step: Step,
    slip: str,
    numbers: tuple[float, float],
    results: list[float],
    draw: random.Random,
) -> tuple[float, float]:
    """The operands of a step, one of them taken wrongly."""
    operands = (step.left, step.right)
    kinds = ["unit" if isinstance(o, int) else "carried" if o.startswith("#") else "copied" for o in operands]
    i = draw.choice([i for i, kind in enumerate(kinds) if kind == slip] or [draw.randrange(2)])
    number = numbers[i]
    if slip == "unit" and isinstance(operands[i], int):
        wrong = {60: 100.0, 1000: 100.0, 2: 1.0}.get(int(number), number + 1)
    elif slip == "carried":
        others = [x for x in (*results, *map(float, problem.quantities.values())) if x not in numbers]
        wrong = draw.choice(others) if others else number + 1
    else:
        wrong = _off(number, draw, 0.0)
    return (wrong, numbers[1]) if i == 0 else (numbers[0], wrong)


def _off(number: float, draw: random.Random, crude: float) -> float:
    """Another number: far off, or one digit off."""
    if draw.random() < crude:
        far = round(number * draw.choice((0.5, 0.6, 0.7, 1.4, 1.6, 1.8)))
        return float(far if far not in (number, 0) else number + 3)
    digits = list(str(abs(int(number))))
    i = draw.randrange(max(0, len(digits) - 3), len(digits))
    if i + 1 < len(digits) and digits[i] != digits[i + 1] and digits[i + 1] != "0" and draw.random() < 0.3:
        digits[i], digits[i + 1] = digits[i + 1], digits[i]
    else:
        digit = int(digits[i])
        choices = [d for d in (digit - 1, digit + 1) if (0 if i else 1) <= d <= 9]
        digits[i] = str(draw.choice(choices))
    close = float("".join(digits))
    return close if close > 1 else number + 1


def plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.2f}"


def _grouped(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,.2f}"


@dataclass(frozen=True, slots=True)
class Solution:
    """A solution in sentences, before it is brought to its length."""

    sentences: tuple[str, ...]
    answer: str
    layout: tuple[str, str]

    @property
    def length(self) -> int:
        return sum(map(len, self.sentences)) + len(self.sentences) * len(self.layout[0]) + len(self.answer)


def solution(problem: Problem, done: Work, words: Words, draw: random.Random) -> Solution:
    """The work in the words of a split."""
    signs = draw.choice(_SIGNS)
    show = _grouped if draw.random() < 0.3 else plain
    mixed = draw.random() < 0.6
    one = draw.choice(words.lines)
    sentences = []
    for line in done.lines:
        side = f"{show(line.a)} {signs.get(line.op, line.op)} {show(line.b)} = "
        equation = side + show(line.result)
        if line.first is not None:
            equation = draw.choice(words.again).format(x=side + show(line.first), e=equation)
        what = problem.steps[line.step].what
        form = draw.choice(words.lines) if mixed else one
        sentences.append(form.format(w=what, W=capital(what), e=equation))
    stated = f"${show(done.answer)}" if problem.unit == "$" else f"{show(done.answer)} {problem.unit}"
    answer = draw.choice(words.answers).format(a=stated)
    return Solution(tuple(sentences), answer, draw.choice(words.layouts))


def padded(bare: Sequence[Solution], words: Words, draw: random.Random) -> list[str]:
    """The texts, each brought by asides to a length that is drawn without regard to its worth."""
    floor = max(one.length for one in bare)
    pool = [(0, x) for x in words.starts] + [(1, x) for x in words.asides] + [(2, x) for x in words.ends]
    texts = []
    for one in bare:
        gap, before_answer = one.layout
        room = floor + draw.uniform(0, 140) - one.length
        parts = [x for some in fill(one.sentences, pool, room, len(gap), (1, 9, 2), draw) for x in some]
        start = gap.lstrip("\n") if gap.startswith("\n") else ""
        texts.append(start + gap.join(parts) + before_answer + one.answer)
    return texts
