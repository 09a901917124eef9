"""Debiased rewards in training: the judge's comparisons of a step's groups, weighed together with those before.

A reward function with ``reward="debiased"`` returns what the judge said of a group beside its rewards. Here the groups
of a step are weighed at once, in the order of their numbers, so that a run is the same however long each judge call
took, and a resumed run is the same to the bit.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from grpo.group_reward import GroupReward, placed
from grpo.model.distributed import Processes
from grpo.types import RolloutGroup
from ranker.debias.evidence import Evidence
from ranker.debias.model import Comparisons

log = logging.getLogger("ranker")
Parts = Mapping[str, list[float | None]]


@dataclass(slots=True)
class Debiasing:
    """Evidence on the judge behind each debiased reward function, by its name.

    Attributes:
        mixed: the rewards of a group from those of each function, or of some of them.
    """

    processes: Processes
    mixed: Callable[[Parts], list[float | None]]
    evidence: dict[str, Evidence] = field(default_factory=dict)

    def weigh(self, groups: Sequence[tuple[RolloutGroup, GroupReward]]) -> list[GroupReward]:
        """These groups' rewards, debiased in the light of all processes' groups; others as they are."""
        mine = [(g.index, r.comparisons) for g, r in groups]
        everyone = sorted(self.processes.gather(mine), key=lambda pair: pair[0])
        worth: dict[tuple[int, str], list[float]] = {}
        for name in sorted({name for _, comparisons in everyone for name in comparisons}):
            compared = [(index, c[name]) for index, c in everyone if name in c]
            said = [Comparisons.from_dict(fields) for _, fields in compared]
            fit = self._of(name, compared[-1][1].get("judge"), said[-1].names_K).weigh(said)
            worth |= {(index, name): values for (index, _), values in zip(compared, fit.worth, strict=True)}
        return [self._replaced(group, reward, worth) for group, reward in groups]

    def worth(self, name: str, said: Mapping[str, Any]) -> list[float] | None:
        """What the rewards of a function would be for what its judge said of some attempts, in the light of the groups so far,
        which it does not join; None where these were compared with other covariates."""
        evidence, comparisons = self.evidence.get(name, Evidence()), Comparisons.from_dict(dict(said))
        if evidence.history and evidence.history[-1].names_K != comparisons.names_K:
            return None
        return replace(evidence, history=list(evidence.history)).weigh([comparisons]).worth[0]

    def _of(self, name: str, judge: str | None, covariates: tuple[str, ...]) -> Evidence:
        """The evidence of a reward function; a fresh one where a resumed run has another judge or other covariates."""
        evidence = self.evidence.setdefault(name, Evidence())
        before = (evidence.judge, evidence.history[-1].names_K if evidence.history else covariates)
        if before[0] not in (None, judge) or before[1] != covariates:
            log.warning(
                "%s: what was learned of the judge %s and %s is left aside, since the judge is now %s and the covariates are %s.",
                name, before[0], ", ".join(before[1]), judge, ", ".join(covariates),
            )  # fmt: skip
            evidence = self.evidence[name] = Evidence()
        evidence.judge = judge
        return evidence

    def _replaced(
        self, group: RolloutGroup, reward: GroupReward, worth: Mapping[tuple[int, str], list[float]]
    ) -> GroupReward:
        if not reward.comparisons:
            return reward
        count, alive = len(group.rollouts), group.alive
        parts, anchored = dict(reward.parts), dict(reward.anchored_parts)
        for name in reward.comparisons:
            values = worth[group.index, name]
            if (
                anchored
            ):  # the worth is less the mean of all that were compared; that of the attempts is wanted
                mean = math.fsum(values[:-1]) / len(values[:-1])
                *values, anchor = (value - mean for value in values)
                anchored[name] = [*placed(count, alive, values), anchor]
            parts[name] = placed(count, alive, values)
        return replace(
            reward,
            parts=parts,
            values=self.mixed(parts),
            judged=self.mixed({name: parts[name] for name in reward.judges}) if reward.judged else [],
            anchored_parts=anchored,
            anchored_values=self.mixed(anchored) if anchored else [],
        )

    def metrics(self) -> dict[str, float | None]:
        """The bias by covariate with its interval, and the share of the rankings that it explains."""
        record: dict[str, float | None] = {}
        for name, evidence in self.evidence.items():
            of = "" if len(self.evidence) == 1 else f"{name}/"
            for covariate, estimate in evidence.bias.items():
                record[f"bias/{of}{covariate}"] = estimate.value
                record[f"bias/{of}{covariate}_low"] = estimate.low
                record[f"bias/{of}{covariate}_high"] = estimate.high
            record[f"bias/{of}explained"] = None if evidence.last is None else evidence.last.explained
        return record

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a checkpoint."""
        return {name: evidence.to_dict() for name, evidence in self.evidence.items()}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.evidence = {name: Evidence.from_dict(fields) for name, fields in state.items()}
