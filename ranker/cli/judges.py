"""`ranker judges`: what is known of judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ranker.cli.judge_options import option
from ranker.errors import ConfigurationError


def judges(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Further records, written by ranker bench --publish. They go before packaged ones."
        ),
    ] = None,
    suites: Annotated[list[str] | None, option("Only this suite. Repeatable.", None, "--suite")] = None,
) -> None:
    """Show the judges on record: accuracy, biases, effect of attacks, seconds and dollars on each suite.

    What others measured says what a judge can do, not what it does on your groups: ranker recommend measures that.

    [bold]ranker judges --suite humaneval-samples[/bold]
    """
    from rich.console import Console

    from ranker.bench.records import FILE, newest, read_judges
    from ranker.bench.records_text import MEANING, tables

    records = newest(record for file in (FILE, *(files or ())) for record in read_judges(file))
    known = list(dict.fromkeys(record.suite for record in records))
    wrong = [name for name in suites or () if name not in known]
    if wrong:
        raise ConfigurationError(
            f"No judge is on record for {', '.join(wrong)}; there are {', '.join(known)}."
        )
    some = [record for record in records if not suites or record.suite in suites]
    console = Console(emoji=False)
    console.print(*tables(some), MEANING, sep="\n", highlight=False)
