"""`ranker study`: one policy trained under judges of every quality."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console


def study(
    out: Annotated[Path, typer.Option(help="Folder for runs, figures, pictures and the page.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each arm; the same ones for all.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each uses one core.")] = 2,
    only: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARM", help="Only this kind of arm (noise, passes …) or arm; can be given often."
        ),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of each run.")] = 60,
) -> None:
    """Train the same small agent under the truth and under judges of every quality and kind of error.

    Some 340 short runs, about an hour on two cores. Interrupted, the same command goes on where it stopped.
    Writes runs.jsonl, study.json, pictures and study.html.
    """
    from benchmarks.study.command import study as start

    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    chosen = only or []
    told = ["ranker", "study", "--seeds", str(seeds), "--steps", str(steps)]
    told += [word for name in chosen for word in ("--only", name)]
    try:
        whole = start(out, seeds, workers, chosen, steps, Console(), shlex.join(told))
    except KeyboardInterrupt:
        print("ranker: interrupted; the same command goes on from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    if not whole:
        raise typer.Exit(1)
