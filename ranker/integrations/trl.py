"""TRL: `rank_reward`, a reward function for GRPOTrainer, its asynchronous variant and RLOOTrainer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError, GroupError, RankerError
from ranker.integrations.completions import trajectory_of
from ranker.integrations.group_rewarder import GroupRewarder, Judged
from ranker.integrations.process_group import ProcessGroup, bare, process_group
from ranker.integrations.trl_batch import (
    Attempt,
    attempts_of,
    batch_layout,
    columns_of,
    fetch_attempts,
    group_size,
    keys_of,
    tools_of,
)
from ranker.rank import OnError
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup

if TYPE_CHECKING:  # numpy is imported with it
    from ranker.watch.reward import AuditedReward

__all__ = ["RankReward", "rank_reward"]

log = logging.getLogger("ranker")


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
            ``temperature``, …; ``max_calls`` and ``max_cost_usd`` limit the whole run, per process. And ``audit``, an
            `Audit` of the judge, with ``audit_out``, a file for what it finds.

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
            JudgeAlarm: the judge has stopped being right, and the audit's `on_alarm` is ``"stop"``.
            RankerError: a group failed and `on_error` is ``"raise"``, or another process failed or was lost.
        """
        # A collective call: before any await, so that every process makes it at the same point.
        if self._processes is None or not self._processes.is_current:
            self._processes = process_group()
        processes = self._processes
        await self._rewarder.begin_batch(processes, columns.get("trainer_state"))
        trainer = getattr(log_metric, "__self__", None)
        row = columns_of(columns, len(prompts))
        size = group_size(trainer)
        layout = await batch_layout(
            processes, keys_of(prompts, row if size is None else {}), size, "environments" in columns
        )
        attempts = await fetch_attempts(processes, layout, attempts_of(prompts, completions, row))
        started = time.monotonic()
        try:
            outcomes = await self._rank_groups(layout.local_groups, attempts, tools_of(trainer))
        except Exception as error:
            if processes is not None:
                with suppress(RankerError):  # the other process reports its own failure
                    await processes.all_gather(bare(error))
            raise
        seconds = time.monotonic() - started
        results = _results(zip(layout.local_groups, outcomes, strict=True))
        audits = self._rewarder.batch_audits()
        if processes is not None:
            remote = {i: result for i, result in results.items() if not layout.is_local(i)}
            gathered = await processes.all_gather((remote, audits))
            for received, _ in gathered:
                results.update(received)
            audits = [record for _, records in gathered for record in records]
        local = [results[i] for i in range(layout.start, layout.stop)]
        try:
            self._rewarder.take(audits)
        finally:
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
        self, groups: Sequence[Sequence[int]], attempts: Mapping[int, Attempt], tools: list[Any] | None
    ) -> list[RankedGroup | RankerError]:
        slots = asyncio.Semaphore(self._concurrency)

        async def rank(members: Sequence[int]) -> Judged | RankerError:
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
                return self._failed(error)

        def weighed(judged: Judged | RankerError) -> RankedGroup | RankerError:
            try:
                return judged if isinstance(judged, RankerError) else self._rewarder.weighed(judged)
            except RankerError as error:
                return self._failed(error)

        tasks = [asyncio.create_task(rank(members)) for members in groups]
        try:
            return [weighed(judged) for judged in await asyncio.gather(*tasks)]
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _failed(self, error: RankerError) -> RankerError:
        """The error as the outcome of its group; raises it where it ends the run."""
        if self._on_error == "raise" or error.fatal:
            raise error
        return error

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
        for metric, value in self._rewarder.audit_metrics().items():
            log_metric(f"{self.__name__}/{metric}", value)

    @property
    def audited(self) -> AuditedReward | None:
        """The audit's state: its `watch`, `alarms` and `metrics`; None without ``audit``."""
        return self._rewarder.audited


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
