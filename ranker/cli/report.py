"""`ranker report`: the page of a folder, made anew."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from ranker.errors import ConfigurationError


def report(
    folder: Annotated[
        Path, typer.Argument(help="What `ranker bench`, `ranker study` or `ranker train` wrote into --out.")
    ],
) -> None:
    """Make a folder's page or picture anew from its figures: report.html of a benchmark or a study, curves.png of a
    training run. Nothing is asked and nothing else is changed.

    [bold]ranker report bench[/bold]
    """
    print(make(folder))


def make(folder: Path) -> Path:
    """The page or picture of what the folder holds, and where it was written.

    Raises:
        ConfigurationError: the folder holds nothing of Ranker's, or its files are torn.
    """
    if (folder / "study.json").exists():
        from benchmarks.study.page import write_page

        return Path(write_page(folder))
    if (folder / "results.json").exists():
        from ranker.bench.report import write_report

        page: Path = write_report(folder)
        return page
    if (folder / "metrics.jsonl").exists():
        return _curves(folder)
    what = "holds no results.json, study.json or metrics.jsonl" if folder.is_dir() else "is no folder"
    raise ConfigurationError(
        f"{folder} {what}. Name the --out folder of `ranker bench`, `ranker study` or `ranker train`; a benchmark "
        "that was stopped writes its results when the same command has run to its end."
    )


def _curves(folder: Path) -> Path:
    try:
        from grpo.runs.plot import plot
    except ImportError as error:
        raise ConfigurationError(
            f"A run's curves need more ({error}): pip install 'ranker-rl[train]'."
        ) from None
    path = folder / "curves.png"
    try:
        drawn = plot(_metrics(folder / "metrics.jsonl"), path, folder.resolve().name)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    if not drawn:
        raise ConfigurationError(
            f"No curves: {folder / 'metrics.jsonl'} holds no finished step, or matplotlib is missing "
            "(pip install 'ranker-rl[bench]')."
        )
    return path


def _metrics(path: Path) -> list[dict[str, Any]]:
    """The steps of a run; of a run that goes on, a last line that is not whole yet is left out."""
    made = []
    for number, raw in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            break
        try:
            step = json.loads(raw)
            float(step["step"])
        except (ValueError, KeyError, TypeError):
            raise ConfigurationError(f"{path}, line {number}, is no step of `ranker train`.") from None
        made.append(step)
    return made
