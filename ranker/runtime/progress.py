"""One line of progress: groups done, rate, failures, cost."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Any

from ranker.ranked import RankedGroup
from ranker.usage import Usage


class Progress:
    """A progress bar on a terminal's standard error; silent elsewhere."""

    def __init__(self, total: int | None, shown: bool = True, done: int = 0):
        self._total = total
        self._shown = shown and sys.stderr.isatty()
        self._done = done
        self._failed = 0
        self._usage = Usage()
        self._bar: Any = None
        self._task: Any = None

    def __enter__(self) -> Progress:
        if self._shown:
            from rich import progress as rich
            from rich.console import Console

            self._bar = rich.Progress(
                rich.TextColumn("ranking"),
                rich.BarColumn(),
                rich.MofNCompleteColumn(),
                rich.TextColumn("{task.fields[told]}"),
                rich.TimeElapsedColumn(),
                rich.TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self._total, completed=self._done, told="")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, ranked: RankedGroup) -> None:
        if self._bar is None:
            return
        self._usage += ranked.usage
        self._failed += ranked.error is not None
        speed = self._bar.tasks[0].speed or 0.0
        told = f"{speed:.1f}/s"
        if self._usage.cost_usd:
            told += f" ${self._usage.cost_usd:.4f}"
        if self._failed:
            told += f" [red]{self._failed} failed[/red]"
        self._bar.update(self._task, advance=1, told=told)
