"""Solving the arithmetic suite's problems, with or without slips, and telling the solution."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ranker.suites.arithmetic_stories import Operand, Step, Story
from ranker.suites.arithmetic_words import Words

_SIGNS = ({"*": "×", "/": "÷"}, {"*": "*"}, {"*": "x"}, {"*": "×", "/": "/", "-": "−"})


@dataclass(frozen=True, slots=True)
class Problem:
    """A story with its quantities drawn: what the task says, and what solves it."""

    text: str
    given: Mapping[str, int]
    steps: tuple[Step, ...]
    unit: str
    results: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Line:
    """One calculation as told; `first` is a result that is taken back at once."""

    step: int
    a: float
    op: str
    b: float
    result: float
    first: float | None = None


def apply(op: str, a: float, b: float) -> float:
    if op == "/":
        return a / b if b else 0.0
    return a + b if op == "+" else a - b if op == "-" else a * b


def draw_problem(story: Story, people: Sequence[str], random_: random.Random) -> Problem:
    """Quantities for a story with which every step comes out as a whole number above 1."""
    while True:
        given = {k: random_.randrange(low, high + 1, by) for k, (low, high, by) in story.ranges.items()}
        results = _solve(story.steps, given)
        if story.nudged and results is not None:
            last = max(k for k, step in enumerate(story.steps) if step.op == "/")
            step = story.steps[last]
            over = _operand(step.left, given, results) % _operand(step.right, given, results)
            name = story.nudged.lstrip("-")
            given[name] += int(over) if story.nudged.startswith("-") else -int(over)
            results = _solve(story.steps, given) if given[name] > 1 else None
        if results is not None and all(r > 1 and r == int(r) for r in results):
            name = random_.choice(people)
            return Problem(
                story.text.format(name=name, **given), given, story.steps, story.unit, tuple(results)
            )


def _operand(operand: Operand, given: Mapping[str, int], results: Sequence[float]) -> float:
    if isinstance(operand, int):
        return operand
    return results[int(operand[1:]) - 1] if operand.startswith("#") else given[operand]


def _solve(steps: Sequence[Step], given: Mapping[str, int]) -> list[float] | None:
    results: list[float] = []
    for step in steps:
        results.append(
            apply(step.op, _operand(step.left, given, results), _operand(step.right, given, results))
        )
        if results[-1] < 1:
            return None
    return results


def work(
    problem: Problem, slips: Mapping[int, str], random_: random.Random, crude: float
) -> tuple[list[Line], float]:
    """The calculations of a solution with slips at some steps, and the answer it states; `crude` is the chance
    that a wrong number is far off."""
    found: list[float] = []
    lines: list[Line] = []
    for k, step in enumerate(problem.steps):
        a, b = _operand(step.left, problem.given, found), _operand(step.right, problem.given, found)
        op, slip = step.op, slips.get(k)
        if slip == "dropped":
            found.append(a if isinstance(step.left, str) and step.left.startswith("#") else max(a, b))
            continue
        if slip == "operation":
            op = {"*": "+", "+": "*", "-": "+", "/": "*"}[op]
        elif slip in {"copied", "unit", "carried"}:
            a, b = _misread(problem, step, slip, (a, b), found, random_)
        right = round(apply(op, a, b), 2)
        off = _off(right, random_, crude)
        first = {"mended": off, "worsened": right}.get(slip or "")
        shown = off if slip in {"wrong", "misprint", "worsened"} else right
        lines.append(Line(k, a, op, b, shown, first))
        found.append(right if slip == "misprint" else shown)
    answer = found[-1]
    if len(problem.steps) in slips:  # what is stated is not what was found
        answer = random_.choice(found[:-1]) if random_.random() < crude else _off(answer, random_, crude)
    return lines, answer


def _misread(
    problem: Problem,
    step: Step,
    slip: str,
    numbers: tuple[float, float],
    found: list[float],
    random_: random.Random,
) -> tuple[float, float]:
    """The operands of a step, one of them taken wrongly."""
    a, b = numbers
    operands = (step.left, step.right)
    kinds = ["unit" if isinstance(o, int) else "carried" if o.startswith("#") else "copied" for o in operands]
    places = [i for i, kind in enumerate(kinds) if kind == slip] or [random_.randrange(2)]
    i = random_.choice(places)
    number = numbers[i]
    if slip == "unit" and isinstance(operands[i], int):
        wrong = {60: 100.0, 1000: 100.0, 2: 1.0}.get(int(number), number + 1)
    elif slip == "carried":
        others = [x for x in (*found, *map(float, problem.given.values())) if x not in numbers]
        wrong = random_.choice(others) if others else number + 1
    else:
        wrong = _off(number, random_, 0.0)
    return (wrong, b) if i == 0 else (a, wrong)


def _off(number: float, random_: random.Random, crude: float) -> float:
    """Another number: far off, or one digit off."""
    if random_.random() < crude:
        made = round(number * random_.choice((0.5, 0.6, 0.7, 1.4, 1.6, 1.8)))
        return float(made if made not in (number, 0) else number + 3)
    digits = list(str(abs(int(number))))
    i = random_.randrange(max(0, len(digits) - 3), len(digits))
    if i + 1 < len(digits) and digits[i] != digits[i + 1] and digits[i + 1] != "0" and random_.random() < 0.3:
        digits[i], digits[i + 1] = digits[i + 1], digits[i]
    else:
        digit = int(digits[i])
        choices = [d for d in (digit - 1, digit + 1) if (0 if i else 1) <= d <= 9]
        digits[i] = str(random_.choice(choices))
    close = float("".join(digits))
    return close if close > 1 else number + 1


def plain(number: float) -> str:
    return str(int(number)) if number == int(number) else f"{number:.2f}"


def _grouped(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,.2f}"


@dataclass(frozen=True, slots=True)
class Told:
    """A solution in sentences, before it is brought to its length."""

    sentences: tuple[str, ...]
    answer: str
    layout: tuple[str, str]

    @property
    def length(self) -> int:
        return sum(map(len, self.sentences)) + len(self.sentences) * len(self.layout[0]) + len(self.answer)


def tell(
    problem: Problem, lines: Sequence[Line], answer: float, words: Words, random_: random.Random
) -> Told:
    signs = random_.choice(_SIGNS)
    show = _grouped if random_.random() < 0.3 else plain
    mixed = random_.random() < 0.6
    one = random_.choice(words.lines)
    sentences = []
    for line in lines:
        side = f"{show(line.a)} {signs.get(line.op, line.op)} {show(line.b)} = "
        equation = side + show(line.result)
        if line.first is not None:
            equation = random_.choice(words.again).format(x=side + show(line.first), e=equation)
        what = problem.steps[line.step].what
        form = random_.choice(words.lines) if mixed else one
        sentences.append(form.format(w=what, W=what[0].upper() + what[1:], e=equation))
    stated = f"${show(answer)}" if problem.unit == "$" else f"{show(answer)} {problem.unit}"
    return Told(
        tuple(sentences), random_.choice(words.answers).format(a=stated), random_.choice(words.layouts)
    )


def padded(bare: Sequence[Told], words: Words, random_: random.Random) -> list[str]:
    """The texts, each brought by asides to a length that is drawn without regard to its worth."""
    floor = max(told.length for told in bare)
    return [_join(told, floor + random_.uniform(0, 140), words, random_) for told in bare]


def _join(told: Told, length: float, words: Words, random_: random.Random) -> str:
    gap, before = told.layout
    missing = length - told.length
    chosen: list[list[str]] = [[], [], []]
    pool = [(0, x) for x in words.starts] + [(1, x) for x in words.asides] + [(2, x) for x in words.ends]
    for place, aside in random_.sample(pool, len(pool)):
        if len(aside) + len(gap) <= missing + 12 and len(chosen[place]) < (1, 9, 2)[place]:
            chosen[place].append(aside)
            missing -= len(aside) + len(gap)
    sentences = list(told.sentences)
    for aside in chosen[1]:
        sentences.insert(random_.randint(min(1, len(sentences)), max(1, len(sentences) - 1)), aside)
    start = gap.lstrip("\n") if gap.startswith("\n") else ""
    return start + gap.join((*chosen[0], *sentences, *chosen[2])) + before + told.answer
