"""What the runs say: a row an arm, and the picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from rich import box
from rich.table import Table

from benchmarks.harness import Json
from benchmarks.smollm2.measures import on_subject
from ranker.pages.figures import COLOURS, Drawing
from ranker.statistics import Estimate, fieller, mean

LABELS = {
    "truth": "the truth itself",
    "local": "embedded judge (135M)",
    "tuned": "the same, tuned on 200 groups",
    "noise": "random error, as often right",
}
FIRST = 10  # steps whose groups are still much like the start policy's


def label(judge: str) -> str:
    return LABELS.get(judge, judge)


def accuracy(run: Mapping[str, Any], steps: int | None = None) -> float | None:
    """The share of pairs that the judge ordered right in the first steps, or in all."""
    seen = [line["judge_accuracy"] for line in run["history"][:steps] if line["judge_accuracy"] is not None]
    return float(np.mean(seen)) if seen else None


def figures(runs: Sequence[Mapping[str, Any]]) -> Json:
    """Every figure, with 95 % intervals over seeds; recovery is the gain as a share of the truth's, paired by seed."""
    arms: dict[str, dict[int, Mapping[str, Any]]] = {}
    for run in runs:
        arms.setdefault(run["judge"], {})[run["seed"]] = run
    of_truth = {seed: gain(run) for seed, run in arms.get("truth", {}).items()}
    return {judge: _arm(by_seed, of_truth) for judge, by_seed in arms.items()}


def gain(run: Mapping[str, Any]) -> float:
    return float(np.mean(run["after"]["truths"]) - np.mean(run["before"]["truths"]))


def gain_over_rows(run: Mapping[str, Any]) -> Estimate:
    """A run's gain with Student's interval over the held-out rows."""
    return mean((np.array(run["after"]["truths"]) - np.array(run["before"]["truths"])).tolist())


def _arm(by_seed: Mapping[int, Mapping[str, Any]], of_truth: Mapping[int, float]) -> Json:
    runs = [by_seed[seed] for seed in sorted(by_seed)]
    gains = {seed: gain(run) for seed, run in by_seed.items()}

    def named(when: str) -> list[float]:
        """A share for each run, of the replies that were kept."""
        kept = [[on_subject(s["reply"], s["task"]) for s in run[when]["samples"]] for run in runs]
        return [float(np.mean(own)) for own in kept if own]

    def over(when: str, name: str) -> Json:
        return mean([float(np.mean(run[when][name])) for run in runs if run[when][name]]).to_dict(4)

    right = [a for run in runs if (a := accuracy(run, FIRST)) is not None]
    return {
        "seeds": sorted(by_seed),
        "before": over("before", "truths"),
        "after": over("after", "truths"),
        "gain": mean(list(gains.values())).to_dict(4),
        "gains": {seed: gain_over_rows(by_seed[seed]).to_dict(4) for seed in sorted(by_seed)},
        "recovery": fieller(
            {s: g for s, g in gains.items() if s in of_truth}, {s: of_truth[s] for s in gains if s in of_truth}
        ).to_dict(4),
        "accuracy_at_the_start": mean(right).to_dict(4),
        **{
            f"{name}_{when}": over(when, name) for name in ("words", "start_logprobs", "echoes") for when in ("before", "after")
        },
        **{f"on_subject_{when}": mean(named(when)).to_dict(4) for when in ("before", "after")},
        "minutes": _minutes([run["seconds"] for run in runs]),
        "curve": np.mean([[line["ground_truth_mean"] for line in run["history"]] for run in runs], axis=0)
        .round(4)
        .tolist(),
    }  # fmt: skip


def _minutes(seconds: Sequence[float | None]) -> float | None:
    """Their mean; a run that was paused, or shared its cores, says nothing."""
    known = [s for s in seconds if s is not None]
    return round(float(np.mean(known)) / 60, 1) if known else None


def table(arms: Mapping[str, Json]) -> Table:
    """In Markdown: the documentation takes it from the screen."""
    heads = (
        "judge", "seeds", "with a gain", "pairs right", "before", "after", "share of the truth's gain", "words",
        "log-prob under the start policy", "echo", "on the subject", "minutes",
    )  # fmt: skip
    rows = Table(*heads, box=box.MARKDOWN)
    for judge, arm in arms.items():
        said = [
            f"{_value(arm, f'{name}_before', f)} → {_value(arm, f'{name}_after', f)}"
            for name, f in (
                ("words", ".0f"),
                ("start_logprobs", ".2f"),
                ("echoes", ".2f"),
                ("on_subject", ".2f"),
            )
        ]
        sure = sum((gain["low"] or 0.0) > 0 for gain in arm["gains"].values())
        rows.add_row(
            label(judge), str(len(arm["seeds"])), str(sure), _value(arm, "accuracy_at_the_start", ".2f"), *(_interval(arm[name]) for name in ("before", "after", "recovery")),
            *said, "–" if arm["minutes"] is None else f"{arm['minutes']:g}",
        )  # fmt: skip
    return rows


def _value(arm: Json, name: str, spec: str) -> str:
    value = arm[name]["value"]
    return "–" if value is None else format(value, spec)


def _interval(figure: Json) -> str:
    estimate = Estimate(figure["value"], figure["low"], figure["high"])
    spread = estimate.low is not None and estimate.low != estimate.high  # all seeds begin with one policy
    return f"{estimate:.2f}" if spread else _value({"x": figure}, "x", ".2f")


def curves(arms: Mapping[str, Json], width: int = 5) -> Drawing:
    """The true reward of the rollouts, step by step, a mean of `width` steps and of all seeds."""

    def draw(axes: Any) -> None:
        for colour, (judge, arm) in zip(COLOURS, arms.items(), strict=False):
            curve = np.array(arm["curve"])
            smooth = [curve[max(0, i - width + 1) : i + 1].mean() for i in range(len(curve))]
            axes.plot(range(1, len(curve) + 1), smooth, color=colour, label=label(judge))
        axes.set_xlabel("step")
        axes.set_ylabel("instructions kept, share")
        axes.legend(loc="upper left")

    ends = "; ".join(f"{label(judge)} ends at {arm['curve'][-1]:.2f}" for judge, arm in arms.items())
    return Drawing(f"Instructions kept by the policy, step by step: {ends}", draw, 3.2)
