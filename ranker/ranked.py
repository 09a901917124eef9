"""A group with its rewards."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from ranker.errors import RankerError
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage

if TYPE_CHECKING:  # numpy and scipy are imported with the model
    from ranker.debias.model import Comparisons


@dataclass(frozen=True, slots=True)
class RankedGroup:
    """The result of `rank_group`. All lists are in the input order of the trajectories.

    Attributes:
        group: the input group.
        rewards: one float per trajectory, in [0, 1]; with ``reward="debiased"`` log-odds around 0; all None if the
            group failed.
        ranking: tiers of input indices, best first, e.g. ``[[2], [0, 3], [1]]``; empty if it failed.
        reasons: one string per trajectory, from the first pass.
        consistency: Kendall's W over passes, 1 for full agreement; None for a single pass.
        usage: calls, tokens and cost, including failed calls.
        judge: name of the judge.
        prompt_id: template name, version and hash; None if no prompt was used.
        cut: characters of each trajectory that were cut because the group was too long.
        warnings: notes on how the group was presented, e.g. media replaced by placeholders.
        error: why the group failed; None if it succeeded.
        reward_deviation: with ``reward="debiased"`` the posterior standard deviation of each reward.
        comparisons: with ``reward="debiased"`` what the judge said of the attempts and their copies; a trainer weighs
            it together with that of other groups.
        turn_rewards: for each trajectory one value for each of its `assistant_turns`, in [-1, 1], or None for a turn of
            which nothing was said; None where turns were not asked for, or the group failed.
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
    reward_deviation: list[float] | None = None
    comparisons: Comparisons | None = field(default=None, repr=False)
    turn_rewards: list[list[float | None]] | None = None

    def to_dict(self) -> dict[str, Any]:
        """The fields that a line of ranked output adds to its group, keyed by trajectory id."""
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
        if self.reward_deviation is not None:
            added["reward_deviation"] = dict(zip(ids, self.reward_deviation, strict=True))
        if self.consistency is not None:
            added["consistency"] = self.consistency
        if any(self.cut):
            added["cut"] = {ids[i]: n for i, n in enumerate(self.cut) if n}
        if self.warnings:
            added["warnings"] = list(self.warnings)
        return added


RESULT_FIELDS = frozenset(f.name for f in fields(RankedGroup)) - {"group", "comparisons"}
"""What `RankedGroup.to_dict` may add to a line."""
