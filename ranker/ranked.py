"""A group with its rewards."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from ranker.errors import RankerError
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """What `rank_group` returns. Everything is in the order in which the trajectories were given.

    Attributes:
        group: the group as given.
        rewards: one float in [0, 1] per trajectory; all None where the group failed.
        ranking: tiers of input indices, best first, e.g. ``[[2], [0, 3], [1]]``; empty where failed.
        reasons: one string per trajectory (those of the first pass).
        consistency: Kendall's W between passes, 1 for full agreement; None for a single pass.
        usage: calls, tokens and dollars spent, failed calls included.
        judge: name of the judge.
        prompt_id: template name, version and hash; None where no prompt was needed.
        cut: characters of each trajectory that the judge did not see, because the group was too long.
        warnings: what you should know about how the group was shown.
        error: why the group failed; None where it did not.
    """

    group: TrajectoryGroup
    rewards: list[float] | list[None]
    ranking: list[list[int]]
    reasons: list[str]
    consistency: float | None = None
    usage: Usage = field(default_factory=Usage)
    judge: str = ""
    prompt_id: str | None = None
    cut: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    error: RankerError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields a ranked output line adds to its group, by trajectory id."""
        ids = self.group.ids
        if self.error is not None:
            return {
                "error": {"type": type(self.error).__name__, "message": str(self.error)},
                "judge": self.judge,
                "usage": self.usage.to_dict(),
            }
        added: dict[str, Any] = {
            "ranking": [[ids[i] for i in tier] for tier in self.ranking],
            "rewards": dict(zip(ids, self.rewards, strict=True)),
            "reasons": dict(zip(ids, self.reasons, strict=True)),
            "judge": self.judge,
            "prompt_id": self.prompt_id,
            "usage": self.usage.to_dict(),
        }
        if self.consistency is not None:
            added["consistency"] = self.consistency
        if any(self.cut):
            added["cut"] = {ids[i]: n for i, n in enumerate(self.cut) if n}
        if self.warnings:
            added["warnings"] = list(self.warnings)
        return added


RESULT_FIELDS = frozenset(f.name for f in fields(RankedGroup)) - {"group"}
"""What `RankedGroup.to_dict` may add to a line."""
