"""What a run of `ranker rank` counted, and the table that says so."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from ranker.aggregate.agreement import agreeing_pairs
from ranker.errors import RankerError
from ranker.judges.base import Judge
from ranker.ranked import RankedGroup
from ranker.usage import Usage


@dataclass
class Tally:
    """Counts of groups, over one shard or several.

    Attributes:
        lines: groups in the input.
        skipped: those that were in the output already.
        failed: those that failed in this run.
        failed_before: those that failed in an earlier run and were not tried again.
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


def show(tally: Tally, seconds: float, judge: Judge | None, to: str) -> None:
    """Print the table to standard error."""
    from rich.console import Console
    from rich.table import Table

    usage = tally.usage
    rate = f"{tally.ranked / seconds:.1f} a second" if seconds > 0 else ""
    rows = [
        ("ranked", f"{tally.ranked} groups, {rate}"),
        ("cascade", _cascade(judge)),
        ("already there", str(tally.skipped) if tally.skipped else ""),
        ("failed", ", ".join(f"{n} {kind}" for kind, n in tally.failures.items())),
        ("all tied", f"{tally.tied} groups (no training signal)" if tally.tied else ""),
        (
            "judge calls",
            f"{usage.calls}, {usage.failed_calls} of them failed; {usage.cached_calls} from the cache",
        ),
        ("tokens", f"{usage.prompt_tokens:,} read, {usage.completion_tokens:,} written"),
        ("cost", "unknown (give --price)" if usage.cost_usd is None else f"${usage.cost_usd:.4f}"),
        (
            "agrees with truth",
            f"{tally.agreeing / tally.pairs:.3f} of {tally.pairs} pairs (0.5 is chance)"
            if tally.pairs
            else "",
        ),
        ("elsewhere", f"{tally.elsewhere} shards, by other processes" if tally.elsewhere else ""),
        ("written to", to),
    ]
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value:
            table.add_row(f"[dim]{name}[/dim]", value)
    Console(stderr=True).print(table)


def _cascade(judge: Judge | None) -> str:
    """What a cascade's two judges decided; empty for other judges."""
    from ranker.judges.cascade import CascadeJudge

    if not isinstance(judge, CascadeJudge):
        return ""
    return f"{judge.decided} verdicts by the small judge, {judge.deferred} left to {judge.strong.name}"
