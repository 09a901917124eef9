"""What real attempts a group is like, of those on which the embedded judge was measured.

A rule of the thumb, meant to be seen through: it looks for tool calls, code, calculations and conversations, in this order, and
answers nothing where it finds none. That two groups are of one kind says that they look alike, not that the judge does
equally well on both.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ranker.trajectory import Trajectory

KINDS = {
    "agent runs with tool calls": ("tau-airline",),
    "code": ("humaneval-samples",),
    "worked calculations": ("gsm8k-solutions", "game24"),
    "replies in a conversation": ("topical-chat",),
}
"""What attempts may look like, and the suites of real attempts that look like it."""

_READ = 20_000  # characters of a reply
_CODE = re.compile(
    r"^[ \t]*(?:return\b|def \w+\(|for .+:$|if .+:$|while .+:$|import \w|class \w+.*[:{]$|[\w.\[\]]+ [-+*/]?= .*[\w)\]};]$|```\w)",
    re.M,
)
_CALCULATION = re.compile(r"\d\s*[-+*/×·÷]\s*\(?\$?\d[^\n=]{0,40}=")


def kind_of(trajectories: Sequence[Trajectory]) -> str | None:
    """One of `KINDS` that at least half of the attempts look like; None where there is none."""
    rules: tuple[Callable[[Trajectory], bool], ...] = (_calls_tools, _is_code, _calculates, _converses)
    for kind, rule in zip(KINDS, rules, strict=True):
        if 2 * sum(map(rule, trajectories)) >= len(trajectories):
            return kind
    return None


def _calls_tools(trajectory: Trajectory) -> bool:
    return any(bool(m.get("tool_calls") or m["role"] in ("tool", "function")) for m in trajectory.messages)


def _is_code(trajectory: Trajectory) -> bool:
    text = _reply(trajectory)
    return len(_CODE.findall(text)) >= max(1, 0.3 * len([line for line in text.splitlines() if line.strip()]))


def _calculates(trajectory: Trajectory) -> bool:
    return len(_CALCULATION.findall(_reply(trajectory))) >= 2


def _converses(trajectory: Trajectory) -> bool:
    users = [m for m in trajectory.messages if m["role"] == "user"]
    return len(users) >= 2


def _reply(trajectory: Trajectory) -> str:
    content: Any = trajectory.messages[-1].get("content")
    parts = [content] if isinstance(content, str) else content if isinstance(content, (list, tuple)) else []
    texts = (part if isinstance(part, str) else part.get("text") for part in parts)
    return "\n".join(text for text in texts if isinstance(text, str))[:_READ]
