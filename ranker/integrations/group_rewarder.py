"""One judge with fixed settings, used for every group of a training run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.aggregate.rewards import RULES
from ranker.errors import ConfigurationError, GroupError
from ranker.prompting.rubric import read_rubric
from ranker.rank import judge_for, rank_group_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup

if TYPE_CHECKING:  # numpy and scipy are imported with the model
    from ranker.debias.debiaser import Debiaser


class GroupRewarder:
    """Ranks groups for an adapter.

    Args:
        judge, rubric, passes: as `rank_group` takes them.
        options: `rank_group`'s other arguments; ``max_calls`` and ``max_cost_usd`` apply to all groups together.

    Raises:
        ConfigurationError: a setting cannot work; raised on construction, before any rollout.
    """

    def __init__(self, judge: Any, rubric: str | Path | None, passes: int, options: Mapping[str, Any]):
        options = dict(options)
        if not isinstance(passes, int) or passes < 1:
            raise ConfigurationError(f"passes={passes!r}; use 1 or more.")
        rule = options.get("reward", "rank")
        if rule not in RULES:
            raise ConfigurationError(f"reward={rule!r}; choose one of {', '.join(RULES)}.")
        self._debiaser: Debiaser | None = options.pop("debiaser", None)
        if rule == "debiased" and self._debiaser is None:
            from ranker.debias.debiaser import Debiaser

            self._debiaser = Debiaser(options.pop("covariates", ("length",)), seed=options.get("seed", 0))
        limits = [options.pop(limit, None) for limit in ("max_calls", "max_cost_usd")]
        self._options = {**options, "budget": options.get("budget") or Budget(*limits)}
        self._judge, self._rubric, self._passes = judge, read_rubric(rubric), passes
        own = inspect.signature(rank_group_async).parameters
        judge_options = {name: value for name, value in options.items() if name not in own}
        judge_for(judge, rule, options.get("base_url"), options.get("api_key"), judge_options)

    async def rank(self, group: TrajectoryGroup) -> RankedGroup:
        """Rank one group of at least two trajectories.

        Raises:
            RankerError: the group could not be ranked.
        """
        return self.weighed(await self.judged(group))

    async def judged(self, group: TrajectoryGroup) -> RankedGroup:
        """`rank` for groups that are judged at once: debiased rewards are those of the group alone until it is `weighed`.

        Raises:
            RankerError: the group could not be ranked.
        """
        if len(group) < 2:
            raise GroupError("A group of one attempt cannot be ranked; sample at least two.")
        options = dict(self._options)
        if self._debiaser is not None:
            options["debiaser"] = replace(self._debiaser, evidence=type(self._debiaser.evidence)())
        return await rank_group_async(group, self._judge, self._rubric, self._passes, **options)

    def weighed(self, ranked: RankedGroup) -> RankedGroup:
        """Its rewards in the light of the groups weighed before; call it in an order that no judge's speed decides.

        Raises:
            ConfigurationError: the debiaser's state is of another judge, or of other covariates.
        """
        return ranked if self._debiaser is None else self._debiaser.reward(ranked)


def group_metrics(ranked: RankedGroup) -> dict[str, float]:
    """Metrics of one ranked group; unknown values are omitted."""
    metrics: dict[str, float] = {
        "judge_calls": float(ranked.usage.calls),
        "tied_groups": float(len(ranked.ranking) == 1),
    }
    if ranked.usage.cost_usd is not None:
        metrics["judge_cost_usd"] = ranked.usage.cost_usd
    if ranked.consistency is not None:
        metrics["consistency"] = ranked.consistency
    return metrics
