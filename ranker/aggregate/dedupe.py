"""The trajectories of a group that a judge can tell apart."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ranker.aggregate.ranking import Tiers
from ranker.prompting.transcript import shown_as, transcript_of
from ranker.prompting.verbatim import differences, key_of, plain, verbatim
from ranker.trajectory import Trajectory, TrajectoryGroup

_NAMES = 12  # fields or attempts that a warning names


@dataclass(frozen=True, slots=True)
class Distinct:
    """A group as judges get it.

    Attributes:
        trajectories: those that a judge can tell apart, without what it must not see, sorted by digest, so
            that a group given in another order is the same to the judge.
        member: for each trajectory of the group the index of its like.
        digest: of all.
        warnings: which attempts count as one although they are not equal, and in which fields they differ.
    """

    trajectories: tuple[Trajectory, ...]
    member: tuple[int, ...]
    digest: str
    warnings: tuple[str, ...] = ()


def distinct_of(group: TrajectoryGroup) -> Distinct:
    """The trajectories of `group` that a judge can tell apart.

    Attempts whose transcripts are the same are one if they are equal, up to the ids of their tool calls. Else
    they are shown verbatim (`ranker.prompting.verbatim`); those that even so look the same differ in nothing that judges are
    shown: they are one as well, and a warning says so.

    Raises:
        GroupError: a value in a message that JSON cannot write.
    """
    attempts = [trajectory.bare() for trajectory in group.trajectories]
    alike: dict[str, list[int]] = {}
    for i, attempt in enumerate(attempts):
        alike.setdefault(transcript_of(attempt).text, []).append(i)
    warnings: list[str] = []
    for indices in alike.values():
        if len(indices) > 1:
            warnings += _tell_apart(attempts, indices, group.ids)
    digests = [hashlib.sha256(transcript_of(attempt).text.encode()).hexdigest() for attempt in attempts]
    first = dict(zip(reversed(digests), reversed(attempts), strict=True))
    order = {digest: i for i, digest in enumerate(sorted(first))}
    return Distinct(
        tuple(first[digest] for digest in order),
        tuple(order[digest] for digest in digests),
        hashlib.sha256("".join(order).encode()).hexdigest(),
        tuple(warnings),
    )


def _tell_apart(attempts: list[Trajectory], indices: Sequence[int], names: Sequence[str]) -> list[str]:
    """Give attempts of one transcript transcripts of their own where they differ; warnings on those that are
    not equal and have one all the same."""
    units = {i: plain(attempts[i]) for i in indices}
    first: dict[str, int] = {}  # the first of those that are equal
    equal = {i: first.setdefault(key_of(units[i]), i) for i in indices}
    if len(first) == 1:
        return []
    exact = dict(zip(first.values(), verbatim([attempts[i] for i in first.values()]), strict=True))
    same: dict[str, list[int]] = {}
    for i in first.values():
        same.setdefault(exact[i].text, []).append(i)
    if len(same) > 1:
        for i in indices:
            attempts[i] = shown_as(attempts[i], exact[equal[i]])
    return [
        _warning(
            [names[i] for i in indices if equal[i] in members],
            (
                name
                for i in members[1:]
                for name in differences(_fields(units[members[0]]), _fields(units[i]))
            ),
        )
        for members in same.values()
        if len(members) > 1
    ]


def _fields(units: Sequence[tuple[str, object]]) -> list[object]:
    return [{"tools": unit} if tag == "tools" else unit for tag, unit in units]


def _warning(names: Sequence[str], fields: Iterable[str]) -> str:
    return (
        f"Attempts {_listed(names)} tie: they differ in nothing that judges are shown, "
        f"only in {_listed(list(dict.fromkeys(fields)))}."
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _NAMES
    return ", ".join(names[:_NAMES]) + (f" and {more} more" if more > 0 else "")


def spread(tiers: Tiers, member: Sequence[int]) -> Tiers:
    """Tiers of distinct trajectories as tiers of all: identical ones tie."""
    place = {u: t for t, tier in enumerate(tiers) for u in tier}
    spread_tiers: list[list[int]] = [[] for _ in tiers]
    for i, u in enumerate(member):
        spread_tiers[place[u]].append(i)
    return tuple(map(tuple, spread_tiers))
