"""What is written: a labelled group, one that was shown again, one that was skipped."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.aggregate.ranking import Tiers
from ranker.aggregate.rewards import rank_rewards
from ranker.jsonl.appender import read_records
from ranker.jsonl.group_file import Line, print_of, unranked
from ranker.labelling.order import equal_pairs
from ranker.trajectory import TrajectoryGroup

if TYPE_CHECKING:  # numpy takes a moment to import, and is needed for the agreement alone
    from ranker.statistics import Estimate

LABEL = "label"  # the field that tells our lines from a judge's


def labelled(line: Line, tiers: Tiers, name: str, seconds: float) -> dict[str, Any]:
    """The group as it came, with the person's ranking and the ground truth that follows from it. Results of a judge in
    the line are dropped."""
    assert line.group is not None
    truths = rank_rewards(tiers, len(line.group))
    own = unranked(line.fields)
    members = [{**m, "ground_truth": truth} for m, truth in zip(_members(own), truths, strict=True)]
    return {
        "id": line.id,
        LABEL: {"seconds": round(seconds, 1)},
        "ranking": named(tiers, line.group),
        "judge": name,
        **{k: v for k, v in own.items() if k not in ("id", LABEL)},
        "trajectories": members,
    }


def labelled_again(line: Line, tiers: Tiers, name: str, seconds: float) -> dict[str, Any]:
    """The ranking of a group that was shown again, beside the first."""
    assert line.group is not None
    first = tiers_of(line.fields["ranking"], line.group)
    same, pairs = equal_pairs(first, tiers, len(line.group))
    return {
        "id": line.id,
        LABEL: {"seconds": round(seconds, 1)},
        "ranking": named(tiers, line.group),
        "judge": name,
        "first": {"ranking": line.fields["ranking"], "judge": line.fields.get("judge")},
        "equal_pairs": same,
        "pairs": pairs,
    }


def named(tiers: Tiers, group: TrajectoryGroup) -> list[list[str]]:
    """Tiers of trajectory ids."""
    ids = group.ids
    return [[ids[i] for i in tier] for tier in tiers]


def tiers_of(ranking: Sequence[Sequence[str]], group: TrajectoryGroup) -> Tiers:
    """Tiers of positions."""
    ids = group.ids
    return tuple(tuple(sorted(map(ids.index, tier))) for tier in ranking)


def mark_of(line: Line) -> int:
    """`print_of` the record that a label of this line makes."""
    return print_of({**line.fields, "trajectories": _members(line.fields)})


def agreement(path: Path) -> tuple[Estimate, int, int]:
    """In which share of the pairs the second orders in a file say the same as the first, with a 95 % interval over
    groups; the number of pairs, and of groups."""
    import numpy as np

    from ranker.statistics import ratio

    records = [r for r in read_records(path) if "pairs" in r]
    same, pairs = (np.array([r[key] for r in records], dtype=float) for key in ("equal_pairs", "pairs"))
    return ratio(same, pairs, share=True), int(pairs.sum()), len(records)


def _members(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The trajectories of a line as objects; a string is a reply, a list is messages."""
    members: list[dict[str, Any]] = []
    for member in fields["trajectories"]:
        if isinstance(member, str):
            members.append({"messages": [{"role": "assistant", "content": member}]})
        else:
            members.append(dict(member) if isinstance(member, Mapping) else {"messages": member})
    return members
