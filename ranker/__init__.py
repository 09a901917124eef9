"""Rewards for agents from one LLM call: show a judge the whole group, let it rank, train on ranks.

from ranker import rank_group
ranked = rank_group(trajectories, judge="openai/gpt-5-mini")
ranked.rewards  # one float in [0, 1] per trajectory
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranker.audit.audit import AuditResult, audit_judge, audit_judge_async
    from ranker.debias.debiaser import Debiaser
    from ranker.errors import (
        BudgetExceeded,
        ConfigurationError,
        ContextLengthError,
        GroupError,
        JudgeAlarm,
        JudgeCallError,
        JudgeError,
        RankerError,
        VerdictError,
    )
    from ranker.judges.base import FunctionJudge, Judge, Lineup
    from ranker.judges.llm import LLMJudge
    from ranker.judges.local import LocalJudge
    from ranker.judges.verdict import Verdict
    from ranker.outline import to_pandas
    from ranker.rank import rank_group, rank_group_async, rank_groups, rank_groups_async
    from ranker.ranked import RankedGroup
    from ranker.runtime.budget import Budget
    from ranker.trajectory import Trajectory, TrajectoryGroup
    from ranker.usage import Usage
    from ranker.watch.audit import Audit
    from ranker.watch.reward import AuditedReward

__version__ = "0.1.0"
"""The version of the distribution `ranker-rl`."""

# Loaded on first use: importing the package costs milliseconds, torch and litellm stay out.
_HOMES = {
    "ranker.audit.audit": ("AuditResult", "audit_judge", "audit_judge_async"),
    "ranker.debias.debiaser": ("Debiaser",),
    "ranker.runtime.budget": ("Budget",),
    "ranker.errors": (
        "BudgetExceeded", "ConfigurationError", "ContextLengthError", "GroupError", "JudgeAlarm",
        "JudgeCallError", "JudgeError", "RankerError", "VerdictError",
    ),
    "ranker.judges.base": ("FunctionJudge", "Judge", "Lineup"),
    "ranker.judges.llm": ("LLMJudge",),
    "ranker.judges.local": ("LocalJudge",),
    "ranker.outline": ("to_pandas",),
    "ranker.rank": ("rank_group", "rank_group_async", "rank_groups", "rank_groups_async"),
    "ranker.ranked": ("RankedGroup",),
    "ranker.trajectory": ("Trajectory", "TrajectoryGroup"),
    "ranker.usage": ("Usage",),
    "ranker.judges.verdict": ("Verdict",),
    "ranker.watch.audit": ("Audit",),
    "ranker.watch.reward": ("AuditedReward",),
}  # fmt: skip
_HOME = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Audit",
    "AuditResult",
    "AuditedReward",
    "Budget",
    "BudgetExceeded",
    "ConfigurationError",
    "ContextLengthError",
    "Debiaser",
    "FunctionJudge",
    "GroupError",
    "Judge",
    "JudgeAlarm",
    "JudgeCallError",
    "JudgeError",
    "LLMJudge",
    "Lineup",
    "LocalJudge",
    "RankedGroup",
    "RankerError",
    "Trajectory",
    "TrajectoryGroup",
    "Usage",
    "Verdict",
    "VerdictError",
    "__version__",
    "audit_judge",
    "audit_judge_async",
    "rank_group",
    "rank_group_async",
    "rank_groups",
    "rank_groups_async",
    "to_pandas",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ranker' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
