"""Groups as JSON: samples for people, pending groups for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from grpo.runs.metrics import ScoredGroup
from grpo.types import Rollout, RolloutGroup, TokenSequence
from ranker import Trajectory


def sample_record(step: int, scored: ScoredGroup) -> dict[str, Any]:
    """A line of samples.jsonl: one group, what each attempt said, and what it was worth.

    The messages that all attempts begin with stand once, as "prompt".
    """
    group, reward = scored.group, scored.reward
    shared = _shared([list(r.trajectory.messages) for r in group.rollouts if r.trajectory is not None])
    attempts = []
    for i, rollout in enumerate(group.rollouts):
        attempt: dict[str, Any] = {
            "messages": list(rollout.trajectory.messages)[len(shared) :] if rollout.trajectory else None,
            "reward": reward.values[i],
            "advantage": scored.advantages.values[i] if scored.advantages.values else None,
            "ground_truth": group.ground_truths[i],
            "tokens": rollout.sampled_tokens,
            "truncated": rollout.truncated,
        }
        if len(reward.parts) > 1:
            attempt["rewards"] = {name: values[i] for name, values in reward.parts.items()}
        if reward.reasons and reward.reasons[i]:
            attempt["reason"] = reward.reasons[i]
        if rollout.error is not None:
            attempt["error"] = rollout.error
        attempts.append(attempt)
    record: dict[str, Any] = {
        "step": step,
        "group": group.index,
        "version": group.version,
        "prompt": shared,
        "rollouts": attempts,
    }
    if group.example.get("id") is not None:
        record["row"] = group.example["id"]
    if reward.error is not None:
        record["error"] = reward.error
    return record


def _shared(conversations: list[list[Any]]) -> list[Any]:
    if not conversations:
        return []
    first, *others = conversations
    count = 0
    while count < len(first) - 1 and all(count < len(c) - 1 and c[count] == first[count] for c in others):
        count += 1
    return first[:count]


def group_to_dict(group: RolloutGroup) -> dict[str, Any]:
    """JSON that `group_from_dict` makes the same group of, given its example."""
    rollouts = []
    for rollout in group.rollouts:
        record: dict[str, Any] = {
            "sequences": [s.to_dict() for s in rollout.sequences],
            "truncated": rollout.truncated,
            "error": rollout.error,
        }
        if rollout.trajectory is not None:
            shown = {f.name: getattr(rollout.trajectory, f.name) for f in fields(Trajectory) if f.init}
            record["trajectory"] = {**shown, "metadata": dict(rollout.trajectory.metadata)}
        rollouts.append(record)
    truths = list(group.ground_truths)
    return {"index": group.index, "version": group.version, "ground_truths": truths, "rollouts": rollouts}


def group_from_dict(record: Mapping[str, Any], example: Mapping[str, Any]) -> RolloutGroup:
    rollouts = tuple(
        Rollout(
            Trajectory(**rollout["trajectory"]) if "trajectory" in rollout else None,
            tuple(TokenSequence.from_dict(s) for s in rollout["sequences"]),
            rollout["truncated"],
            rollout["error"],
        )
        for rollout in record["rollouts"]
    )
    truths = tuple(record["ground_truths"])
    return RolloutGroup(record["index"], example, rollouts, record["version"], truths)
