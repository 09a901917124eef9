"""`ranker init`: the files of a training run to start from."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer

from ranker.starter import FILES, write_starter


def init(
    folder: Annotated[Path, typer.Argument(help="Where to write; made where it is missing.")] = Path(),
) -> None:
    """Write a training run to start from: an agent with a tool, ten tasks, a config, and some attempts to rank.

    Nothing is overwritten. Its README.md says what to run next and what to replace.

    [bold]ranker init my-agent[/bold]
    """
    write_starter(folder)
    inside = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    print(
        f"Wrote {', '.join(FILES)} into {folder}.\n"
        f"Next: {inside}ranker rank groups.jsonl --judge local --out ranked.jsonl\n"
        "Then: ranker train config.toml --out run"
    )
