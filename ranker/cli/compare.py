"""`ranker compare`: is the cheap judge good enough?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    results: Annotated[Path, typer.Argument(help="A folder that ranker bench wrote, or its results.json.")],
    cheap: Annotated[str, typer.Option(help="The judge in question, by the name it has in the results.")],
    strong: Annotated[str, typer.Option(help="The judge it is measured against.")],
    margin: Annotated[
        float, typer.Option(help="The loss of pairwise accuracy that would not matter to you.")
    ] = 0.03,
) -> None:
    """Say whether a cheap judge is good enough, or how many more groups would tell.

    [bold]ranker compare bench --cheap local --strong openai/gpt-5-mini[/bold]
    """
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from ranker.bench import compare as work

    found = work.compare(work.read_results(results), cheap, strong, margin)
    console = Console()
    table = Table("suite", "groups", escape(cheap), escape(strong), "loss (95 % interval)")
    table.columns[0].overflow = "fold"
    for one in found:
        table.add_row(
            escape(one.suite), f"{one.groups:,}", f"{one.cheap:.3f}", f"{one.strong:.3f}", f"{one.loss:.3f}"
        )
    console.print(table)
    for one in found:
        console.print(
            f"{one.suite}: {one.told(cheap, strong, margin)}", highlight=False, markup=False, soft_wrap=True
        )
