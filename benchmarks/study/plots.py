"""The study's pictures: one question each, drawn from the figures alone."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.study.plan import BIASES, TRUTH

Figures = Mapping[str, Any]
# Okabe and Ito's colours, told apart by most eyes; with a marker of their own each, by all.
_BLUE, _ORANGE, _GREEN, _RED, _PURPLE, _SKY, _BLACK = (
    "#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#000000",
)  # fmt: skip
_STYLE = {
    "noise": (_BLUE, "o", "random error"),
    "position": (_ORANGE, "s", "prefers the first"),
    "longer": (_GREEN, "^", "prefers the longer"),
    "shorter": (_SKY, "v", "prefers the shorter"),
    "wish": (_PURPLE, "D", "rewards obeying wishes"),
    "boast": ("#8C6D1F", "P", "rewards false claims"),
    "pretence": (_RED, "X", "rewards pretending"),
}
_SIZE = (5.6, 4.6)  # inches


def pictures(figures: Figures) -> dict[str, Any]:
    """Figures of matplotlib by name; those whose arms were not run are left out."""
    import matplotlib as mpl

    mpl.use("Agg")
    mpl.rcParams.update(
        {
            "font.size": 11,
            "svg.fonttype": "none",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
        }
    )
    made = {
        "recovery": _recovery(figures),
        "curves": _curves(figures),
        "systematic": _differences(figures, "systematic", "against random error"),
        "scores": _differences(figures, "scores", "scores against ranks"),
        "passes": _differences(figures, "passes", "against one pass"),
        "group-size": _differences(figures, "group-size", "against groups of 8"),
        "dpo": _differences(figures, "dpo", "DPO against GRPO"),
    }
    for family, key, label in (
        ("beta", "kl", "KL to the start, nats a token"),
        ("temperature", "truth_deviation", "deviation of true rewards in a group"),
        ("learning-rate", "grad_norm", "gradient norm before clipping"),
    ):
        made[family] = _relation(figures, family, key, label)
    return {name: figure for name, figure in made.items() if figure is not None}


def save(drawn: Mapping[str, Any], folder: Path) -> None:
    """Every picture as a PNG."""
    for name, figure in drawn.items():
        figure.savefig(folder / f"{name}.png", dpi=130)


def svg(figure: Any, name: str) -> str:
    """A picture as SVG that can stand in a page: no header, no metadata, no address, ids of its own."""
    import matplotlib as mpl

    text = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(text, format="svg", metadata={"Date": None})
    found = text.getvalue()
    found = found[found.index("<svg") :]
    found = re.sub(r"<metadata>.*?</metadata>", "", found, flags=re.DOTALL)
    found = re.sub(r' xmlns(:\w+)?="[^"]*"', "", found)
    found = re.sub(r'\bid="|"#|url\(#', lambda before: f"{before[0]}{name}-", found)
    return re.sub(r' (width|height)="[\d.]+pt"', "", found, count=2)


def close(drawn: Mapping[str, Any]) -> None:
    """Let go of the pictures."""
    from matplotlib import pyplot

    for figure in drawn.values():
        pyplot.close(figure)


def _new() -> tuple[Any, Any]:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=_SIZE, layout="constrained")
    return figure, axis


def _interval(estimate: Mapping[str, Any]) -> tuple[float, float]:
    """Low and high; the value itself where there is no interval."""
    low, high, value = estimate["low"], estimate["high"], estimate["value"]
    return (value if low is None else low), (value if high is None else high)


def _recovery(figures: Figures) -> Any:
    lines = {}
    for family in _STYLE:
        points = [
            (a["accuracy"]["value"], a["recovery"]["value"], *_interval(a["recovery"]))
            for a in figures["arms"]
            if a["family"] == family and a["recovery"] and a["accuracy"]["value"] is not None
        ]
        if points:
            lines[family] = sorted(points)
    if not lines:
        return None
    figure, axis = _new()
    axis.axhline(1, color=_BLACK, linewidth=0.8, linestyle=":")
    axis.axhline(0, color=_BLACK, linewidth=0.8)
    for family, points in lines.items():
        colour, marker, label = _STYLE[family]
        x, y, low, high = zip(*points, strict=True)
        heavy = family == "noise"
        axis.fill_between(x, low, high, color=colour, alpha=0.22 if heavy else 0.1, linewidth=0)
        axis.errorbar(
            x,
            y,
            (_minus(y, low), _minus(high, y)),
            color=colour,
            marker=marker,
            markersize=6,
            linewidth=2.4 if heavy else 1.2,
            elinewidth=0.8,
            label=label,
        )
    inverted = next((a for a in figures["arms"] if a["family"] == "inverted" and a["recovery"]), None)
    if inverted is not None:
        value = inverted["recovery"]["value"]
        axis.plot(
            0.475, value, marker="<", color=_BLACK, linestyle="", label="prefers the worse (accuracy 0)"
        )
    axis.set_xlim(0.46, 1.02)
    axis.set_ylim(-1.15, 1.15)
    axis.set_xlabel("judge's pairwise accuracy on the untrained policy's groups")
    axis.set_ylabel("share of the truth's gain")
    figure.legend(fontsize=9, loc="outside lower center", ncols=2)
    return figure


def _minus(a: Sequence[float], b: Sequence[float]) -> list[float]:
    return [max(0.0, x - y) for x, y in zip(a, b, strict=True)]


def _curves(figures: Figures) -> Any:
    arms = [a for a in figures["arms"] if a["family"] in ("noise", "truth") and a["curve"]]
    if len(arms) < 2:
        return None
    from matplotlib import colormaps

    from benchmarks.study.statistics import smooth

    figure, axis = _new()
    shades = colormaps["viridis"]
    for arm in sorted(arms, key=lambda a: (a["name"] == TRUTH, a["strength"])):
        truth = arm["name"] == TRUTH
        curve = smooth(arm["curve"])
        label = "truth" if truth else f"{arm['strength']:g}"
        colour = _BLACK if truth else shades(min(1.0, (arm["strength"] - 0.5) / 0.55))
        axis.plot(
            range(1, len(curve) + 1),
            curve,
            color=colour,
            linewidth=2,
            linestyle="--" if truth else "-",
            label=label,
        )
    if figures["level"] is not None:
        axis.axhline(figures["level"], color=_BLACK, linewidth=0.8, linestyle=":")
    axis.set_xlabel("step")
    axis.set_ylabel("true reward while training")
    figure.legend(title="judge's accuracy", fontsize=9, ncols=5, loc="outside lower center")
    return figure


def _differences(figures: Figures, kind: str, label: str) -> Any:
    found = [c for c in figures["comparisons"] if c["kind"] == kind and c["difference"]]
    if not found:
        return None
    order = [*BIASES, "inverted"]
    if kind == "systematic":
        found.sort(key=lambda c: order.index(c["family"]))
    accuracy = {a["name"]: a["accuracy"]["value"] for a in figures["arms"]}
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(5.6, 1.1 + 0.27 * len(found)), layout="constrained")
    for row, comparison in enumerate(found):
        estimate = comparison["difference"]
        low, high = _interval(estimate)
        sure = estimate["low"] is not None and (low > 0 or high < 0)
        colour = (_BLUE if low > 0 else _RED) if sure else "#777777"
        axis.plot([low, high], [row, row], color=colour, linewidth=2)
        axis.plot(estimate["value"], row, color=colour, marker="o", markersize=6)
    axis.axvline(0, color=_BLACK, linewidth=0.8)
    names = [f"{c['arm']} ({accuracy[c['arm']]:.2f})" if kind == "systematic" else c["arm"] for c in found]
    axis.set_yticks(range(len(found)), names, fontsize=9)
    axis.set_ylim(len(found) - 0.4, -0.6)
    axis.set_xlabel(f"difference in final true reward, {label}")
    return figure


def _relation(figures: Figures, family: str, key: str, label: str) -> Any:
    points = [p for p in figures["relations"].get(family) or [] if p[key] is not None]
    if len(points) < 2:
        return None
    figure, axis = _new()
    other = axis.twinx()
    for on, name, colour, marker, told in (
        (axis, key, _BLUE, "o", label),
        (other, "final", _ORANGE, "s", "final true reward"),
    ):
        known = [(i, p[name]) for i, p in enumerate(points) if p[name] is not None]
        x = [i for i, _ in known]
        y = [e["value"] for _, e in known]
        low, high = zip(*(_interval(e) for _, e in known), strict=True)
        on.errorbar(
            x, y, (_minus(y, low), _minus(high, y)), color=colour, marker=marker, capsize=3, linewidth=1.8
        )
        on.set_ylabel(told, color=colour)
    other.spines["right"].set_visible(True)
    other.grid(False)
    other.set_ylim(0, 1.05)
    axis.set_xticks(range(len(points)), [f"{p['setting']:g}" for p in points])
    axis.set_xlabel(family.replace("-", " "))
    return figure
