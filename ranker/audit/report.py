"""An audit as a table for the terminal, and as a page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from rich.markup import escape
from rich.table import Table

from ranker import pages
from ranker.audit.certificate import Prediction
from ranker.audit.findings import findings, what
from ranker.audit.result import AuditResult
from ranker.errors import ConfigurationError
from ranker.pages import figures as drawings
from ranker.pages.figures import Drawing
from ranker.runtime.outputs import make_folder
from ranker.runtime.terminal import figures
from ranker.statistics import Estimate

DATA = "audit.json"
NOTE = (
    "places: how many the edited copy stands above its original (± to the farther end of its 95 % interval). control: the same "
    "for an innocent text of equal length. effect: beyond the control. wins: how often the copy stands above its original. "
    "*: it lifts, and more than its control, for all edits together (5 %). worse: the edit can only make an attempt worse."
)


def table(audit: AuditResult) -> Table:
    """A row for each edit; fits 80 columns."""
    shown = figures("edit", "worth", "n", "places", "control", "effect", "wins")
    for lift in audit.lifts:
        shown.add_row(
            escape(lift.edit),
            lift.worth,
            str(lift.trials),
            _short(lift.places),
            "–" if lift.control.value is None else f"{lift.control.value:.1f}",
            f"[red]{_short(lift.effect)} *[/red]" if lift.flagged else _short(lift.effect),
            "–" if lift.wins.value is None else f"{lift.wins.value:.2f}",
        )
    return shown


def _short(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    reach = "" if estimate.reach is None else f" ±{estimate.reach:.1f}"
    return f"{estimate.value:.1f}{reach}"


def said(prediction: Prediction) -> str:
    """A prediction in a sentence."""
    recovery, percent = prediction.recovery, round(100 * prediction.captured)
    text = (
        f"A policy trained on this judge is likely to keep {recovery.value:.2f} of the gain that the ground truth would "
        f"bring (90 % interval {recovery.low:.2f} to {recovery.high:.2f}; below 0 it gets worse than it was)."
    )
    if prediction.edit is not None and percent:
        text += f" That it learns to exploit the judge with {what(prediction.edit)} or the like has a probability of {percent} %."
    return text


def write(folder: Path, audit: AuditResult, prediction: Prediction | None = None) -> tuple[Path, Path]:
    """Write `audit.json` and `audit.html`.

    Raises:
        ConfigurationError: they cannot be written; old ones are still there.
    """
    make_folder(folder)
    data = folder / DATA
    record = (
        audit.to_dict() if prediction is None else {**audit.to_dict(), "prediction": prediction.to_dict()}
    )
    pages.write(data, (json.dumps(record, indent=1) + "\n").encode())
    return data, write_page(folder, audit, prediction)


def read(folder: Path) -> tuple[AuditResult, Prediction | None]:
    """What `write` wrote.

    Raises:
        ConfigurationError: `audit.json` is missing, incomplete, or something else.
    """
    path = folder / DATA
    try:
        record = json.loads(path.read_bytes())
        prediction = record.get("prediction")
        return (
            TypeAdapter(AuditResult).validate_python(record),
            None if prediction is None else TypeAdapter(Prediction).validate_python(prediction),
        )
    except OSError as error:
        fault = error.strerror or str(error)
    except ValidationError as error:
        first = error.errors()[0]
        fault = f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    except (ValueError, RecursionError, AttributeError) as error:
        fault = str(error)
    raise ConfigurationError(
        f"{path} is not what `ranker audit` writes ({fault}). Run the same `ranker audit` again: what it asked is in the cache."
    )


def write_page(folder: Path, audit: AuditResult, prediction: Prediction | None) -> Path:
    """Write `audit.html`.

    Raises:
        ConfigurationError: it cannot be written; an old one is still there.
    """
    page = folder / "audit.html"
    template = pages.environment(Path(__file__).parent).get_template("audit.html.j2")
    text = template.render(
        audit=audit, findings=findings(audit), what=what, plot=_plot(audit), prediction=prediction, said=said
    )
    pages.write(page, text.encode())
    return page


def _plot(audit: AuditResult) -> Drawing | None:
    """The effects with their intervals, the largest on top; None without any, or without matplotlib."""
    rows = sorted((x for x in audit.lifts if x.effect.value is not None), key=lambda x: x.effect.value or 0.0)
    if not rows or not drawings.available():
        return None

    def draw(axes: Any) -> None:
        for y, lift in enumerate(rows):
            colour = drawings.COLOURS[1] if lift.flagged else drawings.COLOURS[0]
            axes.errorbar(
                lift.effect.value,
                y,
                xerr=drawings.reach(lift.effect),
                color=colour,
                marker="s" if lift.flagged else "o",
                linewidth=1.6,
            )
        axes.axvline(0.0, color=drawings.INK, linewidth=1, linestyle="--", zorder=1)
        axes.set_yticks(range(len(rows)), [lift.edit for lift in rows], fontsize=8)
        axes.set_xlabel("places gained beyond the control")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    values = "; ".join(f"{lift.edit} {lift.effect:.1f}" for lift in reversed(rows))
    return Drawing(f"Places gained by each edit: {values}.", draw, 0.9 + 0.26 * len(rows), 5.6)
