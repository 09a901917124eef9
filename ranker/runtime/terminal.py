"""Progress bars and tables for a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from rich.box import SIMPLE_HEAD, Box
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table


def bars(shown: bool = True, console: Console | None = None) -> Progress:
    """Progress bars, by default on standard error where that is a terminal. Tasks have a field `note`."""
    if console is None:
        console, shown = Console(stderr=True), shown and sys.stderr.isatty()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not shown,
    )


def facts(rows: Iterable[tuple[str, str]]) -> Table:
    """A table of names and values; rows without a value are left out."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    for name, value in rows:
        if value:
            table.add_row(f"[dim]{name}[/dim]", value)
    return table


def figures(*heads: str, title: str | None = None, box: Box | None = SIMPLE_HEAD) -> Table:
    """A table with a folded first column of names and right-aligned columns of numbers."""
    padding = (0, 2, 0, 0) if box is None else (0, 1, 0, 0)
    table = Table(title=title, title_justify="left", title_style="bold", box=box, padding=padding)
    table.add_column(heads[0], overflow="fold", min_width=12)
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    return table
