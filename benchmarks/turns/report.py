"""From the runs' records to the study's figures, its table and its picture; nothing here trains."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.table import Table

from benchmarks.harness import Json
from benchmarks.study.analysis import GAIN, smooth, steps_to
from benchmarks.turns.plan import BESIDE, OUTCOME, TRUTH, Setting, Unit
from ranker import pages
from ranker.pages.figures import COLOURS, INK, Drawing, reach
from ranker.statistics import Estimate, fieller, mean, paired

Records = Mapping[str, Mapping[str, Any]]


def figures(units: Sequence[Unit], records: Records, start: Mapping[int, float]) -> list[Json]:
    """For each setting its arms.

    Args:
        start: by seed the true reward before training.
    """
    settings = {u.setting.name: u.setting for u in units}
    return [_of_setting(s, [u for u in units if u.setting == s], records, start) for s in settings.values()]


def _of_setting(
    setting: Setting, units: Sequence[Unit], records: Records, start: Mapping[int, float]
) -> Json:
    runs: dict[str, dict[int, Mapping[str, Any]]] = {}
    for unit in units:
        if unit.id in records:
            runs.setdefault(unit.arm.name, {})[unit.seed] = records[unit.id]
    begun = mean([start[seed] for seed in sorted({unit.seed for unit in units})])
    best = mean([r["final"] for r in runs.get(TRUTH, {}).values()])
    made: Json = {"setting": setting.name, "steps": setting.steps, "start": begun, "truth": best, "arms": []}
    if begun.value is None or best.value is None:
        return made
    level = made["level"] = round(begun.value + GAIN * (best.value - begun.value), 6)
    steps: dict[str, dict[int, float]] = {}
    reached: dict[str, int] = {}
    for name, of in runs.items():
        found = {seed: steps_to(r["curve"], level, setting.window) for seed, r in of.items()}
        steps[name] = {seed: float(setting.steps if n is None else n) for seed, n in found.items()}
        reached[name] = sum(n is not None for n in found.values())
    finals = {name: {seed: r["final"] for seed, r in of.items()} for name, of in runs.items()}
    paths = {name: {seed: _mean(r["curve"]) for seed, r in of.items()} for name, of in runs.items()}
    for name, of in runs.items():
        other = BESIDE.get(name, OUTCOME)
        beside = name != OUTCOME and other in runs
        made["arms"].append(
            {
                "arm": name,
                "beside": other if beside else None,
                "runs": len(of),
                "steps": mean(list(steps[name].values())),
                "reached": reached[name],
                "steps_by_seed": steps[name],
                "steps_change": change(steps[name], steps[other]) if beside else None,
                "steps_change_of_means": less_one(fieller(steps[name], steps[other])) if beside else None,
                "final": mean(list(finals[name].values())),
                "final_difference": paired(finals[name], finals[other]) if beside else None,
                "mean_difference": paired(paths[name], paths[other]) if beside else None,
                "signal_share": mean([_mean(r["signal_share"]) for r in of.values() if r["signal_share"]]),
                "judge_accuracy": mean([_mean(r["judge_accuracy"]) for r in of.values()]),
                "curve": [_mean(points) for points in zip(*(r["curve"] for r in of.values()), strict=True)],
            }
        )
    return made


def change(a: Mapping[int, float], b: Mapping[int, float]) -> Estimate:
    """By how much a run takes longer: the geometric mean of the ratios, paired by seed, with Student's t interval of their
    logarithms. Steps are positive and vary in proportion to their length, so their logarithms are closer to normal."""
    logs = paired(*({seed: math.log(n) for seed, n in steps.items()} for steps in (a, b)))
    return less_one(
        Estimate(*(None if v is None else math.exp(v) for v in (logs.value, logs.low, logs.high)))
    )


def less_one(ratio: Estimate) -> Estimate:
    """A ratio as a change."""
    return Estimate(*(None if v is None else v - 1.0 for v in (ratio.value, ratio.low, ratio.high)))


def _mean(values: Sequence[float | None]) -> float:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else 0.0


def table(study: Sequence[Json]) -> Table:
    """An arm a row, in Markdown: the documentation takes it from the screen."""
    heads = (
        "setting",
        "arm",
        "steps to 0.9",
        "change",
        "true reward over the run, change",
        "final true reward",
        "change",
        "signal from turns",
    )
    rows = Table(*heads, box=box.MARKDOWN)
    for of in study:
        for arm in of["arms"]:
            rows.add_row(
                of["setting"],
                arm["arm"],
                f"{pages.num(arm['steps'].value, '.0f')} ({arm['reached']}/{arm['runs']})",
                _spoken(arm["steps_change"], "+.0%"),
                _spoken(arm["mean_difference"], "+.3f"),
                pages.num(arm["final"].value, ".3f"),
                _spoken(arm["final_difference"], "+.3f"),
                pages.num(arm["signal_share"].value, ".2f"),
            )
    return rows


def _spoken(estimate: Estimate | None, form: str) -> str:
    if estimate is None or estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return format(estimate.value, form)
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"


_STYLES = {
    TRUTH: (INK, "--"), OUTCOME: (INK, "-"), "marks-0.8": (COLOURS[2], "-"), "marks-0.8-light": (COLOURS[7], "-"),
    "marks-0.65": (COLOURS[4], "-"), "marks-0.5": (COLOURS[1], "-"), "branch": (COLOURS[3], "-"),
}  # fmt: skip


def curves(of: Json, window: int) -> Drawing:
    """True reward by step, a line for each of the arms that answer."""
    shown = [arm for arm in of["arms"] if arm["arm"] in _STYLES]

    def draw(axes: Any) -> None:
        for arm in shown:
            colour, line = _STYLES[arm["arm"]]
            axes.plot(range(1, len(arm["curve"]) + 1), smooth(arm["curve"], window), line, color=colour,
                      linewidth=1.8, label=arm["arm"])  # fmt: skip
        axes.axhline(of["level"], color=INK, linewidth=0.8, linestyle=":")
        axes.set_xlabel("step")
        axes.set_ylabel("true reward during training")
        axes.figure.legend(fontsize=8.5, ncols=3, loc="outside lower center")

    ends = "; ".join(f"{arm['arm']} {arm['final'].value:.2f}" for arm in shown)
    return Drawing(
        f"True reward by training step in the setting {of['setting']}. At the end: {ends}.", draw, 4.8, 5.6
    )


def _named(arm: Json) -> str:
    return arm["arm"] if arm["beside"] == OUTCOME else f"{arm['arm']}, against {arm['beside']}"


def changes(of: Json) -> Drawing:
    """The change in steps against trajectory rewards, each arm a point with its interval."""
    arms = [a for a in of["arms"] if a["steps_change"] is not None and a["steps_change"].value is not None]

    def draw(axes: Any) -> None:
        for y, arm in enumerate(arms):
            change = arm["steps_change"]
            colour = COLOURS[2] if change.below(0) else COLOURS[1] if change.above(0) else INK
            axes.errorbar(change.value, y, xerr=reach(change), color=colour, marker="o", linewidth=2)
        axes.axvline(0, color=INK, linewidth=0.8)
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:+.0%}")
        axes.set_yticks(range(len(arms)), [_named(a) for a in arms])
        axes.set_ylim(len(arms) - 0.4, -0.6)
        axes.set_xlabel("steps to nine tenths of the gain, against trajectory rewards")

    said = "; ".join(f"{a['arm']} {a['steps_change'].value:+.0%}" for a in arms)
    return Drawing(
        f"Change in the steps to nine tenths of the ground truth's gain, setting {of['setting']}: {said}.",
        draw, 1.2 + 0.3 * len(arms), 5.6,
    )  # fmt: skip
