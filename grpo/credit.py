"""Which token of an attempt gets which advantage: all the same, or each turn its own."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from grpo.advantages import Advantages, ScaleRewards, group_advantages
from grpo.group_reward import GroupReward
from grpo.turn_advantages import CreditBy, process_advantages, signal_share, state_values
from grpo.types import Rollout, RolloutGroup, TokenSequence
from ranker.trajectory import assistant_turns

PerToken = tuple[np.ndarray, ...]  # for each sequence of an attempt, a value for each sampled token


@dataclass(frozen=True, slots=True)
class Judged:
    """What advantages are made of: all that processes need to tell each other of a group.

    Attributes:
        index: of the group.
        values: the reward of each attempt.
        turns: the rewards of each attempt's turns in the order in which they were taken, those of them that the policy wrote;
            empty for an attempt without any.
    """

    index: int
    values: Sequence[float | None]
    turns: Sequence[Sequence[float | None]] = ()


@dataclass(frozen=True, slots=True)
class Credit:
    """See `GRPOConfig`: `credit`, `turn_weight` (here `weight`) and `scale_rewards`."""

    by: CreditBy = "trajectory"
    weight: float = 1.0
    scale_rewards: ScaleRewards = "group"

    def judged(self, group: RolloutGroup, reward: GroupReward) -> Judged:
        """What advantages are made of."""
        if self.by != "process" or not reward.turns:
            return Judged(group.index, reward.values)
        outcome = any(v is not None for v in reward.values)
        turns = [
            [] if own is None or (outcome and value is None) else [own[k] for k in rollout.turns]
            for rollout, value, own in zip(group.rollouts, reward.values, reward.turns, strict=True)
        ]
        return Judged(group.index, reward.values, turns)

    def advantages(self, groups: Sequence[Judged], mine: Sequence[RolloutGroup]) -> list[Advantages]:
        """The advantages of some of the groups.

        Args:
            groups: all groups of the step.
            mine: those whose advantages are wanted, with their tokens.
        """
        plain = group_advantages([j.values for j in groups], self.scale_rewards)
        processed = process_advantages([j.turns for j in groups], self.scale_rewards)
        place = {j.index: i for i, j in enumerate(groups)}
        made = []
        for group in mine:
            i = place[group.index]
            if self.by == "process":
                made.append(self._processed(group, groups[i], plain[i], processed[i]))
            elif self.by == "branch" and not plain[i].tied:
                made.append(self._branched(group, groups[i], plain[i]))
            else:
                made.append(plain[i])
        return made

    def _processed(
        self, group: RolloutGroup, judged: Judged, plain: Advantages, turns: list[list[float]] | None
    ) -> Advantages:
        if turns is None or not self.weight:
            return plain
        values = plain.values
        alone = all(v is None for v in judged.values)
        weight = 1.0 if alone else self.weight
        if plain.tied:  # the turns are all there is to learn from
            known = [own if alone else [v] for v, own in zip(judged.values, judged.turns, strict=True)]
            values = [0.0 if any(v is not None for v in own) else None for own in known]
        added = []
        for rollout, own in zip(group.rollouts, turns, strict=True):
            of_turn = dict(zip(rollout.turns, own, strict=False))
            added.append(tuple(weight * _per_token(_turns(s), of_turn) for s in rollout.sequences))
        return replace(plain, values=values, tied=False, turns=tuple(added))

    def _branched(self, group: RolloutGroup, judged: Judged, plain: Advantages) -> Advantages:
        """The baseline moves from the group's mean to the value of the state."""
        attempts = [[_states(s) for s in r.sequences] for r in group.rollouts]
        added = []
        for rollout, ways in zip(group.rollouts, state_values(attempts, judged.values), strict=True):
            shifts = [[0.0 if v is None else (plain.mean - v) / plain.spread for v in way] for way in ways]
            added.append(
                tuple(
                    self.weight
                    * _per_token(s.starts, dict(zip(np.unique(s.starts).tolist(), shift, strict=True)))
                    for s, shift in zip(rollout.sequences, shifts, strict=True)
                )
            )
        return replace(plain, turns=tuple(added))


def token_advantages(rollout: Rollout, value: float, turns: PerToken = ()) -> PerToken:
    """The advantage of every sampled token: that of the whole attempt, and what its turns add."""
    counts = [int(s.sampled_T.sum()) for s in rollout.sequences]
    added = turns or [np.zeros(n) for n in counts]
    return tuple(np.full(n, value) + more for n, more in zip(counts, added, strict=True))


def turn_advantages(rollout: Rollout, value: float, turns: PerToken) -> list[float | None]:
    """The advantage of each assistant turn of an attempt, the mean over its tokens; None for one that the policy did not write."""
    turns_N = np.concatenate([np.zeros(0, np.int64), *map(_turns, rollout.sequences)])
    tokens_N = np.concatenate([np.zeros(0), *token_advantages(rollout, value, turns)])
    count = 0 if rollout.trajectory is None else len(assistant_turns(rollout.trajectory))
    return [float(tokens_N[turns_N == k].mean()) if (turns_N == k).any() else None for k in range(count)]


def learned(
    group: RolloutGroup, advantages: Advantages, masked: bool
) -> Iterator[tuple[Rollout, float, PerToken]]:
    """The attempts of a group that are trained on, each with its own advantage and what its turns add.

    Args:
        masked: leave attempts out that were cut off.
    """
    for i, (rollout, value) in enumerate(zip(group.rollouts, advantages.values, strict=True)):
        if value is not None and not (masked and rollout.truncated):
            yield rollout, value, advantages.turns[i] if advantages.turns else ()


def metrics(
    groups: Iterable[tuple[RolloutGroup, GroupReward, Advantages]], masked: bool
) -> dict[str, float | None]:
    """How much of a step's signal came from turns.

    * `turn_signal_share`: Σ|what turns added| / (Σ|what turns added| + Σ|the attempts' own advantages|) over the tokens that are
      trained on: 0 where turns say nothing, 1 where they say all; None where there is no signal.
    * `turns_marked_share`: of the turns that the policy wrote, those of which a reward function said something; None without
      such functions.
    * `turn_tokens_share`: of the sampled tokens, those whose turn stands in the trajectory that the rollout returned.

    Args:
        masked: whether attempts that were cut off are left out of the loss.
    """
    own: list[np.ndarray] = []
    added: list[np.ndarray] = []
    marked: list[bool] = []
    found: list[np.ndarray] = []
    for group, reward, advantages in groups:
        for i, rollout in enumerate(group.rollouts):
            found += [s.turns_N >= 0 for s in rollout.sequences if rollout.trajectory is not None]
            said = [parts[i] for parts in reward.turn_parts.values()]
            marked += [any(p is not None and p[k] is not None for p in said) for k in rollout.turns if said]
        for rollout, value, turns in learned(group, advantages, masked):
            own += token_advantages(rollout, value)
            added += turns
    tokens = sum(map(len, found))
    return {
        "turn_signal_share": signal_share(own, added),
        "turns_marked_share": math.fsum(marked) / len(marked) if marked else None,
        "turn_tokens_share": sum(int(f.sum()) for f in found) / tokens if tokens else None,
    }


def _turns(sequence: TokenSequence) -> np.ndarray:
    """The turn of each sampled token, -1 for none."""
    count = int(sequence.sampled_T.sum())
    return sequence.turns_N if len(sequence.turns_N) == count else np.full(count, -1)


def _states(sequence: TokenSequence) -> list[bytes]:
    """What had been read and written before each reply."""
    return [sequence.tokens_T[:start].tobytes() for start in np.unique(sequence.starts)]


def _per_token(keys_N: np.ndarray, values: Mapping[int, float]) -> np.ndarray:
    """The value of each token's key, 0 where it has none."""
    return np.array([values.get(key, 0.0) for key in keys_N.tolist()], dtype=np.float64)
