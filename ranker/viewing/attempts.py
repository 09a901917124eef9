"""The attempts of a judged group as trajectories, from wherever their texts are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ranker.errors import GroupError
from ranker.jsonl.group_file import line_of
from ranker.jsonl.objects import Record
from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.viewing.records import Judged


@dataclass(frozen=True, slots=True)
class Lost:
    """Why a group's texts are not there."""

    why: str


def trajectories_of(
    judged: Judged, line: int, texts: TrajectoryGroup | Lost | None
) -> tuple[list[Trajectory | None], str | None]:
    """The attempts, None for those without text, and why they are missing."""
    count = len(judged.truths)
    nothing: list[Trajectory | None] = [None] * count
    if isinstance(texts, TrajectoryGroup):
        return list(texts.trajectories), None
    if isinstance(texts, Lost):
        return nothing, texts.why
    if judged.form == "sample":
        return _sampled(judged)
    if judged.form != "group":
        return nothing, "An audit's record holds values, not texts: open the run's folder to see both."
    if not judged.members:
        return nothing, None if judged.error else "The group holds no trajectories."
    read = line_of(Record(line, f"line {line}", None, judged.fields))
    if read.group is None:
        return nothing, str(read.error)
    return list(read.group.trajectories), None


def _sampled(judged: Judged) -> tuple[list[Trajectory | None], str | None]:
    """The attempts of a line of a run's samples, the anchor's behind them."""
    prompt = judged.fields.get("prompt") or []
    anchor = judged.fields.get("anchor")
    found: list[Trajectory | None] = []
    fault = None
    for rollout in [*judged.members, *([anchor] if isinstance(anchor, Mapping) else [])]:
        own = rollout.get("messages")
        try:
            found.append(None if own is None else Trajectory([*prompt, *own]))
        except (GroupError, TypeError) as error:
            found.append(None)
            fault = str(error)
    return found, fault
