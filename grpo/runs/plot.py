"""The curves of a run as a picture."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

_PANELS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    ("true reward (ground truth)", (("ground_truth_mean", "mean over rollouts"),)),
    ("reward", (("reward_mean", "mean"), ("reward_std", "deviation in a group"))),
    ("judge's agreement with the truth", (("judge_accuracy", "pairs ordered right (0.5 is chance)"),)),
    (
        "judge's agreement with its auditor",
        (("judge_agreement", "latest audits"), ("judge_agreement_since_start", "since the start")),
    ),
    (
        "attempts above the start policy's",
        (
            ("win_rate", "by the judge, latest groups (0.5 is no change)"),
            ("auditor_win_rate", "by the auditor"),
        ),
    ),
    (
        "correlation of rewards in a group",
        (("reward_length_correlation", "with words"), ("reward_turns_correlation", "with messages")),
    ),
    ("policy", (("entropy", "entropy, nats"), ("kl", "KL to the reference"))),
    ("gradient", (("grad_norm", "norm before clipping"), ("clip_fraction", "clip fraction"))),
    ("groups without signal", (("tied_share", "tied"), ("failed_share", "failed"))),
)

_MOST = 2**63  # beyond it whole numbers are no longer drawn


def drawable(step: Any) -> bool:
    """Whether a line of metrics is a step of which everything that is drawn is a number, or was not measured."""
    if not isinstance(step, Mapping) or not _is_number(step.get("step")):
        return False
    for key in (key for _, lines in _PANELS for key, _ in lines):
        bounds = [step.get(f"{key}_low"), step.get(f"{key}_high")]
        if bounds.count(None) == 1 or not all(x is None or _is_number(x) for x in (step.get(key), *bounds)):
            return False
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, float) or (type(value) is int and abs(value) < _MOST)


def plot(metrics: Sequence[Mapping[str, Any]], file: Path, title: str = "") -> bool:
    """Draw a panel for everything that was measured; thin lines are steps, thick ones their running mean; bands are intervals.

    Returns:
        False where matplotlib is missing or nothing was measured: there is no picture then.
    """
    panels = [
        (name, lines)
        for name, lines in _PANELS
        if any(m.get(key) is not None for m in metrics for key, _ in lines)
    ]
    if not panels:
        return False
    try:
        import matplotlib

        matplotlib.use("Agg")
        from matplotlib import pyplot
    except ImportError:
        return False
    rows = math.ceil(len(panels) / 2)
    figure, axes = pyplot.subplots(rows, 2, figsize=(11, 3 * rows), squeeze=False, layout="constrained")
    for axis in axes.flat[len(panels) :]:
        axis.remove()
    for axis, (name, lines) in zip(axes.flat, panels, strict=False):
        for number, (key, label) in enumerate(lines):
            points = [(m["step"], m[key]) for m in metrics if m.get(key) is not None]
            if not points:
                continue
            steps, values = zip(*points, strict=True)
            axis.plot(steps, values, color=f"C{number}", alpha=0.3, linewidth=0.9)
            axis.plot(steps, _running(values), color=f"C{number}", linewidth=2, label=label)
            bounds = [
                (m["step"], m[f"{key}_low"], m[f"{key}_high"])
                for m in metrics
                if m.get(f"{key}_low") is not None
            ]
            if bounds:
                axis.fill_between(*zip(*bounds, strict=True), color=f"C{number}", alpha=0.15, linewidth=0)
        axis.set_title(name, fontsize=11, loc="left")
        axis.set_xlabel("step")
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        axis.legend(frameon=False, fontsize=9)
    if title:
        figure.suptitle(title, fontsize=12, x=0.01, ha="left")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
    return True


def _running(values: Sequence[float]) -> list[float]:
    """Mean over a tenth of the run around each point, less towards the ends, which stay where they are."""
    means = []
    for i in range(len(values)):
        reach = min(max(1, len(values) // 20), i, len(values) - 1 - i)
        part = values[i - reach : i + reach + 1]
        means.append(math.fsum(part) / len(part))
    return means
