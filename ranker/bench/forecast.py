"""An estimate, before a run, of its calls, tokens and dollars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from ranker.bench.judge_spec import JudgeSpec
from ranker.bench.matrix import Log, Matrix
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt, reply_room
from ranker.prompting.template import RANK, load_template
from ranker.prompting.truncation import estimate_tokens
from ranker.trajectory import TrajectoryGroup

SAMPLE = 8  # prompts measured per suite


@dataclass(frozen=True, slots=True)
class Forecast:
    """Of one judge.

    Attributes:
        calls: to be made, without retries.
        answered: trials with a recorded result.
        prompt_tokens: estimated from a few prompts per suite.
        completion_tokens: upper bound, for a sentence on each trajectory.
        cost_usd: None if the price is unknown; 0 for local and simulated judges.
    """

    judge: str
    calls: int
    answered: int
    prompt_tokens: int
    completion_tokens: int
    cost_usd: float | None


def forecast(matrix: Matrix, log: Log) -> list[Forecast]:
    return [_of(judge, matrix, log) for judge in matrix.judges]


def _of(judge: JudgeSpec, matrix: Matrix, log: Log) -> Forecast:
    calls = answered = 0
    read = wrote = 0.0
    for suite in matrix.suites:
        plan = matrix.plan(judge, suite)
        todo = [trial for trial in plan if log.of(trial) is None]
        answered += len(plan) - len(todo)
        if not todo:
            continue
        new = len(todo) * matrix.options.passes
        calls += new
        read += new * prompt_tokens([trial.group for trial in todo], matrix.options.rubric)
        wrote += new * fmean(reply_room(len(trial.group)) for trial in todo)
    price = judge.price() if judge.paid and calls else (0.0, 0.0)
    cost = None if price is None else (read * price[0] + wrote * price[1]) / 1e6
    return Forecast(judge.name, calls, answered, round(read), round(wrote), cost)


def prompt_tokens(groups: Sequence[TrajectoryGroup], rubric: str | None) -> float:
    """Mean prompt size of at least one group, from some spread across them."""
    some = groups[:: max(1, len(groups) // SAMPLE)][:SAMPLE]
    template = load_template(RANK, None)
    sizes = []
    for group in some:
        lineup = Lineup(tuple(t.bare() for t in group.trajectories), group.task, rubric or group.rubric)
        prompt = build_prompt(lineup, template, room=None, count=estimate_tokens)
        sizes.append(sum(estimate_tokens(m["content"]) for m in prompt.messages))
    return fmean(sizes)
