"""The GRPO loop: sample, judge, learn; resumable to the bit."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grpo import credit
from grpo.auditing import auditing_for
from grpo.compatibility import compatible_layout
from grpo.config import GRPOConfig
from grpo.credit import learned, token_advantages
from grpo.debiasing import Debiasing
from grpo.lifting import lifting_for
from grpo.model.distributed import Processes
from grpo.model.loading import Reference, context_length, end_tokens, load
from grpo.retuning import retuning_for
from grpo.rewards import Reward, Rewarder, RewardFunction, as_rewards
from grpo.rollouts.anchors import make_anchors, share_for
from grpo.rollouts.collect import (
    Checker,
    Collector,
    Example,
    RolloutFunction,
    check_examples,
    example_order,
    run_loop,
)
from grpo.rollouts.engine import Engine, Sampler
from grpo.rollouts.hand_over import HandOver
from grpo.runs import metrics
from grpo.runs.checkpoints import Checkpoints
from grpo.runs.folder import RewardCache, RunFolder
from grpo.runs.loggers import Logger, loggers
from grpo.runs.metrics import ScoredGroup
from grpo.runs.records import sample_record
from grpo.runs.win_rate import WinRate
from grpo.schedule import Schedule
from grpo.types import RolloutGroup
from grpo.update import Updater, WeightedRollout
from grpo.watching import Watching
from ranker import ConfigurationError
from ranker.watch.audit import Audit
from ranker.watch.lifts import Lifts
from ranker.watch.watch import Alarm, Watch

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

Report = Callable[[Mapping[str, Any]], None]


class GRPOTrainer:
    """Trains a policy on rewards that come a group at a time.

    ```python
    trainer = GRPOTrainer("smollm2", dataset=examples, reward_fn=partial(rank_group, judge="openai/gpt-5-mini"),
                          config=GRPOConfig(lora_r=16, learning_rate=1e-5), out="run")
    trainer.train()
    ```

    Under `torchrun` each process rolls out and learns from whole groups of its own; gradients and token
    counts are summed over all of them. With `fsdp=True` in the config, weights, gradients and optimizer
    state are sharded over them.

    Args:
        model: a transformers causal LM or a peft model, with its `tokenizer`; or a name.
        dataset: examples (mappings). Without `rollout`, each needs a "prompt": text, or messages; "tools",
            "rubric" and "id" are used where they are there.
        reward_fn: takes a TrajectoryGroup, returns a RankedGroup or a list of floats and Nones; sync or
            async. A list of `Reward` mixes several.
        rollout: ``async def rollout(policy, example)`` that returns a Trajectory or its messages; the policy's
            `chat` is like that of an OpenAI client. Whatever the policy samples in it is trained on.
        checker: the ground truth of a trajectory, ``checker(trajectory, example) -> float``; logged, never
            trained on, never shown to a judge.
        config: all other settings.
        out: run folder; None keeps nothing on disk.
        resume: go on with the run in `out`.
        audit: who else looks at a share of the groups, and what happens where the judge stops being right.
        describe: what `config.json` says beside the config, e.g. which dataset it was.

    Raises:
        ConfigurationError: settings, dataset or model that cannot work, with the remedy.
        RunFolderError: `out` holds another run, or one of another version.
    """

    def __init__(
        self,
        model: PreTrainedModel | PeftModel | str,
        *,
        dataset: Sequence[Example],
        reward_fn: RewardFunction | Reward | Sequence[Reward],
        tokenizer: PreTrainedTokenizerBase | None = None,
        rollout: RolloutFunction | None = None,
        checker: Checker | None = None,
        config: GRPOConfig | None = None,
        out: str | Path | None = None,
        resume: bool = False,
        audit: Audit | None = None,
        describe: Mapping[str, Any] | None = None,
    ):
        self.config = config = config or GRPOConfig()
        rewards = as_rewards(reward_fn)
        auditing = auditing_for(audit, config, checker is not None, out)
        lifting = lifting_for(audit, config)
        rewarder = Rewarder(
            rewards, config.multi_objective_aggregation, config.reward_timeout, auditing, lifting
        )
        self._processes = processes = Processes()
        self.model, self.tokenizer = load(model, tokenizer, config)
        check_examples(dataset, rollout, self.tokenizer)
        share = share_for(config, hasattr(self.model, "peft_config"), any(r.ranks for r in rewards))
        self.model.to(processes.device)
        processes.share(self.model)
        layout = compatible_layout(self.model, config)
        self._servers: HandOver | None = None
        self.engine: Sampler
        if config.servers:
            self._servers = HandOver(self.model, self.tokenizer, config, layout, processes, out)
            self.engine = self._servers.engine
        else:
            self.engine = Engine(
                self.model, end_tokens(self.model, self.tokenizer), config.sampling, config.max_num_seqs,
                context_length(self.model), layout.packed and layout.head, config.bf16, config.max_tokens_per_forward,
            )  # fmt: skip
        self._rollout, self._checker = rollout, checker
        self.handed_back: int | None = None
        reference = Reference(self.model, config.beta != 0, share > 0)
        self._updater = Updater(self.model, config, layout, reference, processes)
        self._example_of = example_order(dataset, config.shuffle_dataset, config.seed)
        self._loggers: list[Logger] = []
        audited = {} if audit is None else audit.to_dict()
        self._folder = self._open(out, resume, {**(describe or {}), **audited})
        self._collector = Collector(
            self.engine, self.tokenizer, self._example_of, rewarder, rollout, checker, config.num_generations, config.seed,
            self._reward_cache,
        )  # fmt: skip
        if share:
            self._collector.anchors = make_anchors(
                self._collector, dataset, reference, share, config, processes, self._out
            )
        debiasing = Debiasing(processes, rewarder.mixed)
        self._watching = Watching(
            processes, debiasing, self._folder, self._out, WinRate() if share else None, auditing, lifting,
            retuning_for(audit, rewarder, config, out),
        )  # fmt: skip
        self._schedule = Schedule(self._collector, processes, config, debiasing)
        self._checkpoints = None if self._out is None else Checkpoints(
            self._out, self.model, self.tokenizer, config, processes, self._collector, self._schedule, self._updater,
            self._watching,
        )  # fmt: skip
        try:
            if resume:
                self._resume()
            self._hand_over()
        except BaseException:
            self.close()
            raise

    @property
    def watch(self) -> Watch | None:
        """What the audits have found; None without `audit`."""
        return None if (auditing := self._watching.auditing) is None else auditing.watch

    @property
    def stopped(self) -> Alarm | None:
        """The alarm that ended the run; None where none did."""
        return self._watching.stopped

    @property
    def lifts(self) -> Lifts | None:
        """What edited copies have shown; None without `Audit.lift_share`."""
        return None if (lifting := self._watching.lifting) is None else lifting.lifts

    @property
    def step(self) -> int:
        """Optimizer steps taken."""
        return self._schedule.state.step

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return self._processes.is_main

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
        if self._checkpoints and self.step == 0 and self._watching.stops:
            self._checkpoints.save()
        if self.is_main:
            self._loggers = loggers(self.config.report_to, self._out, self.config.to_record())
        try:
            while self.step < self.config.max_steps and self.stopped is None:
                line = self._one_step()
                history.append(line)
                if report is not None and self.is_main:
                    report(line)
                every = self.config.save_steps
                if (
                    self._checkpoints
                    and every
                    and self.step % every == 0
                    and self.step < self.config.max_steps
                ):
                    self._checkpoints.save()
            if self._checkpoints:
                self.handed_back = self._checkpoints.end(self.stopped)
            self._processes.wait()
            self._release()
        finally:
            for logger in self._loggers:
                logger.close()
            self.close()
        return history

    def evaluate(
        self, dataset: Sequence[Example], num_generations: int = 1, seed: int = 1_000_003
    ) -> list[RolloutGroup]:
        """Roll out examples with the present policy, without learning; each rollout has its ground truth.

        The same seed draws the same random numbers before and after training. Under several processes each
        one rolls out all of them.
        """
        check_examples(dataset, self._rollout, self.tokenizer)
        self._hand_over()
        collector = Collector(
            self.engine, self.tokenizer, dataset.__getitem__, None, self._rollout, self._checker, 1, seed
        )  # fmt: skip

        async def work() -> list[RolloutGroup]:
            numbered = enumerate(dataset)
            groups = (collector.group(i, example, num_generations, self.step) for i, example in numbered)
            return list(await asyncio.gather(*groups))

        groups = run_loop(work())
        if self.step >= self.config.max_steps or self.stopped is not None:
            self._processes.wait()
            self._release()
        return groups

    def close(self) -> None:
        """Let go of the run folder."""
        if self._folder is not None:
            self._folder.close()

    def _one_step(self) -> dict[str, Any]:
        began = time.perf_counter()
        sampled_before = self.engine.sampled_tokens
        clock = metrics.Clock()
        with clock.time("generate"):
            self._hand_over()
        groups = self._schedule.next(clock)
        learning_rate = self._updater.scheduler.get_last_lr()[0]
        with clock.time("update"):
            done = self._updater.step(self._weighted_rollouts(groups))
        self._schedule.state.step += 1
        everyone = sorted(self._processes.gather(groups), key=lambda j: j.group.index)
        tokens = sum(self._processes.gather([self.engine.sampled_tokens - sampled_before]))
        line = metrics.line(self.step, everyone, done, learning_rate)
        if self.config.credit != "trajectory":
            scored = ((j.group, j.reward, j.advantages) for j in everyone)
            line |= credit.metrics(scored, self.config.mask_truncated_completions)
        if self._servers is not None:
            line["server_mismatch"] = self._servers.gap
        line |= self._watching.metrics(self.step, everyone, line)
        line |= clock.fields(time.perf_counter() - began, tokens)
        if self._folder is not None or self._loggers:
            samples = [sample_record(self.step, j) for j in everyone]
        if self._folder is not None:
            self._folder.add("samples.jsonl", *samples)
            self._folder.add("metrics.jsonl", line)
        for logger in self._loggers:
            logger.log(self.step, line, samples)
        self._schedule.watch(everyone)
        return line

    def _hand_over(self) -> None:
        """Where servers sample: see that they do so from the present weights."""
        if self._servers is not None:
            self._servers.hand_over(self.model, self.step)

    def _release(self) -> None:
        """Where servers sample: leave them without what the run loaded."""
        if self._servers is not None:
            self._servers.release()

    def _weighted_rollouts(self, groups: Sequence[ScoredGroup]) -> list[WeightedRollout]:
        masked = self.config.mask_truncated_completions
        return [
            WeightedRollout(rollout, token_advantages(rollout, value, turns), j.group.version == self.step)
            for j in groups
            for rollout, value, turns in learned(j.group, j.advantages, masked)
        ]

    def _open(self, out: str | Path | None, resume: bool, describe: Mapping[str, Any]) -> RunFolder | None:
        self._out = None if out is None else Path(out)
        self._reward_cache: RewardCache | None = None
        folder = None
        if self._out is None:
            if resume:
                raise ConfigurationError("resume needs the run folder: out=….")
            return None
        if self.is_main:
            folder = RunFolder(self._out, {**self.config.to_record(), **describe}, resume)
        self._processes.wait()
        self._reward_cache = RewardCache(self._out, self._processes.rank, resume)
        return folder

    def _resume(self) -> None:
        assert self._checkpoints is not None
        self._checkpoints.restore()
        if self._folder is not None:
            self._folder.rewind(self.step)
        if self._collector.anchors is not None:
            self._collector.anchors.load()
        self._processes.wait()
