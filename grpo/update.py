"""One optimizer step on a window of groups, in micro-batches, the same however the window is cut."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from grpo.config import GRPOConfig
from grpo.errors import TrainingError
from grpo.losses import Loss, TokenLosses, token_losses, token_weights
from grpo.model.distributed import Processes
from grpo.model.loading import Reference, autocast
from grpo.model.logprobs import Layout, TokenLogprobs, token_logprobs
from grpo.model.packing import batches
from grpo.model.sharding import Weights, collected, place
from grpo.runs.checkpoint import Saved, restore
from grpo.types import Rollout, TokenSequence
from ranker import ConfigurationError


@dataclass(frozen=True, slots=True)
class WeightedRollout:
    """A trajectory to learn from.

    Attributes:
        advantages: of its sampled tokens: for each of its sequences one array.
        on_policy: the present weights sampled it.
    """

    rollout: Rollout
    advantages: tuple[np.ndarray, ...]
    on_policy: bool


@dataclass(frozen=True, slots=True)
class Step:
    """What an update did; sums over all processes.

    Attributes:
        grad_norm: before clipping; None where there was nothing to learn from.
        tokens: loss tokens of the window.
        loss: of the first iteration.
        entropy, kl: means over loss tokens in the first iteration; kl is None where beta is 0.
        clip_fraction: mean over loss tokens and iterations.
        mismatch: mean |sampler's log-prob - trainer's| over tokens sampled by the present weights; None
            where there are none.
    """

    grad_norm: float | None
    tokens: int
    loss: float | None
    entropy: float | None
    kl: float | None
    clip_fraction: float | None
    mismatch: float | None


class Updater:
    """Holds the optimizer, and the weights: whole, or sharded with `fsdp`.

    Args:
        model: sharded in place.
        processes: over which sums are taken.
    """

    def __init__(
        self, model: Any, config: GRPOConfig, layout: Layout, reference: Reference, processes: Processes
    ):
        from transformers import get_scheduler

        self.model, self.layout = model, layout
        self._config, self._reference, self._processes = config, reference, processes
        self._shards = place(model, processes, config.fsdp)
        self._reference_shards = self._shards
        if reference.copy is not None:
            sharded = config.fsdp and not reference.samples
            self._reference_shards = place(reference.copy, processes, sharded, samples=False)
        self._weights = self._shards.trained
        self.optimizer = torch.optim.AdamW(
            self._weights,
            lr=config.learning_rate,
            betas=(config.adam_beta1, config.adam_beta2),
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
            fused=True,  # one pass over memory instead of ten
        )
        # The schedule counts optimizer steps, the settings training steps.
        warmup, total = (n * config.num_iterations for n in (config.warmup_steps, max(1, config.max_steps)))
        try:
            self.scheduler = get_scheduler(config.lr_scheduler_type, self.optimizer, warmup, total)
        except (ValueError, TypeError, AttributeError) as error:
            raise ConfigurationError(
                f"lr_scheduler_type {config.lr_scheduler_type!r} cannot be used: {error}. Take linear, cosine, constant "
                "or constant_with_warmup."
            ) from None
        if "metrics" in inspect.signature(self.scheduler.step).parameters:
            raise ConfigurationError(
                f"lr_scheduler_type {config.lr_scheduler_type!r} follows a metric, and there is none to follow; take "
                "linear, cosine, constant or constant_with_warmup."
            )

    def step(self, rollouts: Sequence[WeightedRollout]) -> Step:
        """Take `num_iterations` optimizer steps on these examples and those of the other processes."""
        loss = self._config.loss
        mine = [e for e in rollouts if e.rollout.sampled_tokens]
        tokens, trajectories = self._processes.sum([sum(e.rollout.sampled_tokens for e in mine), len(mine)])
        if not trajectories:
            with warnings.catch_warnings():  # that the optimizer has not stepped is meant
                warnings.simplefilter("ignore", UserWarning)
                for _ in range(self._config.num_iterations):
                    self.scheduler.step()  # the schedule is one of steps, with signal or without
            return Step(None, 0, None, None, None, None, None)
        most = self._config.max_tokens_per_forward
        width = None if self.layout.flex else int(getattr(self.model.config, "hidden_size", 0) or 1024)
        tokens_of = [np.concatenate([s.tokens_T for s in e.rollout.sequences]) for e in mine]
        cuts = [[mine[i] for i in cut] for cut in batches(tokens_of, most, width)]
        counts = [1 if self.layout.head else sum(len(e.rollout.sequences) for e in cut) for cut in cuts]
        wanted = self._shards.forward_counts(counts)
        idle = [n - (counts[k] if k < len(counts) else 0) for k, n in enumerate(wanted)]
        cuts += [[] for _ in range(len(wanted) - len(cuts))]
        sums = np.zeros(6)
        norm = 0.0
        with self._processes.together(), self._shards.updating():
            micro = [self._prepare(c, n, loss, tokens, trajectories) for c, n in zip(cuts, idle, strict=True)]
            # Activations are checkpointed in train mode only.
            self.model.train(self._config.gradient_checkpointing)
            for iteration in range(self._config.num_iterations):
                for batch in micro:
                    batch_sums = self._backward(batch, loss, fresh=iteration == 0)
                    if iteration == 0:
                        sums += batch_sums
                    else:  # on-policy ratios are 1 before the first update: clipping shows in the later ones
                        sums[3] += batch_sums[3]
                norm = self._apply()
            self.model.eval()
        total = self._processes.sum(sums.tolist())
        same = total[5]
        return Step(
            grad_norm=norm,
            tokens=int(tokens),
            loss=total[0],
            entropy=total[1] / tokens,
            kl=total[2] / tokens if loss.beta else None,
            clip_fraction=total[3] / tokens / self._config.num_iterations,
            mismatch=total[4] / same if same else None,
        )

    def snapshot(self) -> dict[str, Any]:
        """The optimizer's state and the schedule's, whole, in the first process; all ask for it together."""
        state, main = self.optimizer.state_dict(), self._processes.is_main
        every: dict[int, dict[str, Any]] = {}
        with self._processes.together():
            for index, fields in state["state"].items():
                every[index] = {name: collected(value, main) for name, value in fields.items()}
        return {"optimizer": {**state, "state": every}, "scheduler": self.scheduler.state_dict()}

    def restore(self, saved: Saved) -> None:
        """Go on from a checkpoint, whatever the number of processes that wrote it."""
        restore(saved, self.model, self.optimizer, self.scheduler)
        self._shards.spread()

    def _prepare(
        self, rollouts: list[WeightedRollout], idle: int, loss: Loss, tokens: float, trajectories: float
    ) -> _Micro:
        device = self.model.device
        sequences = [s for e in rollouts for s in e.rollout.sequences]
        lengths_S = torch.tensor([e.rollout.sampled_tokens for e in rollouts], dtype=torch.int64)
        trajectory_N = torch.arange(len(rollouts)).repeat_interleave(lengths_S)
        weights_S = token_weights(lengths_S, loss, int(tokens), int(trajectories))
        old = [np.zeros(0, np.float32), *(s.logps_T[s.sampled_T] for s in sequences)]
        old_N = torch.from_numpy(np.concatenate(old)).to(device)
        advantages = [np.zeros(0), *(a for e in rollouts for a in e.advantages)]
        on_policy_S = torch.tensor([e.on_policy for e in rollouts], dtype=torch.bool)
        ref_N = None
        if loss.beta:
            with torch.no_grad(), self._reference() as reference:
                ref_N = self._logprobs(reference, self._reference_shards, sequences, idle)[0].logps_N
        return _Micro(
            sequences,
            idle,
            trajectory_N.to(device),
            weights_S[trajectory_N].to(device),
            torch.from_numpy(np.concatenate(advantages).astype(np.float32)).to(device),
            old_N,
            on_policy_S[trajectory_N].to(device),
            ref_N,
            old_N,
        )

    def _logprobs(
        self,
        model: Any,
        shards: Weights,
        sequences: list[TokenSequence],
        idle: int,
        gradient_N: Tensor | None = None,
    ) -> tuple[TokenLogprobs, Tensor]:
        """Log-probs of the sequences; and a zero whose backward keeps step with other processes."""

        def work() -> tuple[Tensor, Tensor]:
            more = [*sequences, *([_IDLE] * idle)]
            logprobs = token_logprobs(
                model, more, self._config.temperature, self.layout, None if idle else gradient_N
            )
            return logprobs.logps_N, logprobs.entropy_N

        with autocast(self.model, self._config.bf16):
            logps_N, entropy_N = shards.forward(work)
        if not idle:
            return TokenLogprobs(logps_N, entropy_N), 0.0
        count = len(logps_N) - idle
        return TokenLogprobs(logps_N[:count], entropy_N[:count]), logps_N[count:].sum() * 0.0

    def _backward(self, batch: _Micro, loss: Loss, fresh: bool) -> np.ndarray:
        """Add the gradient of a micro-batch's share of the window's loss; returns sums for the metrics."""

        def objective(logps_N: Tensor, old_N: Tensor | None) -> TokenLosses:
            return token_losses(logps_N, old_N, batch.ref_N, batch.advantages_N, batch.trajectory_N, loss)

        on_policy = bool(batch.sequences) and fresh and bool(batch.on_policy_N.all())
        expected_N = None
        if on_policy and not loss.beta:  # the ratio is 1: the gradient does not depend on the log-probs
            zeros_N = torch.zeros_like(batch.old_N, requires_grad=True)
            value = (objective(zeros_N, None).loss_N * batch.weights_N).sum()
            (expected_N,) = torch.autograd.grad(value, zeros_N)
        logprobs, zero = self._logprobs(self.model, self._shards, batch.sequences, batch.idle, expected_N)
        if not batch.sequences:
            zero.backward()
            return np.zeros(6)
        logps_N = logprobs.logps_N
        old_N = None
        if not on_policy:
            old_N = batch.old_N
            if fresh:
                old_N = torch.where(batch.on_policy_N, logps_N.detach(), old_N)
        terms = objective(logps_N, old_N)
        value = (terms.loss_N * batch.weights_N).sum()
        (value + zero).backward()
        if fresh:  # further iterations see the ratio to these, not to the sampler's rounding of them
            batch.old_N = torch.where(batch.on_policy_N, logps_N.detach(), batch.old_N)
        gap_N = (logps_N.detach() - batch.sampled_N).abs() * batch.on_policy_N
        return np.array(
            [
                float(value.detach()),
                float(logprobs.entropy_N.sum()),
                0.0 if terms.kl_N is None else float(terms.kl_N.sum()),
                float(terms.clipped_N.sum()),
                float(gap_N.sum()),
                float(batch.on_policy_N.sum()),
            ]
        )

    def _apply(self) -> float:
        """Sum gradients over processes, clip, step."""
        self._shards.sum_gradients()
        limit = self._config.max_grad_norm or float("inf")
        norm = float(collected(torch.nn.utils.clip_grad_norm_(self._weights, limit), main=True))
        if not np.isfinite(norm):
            raise TrainingError(
                f"The gradient's norm is {norm}; the weights are left as they were. Begin a new run in another folder with a lower "
                "learning_rate or max_grad_norm, or with bf16 = false: a resumed one would come to the same numbers."
            )
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.scheduler.step()
        return norm


@dataclass(slots=True)
class _Micro:
    """A micro-batch of N loss tokens.

    Attributes:
        idle: forwards without work, made because another process has some.
    """

    sequences: list[TokenSequence]
    idle: int
    trajectory_N: Tensor
    weights_N: Tensor
    advantages_N: Tensor
    sampled_N: Tensor
    on_policy_N: Tensor
    ref_N: Tensor | None
    old_N: Tensor


# What a forward without work reads: one loss token.
_IDLE = TokenSequence(np.zeros(2, np.int64), np.array([False, True]), np.zeros(2, np.float32))
