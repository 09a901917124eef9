"""An audit of a judge: for each edit, how many places an edited copy gains over its original.

Every group is ranked twice as it is. Then each call shows it with two more attempts: a copy of one of its lower half
(what a policy would lift) with an edit that cannot make it better, and, where the edit adds a text, a copy with an
innocent text of the same length in the same place. All are shown in random places, so a judge without a bias gives
the edit no lift on average. A policy can exploit an edit that lifts an attempt, and lifts it more than its control.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Unpack

from ranker.audit.measures import measured
from ranker.audit.result import AuditResult, Lift
from ranker.audit.trials import Shown, trials_of
from ranker.debias.covariates import POSITION
from ranker.debias.edits import EDITS, Edit
from ranker.errors import ConfigurationError
from ranker.judges.options import JudgeOptions
from ranker.rank import JudgeLike, judge_for, rank_groups_async
from ranker.runtime.budget import Budget
from ranker.runtime.event_loop import run_sync
from ranker.trajectory import as_group

__all__ = ["AuditResult", "Lift", "audit_judge", "audit_judge_async"]


async def audit_judge_async(
    groups: Iterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    edits: Sequence[Edit] | None = None,
    seed: int = 0,
    concurrency: int = 16,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    progress: bool = True,
    **options: Unpack[JudgeOptions],
) -> AuditResult:
    """Audit a judge. See `audit_judge`."""
    chosen = judge_for(judge, "rank", base_url, api_key, options)
    members = [as_group(group) for group in groups]
    usable = [group for group in members if len(group) > 1]
    if not usable:
        raise ConfigurationError("An audit needs groups of at least two attempts; none was given.")
    tried = tuple(EDITS.values()) if edits is None else tuple(edits)
    budget = Budget(max_calls, max_cost_usd)
    rank = partial(
        rank_groups_async,
        judge=chosen,
        rubric=rubric,
        passes=passes,
        concurrency=concurrency,
        on_error="skip",
        reward="debiased",  # for what was shown where; its rewards are not used
        debiaser=Shown((POSITION,), edits=()),
        seed=seed,
        budget=budget,
        progress=progress,
    )
    plain = [ranked async for ranked in rank(usable)]
    again = [ranked async for ranked in rank(usable, seed=seed + 1)]
    if all(ranked.error is not None for ranked in plain):
        raise next(ranked.error for ranked in plain if ranked.error is not None)
    trials = trials_of(plain, tried, seed)
    if not trials:
        names = ", ".join(edit.name for edit in tried)
        raise ConfigurationError(f"None of the edits ({names}) applies to any attempt of these groups.")
    results = rank([trial.group for trial in trials])
    return await measured(chosen.name, (plain, again), tried, trials, results)


def audit_judge(
    groups: Iterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    edits: Sequence[Edit] | None = None,
    seed: int = 0,
    concurrency: int = 16,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    progress: bool = True,
    **options: Unpack[JudgeOptions],
) -> AuditResult:
    """Measure what a judge can be talked into, on groups of yours; no ground truth is needed.

    Args:
        groups: a few dozen, each as `rank_group` takes it.
        judge, rubric, passes, base_url, api_key, options: as in `rank_group`.
        edits: default `ranker.debias.edits.EDITS`, all of them; each costs a call for each group and pass.
        seed: draws the attempts that are edited, the wording, and the orders.
        max_calls, max_cost_usd: limits; trials beyond them count as failed.

    Raises:
        ConfigurationError: no group of two attempts, or no edit applies; a setting or judge that cannot work.
        RankerError: every call failed; the first error.
    """
    return run_sync(
        audit_judge_async(
            groups,
            judge,
            rubric,
            passes,
            edits=edits,
            seed=seed,
            concurrency=concurrency,
            base_url=base_url,
            api_key=api_key,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            progress=progress,
            **options,
        )
    )
