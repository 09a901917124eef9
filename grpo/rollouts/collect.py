"""Collecting: rollouts of many groups at once, each group to its judge as soon as its last rollout ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, TypeVar

import numpy as np

from grpo.errors import TrainingError
from grpo.rewards import GroupReward, Job, Rewarder, number
from grpo.rollouts.chat import Policy
from grpo.rollouts.engine import Sampler
from grpo.types import Rollout, RolloutGroup
from ranker import ConfigurationError, Trajectory
from ranker.errors import scrub

log = logging.getLogger("ranker")
T = TypeVar("T")
Row = Mapping[str, Any]
RolloutFunction = Callable[[Policy, Row], Awaitable[Any]]
Checker = Callable[[Trajectory, Row], float | None]


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own; where one is running already (a notebook),
    that is in another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


class Rows:
    """The dataset, in the order in which a run takes it: row of group k, for every k."""

    def __init__(self, rows: Sequence[Row], shuffle: bool, seed: int):
        self._rows = rows
        self._shuffle = shuffle
        self._seed = seed
        self._orders: dict[int, np.ndarray] = {}  # of the present epoch and the one before

    def __len__(self) -> int:
        return len(self._rows)

    def of(self, index: int) -> Row:
        """Each row once an epoch; an epoch's order depends on the seed and its number alone."""
        epoch, place = divmod(index, len(self._rows))
        if not self._shuffle:
            return self._rows[place]
        if epoch not in self._orders:
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._rows))
            self._orders = {epoch: order, **{e: o for e, o in self._orders.items() if e == epoch - 1}}
        return self._rows[int(self._orders[epoch][place])]


def check_rows(rows: Sequence[Row], rollout: RolloutFunction | None, tokenizer: Any) -> None:
    """Refuse a dataset that single-turn rollouts cannot be made of.

    Raises:
        ConfigurationError: it can be read only once, or is empty.
        ConfigurationError: a row is no mapping or has no usable prompt, named by number; messages, but
            no chat template.
    """
    if not hasattr(rows, "__len__") or not hasattr(rows, "__getitem__"):
        raise ConfigurationError(
            f"The dataset is a {type(rows).__name__}, which can be read only once; give a list of rows."
        )
    if not len(rows):
        raise ConfigurationError("The dataset is empty; give at least one row.")
    for i, row in enumerate(rows):
        if not isinstance(row, Mapping):
            raise ConfigurationError(
                f"Row {i} of the dataset is a {type(row).__name__}, not an object with fields."
            )
        if rollout is not None:
            continue
        prompt = row.get("prompt")
        if not prompt or not isinstance(prompt, (str, list, tuple)):
            raise ConfigurationError(
                f'Row {i} of the dataset has no "prompt" (text or messages), but {sorted(row)}; add one, or give a '
                "rollout function that makes do without."
            )
        if not isinstance(prompt, str) and not getattr(tokenizer, "chat_template", None):
            raise ConfigurationError(
                f"Row {i} of the dataset has messages for a prompt, and the model's tokenizer has no chat template: use an "
                "instruction-tuned model, set tokenizer.chat_template, or give prompts as text."
            )


async def single_turn(policy: Policy, row: Row) -> Trajectory:
    """The rollout of a row without a rollout function: one reply to its prompt."""
    prompt = row["prompt"]
    if isinstance(prompt, str):
        reply = {"role": "assistant", "content": await policy.complete(prompt)}
        return Trajectory([{"role": "user", "content": prompt}, reply])
    completion = await policy.chat(prompt, tools=row.get("tools"))
    message = completion.choices[0].message.model_dump(exclude_none=True)
    return Trajectory([*prompt, message], tools=row.get("tools"))


class Ledger(Protocol):
    """Where rewards are kept, so that a resumed run need not ask for them again."""

    def earned(self, group: RolloutGroup) -> GroupReward | None: ...

    def earn(self, group: RolloutGroup, reward: GroupReward) -> None: ...


class Collector:
    """Samples groups and sends them to their reward functions.

    Attributes:
        pending: groups sampled and not yet taken, by index, with their rewards to come.
    """

    def __init__(
        self,
        engine: Sampler,
        tokenizer: Any,
        rows: Rows,
        rewarder: Rewarder | None,
        rollout: RolloutFunction | None,
        checker: Checker | None,
        num_generations: int,
        seed: int,
        ledger: Ledger | None = None,
    ):
        self._engine = engine
        self._tokenizer = tokenizer
        self._rows = rows
        self._rewarder = rewarder
        self._rollout = rollout or single_turn
        self._checker = checker
        self._count = num_generations
        self._seed = seed
        self._ledger = ledger
        self.pending: dict[int, tuple[RolloutGroup, Job]] = {}

    def sample(self, indices: Sequence[int], version: int) -> None:
        """Roll out these groups, all at once; returns when the last rollout has ended."""
        if indices:
            run_loop(self._sample(indices, version))

    async def _sample(self, indices: Sequence[int], version: int) -> None:
        async def one(index: int) -> None:
            group = await self.group(index, self._rows.of(index), self._count, version)
            self.send(group)

        tasks = [asyncio.create_task(one(index)) for index in indices]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def group(self, index: int, row: Row, count: int, version: int) -> RolloutGroup:
        """Roll out one group."""
        rollouts = await asyncio.gather(*(self._attempt(index, i, row) for i in range(count)))
        truths = tuple(self._truth(r, row) for r in rollouts)
        return RolloutGroup(index, row, tuple(rollouts), version, truths)

    def send(self, group: RolloutGroup) -> None:
        """Give a group to its reward functions, unless it has its rewards already."""
        ledger = self._ledger
        known = ledger.earned(group) if ledger else None
        if known is not None:
            job = Job(0.0, len(group.rollouts))
            job.future.set_result(known)
        else:
            assert self._rewarder is not None
            job = self._rewarder.start(group, lambda made: ledger.earn(group, made) if ledger else None)
        self.pending[group.index] = group, job

    async def _attempt(self, index: int, i: int, row: Row) -> Rollout:
        policy = Policy(self._engine, self._tokenizer, np.random.default_rng((self._seed, index, i)))
        try:
            made: Any = self._rollout(policy, row)
            if not inspect.isawaitable(made):
                raise ConfigurationError(
                    "The rollout function must be async: async def rollout(policy, row)."
                )
            made = await made
            trajectory = made if isinstance(made, Trajectory) else Trajectory(made)
            if not policy.sequences:
                raise ValueError("the rollout ended without asking the policy for anything")
        except (ConfigurationError, TrainingError):
            raise  # not the fault of this attempt
        except Exception as error:
            told = scrub(f"{type(error).__name__}: {error}")
            log.debug("rollout %d of group %d broke off: %s", i, index, told)
            return Rollout(None, policy.sequences, policy.truncated, told)
        return Rollout(trajectory, policy.sequences, policy.truncated)

    def _truth(self, rollout: Rollout, row: Row) -> float | None:
        if rollout.trajectory is None:
            return None
        if self._checker is None:
            return rollout.trajectory.ground_truth
        try:
            found = self._checker(rollout.trajectory, row)
            return number(found, f"it returned {found!r}; return a finite number, or None")
        except Exception as error:
            raise ConfigurationError(f"The checker failed: {type(error).__name__}: {error}") from error
