"""Figures by matplotlib for pages: SVG images with their data inside the page.

They are drawn in the colours of the light scheme; the base template inverts images in the dark one. As images they
keep their names and styles to themselves, and text in them can neither run nor load anything.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from ranker.statistics import Estimate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, FAINT, GRID = "#1b2430", "#647080", "#dde2e8"
# Okabe and Ito's colours, which most eyes can tell apart; each comes with a marker of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#8c564b", "#5b4fc4")
MARKERS = (("o", "●"), ("s", "■"), ("^", "▲"), ("D", "◆"), ("v", "▼"), ("P", "✚"), ("X", "✖"), ("*", "★"))
_STYLE = {
    "svg.fonttype": "none", "svg.hashsalt": "ranker", "text.parse_math": False, "text.usetex": False,
    "font.size": 9.5, "text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": FAINT, "xtick.color": FAINT,
    "ytick.color": FAINT, "xtick.labelcolor": INK, "ytick.labelcolor": INK, "axes.spines.top": False,
    "axes.spines.right": False, "axes.facecolor": "none", "axes.axisbelow": True, "axes.grid": True,
    "grid.color": GRID, "grid.linewidth": 0.7, "legend.frameon": False, "lines.markersize": 6,
    "figure.constrained_layout.use": True,
}  # fmt: skip


def available() -> bool:
    """Whether matplotlib is installed."""
    return find_spec("matplotlib") is not None


def image(alt: str, height: float, draw: Callable[[Any], None], width: float = 4.4) -> Markup:
    """An `<img>` of what `draw` draws on one pair of axes.

    Args:
        alt: the figure in words, for those who do not see it.
        height, width: inches.
    """
    return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(
        alt, base64.b64encode(save(height, draw, width, format="svg", transparent=True)).decode()
    )


def save(height: float, draw: Callable[[Any], None], width: float, **options: Any) -> bytes:
    """The figure as a file of the wanted format, the same for the same data."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    buffer = io.BytesIO()
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a letter that the font lacks: the reader's fonts draw it
        figure: Figure = Figure(figsize=(width, height))
        draw(figure.subplots())
        figure.savefig(buffer, metadata={"Date": None} if options["format"] == "svg" else None, **options)
    return buffer.getvalue()


def reach(estimate: Estimate) -> list[list[float]] | None:
    """The interval as `errorbar` wants it: lengths to both sides; None where there is none."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]
