"""`report.html`: a readable page of the results in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ranker import pages
from ranker.bench import plots
from ranker.bench.reading import Results, read_disagreements, read_results
from ranker.pages import figures

MOST_BYTES = 2_900_000


def write_report(folder: Path) -> Path:
    """Write `report.html` beside `results.json` and `disagreements.jsonl`, from these two files only.

    Raises:
        ConfigurationError: they are missing, incomplete or something else, or the page cannot be written.
    """
    results = read_results(folder / "results.json")
    groups = read_disagreements(folder / "disagreements.jsonl", results)
    path = folder / "report.html"
    pages.write(path, page(results, groups).encode())
    return path


def page(results: Results, groups: Sequence[Mapping[str, Any]]) -> str:
    """The whole page, with as many of the groups, in order, as keep it under `MOST_BYTES`."""
    env = pages.environment(Path(__file__).parent)
    one = env.get_template("group.html.j2")
    template = env.get_template("report.html.j2")
    kinds = {c.judge: c.simulated for c in results.cells}
    marks = plots.styles_of([j for j, s in kinds.items() if not s], [j for j, s in kinds.items() if s])
    context = {
        "results": results, "suites": results.by_suite, "labels": results.suite_labels,
        "differences": results.by_pair, "kinds": kinds, "marks": marks, "total": len(groups),
        "figures": plots.of_suites(results.by_suite, marks) if figures.available() else None,
    }  # fmt: skip
    room = MOST_BYTES - len(template.render(context, shown=[]).encode())
    shown = []
    for group in groups:
        text = one.render(g=group)
        if len(text.encode()) <= room:
            room -= len(text.encode())
            shown.append(Markup(text))
    return template.render(context, shown=shown)
