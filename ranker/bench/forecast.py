"""What a run will ask for, before it asks: calls, tokens, dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ranker.bench.conditions import Asking
from ranker.bench.judge_spec import Contestant
from ranker.bench.matrix import Log, Matrix
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt, reply_room
from ranker.prompting.template import RANK, load_template
from ranker.prompting.truncation import estimate_tokens

SAMPLE = 8  # prompts looked at in each suite


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one judge.

    Attributes:
        calls: to be made, no retries counted; those answered already, or known to the cache, are free.
        prompt_tokens: estimated from a few prompts of each suite.
        completion_tokens: at most, a sentence on each trajectory.
        cost_usd: None where the price is not known; 0 for what runs on this machine.
    """

    judge: str
    calls: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


def forecast(matrix: Matrix, log: Log) -> list[Forecast]:
    return [_of(judge, matrix, log) for judge in matrix.judges]


def _of(judge: Contestant, matrix: Matrix, log: Log) -> Forecast:
    calls = answered = 0
    read = wrote = 0.0
    for suite in matrix.suites:
        plan = matrix.plan(judge, suite)
        todo = [asking for asking in plan if log.of(asking) is None]
        answered += len(plan) - len(todo)
        if not todo:
            continue
        made = len(todo) * matrix.way.passes
        calls += made
        read += made * _tokens(todo, matrix.way.rubric)
        wrote += made * fmean(reply_room(len(asking.group)) for asking in todo)
    price = judge.price() if judge.paid and calls else (0.0, 0.0)
    cost = None if price is None else (read * price[0] + wrote * price[1]) / 1e6
    return Forecast(judge.name, calls, answered, round(read), round(wrote), cost)


def _tokens(askings: Sequence[Asking], rubric: str | None) -> float:
    """Mean size of a prompt over askings spread across the suite."""
    some = askings[:: max(1, len(askings) // SAMPLE)][:SAMPLE]
    template = load_template(RANK, None)
    found = []
    for asking in some:
        group = asking.group
        lineup = Lineup(tuple(t.bare() for t in group.trajectories), group.task, rubric or group.rubric)
        prompt = build_prompt(lineup, template, room=None, count=estimate_tokens)
        found.append(sum(estimate_tokens(m["content"]) for m in prompt.messages))
    return fmean(found)
