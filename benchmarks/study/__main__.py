"""`python -m benchmarks.study`, which `make study` runs."""

from __future__ import annotations

import logging
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks.study.command import study
from ranker.errors import ConfigurationError


def main(
    out: Annotated[Path, typer.Option(help="Folder for runs, results, figures and the page.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of each arm; the same ones for all.")] = 5,
    workers: Annotated[int, typer.Option(min=1, help="Processes; each uses one core.")] = 2,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="ARM", help="Only this arm or family of arms (noise, passes …); repeatable."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of each run.")] = 60,
) -> None:
    """Train the same small agent with the ground truth and with judges of every quality and kind of error.

    Some 340 short runs, about an hour on two cores. Interrupted, the same command continues where it stopped.
    Writes runs.jsonl, study.json, figures and study.html.
    """
    logging.basicConfig(level=logging.WARNING, format="ranker: %(message)s")
    names = only or []
    words = ["python", "-m", "benchmarks.study", "--seeds", str(seeds), "--steps", str(steps)]
    words += [word for name in names for word in ("--only", name)]
    try:
        complete = study(out, seeds, workers, names, steps, Console(), shlex.join(words))
    except ConfigurationError as error:
        print(f"ranker: {error}", file=sys.stderr)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        print("ranker: interrupted; the same command continues from here.", file=sys.stderr)
        raise typer.Exit(130) from None
    if not complete:
        raise typer.Exit(1)


if __name__ == "__main__":
    typer.run(main)
