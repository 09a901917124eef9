"""What a person sees while a run goes on."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class Shown:
    """A bar on a terminal; elsewhere a line every ten seconds, and for the first and last step."""

    def __init__(self, console: Console, total: int, done: int = 0):
        self._console, self._total = console, total
        self._last = 0.0
        self._cost = 0.0
        self._failed = 0
        self._bar: Progress | None = None
        if console.is_terminal:
            self._bar = Progress(
                TextColumn("step"),
                BarColumn(bar_width=24),
                MofNCompleteColumn(),
                TextColumn("{task.fields[told]}"),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                console=console,
            )
            self._task = self._bar.add_task("", total=total, completed=done, told="")

    def __enter__(self) -> Shown:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Take a step's metrics."""
        self._cost += line["judge_cost_usd"] or 0.0
        self._failed += line["failed_groups"]
        told = self._told(line)
        if self._bar is not None:
            self._bar.update(self._task, completed=line["step"], told=told)
            return
        now = time.monotonic()
        if line["step"] in (1, self._total) or now - self._last >= 10:
            self._last = now
            self._console.print(f"step {line['step']}/{self._total}  {told}", highlight=False)

    def _told(self, line: Mapping[str, Any]) -> str:
        parts = []
        if line["ground_truth_mean"] is not None:
            parts.append(f"truth {line['ground_truth_mean']:.2f}")
        if line["reward_mean"] is not None:
            parts.append(f"reward {line['reward_mean']:.2f} ± {line['reward_std']:.2f}")
        if line["kl"] is not None:
            parts.append(f"kl {line['kl']:.3f}")
        if line["entropy"] is not None:
            parts.append(f"entropy {line['entropy']:.2f}")
        if line["tied_share"]:
            parts.append(f"tied {line['tied_share']:.0%}")
        if self._failed:
            parts.append(f"[red]{self._failed} failed[/red]")
        if line["tokens_per_second"]:  # the last step samples nothing
            parts.append(f"{line['tokens_per_second']:,.0f} tok/s")
        if self._cost:
            parts.append(f"${self._cost:.3f}")
        return "  ".join(parts)
