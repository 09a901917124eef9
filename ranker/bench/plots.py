"""The figures of `report.html`."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ranker.bench.reading import Bin, Cell
from ranker.pages import figures, money
from ranker.pages.figures import Drawing
from ranker.statistics import Estimate

_GAPS = {
    "by_truth_gap": "difference in ground truth",
    "by_rank_gap": "distance in the ranking",
}


@dataclass(frozen=True, slots=True)
class Style:
    """A judge's style in all figures; simulated judges are grey and hollow.

    Attributes:
        marker: of matplotlib.
        glyph: the marker as a character, for the page's legend.
    """

    colour: str
    marker: str
    glyph: str
    hollow: bool = False


Styles = Mapping[str, Style]


def styles_of(real: Sequence[str], simulated: Sequence[str]) -> dict[str, Style]:
    """A style for each judge; the combination of colour and marker repeats after 8 x 8 judges."""
    colours, markers = figures.COLOURS, figures.MARKERS
    styles = {
        name: Style(colours[i % 8], *markers[(i + i // 8) % 8]) for i, name in enumerate(real)
    }  # fmt: skip
    return styles | {name: Style(figures.FAINT, *markers[i % 8], True) for i, name in enumerate(simulated)}


def of_suites(suites: Mapping[str, Sequence[Cell]], styles: Styles) -> dict[str, dict[str, Drawing | None]]:
    """The figures of each suite by name; if there are real judges, simulated ones appear only in the accuracy figure."""
    drawn = {}
    for suite, cells in suites.items():
        real = [c for c in cells if not c.simulated]
        drawn[suite] = {
            "accuracy": accuracy(cells, styles),
            "cost": against(real, styles, "cost"),
            "seconds": against(real, styles, "seconds"),
            "by_truth_gap": reliability(real or cells, styles, "by_truth_gap"),
            "by_rank_gap": reliability(real or cells, styles, "by_rank_gap"),
        }
    return drawn


def accuracy(cells: Sequence[Cell], styles: Styles) -> Drawing | None:
    """Pairwise accuracy of each judge on one suite, the best on top, with intervals and chance level."""
    rows = [(c, e) for c in cells if (e := c.accuracy).value is not None]
    if not rows:
        return None

    def draw(axes: Any) -> None:
        for y, (cell, e) in enumerate(rows):
            _point(axes, e.value, y, styles[cell.judge], xerr=figures.reach(e))
        axes.axvline(0.5, color=figures.INK, linewidth=1, linestyle="--", zorder=1)
        axes.set_yticks(range(len(rows)), [short(c.label) for c, _ in rows], fontsize=8)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(min(0.25, *(_low(e) - 0.03 for _, e in rows)), 1.03)
        axes.set_xlabel("share of pairs in the right order")
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)

    values = "; ".join(f"{c.label} {e:.2f}" for c, e in rows)
    return Drawing(f"Pairwise accuracy with 95 % intervals: {values}.", draw, 0.85 + 0.32 * len(rows))


def against(cells: Sequence[Cell], styles: Styles, of: Literal["cost", "seconds"]) -> Drawing | None:
    """Accuracy against a judge's cost or time, on a logarithmic axis; free judges are at its left edge.

    None if all judges are free, or none is known.
    """
    points = [
        (c, x, e) for c in cells if (e := c.accuracy).value is not None and (x := getattr(c, of)) is not None
    ]
    known = [x for _, x, _ in points if x > 0]
    if not known:
        return None
    low, high = min(known) / 2.5, max(known) * 2.5
    free = low / 3 if len(known) < len(points) else None
    unit, say = ("$ for 1,000 groups", money) if of == "cost" else ("seconds per group", "{:.3g}".format)

    def draw(axes: Any) -> None:
        for cell, x, e in points:
            _point(axes, x or free, e.value, styles[cell.judge], yerr=figures.reach(e))
        axes.set_xscale("log")
        axes.set_xlim(free / 2 if free else low, high)
        ticks = _ticks(low, high)
        axes.set_xticks([*([free] if free else []), *ticks], [*(["free"] if free else []), *map(say, ticks)])
        axes.minorticks_off()
        axes.axhline(0.5, color=figures.INK, linewidth=1, linestyle="--", zorder=1)
        axes.set_ylim(min(0.4, *(_low(e) - 0.03 for _, _, e in points)), 1.03)
        axes.set_xlabel(unit)
        axes.set_ylabel("pairwise accuracy")

    values = "; ".join(f"{c.label} {e:.2f} at {say(x) if x else 'free'}" for c, x, e in points)
    return Drawing(f"Pairwise accuracy against {unit}: {values}.", draw, 2.7)


def reliability(
    cells: Sequence[Cell], styles: Styles, gap: Literal["by_truth_gap", "by_rank_gap"]
) -> Drawing | None:
    """Accuracy by the distance of a pair, a line for each judge."""
    lines: list[tuple[Cell, list[Bin]]] = [
        (c, [b for b in c.reliability.get(gap, ()) if b.high > 0 and b.accuracy.value is not None])
        for c in cells
    ]
    lines = [(c, bins) for c, bins in lines if bins]
    edges = sorted({(b.low, b.high) for _, bins in lines for b in bins})
    if not edges:
        return None

    def draw(axes: Any) -> None:
        step = min(0.12, 0.6 / len(lines))
        for i, (cell, bins) in enumerate(lines):
            style = styles[cell.judge]
            xs = [edges.index((b.low, b.high)) + (i - (len(lines) - 1) / 2) * step for b in bins]
            axes.plot(xs, [b.accuracy.value for b in bins], color=style.colour, linewidth=1.4, zorder=2)
            for x, b in zip(xs, bins, strict=True):
                _point(axes, x, b.accuracy.value, style, yerr=figures.reach(b.accuracy))
        axes.axhline(0.5, color=figures.INK, linewidth=1, linestyle="--", zorder=1)
        axes.set_xticks(range(len(edges)), [f"{low:g}–{high:g}" for low, high in edges])
        axes.set_xlim(-0.6, len(edges) - 0.4)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(_GAPS[gap])
        axes.set_ylabel("pairwise accuracy")
        axes.grid(visible=False, axis="x")

    values = "; ".join(
        f"{c.label} " + ", ".join(f"{b.low:g} to {b.high:g}: {b.accuracy:.2f}, {b.pairs} pairs" for b in bins)
        for c, bins in lines
    )
    return Drawing(f"Pairwise accuracy by {_GAPS[gap]}: {values}.", draw, 2.6)


def short(text: str, most: int = 40) -> str:
    """A name beside an axis: on two lines, the middle of a very long one omitted."""
    return textwrap.fill(text if len(text) <= most else f"{text[: most - 10]}…{text[-9:]}", most // 2)


def _point(axes: Any, x: Any, y: Any, style: Style, **reach: Any) -> None:
    hollow = {"markerfacecolor": "white", "markeredgewidth": 1.3} if style.hollow else {}
    look = {"color": style.colour, "marker": style.marker, "linewidth": 1.6, "linestyle": "none", "zorder": 3}
    axes.errorbar(x, y, **reach, **look, **hollow)


def _low(e: Estimate) -> float:
    return e.low if e.low is not None else e.value or 0.0


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, at most six."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        ticks = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(ticks) <= 6:
            break
    return ticks[:: math.ceil(len(ticks) / 6)]
