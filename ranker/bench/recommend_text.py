"""What `ranker recommend` says."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from ranker.bench.judge_spec import bare_address
from ranker.bench.recommend import Candidate
from ranker.errors import ConfigurationError
from ranker.pages import money
from ranker.runtime.terminal import figures
from ranker.trajectory import TrajectoryGroup

RECKONED = (
    "Reckoned without a call, for one ranking of each group: prompts by counted tokens, replies at most a sentence on each attempt. "
    "What a model thinks before it answers comes on top."
)


def not_empty(groups: Sequence[TrajectoryGroup], path: Path) -> Sequence[TrajectoryGroup]:
    """The groups of a file.

    Raises:
        ConfigurationError: there are none.
    """
    if not groups:
        raise ConfigurationError(f"{path} holds no groups.")
    return groups


def has_truth(groups: Sequence[TrajectoryGroup]) -> bool:
    """Whether the attempts of any group have ground truth throughout."""
    return any(all(t.ground_truth is not None for t in group) for group in groups)


def forecast(some: Sequence[Candidate], count: int) -> Table:
    """What each judge would cost."""
    title = f"What ranking {count:,} group{'' if count == 1 else 's'} would cost"
    table = figures("judge", "tokens each", "all", "1,000 groups", "reached", title=title)
    for c in some:
        cost = c.cost_usd
        shown = (
            ["unknown"] * 2
            if cost is None
            else ["free"] * 2
            if cost == 0
            else [f"≤ {money(n * cost)}" for n in (count, 1_000)]
        )
        table.add_row(
            escape(c.judge.name), f"{sum(c.tokens):,.0f}", *shown, "yes" if c.fault is None else "no"
        )
    return table


def no_truth(path: Path) -> str:
    """What to do where the groups cannot tell a good judge from a bad one."""
    labels = shlex.quote(str(path.with_name(f"{path.name.partition('.')[0]}_labels.jsonl")))
    return (
        f"{path} carries no ground truth, so no judge was measured. Rank 30 groups or more yourself and "
        f"give the result to this command:\n\n    ranker label {shlex.quote(str(path))} --out {labels}\n"
        f"    ranker recommend {labels} --budget 1\n\n`ranker judges` shows what is on record of judges on other groups."
    )


def command(chosen: Candidate, path: Path, count: int, rubric: str | None, cost_usd: float | None) -> str:
    """The command that ranks the file with the judge.

    Args:
        cost_usd: of one group, as measured.
    """
    judge = chosen.judge
    words = [
        "ranker",
        "rank",
        str(path),
        "--judge",
        judge.model or judge.name if judge.base_url else judge.name,
    ]
    address = bare_address(judge.base_url) if judge.base_url else ""
    words += ["--base-url", address] if address else []
    words += ["--rubric", rubric] if rubric else []
    words += ["--out", "ranked.jsonl"]
    told = f", for about {money(count * cost_usd)} at what these cost" if cost_usd else ""
    hidden = address != (judge.base_url or "").rstrip("/")
    add = "\n\nIts address lacks what may be a key, and its query: add them." if hidden else ""
    return f"\nTo rank all {count:,} groups with it{told}:\n\n    {shlex.join(words)}{add}"
