"""Lifts while training: the reward functions are asked a second time about a share of the groups, with an edited copy."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from grpo.config import GRPOConfig
from grpo.debiasing import Debiasing, Parts
from grpo.draws import drawn, seed_for
from grpo.group_reward import GroupReward, placed
from grpo.runs.metrics import ScoredGroup
from grpo.types import RolloutGroup
from ranker.debias.edits import Edit
from ranker.debias.evidence import Evidence
from ranker.debias.model import Comparisons
from ranker.errors import RankerError, scrub
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage
from ranker.watch.audit import Audit, probability
from ranker.watch.lifts import Lifts, Tried, gained
from ranker.watch.trials import controlled_trial

log = logging.getLogger("ranker")


class Asked(Protocol):
    """Who asks the reward functions."""

    @property
    def names(self) -> list[str]: ...

    def asked(self, group: TrajectoryGroup) -> list[RankedGroup]: ...

    def mixed(self, parts: Parts) -> list[float | None]: ...


@dataclass(slots=True)
class Lifting:
    """Asks in the background, after a group has its rewards, and keeps what was found. Nothing of it is trained on.

    Attributes:
        edits: by name.
        share: of the groups.
        seed: of the run; it draws which groups, and with the group's number which attempt and the wording of copies.
        planned: groups of the whole run.
        lifts: what the trials found so far.
    """

    edits: Mapping[str, Edit]
    share: float
    seed: int
    planned: int
    lifts: Lifts = field(init=False)
    _usage: Usage = field(default_factory=Usage)
    _failed: int = 0
    _numbers: dict[int, int] = field(default_factory=dict)
    _counted: int = 0  # groups whose lots were drawn

    def __post_init__(self) -> None:
        self.lifts = Lifts(tuple(self.edits))

    def wants(self, index: int) -> bool:
        """Whether group `index` is tried: the same in every process and after a resume."""
        return drawn(seed_for("lift", self.seed), index) < probability(self.share, index, self.planned)

    def order(self, group: RolloutGroup) -> list[Edit]:
        """The edits for a group, the one it is tried with first unless that does not apply; none where it is not tried.
        It follows from what was known when the group was sampled, so it is the same after a resume."""
        if len(group.alive) < 2 or not self.wants(group.index):
            return []
        for index in range(self._counted, group.index + 1):
            if self.wants(index):
                self._numbers[index] = len(self._numbers)
        self._counted = max(self._counted, group.index + 1)
        return [self.edits[name] for name in self.lifts.order(self._numbers[group.index], group.version)]

    def added(
        self, group: RolloutGroup, reward: GroupReward, edits: Sequence[Edit], functions: Asked
    ) -> GroupReward:
        """The rewards with what the functions said of a trial beside them. Where it fails, they are the same."""
        said: dict[str, Any] = {"edit": None, "error": None, "usage": Usage().to_dict()}
        try:
            shown = replace(group, anchor=None).for_judge()
            values = _plain_values(group, reward, functions)
            trials = (controlled_trial(group.index, edit, shown, values, self.seed) for edit in edits)
            trial = next((trial for trial in trials if trial is not None), None)
            if trial is None:
                return reward
            said |= {"edit": trial.edit.name, "size": trial.size, "original": trial.original}
            ranked = functions.asked(trial.group)
        except Exception as error:
            spent = error.usage if isinstance(error, RankerError) else Usage()
            said |= {"error": scrub(f"{type(error).__name__}: {error}"), "usage": spent.to_dict()}
            return replace(reward, usage=reward.usage + spent, lift=said)
        usage = sum((r.usage for r in ranked), Usage())
        named = dict(zip(functions.names, ranked, strict=True))
        said |= {
            "parts": {name: list(r.rewards) for name, r in named.items()},
            "comparisons": {
                name: r.comparisons.to_dict() for name, r in named.items() if r.comparisons is not None
            },
            "usage": usage.to_dict(),
        }
        return replace(reward, usage=reward.usage + usage, lift=said)

    def take(
        self, step: int, groups: Sequence[ScoredGroup], debiasing: Debiasing, loud: bool = True
    ) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
        """Take a step's trials in, and warn where an edit is newly shown to lift.

        Args:
            debiasing: what the judge is known to like, where its rewards are debiased.
            loud: whether to log warnings.

        Returns:
            the metrics, and a record of each new warning for the run folder.
        """
        found = []
        for said in (j.reward.lift for j in groups if j.reward.lift is not None):
            self._usage += Usage(**said["usage"])
            places = None if said["error"] is not None else _places(said, debiasing)
            self._failed += places is None
            if places is not None:
                found.append(Tried(step, said["edit"], *places))
        records = []
        for warning in self.lifts.add(found):
            remedy = remedy_for(warning.edit, bool(debiasing.evidence))
            records.append({**warning.to_dict(), "reason": str(warning), "remedy": remedy})
            if loud:
                log.warning("Step %d: %s; %s.", step, warning, remedy)
        record = {**self.lifts.metrics(), "lifts_failed": self._failed, "lift_calls": self._usage.calls}
        return {**record, "lift_cost_usd": self._usage.cost_usd}, records

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {"trials": self.lifts.to_list(), "usage": self._usage.to_dict(), "failed": self._failed}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.lifts.restore(state.get("trials", []))
        self._usage, self._failed = Usage(**state.get("usage", {})), int(state.get("failed", 0))


def lifting_for(audit: Audit | None, config: GRPOConfig) -> Lifting | None:
    """The trials of a run; None where nobody asked for them."""
    if audit is None or not audit.lift_share:
        return None
    return Lifting(audit.edits, audit.lift_share, config.seed, config.max_steps * config.groups_per_step)


def remedy_for(edit: str, debiased: bool) -> str:
    """What to do about an edit that lifts."""
    if debiased:
        return (
            "the debiased rewards still pay for it: name it among the debiaser's edits, or take a stronger judge or a rubric "
            "that names what counts (docs/bias.md)"
        )
    if edit in _MEASURABLE:
        return (
            f'reward = "debiased" with the covariate {_MEASURABLE[edit]!r} and this edit among the debiaser\'s takes it '
            "out of the rewards (docs/bias.md)"
        )
    return (
        "no covariate measures it, so it cannot be taken out of the rewards: take a stronger judge, or a rubric that names the "
        "proof of the work; see docs/bias.md"
    )


_MEASURABLE = {
    "padding": "length",
    "more_padding": "length",
    "repetition": "length",
    "cut_off": "length",
    "unearned": "turns",
    "formatting": "formatting",
    "idle_call": "tool_calls",
}


def _plain_values(group: RolloutGroup, reward: GroupReward, functions: Asked) -> list[float | None]:
    """The rewards of the attempts that came to an end; where they are debiased, in the light of this group alone: what else
    the judge said by then depends on how long each call took."""
    parts = dict(reward.parts)
    for name, fields in reward.comparisons.items():
        worth = Evidence().weigh([Comparisons.from_dict(dict(fields))]).worth[0]
        parts[name] = placed(len(group.rollouts), group.alive, worth[: len(group.alive)])
    values = functions.mixed(parts) if reward.comparisons else reward.values
    return [values[i] for i in group.alive]


def _places(said: Mapping[str, Any], debiasing: Debiasing) -> tuple[float, float] | None:
    parts = dict(said["parts"])
    for name, fields in said["comparisons"].items():
        worth = debiasing.worth(name, fields)
        if worth is None:
            return None
        parts[name] = worth
    return gained(debiasing.mixed(parts), said["size"], said["original"])
