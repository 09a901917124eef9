"""The GRPO loop: sample, judge, learn; resumable to the bit."""

from __future__ import annotations

import asyncio
import atexit
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grpo import checkpoint, metrics
from grpo.advantages import group_advantages
from grpo.collect import Checker, Collector, RolloutFunction, Row, Rows, check_rows, run_loop
from grpo.config import GRPOConfig
from grpo.engine import Engine
from grpo.errors import RunFolderError, TrainingError
from grpo.loggers import Logger, loggers
from grpo.metrics import Judged
from grpo.model import Reference, context_length, end_tokens, load
from grpo.probe import probe
from grpo.records import group_from_dict, group_to_dict, sample_record
from grpo.rewards import Reward, Rewarder, RewardFunction
from grpo.rollout import RolloutGroup
from grpo.run import Earnings, RunFolder
from grpo.update import Example, Updater
from ranker import ConfigurationError

log = logging.getLogger("ranker")
Report = Callable[[Mapping[str, Any]], None]


@dataclass(slots=True)
class _State:
    """Where a run stands.

    Attributes:
        step: steps taken.
        taken: groups learned from or dropped; the next has this index.
        sampled: groups rolled out, those still at the judge included.
        recent: for the latest groups, whether each failed.
    """

    step: int = 0
    taken: int = 0
    sampled: int = 0
    recent: tuple[bool, ...] = ()


_RECENT = 20  # groups over which the share of failures is taken
_ENOUGH = 4  # failures before it can stop a run


class GRPOTrainer:
    """Trains a policy on rewards that come a group at a time.

    ```python
    trainer = GRPOTrainer("smollm2", dataset=rows, reward_fn=partial(rank_group, judge="openai/gpt-5-mini"),
                          config=GRPOConfig(lora_r=16, learning_rate=1e-5), out="run")
    trainer.train()
    ```

    Under `torchrun` each process rolls out and learns from whole groups of its own; gradients and token
    counts are summed over all of them.

    Args:
        model: a transformers causal LM or a peft model, with its `tokenizer`; or a name.
        dataset: rows (mappings). Without `rollout`, each needs a "prompt": text, or messages; "tools",
            "rubric" and "id" are used where they are there.
        reward_fn: takes a TrajectoryGroup, returns a RankedGroup or a list of floats and Nones; sync or
            async. A list of `Reward` mixes several.
        rollout: ``async def rollout(policy, row)`` that returns a Trajectory or its messages; the policy's
            `chat` is like that of an OpenAI client. Whatever the policy samples in it is trained on.
        checker: the ground truth of a trajectory, ``checker(trajectory, row) -> float``; logged, never
            trained on, never shown to a judge.
        config: all other settings.
        out: run folder; None keeps nothing on disk.
        resume: go on with the run in `out`.
        describe: what `config.json` says beside the config, e.g. which dataset it was.

    Raises:
        ConfigurationError: settings, dataset or model that cannot work, with the remedy.
        RunFolderError: `out` holds another run, or one of another version.
    """

    def __init__(
        self,
        model: Any,
        *,
        dataset: Sequence[Row],
        reward_fn: RewardFunction | Reward | Sequence[Reward],
        tokenizer: Any = None,
        rollout: RolloutFunction | None = None,
        checker: Checker | None = None,
        config: GRPOConfig | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        describe: Mapping[str, Any] | None = None,
    ):
        from accelerate import Accelerator

        self.config = config = config or GRPOConfig()
        rewarder = Rewarder(_rewards(reward_fn), config.multi_objective_aggregation, config.reward_timeout)
        self._accelerator = Accelerator(cpu=not torch.accelerator.is_available())
        if self._accelerator.num_processes > 1:
            atexit.register(_leave)
        self._rank, self._world = self._accelerator.process_index, self._accelerator.num_processes
        self.model, self.tokenizer = load(model, tokenizer, config)
        check_rows(dataset, rollout, self.tokenizer)
        self.model.to(self._accelerator.device)
        self._share_weights()
        layout = probe(self.model, self.tokenizer, config)
        self.engine = Engine(
            self.model,
            end_tokens(self.model, self.tokenizer),
            config.sampling,
            config.max_num_seqs,
            context_length(self.model),
            layout.tree and layout.head,
            config.bf16,
        )
        self._rollout, self._checker = rollout, checker
        self._updater = Updater(
            self.model, config, layout, Reference(self.model, config.beta != 0), self._accelerator
        )
        self._state = _State()
        self._rows = Rows(dataset, config.shuffle_dataset, config.seed)
        self._loggers: list[Logger] = []
        self._folder = self._open(out, resume, describe or {})
        self._collector = Collector(
            self.engine,
            self.tokenizer,
            self._rows,
            rewarder,
            rollout,
            checker,
            config.num_generations,
            config.seed,
            self._earnings,
        )
        if resume:
            try:
                self._resume()
            except BaseException:
                self.close()
                raise

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self._state.step

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return bool(self._rank == 0)

    def train(self, report: Report | None = None) -> list[dict[str, Any]]:
        """Train until `max_steps`; returns the metrics of every step, those before a resume included.

        Args:
            report: called with each step's metrics.

        Raises:
            TrainingError: more than `max_failed_share` of the groups failed, or the gradient is not
                finite.
            RunFolderError: the disk is full. All of these leave the run folder fit for a resume.
        """
        if self._folder is not None:
            self._folder.hold()
        history = self._folder.metrics() if self._folder else []
        if self._rank == 0:
            self._loggers = loggers(self.config.report_to, self._out, self.config.to_dict())
        try:
            while self._state.step < self.config.max_steps:
                line = self._one_step()
                history.append(line)
                for logger in self._loggers:
                    logger.log(line["step"], line)
                if report is not None and self._rank == 0:
                    report(line)
                every = self.config.save_steps
                if every and self._state.step % every == 0 and self._state.step < self.config.max_steps:
                    self._save()
            if self._out is not None:
                self._save()
                if self._rank == 0:
                    checkpoint.save_whole(self._out / "final", self.model, self.tokenizer)
            self._accelerator.wait_for_everyone()
        finally:
            for logger in self._loggers:
                logger.close()
            self.close()
        return history

    def evaluate(
        self, dataset: Sequence[Row], num_generations: int = 1, seed: int = 1_000_003
    ) -> list[RolloutGroup]:
        """Roll out rows with the present policy, without learning; each rollout has its ground truth.

        The same seed draws the same random numbers before and after training. Under several processes each
        one rolls out all of the rows.
        """
        check_rows(dataset, self._rollout, self.tokenizer)
        collector = Collector(
            self.engine, self.tokenizer, Rows(dataset, False, 0), None, self._rollout, self._checker, 1, seed
        )  # fmt: skip

        async def work() -> list[RolloutGroup]:
            return list(
                await asyncio.gather(
                    *(
                        collector.group(i, row, num_generations, self._state.step)
                        for i, row in enumerate(dataset)
                    )
                )
            )

        return run_loop(work())

    def close(self) -> None:
        """Let go of the run folder."""
        if self._folder is not None:
            self._folder.close()

    def _one_step(self) -> dict[str, Any]:
        began = time.perf_counter()
        sampled_before = self.engine.sampled_tokens
        clock = metrics.Clock()
        judged = self._collect(clock)
        learning_rate = self._updater.scheduler.get_last_lr()[0]
        with clock.time("update"):
            done = self._updater.step(self._examples(judged))
        self._state.step += 1
        everyone = sorted(self._gather(judged), key=lambda j: j.group.index)
        tokens = sum(self._gather([self.engine.sampled_tokens - sampled_before]))
        line = metrics.line(self._state.step, everyone, done, learning_rate)
        line |= clock.fields(time.perf_counter() - began, tokens)
        if self._folder is not None:
            self._folder.add("samples.jsonl", *(sample_record(self._state.step, j) for j in everyone))
            self._folder.add("metrics.jsonl", line)
        self._watch(everyone)
        return line

    def _collect(self, clock: metrics.Clock) -> list[Judged]:
        """The groups of the next step, this process's share; other groups are sampled while they are judged."""
        state, config = self._state, self.config
        taken: list[Judged] = []
        lacking = config.groups_per_step
        for _ in range(1 + config.dynamic_sampling_rounds):
            upto = state.taken + lacking
            with clock.time("generate"):
                self._sample_to(upto + config.ahead)
            fresh = [self._take(k, clock) for k in range(state.taken, upto) if k % self._world == self._rank]
            taken += fresh
            state.taken = upto
            useful = [not j.advantages.tied and j.reward.error is None for j in self._advised(fresh)]
            lacking -= sum(self._gather([sum(useful)]))
            if lacking <= 0:
                break
        return self._advised(taken)

    def _sample_to(self, end: int) -> None:
        state = self._state
        last = state.taken + (self.config.max_steps - state.step) * self.config.groups_per_step
        end = min(end, last)  # no group that no step learns from
        wanted = [k for k in range(state.sampled, end) if k % self._world == self._rank]
        self._collector.sample(wanted, state.step)
        state.sampled = max(state.sampled, end)

    def _take(self, index: int, clock: metrics.Clock) -> Judged:
        group, job = self._collector.pending[index]
        with clock.time("judge_wait"):
            reward = job.result()
        del self._collector.pending[index]
        return Judged(group, reward)

    def _advised(self, judged: list[Judged]) -> list[Judged]:
        """Add advantages; with scale_rewards "batch" the deviation is that of all processes' rewards."""
        mine = {j.group.index for j in judged}
        every = self._gather([(j.group.index, j.reward.values) for j in judged])
        every.sort(key=lambda pair: pair[0])
        found = group_advantages([values for _, values in every], self.config.scale_rewards)
        by_index = {index: a for (index, _), a in zip(every, found, strict=True) if index in mine}
        return [j.with_advantages(by_index[j.group.index]) for j in judged]

    def _examples(self, judged: Sequence[Judged]) -> list[Example]:
        masked = self.config.mask_truncated_completions
        return [
            Example(rollout, advantage, j.group.version == self._state.step)
            for j in judged
            for rollout, advantage in zip(j.group.rollouts, j.advantages.values, strict=True)
            if advantage is not None and not (masked and rollout.truncated)
        ]

    def _watch(self, everyone: Sequence[Judged]) -> None:
        """Stop a run whose judge fails too often."""
        failures = [j.reward.error is not None for j in everyone]
        self._state.recent = recent = (*self._state.recent, *failures)[-_RECENT:]
        enough = sum(recent) >= _ENOUGH or self._state.step == self.config.max_steps
        if enough and sum(recent) > self.config.max_failed_share * len(recent):
            last = next((j.reward.error for j in reversed(everyone) if j.reward.error), "earlier.")
            raise TrainingError(
                f"{sum(recent)} of the latest {len(recent)} groups got no rewards, more than max_failed_share = "
                f"{self.config.max_failed_share:g}. The last: {last} Mend it, then go on with --resume."
            )

    def _gather(self, mine: list[Any]) -> list[Any]:
        if self._world == 1:
            return list(mine)
        from accelerate.utils import gather_object

        return list(gather_object(mine))

    def _share_weights(self) -> None:
        if self._world > 1:
            from accelerate.utils import broadcast

            for weight in self.model.parameters():
                weight.data = broadcast(weight.data)

    def _open(self, out: str | Path | None, resume: bool, describe: Mapping[str, Any]) -> RunFolder | None:
        self._out = None if out is None else Path(out)
        self._earnings: Earnings | None = None
        folder = None
        if self._out is None:
            if resume:
                raise ConfigurationError("resume needs the run folder: out=….")
            return None
        if self._rank == 0:
            folder = RunFolder(self._out, {**self.config.to_dict(), **describe}, resume)
        self._accelerator.wait_for_everyone()
        self._earnings = Earnings(self._out, self._rank, resume)
        return folder

    def _save(self) -> None:
        state, everyone = (
            self._state,
            self._gather([group_to_dict(g) for g, _ in self._collector.pending.values()]),
        )
        if self._out is None or self._rank:
            return
        kept = {
            "step": state.step,
            "taken": state.taken,
            "sampled": state.sampled,
            "recent": state.recent,
            "pending": sorted(everyone, key=lambda g: g["index"]),
        }
        folder = self._out / "checkpoints"
        checkpoint.save(
            folder / f"step-{state.step}",
            self.model,
            self.tokenizer,
            self._updater.optimizer,
            self._updater.scheduler,
            kept,
        )
        checkpoint.prune(folder, self.config.save_total_limit)

    def _resume(self) -> None:
        assert self._out is not None
        saved = checkpoint.newest(self._out / "checkpoints")
        if saved is None and checkpoint.any_at(self._out / "checkpoints"):
            raise RunFolderError(
                f"No checkpoint in {self._out} is whole. Begin anew in another folder; metrics and rewards are kept."
            )
        if saved is not None:
            checkpoint.restore(saved, self.model, self._updater.optimizer, self._updater.scheduler)
            kept = saved.state
            self._state = _State(kept["step"], kept["taken"], kept["sampled"], tuple(kept["recent"]))
            for fields in kept["pending"]:
                if fields["index"] % self._world == self._rank:
                    self._collector.send(group_from_dict(fields, self._rows.of(fields["index"])))
        if self._folder is not None:
            self._folder.rewind(self._state.step)
        self._accelerator.wait_for_everyone()


def _leave() -> None:
    """Leave the process group; a process that just ends may take the others down with it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


def _rewards(given: Any) -> list[Reward]:
    if isinstance(given, Reward):
        return [given]
    if (
        isinstance(given, Sequence)
        and not isinstance(given, str)
        and all(isinstance(r, Reward) for r in given)
    ):
        return list(given)
    if callable(given):
        return [Reward(given)]
    raise ConfigurationError(
        f"reward_fn is a {type(given).__name__}; give a function of a group, such as partial(rank_group, judge=…), "
        "or a list of Reward(function, name, weight)."
    )


def mean_truth(groups: Sequence[RolloutGroup]) -> float:
    """Mean ground truth over all rollouts that have one; NaN where none has."""
    truths = [t for g in groups for t in g.ground_truths if t is not None]
    return float(np.mean(truths)) if truths else float("nan")
