"""Collecting: rollouts of many groups at once, each group to its judge as soon as its last rollout ends."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from grpo.errors import TrainingError
from grpo.group_reward import PendingReward
from grpo.reward_values import number
from grpo.rewards import Rewarder
from grpo.rollouts.chat import Policy
from grpo.rollouts.engine import Sampler
from grpo.runs.folder import RewardCache
from grpo.types import Rollout, RolloutGroup
from ranker import ConfigurationError, Trajectory
from ranker.errors import scrub
from ranker.plain import unarrayed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from grpo.rollouts.anchors import Anchors

log = logging.getLogger("ranker")
T = TypeVar("T")
Example = Mapping[str, Any]
RolloutFunction = Callable[[Policy, Example], Awaitable[Trajectory | Sequence[Any]]]
Checker = Callable[[Trajectory, Example], float | None]


def run_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end in an event loop of its own; where one is running already (a notebook),
    that is in another thread."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, work).result()


def row_order(count: int, shuffle: bool, seed: int) -> Callable[[int], int]:
    """The number of the row of group k of a run, for every k: each of `count` rows once an epoch, whose order depends on
    the seed and its number alone."""

    @lru_cache(2)  # of the present epoch and the one before
    def order(epoch: int) -> np.ndarray:
        return np.random.default_rng((seed, epoch)).permutation(count)

    def of(index: int) -> int:
        epoch, place = divmod(index, count)
        return int(order(epoch)[place]) if shuffle else place

    return of


def example_order(examples: Sequence[Example], shuffle: bool, seed: int) -> Callable[[int], Example]:
    """The example of group k of a run, for every k, in the order of `row_order`."""
    row_of = row_order(len(examples), shuffle, seed)
    return lambda index: examples[row_of(index)]


def check_examples(
    examples: Sequence[Example], rollout: RolloutFunction | None, tokenizer: PreTrainedTokenizerBase
) -> None:
    """Refuse a dataset that single-turn rollouts cannot be made of.

    Raises:
        ConfigurationError: it can be read only once, or is empty.
        ConfigurationError: an example is no mapping or has no usable prompt, named by number; messages, but
            no chat template.
    """
    if not hasattr(examples, "__len__") or not hasattr(examples, "__getitem__"):
        raise ConfigurationError(
            f"The dataset is a {type(examples).__name__}, which can be read only once; give a list of examples."
        )
    if not len(examples):
        raise ConfigurationError("The dataset is empty; give at least one example.")
    for i, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise ConfigurationError(
                f"Example {i} of the dataset is a {type(example).__name__}, not an object with fields."
            )
        if rollout is not None:
            continue
        prompt = unarrayed(example.get("prompt"))
        if not prompt or not isinstance(prompt, (str, list, tuple)):
            raise ConfigurationError(
                f'Example {i} of the dataset has no "prompt" (text or messages), but {sorted(example)}; add one, or give a '
                "rollout function that makes do without."
            )
        if not isinstance(prompt, str) and not getattr(tokenizer, "chat_template", None):
            raise ConfigurationError(
                f"Example {i} of the dataset has messages for a prompt, and the model's tokenizer has no chat template: use an "
                "instruction-tuned model, set tokenizer.chat_template, or give prompts as text."
            )


async def single_turn(policy: Policy, example: Example) -> Trajectory:
    """The rollout of an example without a rollout function: one reply to its prompt."""
    prompt = unarrayed(example["prompt"])
    if isinstance(prompt, str):
        reply = {"role": "assistant", "content": await policy.complete(prompt)}
        return Trajectory([{"role": "user", "content": prompt}, reply])
    completion = await policy.chat(prompt, tools=example.get("tools"))
    message = completion.choices[0].message.model_dump(exclude_none=True)
    return Trajectory([*prompt, message], tools=example.get("tools"))


@dataclass(slots=True)
class Collector:
    """Samples groups and sends them to their reward functions.

    Attributes:
        pending: groups sampled and not yet taken, by index, with their rewards to come.
        anchors: that groups get beside their attempts; None for none.
    """

    engine: Sampler
    tokenizer: PreTrainedTokenizerBase
    example_of: Callable[[int], Example]
    rewarder: Rewarder | None
    rollout: RolloutFunction | None
    checker: Checker | None
    num_generations: int
    seed: int
    store: RewardCache | None = None
    pending: dict[int, tuple[RolloutGroup, PendingReward]] = field(default_factory=dict)
    anchors: Anchors | None = None

    def sample(self, indices: Sequence[int], version: int) -> None:
        """Roll out these groups, all at once; returns when the last rollout has ended."""
        if indices:
            run_loop(self._sample(indices, version))

    async def _sample(self, indices: Sequence[int], version: int) -> None:
        async def one(index: int) -> None:
            group = await self.group(index, self.example_of(index), self.num_generations, version)
            self.send(group if self.anchors is None else self.anchors.add_to(group))

        tasks = [asyncio.create_task(one(index)) for index in indices]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def group(self, index: int, example: Example, count: int, version: int) -> RolloutGroup:
        """Roll out one group."""
        rollouts = await asyncio.gather(*(self._attempt(index, i, example) for i in range(count)))
        truths = tuple(self._truth(r, example) for r in rollouts)
        return RolloutGroup(index, example, tuple(rollouts), version, truths)

    def send(self, group: RolloutGroup) -> None:
        """Give a group to its reward functions, unless it has its rewards already."""
        store = self.store
        known = store.get(group) if store else None
        if known is not None:
            pending = PendingReward(0.0, len(group.rollouts))
            pending.future.set_result(known)
        else:
            assert self.rewarder is not None
            pending = self.rewarder.start(group, lambda reward: store.add(group, reward) if store else None)
        self.pending[group.index] = group, pending

    async def _attempt(self, index: int, i: int, example: Example) -> Rollout:
        policy = Policy(self.engine, self.tokenizer, np.random.default_rng((self.seed, index, i)))
        try:
            result: Any = (self.rollout or single_turn)(policy, example)
            if not inspect.isawaitable(result):
                raise ConfigurationError(
                    "The rollout function must be async: async def rollout(policy, example)."
                )
            result = await result
            trajectory = result if isinstance(result, Trajectory) else Trajectory(result)
            if not policy.sequences:
                raise ValueError("the rollout ended without asking the policy for anything")
        except (ConfigurationError, TrainingError):
            raise  # not the fault of this attempt
        except Exception as error:
            message = scrub(f"{type(error).__name__}: {error}")
            log.debug("rollout %d of group %d broke off: %s", i, index, message)
            return Rollout(None, policy.sequences, policy.truncated, message)
        sequences, turns = policy.sequences_of(trajectory)
        return Rollout(trajectory, sequences, policy.truncated, turns=turns)

    def _truth(self, rollout: Rollout, example: Example) -> float | None:
        if rollout.trajectory is None:
            return None
        if self.checker is None:
            return rollout.trajectory.ground_truth
        try:
            truth = self.checker(rollout.trajectory, example)
            return number(truth, f"it returned {truth!r}; return a finite number, or None")
        except Exception as error:
            raise ConfigurationError(f"The checker failed: {type(error).__name__}: {error}") from error
