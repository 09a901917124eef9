"""An estimate, before an audit, of its calls, tokens and dollars."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean

from ranker.audit.trials import trials_of
from ranker.bench.forecast import Forecast, prompt_tokens
from ranker.debias.edits import Edit
from ranker.judges.base import Judge
from ranker.judges.cascade import CascadeJudge
from ranker.judges.llm import LLMJudge
from ranker.prompting.prompt import reply_room
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup

PLAIN = 2  # rankings of each group as it is


def forecast(
    judge: Judge, groups: Sequence[TrajectoryGroup], edits: Sequence[Edit], passes: int, rubric: str | None
) -> Forecast:
    """Of an audit with an empty cache. Which attempts are edited follows from the judge's first rankings; here all
    are taken to tie.

    Raises:
        GroupError: an edit failed.
    """
    usable = [group for group in groups if len(group) > 1]
    tied = [RankedGroup(g, [None] * len(g), [list(range(len(g)))], []) for g in usable]
    shown = [group for group in usable for _ in range(PLAIN)]
    shown += [trial.group for trial in trials_of(tied, edits, 0)]
    calls = passes * len(shown)
    read = calls * prompt_tokens(shown, rubric) if shown else 0.0
    wrote = calls * fmean(reply_room(len(group)) for group in shown) if shown else 0.0
    price = price_of(judge)
    cost = None if price is None else (read * price[0] + wrote * price[1]) / 1e6
    return Forecast(judge.name, calls, 0, round(read), round(wrote), cost)


def price_of(judge: Judge) -> tuple[float, float] | None:
    """Dollars for a million tokens read and written, where known; of a cascade those of its strong judge, which may be
    asked for every group."""
    if isinstance(judge, CascadeJudge):
        return price_of(judge.strong)
    return judge.price if isinstance(judge, LLMJudge) else (0.0, 0.0)


def said(ahead: Forecast, limit: float | None) -> str:
    """The forecast as a sentence."""
    cost = "cost unknown: give --price" if ahead.cost_usd is None else f"at most ${ahead.cost_usd:.2f}"
    bound = "" if limit is None else f"; stops before ${limit:g}"
    return (
        f"Forecast: {ahead.calls:,} calls, about {ahead.prompt_tokens:,} tokens read and at most "
        f"{ahead.completion_tokens:,} written, {cost}{bound}. Answers in the cache are not asked for again."
    )
