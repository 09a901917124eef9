"""What the study of the watch leaves for people: its page, its figures as PNGs, and its tables for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.harness import Json
from benchmarks.study.page import write_with
from benchmarks.watch import plots
from benchmarks.watch.plan import BOUND, EXPLOITED, SHARE, Setting
from benchmarks.watch.plots import estimate
from ranker import pages
from ranker.pages.figures import Drawing

Figures = Mapping[str, Any]
WAYS = {
    "": "more early, by the square root",
    "signs": "half wait for a free sign",
    "suspicion": "half wait for suspicion",
}
POWERS = {0.0: "early and late alike", 0.75: "yet more early (power 0.75)", 0.9: "yet more early (power 0.9)"}


def write(figures: Figures, folder: Path) -> Path:
    """Write `watch.html` and the figures.

    Raises:
        ConfigurationError: the page cannot be written.
    """
    drawings = plots.drawings(figures)
    return write_with(drawings, folder / "watch.html", page(figures, drawings))


def page(figures: Figures, drawings: Mapping[str, Drawing]) -> str:
    """The page; it holds everything and loads nothing."""
    template = pages.environment(Path(__file__).parent).get_template("watch.html.j2")
    return template.render(
        study=figures,
        drawings=drawings,
        main=setting(figures),
        by_share=[s for s in figures["settings"] if s["setting"]["min_agreement"] == BOUND and not s["setting"]["ranking"]],
        by_bound=[s for s in figures["settings"] if s["setting"]["share"] == SHARE and s["setting"]["auditor"] == 1 and not s["setting"]["ranking"]],
        ranking=setting(figures, ranking=True),
        every=setting(figures, share=1.0),
        way=way,
        named=plots.named,
        chosen=chosen(figures),
        default=row(figures, Setting()),
        plain=row(figures, Setting(min_agreement=figures["chosen"]["min_agreement"])),
        exploited=EXPLOITED,
    )  # fmt: skip


def setting(figures: Figures, **of: Any) -> Json:
    """The summary of a setting that the study asks about; the main one, but for what is named."""
    wanted = {"share": SHARE, "auditor": 1.0, "min_agreement": BOUND, "ranking": False, "equals": False, **of}
    found = (s for s in figures["settings"] if all(s["setting"][k] == v for k, v in wanted.items()))
    return dict(next(found))


def chosen(figures: Figures) -> Json:
    """The row of the choice among other ways to spend the audits."""
    return dict(next(r for r in figures["tried"] if r["setting"] == figures["chosen"]))


def row(figures: Figures, of: Setting) -> Json:
    """The row of a setting among them."""
    return dict(next(r for r in figures["tried"] if r["setting"] == asdict(of)))


def way(of: Mapping[str, Any]) -> str:
    """How a setting spends its audits, in words."""
    return POWERS[of["power"]] if of["power"] in POWERS else WAYS[of["waiting"]]


def tables(figures: Figures) -> Iterator[Table]:
    """In Markdown: the documentation takes them from the screen."""
    yield _by_setting(figures)
    yield _by_arm(figures)
    yield _tried(figures)
    yield _dollars(figures)


def _by_setting(figures: Figures) -> Table:
    rows = _table(
        "audited", "auditor", "in time, of runs that lost a quarter", "in time or nothing lost", "any alarm",
        "false alarms", "true reward lost at the alarm",
    )  # fmt: skip
    for s in figures["settings"]:
        of = s["setting"]
        if of["min_agreement"] == BOUND and not of["ranking"]:
            rows.add_row(
                f"{of['share']:.0%}", plots.named(of["auditor"], of["equals"]),
                *(f"{estimate(s[name]):.2f}" for name in ("in_time", "safe", "alarmed", "false")),
                f"{estimate(s['where_alarmed']['lost_at_alarm']):.2f}",
            )  # fmt: skip
    return rows


def _by_arm(figures: Figures) -> Table:
    rows = _table(
        "judge", "agreement, steps 1 to 5", "true reward at best → at the end", "a quarter lost at step", "any alarm",
        "in time", "alarm at step", "after audits",
    )  # fmt: skip
    for a in figures["arms"]:
        rows.add_row(
            a["name"],
            _value(a["agreement_at_start"]),
            f"{_value(a['best'])} → {_value(a['final'])}",
            ", ".join("–" if step is None else str(step) for step in a["lost"]),
            _value(a["alarmed"]),
            _value(a["in_time"]),
            *("–" if a[name] is None else f"{a[name]:g}" for name in ("alarm_step", "audits_to_alarm")),
        )
    return rows


def _tried(figures: Figures) -> Table:
    rows = _table(
        "bound", "schedule", "audited", "in time, seeds 5–7", "false", "in time, seeds 8–9", "false"
    )
    for row in figures["tried"]:
        each = [row[name] for name in ("choosing", "confirming")]
        rows.add_row(
            f"{row['setting']['min_agreement']:g}", way(row["setting"]), pages.num(estimate(each[0]["audited_share"]).value, ".1%"),
            *(_value(one[name]) for one in each for name in ("in_time", "false")),
        )  # fmt: skip
    return rows


def _dollars(figures: Figures) -> Table:
    rows = _table("groups of", "tokens of a prompt", "judge", *(f"{s:.0%} audited" for s in _shares(figures)))
    for kind, its in figures["tokens"].items():
        for model in dict.fromkeys(d["model"] for d in figures["dollars"]):
            costs = [d for d in figures["dollars"] if d["of"] == kind and d["model"] == model]
            rows.add_row(kind, f"{its['prompt']:,.0f}", model, *(f"${d['usd']:.2f}" for d in costs))
    return rows


def _shares(figures: Figures) -> list[float]:
    return list(dict.fromkeys(d["share"] for d in figures["dollars"]))


def _table(*heads: str) -> Table:
    return Table(*heads, box=box.MARKDOWN)


def _value(of: Any) -> str:
    return pages.num(estimate(of).value)
