"""How often the judge puts attempts of the present policy above the anchor, an attempt of the policy at the start."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from grpo.runs.metrics import ScoredGroup
from ranker.statistics import Estimate, ratio

WINDOW = 32  # groups with an anchor; for a share around a half their interval is about ±0.1


@dataclass(slots=True)
class WinRate:
    """The share of attempts above their group's anchor, ties half.

    Attributes:
        latest: wins and comparisons of the latest `WINDOW` groups in which the anchor was compared, oldest first.
    """

    latest: list[tuple[float, int]] = field(default_factory=list)

    def metrics(self, groups: Sequence[ScoredGroup]) -> dict[str, float | None]:
        """The metrics of a step with these groups, which are remembered.

        `win_rate` is the share over the latest `WINDOW` groups with an anchor, those of earlier steps included, with its
        95 % interval over groups; `win_rate_step` is that of the step alone. Each is None where there are no such groups.
        """
        fresh = [counted for j in groups if (counted := self.add(j.reward.wins))]
        whole = self.estimate()
        return {
            "win_rate": whole.value,
            "win_rate_low": whole.low,
            "win_rate_high": whole.high,
            "win_rate_step": sum(w for w, _ in fresh) / sum(n for _, n in fresh) if fresh else None,
        }

    def add(self, wins: Sequence[float | None]) -> tuple[float, int] | None:
        """Remember a group's comparisons; what they count, None where there are none."""
        known = [w for w in wins if w is not None]
        if not known:
            return None
        counted = (float(sum(known)), len(known))
        self.latest = [*self.latest, counted][-WINDOW:]
        return counted

    def estimate(self) -> Estimate:
        """The share over the groups remembered."""
        return _share(self.latest)


def _share(groups: Sequence[tuple[float, int]]) -> Estimate:
    counts = np.array(groups, dtype=np.float64).reshape(-1, 2)
    return ratio(counts[:, 0], counts[:, 1], share=True)
