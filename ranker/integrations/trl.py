"""`rank_reward`: a reward function for TRL's GRPOTrainer, its asynchronous trainer and RLOOTrainer."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError, RankerError
from ranker.integrations.completions import identity, trajectory_of
from ranker.integrations.judged import Asker, is_hopeless
from ranker.integrations.placing import Placed, groups_of
from ranker.integrations.ranks import Ranks, failure_of, ranks
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
    """A reward function that lets a judge rank each group of completions: an entry of TRL's `reward_funcs`.

    Args:
        judge, rubric, passes: as `rank_group` takes them; a column `rubric` of the dataset is used where no
            rubric is given here.
        on_error: with ``"skip"`` the completions of a group that could not be judged get None, which TRL leaves
            out; with ``"raise"`` training stops. A wrong setting, key or model name always stops it.
        concurrency: groups judged at the same time, in each process.
        name: what TRL logs the rewards by; give each its own when you use several.
        options: `rank_group`'s others: ``reward``, ``seed``, ``base_url``, ``api_key``, ``temperature``, …;
            ``max_calls`` and ``max_cost_usd`` limit all of a training run, in each process.

    Returns:
        RankReward: called by TRL with a batch, it gives one float in [0, 1] or None for each completion.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    return RankReward(
        judge, rubric, passes, on_error=on_error, concurrency=concurrency, name=name, how=options
    )


class RankReward:
    """What `rank_reward` returns. It can be pickled, and TRL sees an async function named `name`."""

    def __init__(
        self,
        judge: Any,
        rubric: str | Path | None,
        passes: int,
        *,
        on_error: OnError,
        concurrency: int,
        name: str,
        how: Mapping[str, Any],
    ):
        if on_error not in ("raise", "skip"):
            raise ConfigurationError(f"on_error={on_error!r}; choose 'raise' or 'skip'.")
        if concurrency < 1:
            raise ConfigurationError(f"concurrency={concurrency}; at least 1 group must be judged at a time.")
        self._asker = Asker(judge, rubric, passes, how)
        self._on_error, self._concurrency = on_error, concurrency
        self._ranks: Ranks | None = None
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
        """The rewards of one batch, in its order.

        Raises:
            ConfigurationError: the batch is not made of whole groups, or a setting cannot work.
            RankerError: a group failed and `on_error` is ``"raise"``; or another process failed or was lost.
        """
        link = self._link()  # before anything is awaited: every process makes it at this point
        trainer = getattr(log_metric, "__self__", None)
        batch = _Batch(prompts, completions, _columns(columns, len(prompts)))
        size = _group_size(trainer)
        placed = await _placed(link, batch.keys(rows=size is None), size, "environments" in columns)
        held = await _held(link, placed, batch.attempts())
        started = time.monotonic()
        try:
            mine = await self._judged(placed.mine, held, _tools(trainer))
        except Exception as error:
            if link is not None:
                with suppress(RankerError):  # what went wrong elsewhere is told there
                    await link.share(failure_of(error))
            raise
        seconds = time.monotonic() - started
        results = _results(zip(placed.mine, mine, strict=True))
        if link is not None:
            abroad = {i: found for i, found in results.items() if not placed.is_local(i)}
            for told in await link.share(abroad):
                results.update(told)
        found = [results[i] for i in range(placed.start, placed.stop)]
        self._report(mine, seconds, log_metric)
        if log_extra is not None:
            log_extra(f"{self.__name__}/reason", [reason for _, reason in found])
        return [reward for reward, _ in found]

    # What `inspect.iscoroutinefunction` reads: some releases of TRL ask it about the object itself.
    __code__ = __call__.__code__
    __defaults__ = None
    __kwdefaults__ = None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_ranks": None}

    def _link(self) -> Ranks | None:
        if self._ranks is None or not self._ranks.current:
            self._ranks = ranks()
        return self._ranks

    async def _judged(
        self, groups: Sequence[Sequence[int]], held: Mapping[int, _Attempt], tools: list[Any] | None
    ) -> list[RankedGroup | RankerError]:
        slots = asyncio.Semaphore(self._concurrency)

        async def one(members: Sequence[int]) -> RankedGroup | RankerError:
            try:
                if len(members) < 2:
                    raise GroupError(
                        "A group of one completion cannot be ranked; let num_generations be 2 or more."
                    )
                async with slots:
                    group = _group([held[i] for i in members], tools)
                    return await self._asker.rank(group)
            except RankerError as error:
                if self._on_error == "raise" or is_hopeless(error):
                    raise
                return error

        tasks = [asyncio.create_task(one(members)) for members in groups]
        try:
            return await asyncio.gather(*tasks)
        except BaseException:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise

    def _report(self, outcomes: Sequence[RankedGroup | RankerError], seconds: float, log_metric: Any) -> None:
        """Tell TRL about the groups judged here; it averages over all processes and calls."""
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
            for what, value in _told(outcome).items():
                log_metric(f"{self.__name__}/{what}", value)


@dataclass(frozen=True, slots=True)
class _Attempt:
    """What a judge may need of one completion."""

    prompt: Any
    completion: Any
    rubric: str | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class _Batch:
    """What TRL passed to this process."""

    prompts: Sequence[Any]
    completions: Sequence[Any]
    columns: Mapping[str, Sequence[Any]]

    def keys(self, rows: bool) -> list[str]:
        """What each completion answers: its prompt, and with `rows` the other columns of its row too."""
        columns = self.columns if rows else {}
        return [
            identity(prompt, {name: values[i] for name, values in columns.items()})
            for i, prompt in enumerate(self.prompts)
        ]

    def attempts(self) -> list[_Attempt]:
        return [
            _Attempt(prompt, completion, self._text("rubric", i), self._text("reference", i))
            for i, (prompt, completion) in enumerate(zip(self.prompts, self.completions, strict=True))
        ]

    def _text(self, column: str, i: int) -> str | None:
        value = self.columns[column][i] if column in self.columns else None
        return value if isinstance(value, str) and value.strip() else None


async def _placed(link: Ranks | None, keys: list[str], size: int | None, mixed: bool) -> Placed:
    everyone = [keys] if link is None else await link.share(keys)
    starts = [0]
    for theirs in everyone:
        starts.append(starts[-1] + len(theirs))
    groups = groups_of([key for theirs in everyone for key in theirs], size, mixed)
    return Placed(groups, tuple(starts), 0 if link is None else link.rank)


async def _held(link: Ranks | None, placed: Placed, attempts: list[_Attempt]) -> dict[int, _Attempt]:
    """The completions to be judged here, by position; those of scattered groups are fetched."""
    held = dict(enumerate(attempts, placed.start))
    scattered = placed.scattered
    if link is not None and scattered:
        for told in await link.share({i: attempt for i, attempt in held.items() if i in scattered}):
            held.update(told)
    return held


def _group_size(trainer: Any) -> int | None:
    """`num_generations` of the trainer that calls; None where it does not tell."""
    training = getattr(getattr(trainer, "model", None), "training", True)
    found = getattr(trainer, "num_generations" if training else "num_generations_eval", None)
    return found if isinstance(found, int) and found > 0 else None


def _tools(trainer: Any) -> list[Any] | None:
    """Definitions of the tools that the trainer's policy has, in OpenAI format."""
    tools = getattr(trainer, "tools", None)
    if not tools:
        return None
    from transformers.utils import get_json_schema

    return [get_json_schema(tool) if callable(tool) else tool for tool in tools]


def _columns(given: Mapping[str, Any], count: int) -> dict[str, Sequence[Any]]:
    """The dataset's columns among TRL's arguments: lists with a value for each completion."""
    return {
        name: values
        for name, values in given.items()
        if name not in _NOT_COLUMNS and isinstance(values, (list, tuple)) and len(values) == count
    }


def _group(attempts: Sequence[_Attempt], tools: list[Any] | None) -> TrajectoryGroup:
    first = attempts[0]
    members = [trajectory_of(attempt.prompt, attempt.completion, tools) for attempt in attempts]
    return TrajectoryGroup(members, rubric=first.rubric, reference=first.reference)


def _results(
    judged: Iterable[tuple[Sequence[int], RankedGroup | RankerError]],
) -> dict[int, tuple[float | None, str]]:
    """Reward and reason of each completion, by position; None and "" where its group failed."""
    found: dict[int, tuple[float | None, str]] = {}
    for members, outcome in judged:
        if isinstance(outcome, RankerError):
            found.update((i, (None, "")) for i in members)
        else:
            found.update(zip(members, zip(outcome.rewards, outcome.reasons, strict=True), strict=True))
    return found


def _told(outcome: RankedGroup | RankerError) -> dict[str, float]:
    """One group's metrics; what is not known is left out."""
    cost = outcome.usage.cost_usd
    told = {} if cost is None else {"cost_usd": cost}
    if isinstance(outcome, RankerError):
        return {**told, "failed_groups": 1.0}
    told |= {"failed_groups": 0.0, "tied_groups": float(len(outcome.ranking) == 1)}
    return told if outcome.consistency is None else {**told, "consistency": outcome.consistency}
