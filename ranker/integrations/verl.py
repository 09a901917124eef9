"""verl: a reward manager that ranks all attempts at a prompt together.

from ranker.integrations.verl import reward_manager

RankRewards = reward_manager("openai/gpt-5-mini")   # in a file that reward.reward_manager.module.path names
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, GroupError
from ranker.integrations.completions import messages_of
from ranker.integrations.judged import Asker, figures
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

__all__ = ["reward_manager"]

_ACTOR = "ranker_groups"
_CALLS = 1_000_000  # rollouts that may wait for their group at once
_CALLS_OF_A_WORKER = 1000  # Ray's own limit for verl's reward workers


def reward_manager(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    patience: float = 3600.0,
    **options: Any,
) -> type:
    """A class for verl's ``reward.reward_manager`` (source ``importlib``).

    verl scores rollouts one at a time, as they end, in several processes. This manager holds each until
    the other rollouts of its prompt (same ``uid``) have ended, ranks them with one judge call for each
    pass, and answers them all. The groups meet in one Ray actor, so limits on calls, money, requests
    and tokens a minute hold for the whole run.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` limit the
            whole run, ``rpm`` and ``tpm`` the rate.
        patience: seconds that the first rollout of a group waits for the others.

    Returns:
        A subclass of verl's RewardManagerBase whose `run_single` gives ``reward_score`` in [0, 1].
        Where a group could not be ranked or is incomplete it raises, for each rollout of the group: verl
        has no missing reward, so an error is what keeps the group out of the batch.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    from verl.experimental.reward_loop.reward_manager.base import RewardManagerBase

    settings = _Settings(judge, rubric, passes, patience, options)
    settings.asker()  # a wrong option is told now
    return type("RankRewards", (_RankRewards, RewardManagerBase), {"settings": settings})


@dataclass(frozen=True, slots=True)
class _Settings:
    judge: Any
    rubric: str | Path | None
    passes: int
    patience: float
    options: Mapping[str, Any] = field(repr=False)

    def asker(self) -> Asker:
        return Asker(self.judge, self.rubric, self.passes, self.options)


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
        self._meeting = _meeting(self.settings)

    async def run_single(self, data: Any) -> dict[str, Any]:
        """The reward of one rollout, when the whole of its group is ranked.

        Args:
            data: a DataProto of one rollout, one row for each of its token sequences.
        """
        if "uid" not in data.non_tensor_batch:
            raise GroupError(
                "A rollout came without `uid`, so its group is not known; use verl's agent loop with the "
                "reward computed as rollouts end (no colocated reward model)."
            )
        told = attempt_of(data, self.tokenizer)
        uid = str(data.non_tensor_batch["uid"][0])
        reward, extra = await self._meeting(uid, self._size, told)
        return {"reward_score": reward, "reward_extra_info": extra}


def attempt_of(data: Any, tokenizer: Any) -> Trajectory:
    """One rollout as a judge sees it: its prompt, then its response decoded.

    Args:
        data: a DataProto with ``responses`` (rows, R), ``prompts`` (rows, P) and ``attention_mask``
            (rows, P + R); rows beyond the first are later contexts of the same rollout.
    """
    first, *others = [_messages(data, row, tokenizer) for row in range(len(data))]
    return Trajectory(first, histories=others)


class Meeting:
    """Where the rollouts of a prompt wait for each other."""

    def __init__(self, settings: Any):
        self._asker: Asker = settings.asker()
        self._patience: float = settings.patience
        self._waiting: dict[str, _Gathered] = {}

    async def reward(self, uid: str, size: int, attempt: Trajectory) -> tuple[float, dict[str, Any]]:
        """Wait until `size` attempts have come under `uid`; then this one's reward and what verl logs.

        Raises:
            GroupError: others did not come in time.
            RankerError: the group could not be ranked.
        """
        group = self._waiting.get(uid)
        if group is None:
            group = self._waiting[uid] = _Gathered()
            group.ranked = asyncio.ensure_future(self._ranked(uid, size, group))
        place = len(group.attempts)
        group.attempts.append(attempt)
        if place + 1 == size:
            del self._waiting[uid]
            group.complete.set()
        assert group.ranked is not None
        ranked = await asyncio.shield(group.ranked)
        reward = ranked.rewards[place]
        assert reward is not None
        return reward, _told(ranked, reward)

    async def _ranked(self, uid: str, size: int, group: _Gathered) -> RankedGroup:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(group.complete.wait(), self._patience)
        if not group.complete.is_set():
            del self._waiting[uid]
            raise GroupError(
                f"{len(group.attempts)} of {size} rollouts of prompt {uid} ended within "
                f"{self._patience:g} s; the others failed or take longer. Raise `patience` if they do."
            )
        return await self._asker.rank(TrajectoryGroup(group.attempts))


@dataclass
class _Gathered:
    attempts: list[Trajectory] = field(default_factory=list)
    complete: asyncio.Event = field(default_factory=asyncio.Event)
    ranked: asyncio.Future[RankedGroup] | None = None


def _told(ranked: RankedGroup, reward: float) -> dict[str, float]:
    """What verl logs of one rollout. It wants the same names for all, so what may be unknown is left out."""
    told = figures(ranked)
    return {"acc": reward, "judge_calls": told["judge_calls"], "tied_groups": told["tied_groups"]}


def _meeting(settings: _Settings) -> Any:
    """`Meeting.reward` of the one meeting of the run: in a Ray actor, or here where Ray is not running."""
    import ray

    if not ray.is_initialized():
        return Meeting(settings).reward
    # Every worker of verl finds the same actor by its name. It waits for judges, so it needs no core.
    actor = (
        ray.remote(Meeting)
        .options(name=_ACTOR, get_if_exists=True, num_cpus=0, max_concurrency=_CALLS)
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
    # Rollouts are dealt to workers at random: half the limit on average leaves none beyond it.
    needed = -(-2 * waiting // _CALLS_OF_A_WORKER)
    if workers < needed:
        raise ConfigurationError(
            f"{waiting} rollouts of a batch can wait for their groups, and Ray lets {_CALLS_OF_A_WORKER} wait in each of "
            f"{workers} reward workers; set reward.num_workers={needed} or more, or a smaller data.train_batch_size."
        )
    rollout, trainer = config.actor_rollout_ref.rollout, config.get("trainer") or {}
    validates = trainer.get("val_before_train", True) or (trainer.get("test_freq") or -1) > 0
    tried = (rollout.get("val_kwargs") or {}).get("n", 1)
    if trainer and validates and tried != size:
        raise ConfigurationError(
            f"Validation makes val_kwargs.n={tried} rollouts of a prompt, training n={size}, and a reward manager "
            "is not told which it serves. Ranks also have the same mean whatever the policy: set "
            "trainer.val_before_train=False trainer.test_freq=-1, and measure with a checker."
        )


def _messages(data: Any, row: int, tokenizer: Any) -> list[Any]:
    told = data.non_tensor_batch
    prompts, responses = data.batch["prompts"][row], data.batch["responses"][row]
    mask = data.batch["attention_mask"][row].bool()
    if "response_len" in told:  # token sequences of several rows, padded at the end of each
        asked = prompts[: int(told["prompt_len"][row])]
        made = responses[: int(told["response_len"][row])]
    else:
        width = prompts.shape[-1]
        asked, made = prompts[mask[:width]], responses[mask[width:]]
    if row == 0 and "raw_prompt" in told:
        opening: Sequence[Any] = messages_of(list(told["raw_prompt"][row]), "user")
    else:
        opening = [{"role": "user", "content": str(tokenizer.decode(asked.tolist()))}]
    text = str(tokenizer.decode(made.tolist(), skip_special_tokens=True))
    return [*opening, {"role": "assistant", "content": text}]
