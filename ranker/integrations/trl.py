"""TRL: `rank_reward`, a reward function for GRPOTrainer, its asynchronous variant and RLOOTrainer."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError, RankerError
from ranker.integrations.batch_layout import BatchLayout, groups_of
from ranker.integrations.completions import identity, trajectory_of
from ranker.integrations.group_rewarder import GroupRewarder
from ranker.integrations.process_group import ProcessGroup, bare, process_group
from ranker.rank import OnError
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup

__all__ = ["RankReward", "rank_reward"]

log = logging.getLogger("ranker")

_NOT_COLUMNS = ("completion_ids", "trainer_state", "environments")


def rank_reward(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    on_error: OnError = "skip",
    concurrency: int = 16,
    name: str = "rank_reward",
    **options: Any,
) -> RankReward:
    """A reward function for TRL's `reward_funcs` that has a judge rank each group of completions.

    Args:
        judge, rubric, passes: as in `rank_group`; without `rubric`, a dataset column ``rubric`` is used.
        on_error: with ``"skip"`` the completions of a group that could not be ranked get None, which TRL
            ignores; with ``"raise"`` training stops. An invalid setting, key or model name always stops it.
        concurrency: groups judged concurrently by each process.
        name: name under which TRL logs the rewards; must be unique if you use several.
        options: other arguments of `rank_group`: ``reward``, ``seed``, ``base_url``, ``api_key``,
            ``temperature``, …; ``max_calls`` and ``max_cost_usd`` limit the whole run, per process.

    Returns:
        A RankReward: called with a batch, it returns one float or None per completion, in [0, 1] but for
        ``reward="debiased"``.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    return RankReward(
        judge, rubric, passes, on_error=on_error, concurrency=concurrency, name=name, options=options
    )


class RankReward:
    """What `rank_reward` returns. It can be pickled, and TRL treats it as an async function named `name`."""

    def __init__(
        self,
        judge: Any,
        rubric: str | Path | None,
        passes: int,
        *,
        on_error: OnError,
        concurrency: int,
        name: str,
        options: Mapping[str, Any],
    ):
        if on_error not in ("raise", "skip"):
            raise ConfigurationError(f"on_error={on_error!r}; choose 'raise' or 'skip'.")
        if concurrency < 1:
            raise ConfigurationError(f"concurrency={concurrency}; use 1 or more.")
        self._rewarder = GroupRewarder(judge, rubric, passes, options)
        self._on_error, self._concurrency = on_error, concurrency
        self._processes: ProcessGroup | None = None
        self.__name__ = name

    async def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[Any],
        *,
        log_metric: Any = None,
        log_extra: Any = None,
        **columns: Any,
    ) -> list[float | None]:
        """The rewards of one batch, in input order.

        Raises:
            ConfigurationError: the batch does not consist of complete groups, or a setting cannot work.
            RankerError: a group failed and `on_error` is ``"raise"``, or another process failed or was lost.
        """
        # A collective call: before any await, so that every process makes it at the same point.
        if self._processes is None or not self._processes.is_current:
            self._processes = process_group()
        processes = self._processes
        trainer = getattr(log_metric, "__self__", None)
        row = _columns(columns, len(prompts))
        size = _group_size(trainer)
        layout = await _batch_layout(
            processes, _keys(prompts, row if size is None else {}), size, "environments" in columns
        )
        attempts = await _fetch_attempts(processes, layout, _attempts(prompts, completions, row))
        started = time.monotonic()
        try:
            outcomes = await self._rank_groups(layout.local_groups, attempts, _tools(trainer))
        except Exception as error:
            if processes is not None:
                with suppress(RankerError):  # the other process reports its own failure
                    await processes.all_gather(bare(error))
            raise
        seconds = time.monotonic() - started
        results = _results(zip(layout.local_groups, outcomes, strict=True))
        if processes is not None:
            remote = {i: result for i, result in results.items() if not layout.is_local(i)}
            for received in await processes.all_gather(remote):
                results.update(received)
        local = [results[i] for i in range(layout.start, layout.stop)]
        self._log(outcomes, seconds, log_metric)
        if log_extra is not None:
            log_extra(f"{self.__name__}/reason", [reason for _, reason in local])
        return [reward for reward, _ in local]

    # Some releases of TRL call `inspect.iscoroutinefunction` on the object itself; it reads these attributes.
    __code__ = __call__.__code__
    __defaults__ = None
    __kwdefaults__ = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_processes": None}

    async def _rank_groups(
        self, groups: Sequence[Sequence[int]], attempts: Mapping[int, _Attempt], tools: list[Any] | None
    ) -> list[RankedGroup | RankerError]:
        slots = asyncio.Semaphore(self._concurrency)

        async def rank(members: Sequence[int]) -> RankedGroup | RankerError:
            try:
                if len(members) < 2:
                    raise GroupError(
                        "A group of one completion cannot be ranked; set num_generations to 2 or more."
                    )
                async with slots:
                    first, own = attempts[members[0]], [attempts[i] for i in members]
                    ran = [trajectory_of(attempt.prompt, attempt.completion, tools) for attempt in own]
                    group = TrajectoryGroup(ran, rubric=first.rubric, reference=first.reference)
                    return await self._rewarder.judged(group)
            except RankerError as error:
                if self._on_error == "raise" or error.fatal:
                    raise
                return error

        tasks = [asyncio.create_task(rank(members)) for members in groups]
        try:
            outcomes = await asyncio.gather(*tasks)
            return [o if isinstance(o, RankerError) else self._rewarder.weighed(o) for o in outcomes]
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _log(self, outcomes: Sequence[RankedGroup | RankerError], seconds: float, log_metric: Any) -> None:
        """Log metrics of the groups judged by this process; TRL averages over processes and calls."""
        failures = [outcome for outcome in outcomes if isinstance(outcome, RankerError)]
        if failures:
            log.warning(
                "%d of %d groups have no rewards. %s: %s",
                len(failures), len(outcomes), type(failures[0]).__name__, failures[0],
            )  # fmt: skip
        if log_metric is None or not outcomes:
            return
        log_metric(f"{self.__name__}/judge_seconds", seconds)
        for outcome in outcomes:
            for metric, value in _metrics(outcome).items():
                log_metric(f"{self.__name__}/{metric}", value)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """The judge's input for one completion."""

    prompt: Any
    completion: Any
    rubric: str | None
    reference: str | None


def _keys(prompts: Sequence[Any], columns: Mapping[str, Sequence[Any]]) -> list[str]:
    """A key per completion from its prompt and these columns of its dataset row."""
    return [
        identity(prompt, {name: values[i] for name, values in columns.items()})
        for i, prompt in enumerate(prompts)
    ]


def _attempts(
    prompts: Sequence[Any], completions: Sequence[Any], columns: Mapping[str, Sequence[Any]]
) -> list[_Attempt]:
    def text(column: str, i: int) -> str | None:
        value = columns[column][i] if column in columns else None
        return value if isinstance(value, str) and value.strip() else None

    return [
        _Attempt(prompt, completion, text("rubric", i), text("reference", i))
        for i, (prompt, completion) in enumerate(zip(prompts, completions, strict=True))
    ]


async def _batch_layout(
    processes: ProcessGroup | None, keys: list[str], size: int | None, mixed: bool
) -> BatchLayout:
    gathered = [keys] if processes is None else await processes.all_gather(keys)
    starts = tuple(itertools.accumulate(map(len, gathered), initial=0))
    groups = groups_of(list(itertools.chain(*gathered)), size, mixed)
    return BatchLayout(groups, starts, 0 if processes is None else processes.rank)


async def _fetch_attempts(
    processes: ProcessGroup | None, layout: BatchLayout, local: list[_Attempt]
) -> dict[int, _Attempt]:
    """The completions this process judges, by position; those of groups it shares come from the others."""
    attempts = dict(enumerate(local, layout.start))
    scattered = layout.scattered
    if processes is not None and scattered:
        own = {i: attempt for i, attempt in attempts.items() if i in scattered}
        for received in await processes.all_gather(own):
            attempts.update(received)
    return attempts


def _group_size(trainer: Any) -> int | None:
    """`num_generations` of the calling trainer; None if unknown."""
    training = getattr(getattr(trainer, "model", None), "training", True)
    size = getattr(trainer, "num_generations" if training else "num_generations_eval", None)
    return size if isinstance(size, int) and size > 0 else None


def _tools(trainer: Any) -> list[Any] | None:
    """Definitions of the tools available to the policy, in OpenAI format."""
    tools = getattr(trainer, "tools", None)
    if not tools:
        return None
    from transformers.utils import get_json_schema

    return [get_json_schema(tool) if callable(tool) else tool for tool in tools]


def _columns(arguments: Mapping[str, Any], count: int) -> dict[str, Sequence[Any]]:
    """The dataset columns among TRL's arguments: lists with one value per completion."""
    return {
        name: values
        for name, values in arguments.items()
        if name not in _NOT_COLUMNS and isinstance(values, (list, tuple)) and len(values) == count
    }


def _results(
    outcomes: Iterable[tuple[Sequence[int], RankedGroup | RankerError]],
) -> dict[int, tuple[float | None, str]]:
    """Reward and reason of each completion, by position; None and "" if its group failed."""
    results: dict[int, tuple[float | None, str]] = {}
    for members, outcome in outcomes:
        if isinstance(outcome, RankerError):
            results.update((i, (None, "")) for i in members)
        else:
            results.update(zip(members, zip(outcome.rewards, outcome.reasons, strict=True), strict=True))
    return results


def _metrics(outcome: RankedGroup | RankerError) -> dict[str, float]:
    """Metrics of one group; unknown values are omitted."""
    cost = outcome.usage.cost_usd
    metrics = {} if cost is None else {"cost_usd": cost}
    if isinstance(outcome, RankerError):
        return {**metrics, "failed_groups": 1.0}
    metrics |= {"failed_groups": 0.0, "tied_groups": float(len(outcome.ranking) == 1)}
    return metrics if outcome.consistency is None else {**metrics, "consistency": outcome.consistency}
