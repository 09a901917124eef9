"""rank_group and rank_groups: the whole way from a group to its rewards.

trajectories → distinct ones → order per pass → verdicts → aggregate → ranking → rewards
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
    Sized,
)
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, Unpack

from ranker.aggregate.passes import Slots
from ranker.aggregate.pipeline import Pipeline
from ranker.aggregate.rewards import RULES, RewardRule
from ranker.errors import ConfigurationError, RankerError
from ranker.judges.base import Judge, SizedJudge
from ranker.judges.credit import Credit, check_credit, require_credit
from ranker.judges.options import JudgeOptions, check_options
from ranker.judges.registry import resolve
from ranker.prompting.rubric import read_rubric
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.runtime.concurrency import at_once
from ranker.runtime.event_loop import iterate_sync, run_sync
from ranker.runtime.progress import Progress
from ranker.runtime.threads import iterated
from ranker.trajectory import Trajectory, TrajectoryGroup, as_group
from ranker.validation import check_number

if TYPE_CHECKING:  # numpy is imported with the model
    from ranker.debias.covariates import Covariate
    from ranker.debias.debiaser import Debiaser

OnError = Literal["raise", "skip"]
JudgeLike: TypeAlias = str | Judge | Callable[[Sequence[Trajectory]], Any] | None


async def rank_group_async(
    group: Any,
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    task: str | None = None,
    reward: RewardRule = "rank",
    credit: Credit | None = None,
    covariates: Sequence[Covariate] | None = None,
    debiaser: Debiaser | None = None,
    seed: int = 0,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    budget: Budget | None = None,
    progress: bool = True,  # taken everywhere; one group shows no bar
    **options: Unpack[JudgeOptions],
) -> RankedGroup:
    """Rank one group. See `rank_group`."""
    chosen = judge_for(judge, reward, base_url, api_key, options, credit=credit)
    _check(passes, reward)
    debiaser = _debiaser(reward, covariates, debiaser, seed, chosen)
    budget = budget or Budget(max_calls, max_cost_usd)
    rubric, slots = read_rubric(rubric), Slots(passes)
    run = Pipeline(chosen, _sized(chosen), rubric, passes, reward, seed, budget, slots, debiaser, credit)
    ranked = await run.rank(group, task)
    return ranked if debiaser is None else debiaser.reward(ranked)


def rank_group(
    group: Any,
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    task: str | None = None,
    reward: RewardRule = "rank",
    credit: Credit | None = None,
    covariates: Sequence[Covariate] | None = None,
    debiaser: Debiaser | None = None,
    seed: int = 0,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    budget: Budget | None = None,
    progress: bool = True,
    **options: Unpack[JudgeOptions],
) -> RankedGroup:
    """Rank a group of trajectories with one judge call for each pass, and turn ranks into rewards.

    Args:
        group: a TrajectoryGroup, a line of a group file as a dict, or a list of Trajectory, of such a line's
            trajectories, of message lists, or of strings (then give `task`).
        judge: a LiteLLM model name (``"openai/gpt-5-mini"``), ``"local"``, ``"local:NAME"``,
            ``"local:PATH"``, a Judge, or a function; default ``$RANKER_JUDGE``, else ``"local"``.
        rubric: what to prefer, as text or the Path of a file; goes before the group's own rubric and the
            template's.
        passes: how often to ask, each time in another order; orders are balanced over positions.
        task: what the trajectories attempt, where their messages do not say it.
        reward: ``"rank"`` (linear in the average rank), ``"score"`` (the judge's scores),
            ``"strength"`` (softmax of Plackett–Luce strengths), ``"top_heavy"`` (NDCG gains) or ``"debiased"``
            (log-odds of the worth without what `covariates` do to the judge; see `ranker.debias`).
        credit: ``"turns"``: the judge also says which turns helped and which hurt (`RankedGroup.turn_rewards`).
        covariates: with ``"debiased"`` what may sway the judge; default length.
        debiaser: with ``"debiased"`` the state to go on from, in the place of `covariates`; it remembers the
            group. Without it each group stands alone.
        seed: same seed and inputs, same prompts and same cache keys.
        base_url, api_key: reach any OpenAI-compatible server.
        max_calls, max_cost_usd: stop before the call that would exceed them.
        budget: a Budget that several calls share, in the place of these two.
        options: LLMJudge's or LocalJudge's, e.g. ``temperature``, ``timeout``, ``cache``, ``record``.

    Returns:
        RankedGroup: rewards, ranking and reasons in the order given.

    Raises:
        GroupError: the group is malformed.
        ConfigurationError: a setting cannot work.
        JudgeCallError, VerdictError: the judge gave no usable verdict.
        ContextLengthError: the group does not fit the judge, shortened or split.
        BudgetExceeded: a limit came before the verdict.
    """
    return run_sync(
        rank_group_async(
            group,
            judge,
            rubric,
            passes,
            task=task,
            reward=reward,
            credit=credit,
            covariates=covariates,
            debiaser=debiaser,
            seed=seed,
            base_url=base_url,
            api_key=api_key,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            budget=budget,
            progress=progress,
            **options,
        )
    )


async def rank_groups_async(
    groups: Iterable[Any] | AsyncIterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    concurrency: int = 16,
    on_error: OnError = "raise",
    reward: RewardRule = "rank",
    credit: Credit | None = None,
    covariates: Sequence[Covariate] | None = None,
    debiaser: Debiaser | None = None,
    seed: int = 0,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    budget: Budget | None = None,
    progress: bool = True,
    ordered: bool = True,
    **options: Unpack[JudgeOptions],
) -> AsyncGenerator[RankedGroup, None]:
    """Rank many groups at once. See `rank_groups`."""
    _check(passes, reward)
    if on_error not in ("raise", "skip"):
        raise ConfigurationError(f"on_error={on_error!r}; choose 'raise' or 'skip'.")
    check_number("concurrency", concurrency, 1, whole=True)
    chosen = judge_for(judge, reward, base_url, api_key, options, credit=credit)
    debiaser = _debiaser(reward, covariates, debiaser, seed, chosen)
    run = Pipeline(
        chosen,
        _sized(chosen),
        read_rubric(rubric),
        passes,
        reward,
        seed,
        budget or Budget(max_calls, max_cost_usd),
        Slots(concurrency),
        debiaser,
        credit,
    )

    async def one(item: Any) -> RankedGroup:
        try:
            return await run.rank(item)
        except RankerError as error:
            if on_error == "raise" or error.fatal:
                raise
            return _failed(item, chosen, error)

    total = len(groups) if isinstance(groups, Sized) else None
    source = aiter(groups if isinstance(groups, AsyncIterable) else iterated(groups))
    # Started ahead of the oldest unfinished group, so that one slow group does not starve the rest.
    results = at_once(source, one, 4 * concurrency, ordered, on_error == "raise")
    with Progress(total, shown=progress) as bar:
        async with aclosing(results):
            async for ranked in results:
                if debiaser is not None:
                    ranked = debiaser.reward(ranked)
                bar.advance(ranked)
                yield ranked


def rank_groups(
    groups: Iterable[Any],
    judge: JudgeLike = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    concurrency: int = 16,
    on_error: OnError = "raise",
    reward: RewardRule = "rank",
    credit: Credit | None = None,
    covariates: Sequence[Covariate] | None = None,
    debiaser: Debiaser | None = None,
    seed: int = 0,
    base_url: str | None = None,
    api_key: str | None = None,
    max_calls: int | None = None,
    max_cost_usd: float | None = None,
    budget: Budget | None = None,
    progress: bool = True,
    ordered: bool = True,
    **options: Unpack[JudgeOptions],
) -> Iterator[RankedGroup]:
    """Rank many groups, `concurrency` judge calls at a time; results stream in input order.

    Args beyond those of `rank_group`:
        concurrency: judge calls in flight.
        on_error: ``"raise"`` stops at the first failed group; with ``"skip"`` it comes back with
            ``.error`` set and every reward None. What every group would fail of (a wrong key or model
            name, no credit, a setting) is raised all the same, after the groups whose calls were in flight.
        max_calls, max_cost_usd: limits over all groups. With ``"skip"`` the groups they leave out
            come back with a BudgetExceeded error.
        progress: show a progress bar, or without a terminal a line every half minute.
        ordered: False yields each group as soon as it is ranked.
        debiaser: without it the groups of this call share a state of their own.

    Raises:
        What `rank_group` raises, at the group that failed; and what `groups` raises, after the results of those before.
    """
    return iterate_sync(
        rank_groups_async(
            groups,
            judge,
            rubric,
            passes,
            concurrency=concurrency,
            on_error=on_error,
            reward=reward,
            credit=credit,
            covariates=covariates,
            debiaser=debiaser,
            seed=seed,
            base_url=base_url,
            api_key=api_key,
            max_calls=max_calls,
            max_cost_usd=max_cost_usd,
            budget=budget,
            progress=progress,
            ordered=ordered,
            **options,
        )
    )


def judge_for(
    judge: JudgeLike,
    reward: str,
    base_url: str | None,
    api_key: str | None,
    options: Mapping[str, Any],
    *,
    credit: Credit | None = None,
) -> Judge:
    """The judge that is named, set up to give what a reward rule and `credit` need.

    Raises:
        ConfigurationError: an option that no judge has, or that this one does not take; or it cannot name turns.
    """
    check_options(options)
    check_credit(credit)
    if judge is None or isinstance(judge, str):
        form = {"form": "scores"} if reward == "score" else {}
        options = {**form, "credit": credit, **options}
    chosen = resolve(judge, base_url=base_url, api_key=api_key, **options)
    require_credit(chosen, credit)
    return chosen


def _debiaser(
    reward: str, covariates: Sequence[Covariate] | None, debiaser: Debiaser | None, seed: int, judge: Judge
) -> Debiaser | None:
    if reward != "debiased":
        if covariates is not None or debiaser is not None:
            raise ConfigurationError(
                'covariates and debiaser are for reward="debiased"; give it, or leave them out.'
            )
        return None
    if debiaser is not None and covariates is not None:
        raise ConfigurationError("Give covariates or a debiaser, which has its own.")
    from ranker.debias.debiaser import Debiaser

    debiaser = debiaser or Debiaser(covariates or ("length",), seed=seed)
    debiaser.evidence.bind(judge.name)
    return debiaser


def _sized(judge: Judge) -> SizedJudge | None:
    return judge if isinstance(judge, SizedJudge) else None


def _check(passes: int, reward: str) -> None:
    if not isinstance(passes, int) or passes < 1:
        raise ConfigurationError(f"passes={passes!r}; the judge must be asked at least once.")
    if reward not in RULES:
        raise ConfigurationError(f"reward={reward!r}; choose one of {', '.join(RULES)}.")


def _failed(item: Any, judge: Judge, error: RankerError) -> RankedGroup:
    try:
        group = as_group(item)
    except Exception:
        # Malformed input has no group to give back: one placeholder attempt stands for it.
        group = TrajectoryGroup([Trajectory([{"role": "user", "content": "(malformed group)"}])])
    n = len(group)
    return RankedGroup(group, [None] * n, [], [""] * n, usage=error.usage, judge=judge.name, error=error)
