"""What a study leaves for people: its page, its figures as PNGs, and its table of arms."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.study import plots
from benchmarks.study.plan import FAMILIES
from ranker import pages
from ranker.pages.figures import Drawing

Study = Mapping[str, Any]


def write(study: Study, folder: Path) -> Path:
    """Write `study.html` and the figures.

    Raises:
        ConfigurationError: the page cannot be written.
    """
    drawings = plots.drawings(study)
    return write_with(drawings, folder / "study.html", page(study, drawings))


def write_with(drawings: Mapping[str, Drawing], path: Path, text: str) -> Path:
    """Write a page, and its figures beside it.

    Raises:
        ConfigurationError: the page cannot be written.
    """
    for name, drawing in drawings.items():
        (path.parent / f"{name}.png").write_bytes(drawing.png())
    pages.write(path, text.encode())
    return path


def page(study: Study, drawings: Mapping[str, Drawing]) -> str:
    """The page; it holds everything and loads nothing."""
    template = pages.environment(Path(__file__).parent).get_template("study.html.j2")
    kinds = [(name, FAMILIES[name]) for name in dict.fromkeys(a["family"] for a in study["arms"])]
    arms = {a["name"]: a for a in study["arms"]}
    return template.render(study=study, arms=arms, drawings=drawings, kinds=kinds)


def table(study: Study) -> Table:
    """An arm a row, in Markdown: the documentation takes it from the screen."""
    heads = ("arm", "judge's accuracy", "final true reward", "recovery", "steps to 90 %", "judge calls")
    rows = Table(*heads, box=box.MARKDOWN)
    for a in study["arms"]:
        steps = a["steps_to_90"]
        median = "never" if steps["median"] is None else f"{steps['median']:g}"
        rows.add_row(
            a["name"],
            pages.num(a["accuracy"].value, ".3f"),
            f"{a['final']:.3f}",
            f"{a['recovery']:.2f}",
            f"{median} ({steps['reached']}/{steps['of']})" if steps["of"] else "–",
            pages.num(a["judge_calls"].value, ",.0f"),
        )
    return rows
