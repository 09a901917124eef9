"""Progress and tables for a terminal, and lines of progress where there is none."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import timedelta
from threading import Event, Thread
from typing import Any

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

EVERY = 30.0  # seconds between two lines where there is no terminal


class _Rate(ProgressColumn):
    """How fast a task goes."""

    def render(self, task: Task) -> Text:
        return Text(rate(task))


class Bars(Progress):
    """Bars on a terminal. Elsewhere (nohup, Slurm) a line every half minute, of what goes on then; a run that is over
    before the first one writes none. Tasks have a field `note`."""

    def __init__(self, console: Console, shown: bool, live: bool, prefix: str = ""):
        super().__init__(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not (shown and live),
        )
        self.silent = not shown
        self._prefix = prefix
        self._over = Event()
        self._teller: Thread | None = None

    def add_task(
        self,
        description: str,
        start: bool = True,
        total: float | None = 100.0,
        completed: int = 0,
        visible: bool = True,
        **fields: Any,
    ) -> TaskID:
        return super().add_task(description, start, total, completed, visible, first=completed, **fields)

    def begin(self, name: TaskID) -> None:
        """Start the clock of a task that was added with ``start=False``; what it holds by now is no part of its rate."""
        if not self.tasks[name].started:
            self.update(name, first=self.tasks[name].completed)
            self.start_task(name)

    def start(self) -> None:
        super().start()
        if self.disable and not self.silent and self._teller is None:
            self._teller = Thread(target=self._tell, name="ranker-progress", daemon=True)
            self._teller.start()

    def stop(self) -> None:
        super().stop()
        self._over.set()
        if self._teller is not None:
            self._teller.join()
            self._teller = None

    def say(self) -> None:
        """Print a line of where every unfinished task stands now; of the last one where all are finished."""
        tasks = [task for task in self.tasks if not task.finished] or self.tasks[-1:]
        begun = [task for task in tasks if task.completed > task.fields["first"]] or tasks[:1]
        if begun:
            line = "; ".join(map(told, begun))
            self.console.print(self._prefix + line, highlight=False, soft_wrap=True)

    def _tell(self) -> None:
        while not self._over.wait(EVERY):
            try:
                self.say()
            except (OSError, ValueError):  # a full disk or a closed file ends the lines, not the run
                return


def told(task: Task) -> str:
    """Where a task stands, in words (with markup)."""
    count = f"{int(task.completed):,}" + ("" if task.total is None else f"/{int(task.total):,}")
    elapsed, left = task.elapsed or 0.0, None
    done = task.completed - task.fields["first"]
    if task.total is not None and done > 0:
        left = (task.total - task.completed) * elapsed / done
    times = f"{_clock(elapsed)} elapsed" + (f", {_clock(left)} left" if left else "")
    parts = (f"{task.description} {count}", rate(task), task.fields["note"], times)
    return "  ".join(part for part in parts if part)


def rate(task: Task) -> str:
    """The mean rate of a task since it began here, by the second or the minute; "" before its first result."""
    done, elapsed = task.completed - task.fields["first"], task.elapsed
    if done <= 0 or not elapsed:
        return ""
    return f"{done / elapsed:.1f}/s" if done >= elapsed else f"{60 * done / elapsed:.1f}/min"


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))


def bars(shown: bool = True, console: Console | None = None) -> Bars:
    """Progress, by default on standard error: bars where that is a terminal, lines where it is not."""
    if console is None:
        return Bars(Console(stderr=True), shown, sys.stderr.isatty(), prefix="ranker: ")
    return Bars(console, shown, console.is_terminal)


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values, in which nothing is taken for markup; rows without a value are left out."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value:
            table.add_row(Text(name, style="dim"), Text(value))
    return table


def figures(*heads: str, title: str | None = None, box: Box | None = SIMPLE_HEAD) -> Table:
    """A table with a folded first column of names and right-aligned columns of numbers."""
    padding = (0, 2, 0, 0) if box is None else (0, 1, 0, 0)
    table = Table(title=title, title_justify="left", title_style="bold", box=box, padding=padding)
    table.add_column(heads[0], overflow="fold", min_width=12)
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    return table
