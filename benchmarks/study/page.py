"""The study on one page: answers, pictures, the table, what was done. It holds everything; it loads nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from benchmarks.study.plan import FAMILIES
from benchmarks.study.statistics import read_estimate
from benchmarks.study.words import told

Study = Mapping[str, Any]
COLUMNS = (
    "arm",
    "judge's accuracy",
    "in training",
    "final true reward",
    "recovery",
    "steps to 90 %",
    "KL",
    "judge calls",
    "runs",
)
_OTHER = {"relations": ("beta", "temperature", "learning-rate"), "recovery": ("recovery", "curves")}


def rows(study: Study) -> list[list[str]]:
    """The table's cells, an arm a row."""
    return [[a["name"], *_cells(a)] for a in study["arms"]]


def _cells(arm: Mapping[str, Any]) -> list[str]:
    steps = arm["steps_to_90"]
    median = "never" if steps["median"] is None else f"{steps['median']:g}"
    count = f"{median} ({steps['reached']}/{steps['of']})" if steps["of"] else "–"
    calls = arm["judge_calls"]
    return [
        "–" if arm["accuracy"]["value"] is None else f"{arm['accuracy']['value']:.3f}",
        "–" if arm["accuracy_in_training"] is None else f"{arm['accuracy_in_training']['value']:.3f}",
        _told(arm["final"], 3),
        _told(arm["recovery"]),
        count,
        "–" if arm["kl"] is None else f"{arm['kl']['value']:.3f}",
        "–" if calls is None else f"{calls['value']:,.0f}",
        f"{arm['runs']}" + (f", {arm['failed']} failed" if arm["failed"] else ""),
    ]


def _told(estimate: Mapping[str, Any] | None, digits: int = 2) -> str:
    if estimate is None:
        return "–"
    return (
        f"{estimate['value']:.{digits}f}"
        if estimate["low"] is None
        else told(read_estimate(estimate), digits)
    )


def markdown(study: Study) -> str:
    """The answers and the table as Markdown, for the documentation."""
    lines: list[str] = []
    for answer in study["answers"]:
        lines += [f"**{answer['question']}** {_capital(answer['verdict'])}.", ""]
        lines += [f"* {sentence}" for sentence in answer["sentences"]] + [""]
    lines += ["| " + " | ".join(COLUMNS) + " |", "| --- " * len(COLUMNS) + "|"]
    lines += ["| " + " | ".join(cells) + " |" for cells in rows(study)]
    return "\n".join(lines) + "\n"


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def page(study: Study, drawn: Mapping[str, str]) -> str:
    """The page.

    Args:
        drawn: pictures as SVG, by name.
    """
    from jinja2 import Environment, StrictUndefined
    from markupsafe import Markup

    from benchmarks.study.template import TEMPLATE

    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["capital"] = _capital
    answers = [
        {
            **answer,
            "pictures": [
                Markup(drawn[n]) for n in _OTHER.get(answer["picture"], (answer["picture"],)) if n in drawn
            ],
        }
        for answer in study["answers"]
    ]
    kinds = [(name, FAMILIES[name]) for name in dict.fromkeys(a["family"] for a in study["arms"])]
    start = None if study["start"] is None else f"{study['start']['value']:.3f}"
    return environment.from_string(TEMPLATE).render(
        study=study, answers=answers, columns=COLUMNS, rows=rows(study), kinds=kinds, start=start
    )


if __name__ == "__main__":  # python -m benchmarks.study.page study.json: the table for the documentation
    import json
    import sys
    from pathlib import Path

    sys.stdout.write(markdown(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))))
