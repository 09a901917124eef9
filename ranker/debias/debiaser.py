"""The state behind `reward="debiased"`: the groups of late, and what they say of the judge's bias."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranker.aggregate.ranking import Tiers
from ranker.debias.covariates import POSITION, Covariate, check_covariates, measure, name_of
from ranker.debias.edits import EDITS, Edit, edited
from ranker.debias.model import Comparisons, Fit, fit
from ranker.errors import ConfigurationError
from ranker.ranked import RankedGroup
from ranker.runtime.outputs import replace_file
from ranker.statistics import Estimate
from ranker.trajectory import Trajectory, TrajectoryGroup

VERSION = 1
WINDOW = 24  # groups


@dataclass(frozen=True, slots=True)
class Lineup:
    """A group with its copies.

    Attributes:
        group: attempts first, in input order, then the copies.
        owner_N, edit_N: as in `Comparisons`.
    """

    group: TrajectoryGroup
    owner_N: tuple[int, ...]
    edit_N: tuple[str | None, ...]


@dataclass(slots=True)
class Debiaser:
    """Takes a judge's known biases out of its rewards; keep one for all groups of a run and a judge.

    Attributes:
        covariates: what may sway the judge: "length", "turns", "tool_calls", "formatting", "position", or functions
            of a trajectory.
        edits: of the counterfactual copies; the first goes to one attempt of a group, the second to another, and so
            on. Without copies what length truly says of the worth cannot be told from bias.
        share: of the groups that carry copies.
        window: groups that are weighed together.
        seed: draws attempts to copy and the wording of copies.
    """

    covariates: Sequence[Covariate] = ("length",)
    edits: Sequence[Edit] = (EDITS["padding"], EDITS["more_padding"])
    share: float = 1.0
    window: int = WINDOW
    seed: int = 0
    judge: str | None = None
    history: list[Comparisons] = field(default_factory=list)
    last: Fit | None = None

    def __post_init__(self) -> None:
        self.covariates = check_covariates(self.covariates)
        self.edits = tuple(self.edits)
        if not 0 <= self.share <= 1:
            raise ConfigurationError(
                f"share={self.share!r}; give the share of groups with copies, from 0 to 1."
            )
        if self.window < 1:
            raise ConfigurationError(f"window={self.window!r}; at least one group must be weighed.")

    @property
    def names(self) -> tuple[str, ...]:
        """Of the covariates."""
        return tuple(map(name_of, self.covariates))

    def lineup(self, group: TrajectoryGroup) -> Lineup:
        """The group with its copies; the same for the same group and seed."""
        n = len(group)
        text = "\0".join(json.dumps(t.messages, default=str, sort_keys=True) for t in group.trajectories)
        rng = random.Random(f"{self.seed}/{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}")  # noqa: S311
        copies: list[tuple[int, Edit, Trajectory]] = []
        if rng.random() < self.share:
            waiting = rng.sample(range(n), n)
            for edit in self.edits:
                for place, i in enumerate(waiting):
                    copy = edited(edit, group.trajectories[i], self.seed)
                    if copy is not None:
                        copies.append((i, edit, copy))
                        del waiting[place]
                        break
        members = [
            t if t.id is not None else replace(t, id=name)
            for t, name in zip(group.trajectories, group.ids, strict=True)
        ]
        return Lineup(
            replace(group, trajectories=(*members, *(copy for _, _, copy in copies))) if copies else group,
            (*range(n), *(i for i, _, _ in copies)),
            (*[None] * n, *(edit.name if edit.worth == "worse" else None for _, edit, _ in copies)),
        )

    def alone(self, group: TrajectoryGroup) -> Lineup:
        """The group without copies."""
        n = len(group)
        return Lineup(group, tuple(range(n)), (None,) * n)

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

        Raises:
            GroupError: a covariate is not a finite number.
        """
        g = len(set(lineup.owner_N))
        first: dict[int, int] = {}  # of each distinct trajectory its first item
        for i, member in enumerate(member_N):
            first.setdefault(member, i)
        shown = sorted(first.values())
        item = {i: n for n, i in enumerate(shown)}
        of_member = {member: item[i] for member, i in first.items()}
        members = [lineup.group.trajectories[i] for i in shown]
        measured = {c: measure(c, members) for c in self.covariates if c != POSITION}
        covariates_PNK = []
        for order in order_P:
            place = {of_member[member]: 1 - k / max(1, len(order) - 1) for k, member in enumerate(order)}
            covariates_PNK.append(
                tuple(
                    tuple(place[n] if c == POSITION else measured[c][n] for c in self.covariates)
                    for n in range(len(shown))
                )
            )
        return Comparisons(
            tuple(of_member[member] for member in member_N[:g]),
            tuple(of_member[member_N[lineup.owner_N[i]]] for i in shown),
            tuple(lineup.edit_N[i] for i in shown),
            tuple(covariates_PNK),
            tuple(tuple(tuple(of_member[m] for m in tier) for tier in tiers) for tiers in tiers_P),
            tuple(k for k, c in enumerate(self.covariates) if c == POSITION),
        )

    def weigh(self, groups: Sequence[Comparisons]) -> Fit:
        """The worth of these groups' attempts in the light of the groups before, which are remembered; `worth` and
        `deviation` have one list for each of `groups`, in the order of its attempts."""
        weighed = [*self.history, *groups][-max(self.window, len(groups)) :]
        start = None if self.last is None else [e.value or 0.0 for e in self.last.phi_K]
        whole = fit(weighed, len(self.covariates), start)
        self.history = weighed[-self.window :]
        self.last = replace(
            whole,
            worth=_per_attempt(whole.worth, weighed)[-len(groups) :],
            deviation=_per_attempt(whole.deviation, weighed)[-len(groups) :],
        )
        return self.last

    def reward(self, ranked: RankedGroup) -> RankedGroup:
        """A ranked group with debiased rewards; it is remembered. Where the judge was not asked, since all attempts
        are alike, the rewards are 0; a failed group is left as it is."""
        if ranked.error is not None:
            return ranked
        if ranked.comparisons is None:
            n = len(ranked.rewards)
            return replace(ranked, rewards=[0.0] * n, reward_deviation=[0.0] * n)
        weighed = self.weigh([ranked.comparisons])
        return replace(ranked, rewards=weighed.worth[0], reward_deviation=weighed.deviation[0])

    def bind(self, judge: str) -> None:
        """Say whose bias this is.

        Raises:
            ConfigurationError: it is another judge's.
        """
        if self.judge not in (None, judge):
            raise ConfigurationError(
                f"This debiaser has seen groups of {self.judge}, and the judge is {judge}: what one judge likes says "
                "nothing of another. Use a debiaser for each."
            )
        self.judge = judge

    @property
    def bias(self) -> dict[str, Estimate]:
        """φ by covariate: the log-odds that the most of it wins against the least of it, all else equal; empty
        before the first group."""
        return {} if self.last is None else dict(zip(self.names, self.last.phi_K, strict=True))

    def to_dict(self) -> dict[str, Any]:
        """The state as JSON; settings are there to be compared with, not to be restored."""
        last = None
        if self.last is not None:
            last = {"phi": [e.to_dict() for e in self.last.phi_K], "explained": self.last.explained}
        return {
            "version": VERSION,
            "judge": self.judge,
            "covariates": list(self.names),
            "edits": [[edit.name, edit.worth] for edit in self.edits],
            "history": [c.to_dict() for c in self.history],
            "last": last,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a state that `to_dict` gave.

        Raises:
            ConfigurationError: it is of another version or judge, of other covariates or edits, or damaged.
        """
        mine = self.to_dict()
        for key in ("version", "judge", "covariates", "edits"):
            theirs = state.get(key) if isinstance(state, dict) else None
            if theirs != mine[key] and not (key == "judge" and None in (theirs, mine[key])):
                raise ConfigurationError(
                    f"The saved debiasing state has {key} {theirs!r}, and this run has {mine[key]!r}: what one judge "
                    "likes says nothing of another. Start with a fresh state, or use the settings it was saved with."
                )
        try:
            self.history = [Comparisons.from_dict(fields) for fields in state["history"]]
            last = state["last"]
            if last is not None:
                phi = tuple(Estimate(e["value"], e["low"], e["high"]) for e in last["phi"])
                self.last = Fit([], [], phi, {}, last["explained"])
        except (KeyError, TypeError, ValueError) as error:
            raise ConfigurationError(
                f"The saved debiasing state is damaged ({error!r}); start with a fresh one."
            ) from None

    def save(self, path: str | Path) -> None:
        """Write the state to a file."""
        replace_file(Path(path), json.dumps(self.to_dict()).encode())

    def load(self, path: str | Path) -> None:
        """Go on from the state in a file. Raises ConfigurationError as `restore` does."""
        try:
            state = json.loads(Path(path).read_text("utf-8"))
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"{path} is no saved debiasing state: {error}") from None
        self.restore(state)


def _per_attempt(values: Sequence[Sequence[float]], history: Sequence[Comparisons]) -> list[list[float]]:
    return [[of_item[i] for i in c.attempt_G] for of_item, c in zip(values, history, strict=True)]
