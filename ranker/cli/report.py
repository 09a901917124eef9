"""`ranker report`: regenerate a folder's page."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.runtime.outputs import check_outputs


def report(
    folder: Annotated[
        Path, typer.Argument(help="What `ranker bench`, `ranker audit` or `ranker train` wrote into --out.")
    ],
) -> None:
    """Regenerate report.html of a benchmark, audit.html of an audit, or curves.png of a training run, from the results in its
    folder. No judge is called.

    [bold]ranker report bench[/bold]
    """
    print(make(folder))


def make(folder: Path) -> Path:
    """Write the page or figure of what the folder holds; returns its path.

    Raises:
        ConfigurationError: the folder holds no results of Ranker's, or they are incomplete.
    """
    if (folder / "results.json").exists():
        from ranker.bench.report import write_report

        page: Path = write_report(folder)
        return page
    if (folder / "audit.json").exists():
        from ranker.audit import report as audits

        return audits.write_page(folder, *audits.read(folder))
    if (folder / "metrics.jsonl").exists():
        return _curves(folder)
    what = "holds no results.json, audit.json or metrics.jsonl" if folder.is_dir() else "is not a folder"
    raise ConfigurationError(
        f"{folder} {what}. Name the --out folder of `ranker bench`, `ranker audit` or `ranker train`; a benchmark "
        "that was stopped writes its results once the same command has finished."
    )


def _curves(folder: Path) -> Path:
    try:
        from grpo.runs.plot import drawable, plot
    except ImportError as error:
        raise ConfigurationError(f"A run's curves need more ({error}): {install('train')}.") from None
    path = folder / "curves.png"
    check_outputs({"curves.png": path}, [folder / "metrics.jsonl"])
    try:
        drawn = plot(_metrics(folder / "metrics.jsonl", drawable), path, folder.resolve().name)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
    if not drawn:
        raise ConfigurationError(
            f"No curves: {folder / 'metrics.jsonl'} holds no finished step, or matplotlib is missing "
            f"({install('bench')})."
        )
    return path


def _metrics(path: Path, is_step: Callable[[Any], bool]) -> list[dict[str, Any]]:
    """The steps of a run; an incomplete last line, of a run in progress, is left out."""
    steps = []
    for number, raw in enumerate(path.read_bytes().splitlines(keepends=True), start=1):
        if not raw.endswith(b"\n"):
            break
        try:
            step = json.loads(raw)
        except (ValueError, RecursionError):
            step = None
        if not is_step(step):
            raise ConfigurationError(f"{path}, line {number}, is not a step of `ranker train`.")
        steps.append(step)
    return steps
