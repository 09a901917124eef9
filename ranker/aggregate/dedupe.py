"""The trajectories of a group that a judge can tell apart."""

from __future__ import annotations

import hashlib

from ranker.aggregate.ranking import Tiers
from ranker.prompting.transcript import transcript_of
from ranker.trajectory import Trajectory, TrajectoryGroup


def distinct_of(group: TrajectoryGroup) -> tuple[list[Trajectory], list[int], str]:
    """The trajectories that a judge can tell apart, without what it must not see; for each
    trajectory of the group the index of its like; and a digest of all.

    Sorted by digest, so that a group given in another order is the same to the judge.
    """
    found: dict[str, Trajectory] = {}
    digests: list[str] = []
    for trajectory in group.trajectories:
        bare = trajectory.bare()
        digest = hashlib.sha256(transcript_of(bare).text.encode()).hexdigest()
        found.setdefault(digest, bare)
        digests.append(digest)
    order = {digest: i for i, digest in enumerate(sorted(found))}
    return (
        [found[d] for d in order],
        [order[d] for d in digests],
        hashlib.sha256("".join(order).encode()).hexdigest(),
    )


def spread(tiers: Tiers, member: list[int]) -> Tiers:
    """Tiers of distinct trajectories as tiers of all: identical ones tie."""
    place = {u: t for t, tier in enumerate(tiers) for u in tier}
    made: list[list[int]] = [[] for _ in tiers]
    for i, u in enumerate(member):
        made[place[u]].append(i)
    return tuple(map(tuple, made))
