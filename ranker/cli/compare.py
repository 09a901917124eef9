"""`ranker compare`: is a cheap judge good enough?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def compare(
    results: Annotated[Path, typer.Argument(help="A folder that ranker bench wrote, or its results.json.")],
    cheap: Annotated[str, typer.Option(help="The cheap judge, by its name in the results.")],
    strong: Annotated[str, typer.Option(help="The judge to compare it with.")],
    margin: Annotated[float, typer.Option(help="Acceptable loss of pairwise accuracy.")] = 0.03,
) -> None:
    """Test whether a cheap judge is good enough, or how many more groups would decide it.

    [bold]ranker compare bench --cheap local --strong openai/gpt-5-mini[/bold]
    """
    from rich.console import Console
    from rich.markup import escape

    from ranker.bench import compare as work
    from ranker.runtime.terminal import figures

    comparisons = work.compare(work.read_results(results), cheap, strong, margin)
    console = Console(emoji=False)
    table = figures("suite", "groups", escape(cheap), escape(strong), "loss (95 % interval)")
    for one in comparisons:
        row = (f"{one.groups:,}", f"{one.cheap:.3f}", f"{one.strong:.3f}", f"{one.loss:.3f}")
        table.add_row(escape(one.suite), *row)
    console.print(table)
    for one in comparisons:
        text = f"{one.suite}: {one.sentence(cheap, strong, margin)}"
        console.print(text, highlight=False, markup=False, soft_wrap=True)
