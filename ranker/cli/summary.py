"""The summary of a run of `ranker rank`, and its table."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from ranker.aggregate.agreement import agreeing_pairs
from ranker.errors import RankerError
from ranker.judges.base import Judge
from ranker.ranked import RankedGroup
from ranker.usage import Usage


@dataclass
class Summary:
    """Counts of groups, over one shard or several.

    Attributes:
        lines: groups in the input.
        skipped: groups that were in the output already.
        failed: groups that failed in this run.
        failed_before: groups that failed in an earlier run and were not retried.
        elsewhere: shards that other processes are ranking.
        unreadable: shards that could not be read.
    """

    lines: int = 0
    skipped: int = 0
    ranked: int = 0
    failed: int = 0
    failed_before: int = 0
    tied: int = 0
    agreeing: float = 0.0
    pairs: int = 0
    usage: Usage = field(default_factory=Usage)
    failures: Counter[str] = field(default_factory=Counter)
    elsewhere: int = 0
    unreadable: int = 0

    def fail(self, error: RankerError) -> None:
        self.failed += 1
        self.failures[type(error).__name__] += 1

    def add(self, ranked: RankedGroup) -> None:
        self.usage += ranked.usage
        if ranked.error is not None:
            self.fail(ranked.error)
            return
        self.ranked += 1
        self.tied += len(ranked.ranking) == 1
        agreeing, pairs = agreeing_pairs(ranked)
        self.agreeing += agreeing
        self.pairs += pairs


def show(summary: Summary, seconds: float, judge: Judge | None, to: str) -> None:
    """Print the table to standard error."""
    from rich.console import Console

    from ranker.judges.cascade import CascadeJudge
    from ranker.runtime.terminal import facts

    shared = ""
    if isinstance(judge, CascadeJudge):
        strong = judge.strong.name
        shared = f"{judge.decided} verdicts by the small judge, {judge.deferred} deferred to {strong}"
    usage = summary.usage
    lost = usage.unconfirmed_usd
    unconfirmed = f", and at most ${lost:.4f} for calls whose reply was lost" if lost else ""
    cost = "unknown (give --price)" if usage.cost_usd is None else f"${usage.cost_usd:.4f}{unconfirmed}"
    accuracy = f"{summary.agreeing / summary.pairs:.3f}" if summary.pairs else ""
    speed = f", {summary.ranked / seconds:.1f} per second" if seconds > 0 else ""
    rows = [
        ("ranked", f"{summary.ranked} groups{speed}"),
        ("cascade", shared),
        ("already ranked", str(summary.skipped) if summary.skipped else ""),
        ("failed", ", ".join(f"{n} {kind}" for kind, n in summary.failures.items())),
        ("all tied", f"{summary.tied} groups (no training signal)" if summary.tied else ""),
        ("judge calls", f"{usage.calls} ({usage.failed_calls} failed); {usage.cached_calls} from the cache"),
        ("tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"),
        ("cost", cost),
        ("agrees with truth", f"{accuracy} of {summary.pairs} pairs (0.5 is chance)" if accuracy else ""),
        ("elsewhere", f"{summary.elsewhere} shards, by other processes" if summary.elsewhere else ""),
        ("written to", to),
        ("look at them", f"ranker view {shlex.quote(to)}" if Path(to).is_file() and summary.lines else ""),
    ]
    Console(stderr=True).print(facts(rows))
