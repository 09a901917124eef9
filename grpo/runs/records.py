"""Groups as JSON: samples for people, pending groups for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from grpo.credit import turn_advantages
from grpo.runs.metrics import ScoredGroup
from grpo.types import Rollout, RolloutGroup, TokenSequence
from ranker import Trajectory


def sample_record(step: int, scored: ScoredGroup) -> dict[str, Any]:
    """A line of samples.jsonl: one group, what each attempt said, and what it was worth.

    The messages that all attempts, and the anchor, begin with stand once, as "prompt". The rewards of the attempts are those
    without the anchor; "above_anchor" says how each compares with it.
    """
    group, reward = scored.group, scored.reward
    shown = [r.trajectory for r in group.rollouts if r.trajectory is not None]
    shared = _shared([list(t.messages) for t in (*shown, *([group.anchor] if group.anchor else []))])
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
        if reward.turns:
            attempt["turn_rewards"] = reward.turns[i]
        if scored.advantages.turns and attempt["advantage"] is not None:
            attempt["turn_advantages"] = turn_advantages(
                rollout, attempt["advantage"], scored.advantages.turns[i]
            )
        if reward.reasons and reward.reasons[i]:
            attempt["reason"] = reward.reasons[i]
        if rollout.error is not None:
            attempt["error"] = rollout.error
        if reward.wins:
            attempt["above_anchor"] = reward.wins[i]
        attempts.append(attempt)
    record: dict[str, Any] = {
        "step": step,
        "group": group.index,
        "version": group.version,
        "prompt": shared,
        "rollouts": attempts,
    }
    if group.anchor is not None:
        record["anchor"] = {
            "messages": list(group.anchor.messages)[len(shared) :],
            "reward": reward.anchored_values[-1] if reward.anchored_values else None,
            "ground_truth": group.anchor_truth,
        }
        if reward.anchor_reason:
            record["anchor"]["reason"] = reward.anchor_reason
    if group.example.get("id") is not None:
        record["row"] = group.example["id"]
    if reward.judges:
        record["judges"] = dict(reward.judges)
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
            "turns": list(rollout.turns),
        }
        if rollout.trajectory is not None:
            record["trajectory"] = trajectory_to_dict(rollout.trajectory)
        rollouts.append(record)
    truths = list(group.ground_truths)
    whole = {"index": group.index, "version": group.version, "ground_truths": truths, "rollouts": rollouts}
    if group.anchor is not None:
        whole |= {"anchor": trajectory_to_dict(group.anchor), "anchor_truth": group.anchor_truth}
    return whole


def trajectory_to_dict(trajectory: Trajectory) -> dict[str, Any]:
    """What `Trajectory` makes the same trajectory of."""
    shown = {f.name: getattr(trajectory, f.name) for f in fields(Trajectory) if f.init}
    return {**shown, "metadata": dict(trajectory.metadata)}


def group_from_dict(record: Mapping[str, Any], example: Mapping[str, Any]) -> RolloutGroup:
    rollouts = tuple(
        Rollout(
            Trajectory(**rollout["trajectory"]) if "trajectory" in rollout else None,
            tuple(TokenSequence.from_dict(s) for s in rollout["sequences"]),
            rollout["truncated"],
            rollout["error"],
            tuple(rollout.get("turns", ())),
        )
        for rollout in record["rollouts"]
    )
    truths = tuple(record["ground_truths"])
    anchor = Trajectory(**record["anchor"]) if "anchor" in record else None
    return RolloutGroup(
        record["index"], example, rollouts, record["version"], truths, anchor, record.get("anchor_truth")
    )
