"""One judge, asked the same way about every group of a training run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranker.aggregate.rewards import RULES
from ranker.errors import ConfigurationError, GroupError, JudgeCallError, RankerError
from ranker.prompting.rubric import read_rubric
from ranker.rank import judge_for, rank_group_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup


class Asker:
    """What an adapter asks for rewards.

    Args:
        judge, rubric, passes: as `rank_group` takes them.
        how: `rank_group`'s other arguments; ``max_calls`` and ``max_cost_usd`` limit all groups together.

    Raises:
        ConfigurationError: a setting cannot work; told when the Asker is made, before any rollout.
    """

    def __init__(self, judge: Any, rubric: str | Path | None, passes: int, how: Mapping[str, Any]):
        how = dict(how)
        if not isinstance(passes, int) or passes < 1:
            raise ConfigurationError(f"passes={passes!r}; the judge must be asked at least once.")
        rule = how.get("reward", "rank")
        if rule not in RULES:
            raise ConfigurationError(f"reward={rule!r}; choose one of {', '.join(RULES)}.")
        limits = [how.pop(limit, None) for limit in ("max_calls", "max_cost_usd")]
        self._how = {**how, "budget": how.get("budget") or Budget(*limits)}
        self._judge, self._rubric, self._passes = judge, read_rubric(rubric), passes
        own = inspect.signature(rank_group_async).parameters
        asked = {name: value for name, value in how.items() if name not in own}
        judge_for(judge, rule, how.get("base_url"), how.get("api_key"), asked)

    async def rank(self, group: TrajectoryGroup) -> RankedGroup:
        """Rank one group of at least two.

        Raises:
            RankerError: there is no ranking.
        """
        if len(group) < 2:
            raise GroupError("A group of one attempt cannot be ranked; let the policy make at least two.")
        return await rank_group_async(group, self._judge, self._rubric, self._passes, **self._how)


def is_hopeless(error: RankerError) -> bool:
    """Whether every group would fail alike: a wrong setting, a refused key, no such model."""
    refused = isinstance(error, JudgeCallError) and error.status_code in (401, 403, 404)
    return refused or isinstance(error, ConfigurationError)


def figures(ranked: RankedGroup) -> dict[str, float]:
    """What a log may show of one group; what is not known is left out."""
    told: dict[str, float] = {
        "judge_calls": float(ranked.usage.calls),
        "tied_groups": float(len(ranked.ranking) == 1),
    }
    if ranked.usage.cost_usd is not None:
        told["judge_cost_usd"] = ranked.usage.cost_usd
    if ranked.consistency is not None:
        told["consistency"] = ranked.consistency
    return told
