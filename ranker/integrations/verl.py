"""verl: a reward manager that ranks all rollouts of a prompt together.

from ranker.integrations.verl import reward_manager

RankRewards = reward_manager("openai/gpt-5-mini")   # in the file named by reward.reward_manager.module.path
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.integrations.completions import messages_of
from ranker.integrations.group_rewarder import GroupRewarder, group_metrics
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

__all__ = ["reward_manager"]

_ACTOR = "ranker_groups"
_AUDIT_METRICS = ("judge_agreement", "judge_alarm", "audited_groups", "audits_failed")
_MAX_WAITING = 1_000_000  # rollouts that may wait for their groups at once
_MAX_WAITING_PER_WORKER = 1000  # Ray's default for verl's reward workers


def reward_manager(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    patience: float = 3600.0,
    **options: Any,
) -> type:
    """A class for verl's ``reward.reward_manager`` (source ``importlib``).

    verl scores rollouts one by one as they finish, in several processes. This manager holds each rollout
    until the others of its prompt (same ``uid``) have finished, ranks them with one judge call per pass,
    and returns all rewards. One Ray actor collects the groups, so limits on calls, cost, requests per
    minute and tokens per minute apply to the whole run.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` limit the
            whole run, ``rpm`` and ``tpm`` its rate. And ``audit``, an `Audit` of the judge, with ``audit_out``, a
            file for what it finds.
        patience: seconds that the first rollout of a group waits for the others.

    Returns:
        A subclass of verl's RewardManagerBase whose `run_single` returns ``reward_score`` in [0, 1].
        If a group is incomplete or could not be ranked it raises for each rollout of the group: verl has
        no missing rewards, so only an error keeps the group out of the batch.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

    settings = _Settings(judge, rubric, passes, patience, options)
    settings.rewarder()  # raises now if an option is invalid
    return type("RankRewards", (_RankRewards, RewardManagerBase), {"settings": settings})


@dataclass(frozen=True, slots=True)
class _Settings:
    judge: Any
    rubric: str | Path | None
    passes: int
    patience: float
    options: Mapping[str, Any] = field(repr=False)

    def rewarder(self) -> GroupRewarder:
        return GroupRewarder(self.judge, self.rubric, self.passes, self.options)


class _RankRewards:
    """What `reward_manager` adds to verl's base class."""

    settings: _Settings
    tokenizer: Any

    def __init__(
        self,
        config: Any,
        tokenizer: Any,
        compute_score: Any = None,
        reward_router_address: str | None = None,
        reward_model_tokenizer: Any = None,
    ):
        rollout = config.actor_rollout_ref.rollout
        self._size = int(rollout.n)
        _check(config, self._size)
        super().__init__(config, tokenizer, compute_score)  # type: ignore[call-arg]
        self._reward = _reward_call(self.settings)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The reward of one rollout, once its whole group is ranked.

        Args:
            data: a DataProto of one rollout, one row per token sequence.
        """
        if "uid" not in data.non_tensor_batch:
            raise GroupError(
                "A rollout has no `uid`, so its group is unknown; use verl's agent loop and compute rewards "
                "as rollouts finish (no colocated reward model)."
            )
        uid = str(data.non_tensor_batch["uid"][0])
        reward, extra = await self._reward(uid, self._size, attempt_of(data, self.tokenizer))
        return {"reward_score": reward, "reward_extra_info": extra}


def attempt_of(data: Any, tokenizer: Any) -> Trajectory:
    """One rollout as a trajectory: its prompt followed by the decoded response.

    Args:
        data: a DataProto with ``responses`` (rows, R), ``prompts`` (rows, P) and ``attention_mask``
            (rows, P + R); rows beyond the first are later contexts of the same rollout.
    """
    first, *others = [_messages(data, row, tokenizer) for row in range(len(data))]
    return Trajectory(first, histories=others)


class GroupCollector:
    """Collects the rollouts of each prompt and ranks a group once it is complete."""

    def __init__(self, settings: Any):
        self._rewarder: GroupRewarder = settings.rewarder()
        self._patience: float = settings.patience
        self._pending: dict[str, _PendingGroup] = {}

    async def reward(self, uid: str, size: int, attempt: Trajectory) -> tuple[float, dict[str, Any]]:
        """The reward of `attempt` and the metrics verl logs, once `size` attempts with this `uid` have arrived.

        Raises:
            GroupError: the other attempts did not arrive in time.
            RankerError: the group could not be ranked.
        """
        group = self._pending.get(uid)
        if group is None:
            group = self._pending[uid] = _PendingGroup()
            group.ranked = asyncio.ensure_future(self._rank(uid, size, group))
        place = len(group.attempts)
        group.attempts.append(attempt)
        if place + 1 == size:
            del self._pending[uid]
            group.complete.set()
        assert group.ranked is not None
        ranked = await asyncio.shield(group.ranked)
        reward = ranked.rewards[place]
        assert reward is not None
        return reward, {**_metrics(ranked, reward), **self._audit_metrics()}

    def _audit_metrics(self) -> dict[str, float]:
        """Always of the same names; the agreement is not a number before the first audit."""
        if self._rewarder.audited is None:
            return {}
        found = self._rewarder.audit_metrics()
        return {name: found.get(name, math.nan) for name in _AUDIT_METRICS}

    async def _rank(self, uid: str, size: int, group: _PendingGroup) -> RankedGroup:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(group.complete.wait(), self._patience)
        if not group.complete.is_set():
            del self._pending[uid]
            raise GroupError(
                f"{len(group.attempts)} of {size} rollouts of prompt {uid} finished within "
                f"{self._patience:g} s; the others failed or are still running. Raise `patience` if they need longer."
            )
        return await self._rewarder.rank(TrajectoryGroup(group.attempts))


@dataclass
class _PendingGroup:
    attempts: list[Trajectory] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    ranked: asyncio.Future[RankedGroup] | None = None


def _metrics(ranked: RankedGroup, reward: float) -> dict[str, float]:
    """Metrics of one rollout. verl needs the same names for all rollouts, so optional ones are omitted."""
    metrics = group_metrics(ranked)
    return {"acc": reward, "judge_calls": metrics["judge_calls"], "tied_groups": metrics["tied_groups"]}


def _reward_call(settings: _Settings) -> Any:
    """`GroupCollector.reward` of the run's only collector: in a Ray actor, or local if Ray is not running."""
    import ray

    if not ray.is_initialized():
        return GroupCollector(settings).reward
    # All workers get the same actor by name. It only waits for judges, so it reserves no CPU.
    actor = (
        ray.remote(GroupCollector)
        .options(name=_ACTOR, get_if_exists=True, num_cpus=0, max_concurrency=_MAX_WAITING)
        .remote(settings)
    )

    async def reward(uid: str, size: int, attempt: Trajectory) -> Any:
        try:
            return await actor.reward.remote(uid, size, attempt)
        except ray.exceptions.RayTaskError as error:
            raise error.cause from None

    return reward


def _check(config: Any, size: int) -> None:
    if size < 2:
        raise ConfigurationError(f"actor_rollout_ref.rollout.n={size}; a ranking needs at least 2 rollouts.")
    waiting = int((config.get("data") or {}).get("train_batch_size") or 0) * size
    workers = int(config.reward.get("num_workers") or 1)
    # Rollouts are assigned to workers at random: an average of half the limit keeps every worker below it.
    needed = -(-2 * waiting // _MAX_WAITING_PER_WORKER)
    if workers < needed:
        raise ConfigurationError(
            f"{waiting} rollouts of a batch may wait for their groups, but Ray allows {_MAX_WAITING_PER_WORKER} in each of "
            f"{workers} reward workers; set reward.num_workers={needed} or more, or a smaller data.train_batch_size."
        )
    rollout, trainer = config.actor_rollout_ref.rollout, config.get("trainer") or {}
    validates = trainer.get("val_before_train", True) or (trainer.get("test_freq") or -1) > 0
    val_n = (rollout.get("val_kwargs") or {}).get("n", 1)
    if trainer and validates and val_n != size:
        raise ConfigurationError(
            f"Validation samples val_kwargs.n={val_n} rollouts per prompt and training n={size}, but a reward manager "
            "cannot tell the two apart. Besides, mean rank rewards are the same for every policy: set "
            "trainer.val_before_train=False trainer.test_freq=-1, and validate with a checker."
        )


def _messages(data: Any, row: int, tokenizer: Any) -> list[Any]:
    columns = data.non_tensor_batch
    prompts, responses = data.batch["prompts"][row], data.batch["responses"][row]
    mask = data.batch["attention_mask"][row].bool()
    if "response_len" in columns:  # several token sequences, each right-padded
        prompt = prompts[: int(columns["prompt_len"][row])]
        response = responses[: int(columns["response_len"][row])]
    else:
        width = prompts.shape[-1]
        prompt, response = prompts[mask[:width]], responses[mask[width:]]
    if row == 0 and "raw_prompt" in columns:
        messages: Sequence[Any] = messages_of(list(columns["raw_prompt"][row]), "user")
    else:
        messages = [{"role": "user", "content": str(tokenizer.decode(prompt.tolist()))}]
    text = str(tokenizer.decode(response.tolist(), skip_special_tokens=True))
    return [*messages, {"role": "assistant", "content": text}]
