"""Figures by matplotlib for pages: SVG images with their data inside the page.

They are drawn in the colours of the light scheme; the base template inverts images in the dark one. As images they
keep their names and styles to themselves, and text in them can neither run nor load anything.
"""

from __future__ import annotations

import base64
import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

from markupsafe import Markup

from ranker.statistics import Estimate

INK, FAINT, GRID = "#1b2430", "#647080", "#dde2e8"
# After Okabe and Ito, which most eyes can tell apart, and of middle lightness, which inversion keeps readable; each comes
# with a marker of its own.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#5b4fc4", "#8c564b", "#3a9bd9")
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


@dataclass(frozen=True, slots=True)
class Drawing:
    """A figure of one pair of axes, drawn when it is asked for.

    Attributes:
        alt: the figure in words, for those who do not see it.
        draw: draws on matplotlib's axes.
        height, width: inches.
    """

    alt: str
    draw: Callable[[Any], None]
    height: float
    width: float = 4.4

    def image(self) -> Markup:
        """An `<img>` with the figure inside it."""
        data = base64.b64encode(self._save(format="svg", transparent=True, metadata={"Date": None})).decode()
        return Markup('<img alt="{}" src="data:image/svg+xml;base64,{}">').format(self.alt, data)

    def png(self) -> bytes:
        return self._save(format="png", dpi=130)

    def _save(self, **options: Any) -> bytes:
        import matplotlib as mpl
        from matplotlib.figure import Figure

        buffer = io.BytesIO()
        with mpl.rc_context(_STYLE), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a letter that the font lacks: the reader's fonts draw it
            figure = Figure(figsize=(self.width, self.height))
            self.draw(figure.subplots())
            figure.savefig(buffer, **options)
        return buffer.getvalue()


def reach(estimate: Estimate) -> list[list[float]] | None:
    """The interval as `errorbar` wants it: lengths to both sides; None where there is none."""
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return None
    return [[max(0.0, estimate.value - estimate.low)], [max(0.0, estimate.high - estimate.value)]]
