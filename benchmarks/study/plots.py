"""The study's figures: one question each, drawn from its numbers alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.study.analysis import smooth
from benchmarks.study.plan import BIASES, TRUTH
from ranker.pages.figures import COLOURS, FAINT, INK, MARKERS, Drawing, reach
from ranker.statistics import Estimate

Figures = Mapping[str, Any]
_LABELS = {
    "noise": "random error",
    "position": "prefers the first",
    "longer": "prefers the longer",
    "shorter": "prefers the shorter",
    "wish": "rewards obeying wishes",
    "boast": "rewards false claims",
    "pretence": "rewards pretending",
}
_RELATIONS = {
    "beta": ("kl", "KL to the initial policy, nats per token"),
    "temperature": ("truth_deviation", "deviation of true rewards in a group"),
    "learning-rate": ("grad_norm", "gradient norm before clipping"),
}
_DIFFERENCES = {
    "systematic": "against random error",
    "debiased": "bias removed against left in",
    "scores": "scores against ranks",
    "passes": "against one pass",
    "group-size": "against groups of 8",
    "dpo": "DPO against GRPO",
}


NAMES = ("recovery", "bias_removed", "curves", *_DIFFERENCES, *_RELATIONS)


def drawings(figures: Figures) -> dict[str, Drawing]:
    """By name; those whose arms were not run are left out."""
    every = {
        "recovery": _recovery(figures),
        "bias_removed": _bias_removed(figures),
        "curves": _curves(figures),
        **{kind: _differences(figures, kind, label) for kind, label in _DIFFERENCES.items()},
        **{family: _relation(figures, family, *of) for family, of in _RELATIONS.items()},
    }
    return {name: drawing for name, drawing in every.items() if drawing is not None}


def _recovery(figures: Figures) -> Drawing | None:
    lines = _lines(figures)
    if not lines:
        return None
    inverted = [a for a in figures["arms"] if a["family"] == "inverted" and a["recovery"].value is not None]

    def draw(axes: Any) -> None:
        _curves_of(axes, lines)
        for arm in inverted:
            axes.plot(0.475, arm["recovery"].value, "<", color=INK, label="prefers the worse (accuracy 0)")
        axes.figure.legend(fontsize=8.5, loc="outside lower center", ncols=2)

    return Drawing(f"Recovery by the judge's accuracy: {_spoken(lines)}.", draw, 4.6, 5.6)


def _bias_removed(figures: Figures) -> Drawing | None:
    """The recovery of every judge twice, below each other: as it is, and with its bias removed."""
    as_is, removed = _lines(figures), _lines(figures, "debiased-")
    if not removed:
        return None

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        upper, lower = figure.subplots(2, 1, sharex=True)
        _curves_of(upper, as_is, "rewards as the judge gives them")
        _curves_of(lower, removed, "with what length and position do to the judge removed")
        upper.set_xlabel("")
        figure.legend(*upper.get_legend_handles_labels(), fontsize=8.5, loc="outside lower center", ncols=2)

    alt = f"Recovery by the judge's accuracy. As it is: {_spoken(as_is)}. Bias removed: {_spoken(removed)}."
    return Drawing(alt, draw, 7.4, 5.6)


def _lines(figures: Figures, prefix: str = "") -> dict[str, list[dict[str, Any]]]:
    """By family the arms named `prefix` and the arm of a judge, in order of that judge's accuracy, its bias left in."""
    arms = {a["name"]: a for a in figures["arms"]}
    lines: dict[str, list[dict[str, Any]]] = {family: [] for family in _LABELS}
    for name, judge in arms.items():
        arm = arms.get(prefix + name)
        if judge["family"] in lines and arm and None not in (arm["recovery"].value, judge["accuracy"].value):
            lines[judge["family"]].append({**arm, "at": judge["accuracy"].value})
    return {family: sorted(line, key=lambda a: a["at"]) for family, line in lines.items() if line}


def _spoken(lines: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    return "; ".join(f"{a['name']} {a['recovery']:.2f}" for line in lines.values() for a in line)


def _curves_of(axes: Any, lines: Mapping[str, Sequence[Mapping[str, Any]]], title: str = "") -> None:
    axes.axhline(1, color=INK, linewidth=0.8, linestyle=":")
    axes.axhline(0, color=INK, linewidth=0.8)
    for family, arms in lines.items():
        style = list(_LABELS).index(family)
        width = 2.4 if family == "noise" else 1.2
        x, y = [a["at"] for a in arms], [a["recovery"] for a in arms]
        axes.fill_between(x, *_bounds(y), color=COLOURS[style], alpha=0.1 * width / 1.2, linewidth=0)
        axes.plot(x, [e.value for e in y], color=COLOURS[style], marker=MARKERS[style][0], linewidth=width,
                  label=_LABELS[family])  # fmt: skip
        axes.vlines(x, *_bounds(y), color=COLOURS[style], linewidth=0.8)
    axes.set_xlim(0.46, 1.02)
    axes.set_ylim(-1.15, 1.15)
    axes.set_xlabel("judge's pairwise accuracy on the untrained policy's groups")
    axes.set_ylabel("share of the ground truth's gain")
    if title:
        axes.set_title(title, fontsize=9.5, loc="left")


def _bounds(estimates: Sequence[Estimate]) -> tuple[list[float | None], list[float | None]]:
    """Lows and highs; the value itself where there is no interval."""
    lows = [e.value if e.low is None else e.low for e in estimates]
    return lows, [e.value if e.high is None else e.high for e in estimates]


def _curves(figures: Figures) -> Drawing | None:
    arms = [a for a in figures["arms"] if a["family"] in ("noise", "truth") and a["curve"]]
    if len(arms) < 2:
        return None
    arms.sort(key=lambda a: (a["name"] == TRUTH, a["strength"]))

    def draw(axes: Any) -> None:
        from matplotlib import colormaps

        for arm in arms:
            truth = arm["name"] == TRUTH
            curve = smooth(arm["curve"])
            axes.plot(
                range(1, len(curve) + 1),
                curve,
                # the middle of the map, which is neither dark nor light
                color=INK if truth else colormaps["viridis"](0.1 + 1.04 * (arm["strength"] - 0.5)),
                linewidth=2,
                linestyle="--" if truth else "-",
                label="ground truth" if truth else f"{arm['strength']:g}",
            )
        if figures["level"] is not None:
            axes.axhline(figures["level"], color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("step")
        axes.set_ylabel("true reward during training")
        axes.figure.legend(title="judge's accuracy", fontsize=8.5, ncols=5, loc="outside lower center")

    names = ", ".join(a["name"] for a in arms)
    return Drawing(f"True reward by training step, smoothed over five steps: {names}.", draw, 4.6, 5.6)


def _differences(figures: Figures, kind: str, label: str) -> Drawing | None:
    rows = [c for c in figures["comparisons"] if c["kind"] == kind and c["difference"].value is not None]
    if not rows:
        return None
    if kind == "systematic":
        order = [*BIASES, "inverted"]
        rows.sort(key=lambda c: order.index(c["family"]))
    accuracy = {a["name"]: a["accuracy"] for a in figures["arms"]}
    names = [
        f"{c['arm']} ({accuracy[c['arm']].value:.2f})" if kind == "systematic" else c["arm"] for c in rows
    ]

    def draw(axes: Any) -> None:
        for y, row in enumerate(rows):
            e = row["difference"]
            colour = COLOURS[0] if e.above(0) else COLOURS[1] if e.below(0) else FAINT
            axes.errorbar(e.value, y, xerr=reach(e), color=colour, marker="o", linewidth=2)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.set_yticks(range(len(rows)), names, fontsize=8.5)
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"difference in final true reward, {label}")

    values = "; ".join(f"{c['arm']} {c['difference']:+.2f}" for c in rows)
    return Drawing(f"Difference in final true reward, {label}: {values}.", draw, 1.1 + 0.27 * len(rows), 5.6)


def _relation(figures: Figures, family: str, key: str, label: str) -> Drawing | None:
    points = [
        p for p in figures["relations"][family] if p[key].value is not None and p["final"].value is not None
    ]
    if len(points) < 2:
        return None

    def draw(axes: Any) -> None:
        other = axes.twinx()
        for on, name, style, text in ((axes, key, 0, label), (other, "final", 1, "final true reward")):
            for x, point in enumerate(points):
                on.errorbar(x, point[name].value, reach(point[name]), color=COLOURS[style], capsize=3)
            on.plot(
                [p[name].value for p in points], color=COLOURS[style], marker=MARKERS[style][0], linewidth=1.8
            )
            on.set_ylabel(text, color=COLOURS[style])
        other.spines["right"].set_visible(True)
        other.grid(visible=False)
        other.set_ylim(0, 1.05)
        axes.set_xticks(range(len(points)), [f"{p['setting']:g}" for p in points])
        axes.set_xlabel(family.replace("-", " "))

    values = "; ".join(f"{p[key]:.3f} and {p['final']:.2f} at {p['setting']:g}" for p in points)
    return Drawing(
        f"{label}, and final true reward, by {family.replace('-', ' ')}: {values}.", draw, 3.6, 5.6
    )
