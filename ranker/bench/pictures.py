"""The pictures of `report.html`: small SVGs that stand inside the page and take its colours, light or dark."""

from __future__ import annotations

import io
import math
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from markupsafe import Markup

from ranker.bench.intervals import Estimate

COLOURS = 8
_MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))
_INK, _FAINT, _GRID, _PAPER, _SERIES = "#0000e0", "#0000e1", "#0000e2", "#0000e3", "#0000f{}"
# Colours that the drawing uses, and the page's own that take their place.
_PAGE = {
    _INK: "var(--ink)",
    _FAINT: "var(--faint)",
    _GRID: "var(--line)",
    _PAPER: "var(--page)",
    **{_SERIES.format(i): f"var(--c{i})" for i in range(COLOURS)},
}
_DROPPED = re.compile(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>|\A.*?<svg[^>]*>", re.DOTALL)
_TAG = re.compile(r"<[^<>]*>")
_NAMES = re.compile(r'( id="|href="#|url\(#)')
_WIDTH = 4.4


@dataclass(frozen=True, slots=True)
class Bin:
    """Accuracy on the pairs that are further apart than `low`, and at most `high`."""

    low: float
    high: float
    pairs: int
    accuracy: Estimate


@dataclass(frozen=True, slots=True)
class Cell:
    """One judge on one suite.

    Attributes:
        label: the judge's name without the address of its server, where that is still unique.
        cost: dollars for 1,000 groups; None where unknown.
    """

    judge: str
    suite: str
    label: str
    simulated: bool
    groups: int
    failed: int
    errors: Mapping[str, int]
    metrics: Mapping[str, Estimate]
    attacks: Mapping[str, Estimate]
    by_truth_gap: tuple[Bin, ...]
    by_rank_gap: tuple[Bin, ...]
    cost: float | None
    seconds: float | None

    @property
    def accuracy(self) -> Estimate:
        return self.metrics["pairwise_accuracy"]

    @property
    def needed(self) -> int | None:
        """About how many groups would make the interval of the accuracy ±0.05; None where it is not wider than
        0.2 in all."""
        e, judged = self.accuracy, self.groups - self.failed
        if e.low is None or e.high is None or e.high - e.low <= 0.2:
            return None
        return int(float(f"{judged * ((e.high - e.low) / 2 / 0.05) ** 2:.2g}"))


@dataclass(frozen=True, slots=True)
class Mark:
    """How a judge looks in every picture.

    Attributes:
        colour: number of a series, None for a simulated judge, which is grey.
        marker: of matplotlib.
        glyph: the marker as a character, for the page's legend.
    """

    colour: int | None
    marker: str
    glyph: str

    @property
    def drawn(self) -> str:
        return _FAINT if self.colour is None else _SERIES.format(self.colour)

    @property
    def css(self) -> str:
        return _PAGE[self.drawn]


Marks = Mapping[str, Mark]


def marks(real: Sequence[str], simulated: Sequence[str]) -> dict[str, Mark]:
    """A mark for each judge; colour and shape repeat only together, after 8 x 8 judges."""
    made = {}
    for i, name in enumerate(real):
        shift = i // COLOURS
        made[name] = Mark(i % COLOURS, *_MARKERS[(i + shift) % len(_MARKERS)])
    for i, name in enumerate(simulated):
        made[name] = Mark(None, *_MARKERS[i % len(_MARKERS)])
    return made


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def accuracy(name: str, cells: Sequence[Cell], styles: Marks) -> Markup | None:
    """Pairwise accuracy of each judge on one suite, the best on top, with intervals and the line of chance.

    `name` starts the ids inside the picture, and must differ from those of the page's other pictures.
    """
    rows = [(c, e) for c in cells if (e := c.accuracy).value is not None]
    if not rows:
        return None

    def draw(axes: Any) -> None:
        for y, (cell, e) in enumerate(rows):
            style = styles[cell.judge]
            _error(axes, e.value, y, style, xerr=_reach(e))
        axes.axvline(0.5, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_yticks(range(len(rows)), [short(c.label) for c, _ in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(min(0.25, *(_low(e) - 0.03 for _, e in rows)), 1.03)
        axes.set_xlabel("share of pairs in the right order")
        axes.grid(axis="x", color=_GRID, linewidth=0.7)
        axes.tick_params(axis="y", length=0)

    told = "; ".join(f"{c.label} {e:.2f}" for c, e in rows)
    return _picture(name, f"Pairwise accuracy with 95 % intervals: {told}.", 0.85 + 0.28 * len(rows), draw)


def against(
    name: str, cells: Sequence[Cell], styles: Marks, of: Callable[[Cell], float | None], unit: str
) -> Markup | None:
    """Accuracy against what a judge costs or takes, on a logarithmic axis; what is free stands at its left edge.

    None where nothing but free judges, or none, is known.
    """
    points = [
        (c, x, e) for c in cells if (e := c.accuracy).value is not None
        and (x := of(c)) is not None
    ]  # fmt: skip
    known = [x for _, x, _ in points if x > 0]
    if not known:
        return None
    free = any(x <= 0 for _, x, _ in points)
    low, high = min(known) / 2.5, max(known) * 2.5
    edge = low / (high / low) ** 0.18
    dollars = unit.startswith("$")

    def draw(axes: Any) -> None:
        for cell, x, e in points:
            _error(axes, x if x > 0 else edge, e.value, styles[cell.judge], yerr=_reach(e))
        axes.set_xscale("log")
        axes.set_xlim((edge / (high / low) ** 0.1) if free else low, high)
        ticks = _ticks(low, high)
        labels = [money(t) if dollars else f"{t:g}" for t in ticks]
        axes.set_xticks([edge, *ticks] if free else ticks, ["free", *labels] if free else labels)
        axes.minorticks_off()
        axes.axhline(0.5, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_ylim(min(0.4, *(_low(e) - 0.03 for _, _, e in points)), 1.03)
        axes.set_xlabel(unit)
        axes.set_ylabel("pairwise accuracy")
        axes.grid(color=_GRID, linewidth=0.7)

    told = "; ".join(
        f"{c.label} {e:.2f} at {'free' if x <= 0 else money(x) if dollars else f'{x:.3g}'}"
        for c, x, e in points
    )
    return _picture(name, f"Pairwise accuracy against {unit}: {told}.", 2.7, draw)


def reliability(
    name: str, cells: Sequence[Cell], styles: Marks, of: Callable[[Cell], Sequence[Bin]], unit: str
) -> Markup | None:
    """Accuracy by how far apart a pair is, a line a judge."""
    shown = [
        (c, bins)
        for c in cells
        if (bins := [b for b in of(c) if b.high > 0 and b.accuracy.value is not None])
    ]
    edges = sorted({(b.low, b.high) for _, bins in shown for b in bins})
    if not edges:
        return None

    def draw(axes: Any) -> None:
        step = min(0.12, 0.6 / len(shown))
        for i, (cell, bins) in enumerate(shown):
            style = styles[cell.judge]
            aside = (i - (len(shown) - 1) / 2) * step
            at = [edges.index((b.low, b.high)) + aside for b in bins]
            axes.plot(at, [b.accuracy.value for b in bins], color=style.drawn, linewidth=1.4, zorder=2)
            for x, b in zip(at, bins, strict=True):
                _error(axes, x, b.accuracy.value, style, yerr=_reach(b.accuracy))
        axes.axhline(0.5, color=_INK, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xticks(range(len(edges)), [f"{low:g}–{high:g}" for low, high in edges])
        axes.set_xlim(-0.6, len(edges) - 0.4)
        axes.set_ylim(-0.03, 1.03)
        axes.set_xlabel(unit)
        axes.set_ylabel("pairwise accuracy")
        axes.grid(axis="y", color=_GRID, linewidth=0.7)

    told = "; ".join(
        f"{c.label} " + ", ".join(f"{b.low:g} to {b.high:g}: {b.accuracy:.2f}, {b.pairs} pairs" for b in bins)
        for c, bins in shown
    )
    return _picture(name, f"Pairwise accuracy by {unit}: {told}.", 2.6, draw)


def money(x: float) -> str:
    """Dollars, with two digits that say something."""
    return f"${x:,.2f}" if x >= 0.095 or x == 0 else f"${x:.2g}"


def short(text: str, most: int = 24) -> str:
    """A name as it fits beside an axis: the middle of a long one is left out."""
    return text if len(text) <= most else f"{text[: most - 10]}…{text[-9:]}"


def _error(axes: Any, x: Any, y: Any, style: Mark, **reach: Any) -> None:
    hollow = {"markerfacecolor": _PAPER, "markeredgewidth": 1.3} if style.colour is None else {}
    axes.errorbar(
        x, y, **reach, color=style.drawn, marker=style.marker, markersize=6,
        linewidth=1.6, linestyle="none", zorder=3, **hollow,
    )  # fmt: skip


def _reach(e: Estimate) -> list[list[float]] | None:
    """The interval as matplotlib wants it: lengths to both sides."""
    if e.value is None or e.low is None or e.high is None:
        return None
    return [[max(0.0, e.value - e.low)], [max(0.0, e.high - e.value)]]


def _low(e: Estimate) -> float:
    return e.low if e.low is not None else e.value or 0.0


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers between two positive ones, at most six where they are close to a decade or two."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in ((1, 2, 5), (1, 3), (1,)):
        found = [s * 10.0**d for d in decades for s in steps if low <= s * 10.0**d <= high]
        if len(found) <= 6:
            break
    return found[:: math.ceil(len(found) / 6)] if found else [float(f"{math.sqrt(low * high):.1g}")]


def _settings() -> AbstractContextManager[None]:
    import matplotlib as mpl

    made: AbstractContextManager[None] = mpl.rc_context(
        {
            "svg.fonttype": "none", "text.parse_math": False, "text.usetex": False, "font.size": 9.5,
            "font.family": "DejaVu Sans", "text.color": _INK, "axes.labelcolor": _INK, "axes.edgecolor": _FAINT,
            "xtick.color": _FAINT, "ytick.color": _FAINT, "xtick.labelcolor": _INK, "ytick.labelcolor": _INK,
            "axes.spines.top": False, "axes.spines.right": False, "axes.facecolor": "none",
            "axes.unicode_minus": True, "axes.axisbelow": True, "path.simplify": True,
        }
    )  # fmt: skip
    return made


def _picture(name: str, told: str, height: float, draw: Callable[[Any], None]) -> Markup:
    """Draw on one pair of axes, and take the picture apart for the page: no ids that could clash, no style of its
    own, nothing outside it referred to."""
    from matplotlib.figure import Figure

    buffer = io.StringIO()
    with _settings(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks: the page's fonts draw it
        figure = Figure(figsize=(_WIDTH, height), layout="constrained")
        draw(figure.subplots())
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    body = _DROPPED.sub("", buffer.getvalue())
    body = _TAG.sub(lambda tag: _NAMES.sub(rf"\1{name}-", tag.group()), body)
    for drawn, page in _PAGE.items():
        body = body.replace(drawn, page)
    opening = Markup('<svg role="img" aria-label="{}" viewBox="0 0 {:g} {:g}">')
    return opening.format(told, 72 * _WIDTH, 72 * height) + Markup(body)
