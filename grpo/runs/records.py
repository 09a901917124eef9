"""Groups as JSON: samples for people, pending groups for checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpo.runs.metrics import Judged
from grpo.types import Rollout, RolloutGroup, Sequence
from ranker import Trajectory


def sample_record(step: int, judged: Judged) -> dict[str, Any]:
    """A line of samples.jsonl: one group, what each attempt said, and what it was worth.

    The messages that all attempts begin with stand once, as "prompt".
    """
    group, reward = judged.group, judged.reward
    shared = _shared([list(r.trajectory.messages) for r in group.rollouts if r.trajectory is not None])
    attempts = []
    for i, rollout in enumerate(group.rollouts):
        attempt: dict[str, Any] = {
            "messages": list(rollout.trajectory.messages)[len(shared) :] if rollout.trajectory else None,
            "reward": reward.values[i],
            "advantage": judged.advantages.values[i] if judged.advantages.values else None,
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
    made: dict[str, Any] = {
        "step": step,
        "group": group.index,
        "version": group.version,
        "prompt": shared,
        "rollouts": attempts,
    }
    if group.row.get("id") is not None:
        made["row"] = group.row["id"]
    if reward.error is not None:
        made["error"] = reward.error
    return made


def _shared(conversations: list[list[Any]]) -> list[Any]:
    if not conversations:
        return []
    first, *others = conversations
    count = 0
    while count < len(first) - 1 and all(count < len(c) - 1 and c[count] == first[count] for c in others):
        count += 1
    return first[:count]


def group_to_dict(group: RolloutGroup) -> dict[str, Any]:
    """JSON that `group_from_dict` makes the same group of, given its row."""
    return {
        "index": group.index,
        "version": group.version,
        "ground_truths": list(group.ground_truths),
        "rollouts": [_rollout_to_dict(r) for r in group.rollouts],
    }


def group_from_dict(fields: Mapping[str, Any], row: Mapping[str, Any]) -> RolloutGroup:
    return RolloutGroup(
        fields["index"],
        row,
        tuple(_rollout_from_dict(r) for r in fields["rollouts"]),
        fields["version"],
        tuple(fields["ground_truths"]),
    )


def _rollout_to_dict(rollout: Rollout) -> dict[str, Any]:
    made: dict[str, Any] = {
        "sequences": [s.to_dict() for s in rollout.sequences],
        "truncated": rollout.truncated,
        "error": rollout.error,
    }
    t = rollout.trajectory
    if t is not None:
        made["trajectory"] = {
            "messages": list(t.messages),
            "tools": None if t.tools is None else list(t.tools),
            "id": t.id,
            "ground_truth": t.ground_truth,
            "metadata": dict(t.metadata),
            "histories": [list(h) for h in t.histories],
        }
    return made


def _rollout_from_dict(fields: Mapping[str, Any]) -> Rollout:
    told = fields.get("trajectory")
    return Rollout(
        None if told is None else Trajectory(**told),
        tuple(Sequence.from_dict(s) for s in fields["sequences"]),
        fields["truncated"],
        fields["error"],
    )
