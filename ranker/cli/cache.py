"""`ranker cache`: the judges' replies on disk."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from ranker.runtime.cache import open_cache

app = typer.Typer(
    invoke_without_command=True,
    help="Cached replies, so that no verdict is paid for twice: show and clear them.",
)


@app.callback()
def show(context: typer.Context) -> None:
    """Show the location and contents of the cache."""
    if context.invoked_subcommand is not None:
        return
    cache = open_cache()
    if cache is None:
        print("The cache is off ($RANKER_CACHE).")
        return
    summary = cache.summary()
    table = Table("judge", "replies", box=None, padding=(0, 2, 0, 0))
    for judge, count in summary.replies.items():
        table.add_row(Text(judge), str(count))
    console = Console(markup=False, emoji=False)
    if summary.replies:
        console.print(table)
    total = sum(summary.replies.values())
    console.print(
        f"{total} replies, {summary.bytes / 1e6:.1f} MB in {summary.path}", soft_wrap=True, highlight=False
    )


@app.command("clear")
def clear(
    judge: Annotated[str | None, typer.Option(help="Only the replies of this judge.")] = None,
) -> None:
    """Delete cached replies."""
    cache = open_cache()
    print("The cache is off." if cache is None else f"{cache.clear(judge)} replies deleted")
