"""`reward="debiased"`: a group with its counterfactual copies, and its rewards without the judge's known biases."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ranker.aggregate.dedupe import distinct_of
from ranker.aggregate.ranking import Tiers
from ranker.debias.covariates import POSITION, Covariate, check_covariates, measure, name_of
from ranker.debias.edits import EDITS, Edit, edited
from ranker.debias.evidence import Evidence
from ranker.debias.model import Comparisons
from ranker.errors import ConfigurationError
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup

COPIED = 4  # attempts for each copy


@dataclass(frozen=True, slots=True)
class Lineup:
    """A group with its copies.

    Attributes:
        group: attempts first, in input order, then the copies.
        owner_N, edit_N: as in `Comparisons`.
        covariates: by name, of each item; without the position shown.
    """

    group: TrajectoryGroup
    owner_N: tuple[int, ...]
    edit_N: tuple[str | None, ...]
    covariates: Mapping[str, Sequence[float]]


@dataclass(slots=True)
class Debiaser:
    """Takes a judge's known biases out of its rewards; keep one for all groups of a run and a judge.

    Attributes:
        covariates: what may sway the judge: "length", "turns", "tool_calls", "formatting", "position", or functions
            of a trajectory.
        edits: of the counterfactual copies. A group of G attempts gets G // 4 copies, at least one and at
            most one for each edit that is fit for its task, each of another attempt; which attempts and which edits is
            drawn. Without copies what length truly says of the worth cannot be told from bias.
        share: of the groups that carry copies.
        seed: draws attempts to copy and the wording of copies.
        evidence: the state: what the groups of late say of the judge.
    """

    covariates: Sequence[Covariate] = ("length",)
    edits: Sequence[Edit] = (EDITS["padding"], EDITS["more_padding"])
    share: float = 1.0
    seed: int = 0
    evidence: Evidence = field(default_factory=Evidence)

    def __post_init__(self) -> None:
        self.covariates = check_covariates(self.covariates)
        self.edits = tuple(self.edits)
        if not 0 <= self.share <= 1:
            raise ConfigurationError(
                f"share={self.share!r}; give the share of groups with copies, from 0 to 1."
            )

    @property
    def names(self) -> tuple[str, ...]:
        """Of the covariates."""
        return tuple(map(name_of, self.covariates))

    def lineup(self, group: TrajectoryGroup) -> Lineup:
        """The group with its copies; the same for the same group and seed. Attempts that are all alike get none.

        Raises:
            GroupError: a covariate is not a finite number, or an edit failed.
        """
        n = len(group)
        text = "\0".join(json.dumps(t.messages, default=str, sort_keys=True) for t in group.trajectories)
        rng = random.Random(f"{self.seed}/{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}")  # noqa: S311
        copies: list[tuple[int, Edit, Trajectory]] = []
        if self.edits and rng.random() < self.share:
            most = max(1, n // COPIED) if len(distinct_of(group).trajectories) > 1 else 0
            waiting = rng.sample(range(n), n)
            fitting = [edit for edit in self.edits if edit.fits(group)]
            for edit in fitting if len(fitting) <= most else rng.sample(fitting, len(fitting)):
                if len(copies) == most:
                    break
                for place, i in enumerate(waiting):
                    original = group.trajectories[i]
                    copy = edited(edit, original, self.seed)
                    if copy is not None:  # metadata, which judges are never shown, is there for covariates
                        copies.append((i, edit, replace(copy, metadata=original.metadata)))
                        del waiting[place]
                        break
        if not copies:
            return self.alone(group)
        members = [
            t if t.id is not None else replace(t, id=name)
            for t, name in zip(group.trajectories, group.ids, strict=True)
        ]
        return self._lineup(
            replace(group, trajectories=(*members, *(copy for _, _, copy in copies))),
            (*range(n), *(i for i, _, _ in copies)),
            (*[None] * n, *(edit.name if edit.worth == "worse" else None for _, edit, _ in copies)),
        )

    def alone(self, group: TrajectoryGroup) -> Lineup:
        """The group without copies. Raises GroupError: a covariate is not a finite number."""
        n = len(group)
        return self._lineup(group, tuple(range(n)), (None,) * n)

    def _lineup(
        self, group: TrajectoryGroup, owner_N: tuple[int, ...], edit_N: tuple[str | None, ...]
    ) -> Lineup:
        measured = {name_of(c): measure(c, group.trajectories) for c in self.covariates if c != POSITION}
        return Lineup(group, owner_N, edit_N, measured)

    def compare(
        self,
        lineup: Lineup,
        member_N: Sequence[int],
        tiers_P: Sequence[Tiers],
        order_P: Sequence[Sequence[int]],
    ) -> Comparisons:
        """What the rankings of a lineup say.

        Args:
            member_N: for each item of the lineup which distinct trajectory it is.
            tiers_P: for each pass the ranking of the distinct trajectories.
            order_P: for each pass the order in which they were shown.
        """
        g = len(set(lineup.owner_N))
        first: dict[int, int] = {}  # of each distinct trajectory its first item
        for i, member in enumerate(member_N):
            first.setdefault(member, i)
        shown = sorted(first.values())
        item = {i: n for n, i in enumerate(shown)}
        of_member = {member: item[i] for member, i in first.items()}
        covariates_PNK = []
        for order in order_P:
            place = {of_member[member]: 1 - k / max(1, len(order) - 1) for k, member in enumerate(order)}
            covariates_PNK.append(
                tuple(
                    tuple(place[n] if c == POSITION else lineup.covariates[c][i] for c in self.names)
                    for n, i in enumerate(shown)
                )
            )
        return Comparisons(
            tuple(of_member[member] for member in member_N[:g]),
            tuple(of_member[member_N[lineup.owner_N[i]]] for i in shown),
            tuple(lineup.edit_N[i] for i in shown),
            tuple(covariates_PNK),
            tuple(tuple(tuple(of_member[m] for m in tier) for tier in tiers) for tiers in tiers_P),
            self.names,
        )

    def reward(self, ranked: RankedGroup) -> RankedGroup:
        """A ranked group with debiased rewards; it is remembered. Where the judge was not asked, since all attempts
        are alike, the rewards are 0; a failed group is left as it is."""
        if ranked.error is not None:
            return ranked
        if ranked.comparisons is None:
            n = len(ranked.rewards)
            return replace(ranked, rewards=[0.0] * n, reward_deviation=[0.0] * n)
        self.evidence.bind(ranked.judge)
        weighed = self.evidence.weigh([ranked.comparisons])
        return replace(ranked, rewards=weighed.worth[0], reward_deviation=weighed.deviation[0])
