"""Audits that are trained on: what a tenth of the groups, ranked by an auditor that is right, does for a run whose judge has a flaw.

    python -m benchmarks.watch.corrected --json benchmarks/results/watch/corrected.json

Runs of the study of the watch under judges with a flaw, and under one without, once more with the same seeds and
`train_on_audits` (see docs/watching.md), beside those on record. Some 50 seconds a run; a record that exists is gone on with.
Beside the record goes a picture, .png.
"""

from __future__ import annotations

import gzip
import json
import logging
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Json, add_record, parser, say, source, write_record
from benchmarks.study.plan import Unit
from benchmarks.watch import plan, recording
from benchmarks.watch.losses import course, smooth
from ranker.pages.figures import COLOURS, Drawing
from ranker.statistics import mean, paired
from ranker.watch.audit import Audit

MODULE = "benchmarks.watch.corrected"
RECORDED = ROOT / "benchmarks" / "results" / "watch" / "runs"
ARMS = ("shorter-0.7", "pretence-0.9", "boast-1", "noise-0.8")
COLUMNS = 2
LAST = 5  # steps whose mean true reward is the final one


def train(unit: Unit, share: float) -> Json:
    """The true reward of each step, with the audit."""
    from grpo.demo import quick

    audit = Audit(auditor=quick.auditor, share=share, min_agreement=0.0, max_drop=1.0, train_on_audits=True)
    found = recording.record(unit, audit)
    run = recording.read({"arm": unit.arm.name, "seed": unit.seed, "steps": unit.steps, **found})
    return {
        "arm": unit.arm.name,
        "seed": unit.seed,
        "audited": len(found["audits"]),
        "groups": len(run.groups),
        **_figures(run),
    }


def _figures(run: recording.Run) -> Json:
    made = course(run)
    steps: dict[int, list[float]] = {}
    for group in run.groups:
        steps.setdefault(group.step, []).extend(t for t in group.truth if t is not None)
    by_step = [round(sum(own) / len(own), 4) for _, own in sorted(steps.items())]
    return {"truth": by_step, "final": round(sum(by_step[-LAST:]) / LAST, 4), "lost": made.lost}


def recorded(arm: str, seed: int) -> Json:
    """The same of the run on record, without an audit."""
    with gzip.open(RECORDED / f"{arm}-{seed}.json.gz", "rt", encoding="utf-8") as file:
        return _figures(recording.read(json.load(file)))


def summary(runs: list[Json]) -> Json:
    """By arm: the final true reward without audits and with them, their difference by seed, and how many lost a quarter."""
    arms: Json = {}
    for arm in dict.fromkeys(run["arm"] for run in runs):
        after = {run["seed"]: run for run in runs if run["arm"] == arm}
        before = {seed: recorded(arm, seed) for seed in after}
        finals = [{seed: run["final"] for seed, run in each.items()} for each in (before, after)]
        arms[arm] = {
            "seeds": len(after),
            "without": mean(list(finals[0].values())).to_dict(4),
            "with": mean(list(finals[1].values())).to_dict(4),
            "difference": paired(finals[1], finals[0]).to_dict(4),
            "lost_a_quarter": [
                sum(run["lost"] is not None for run in each.values()) for each in (before, after)
            ],
            "audited": round(
                sum(r["audited"] for r in after.values()) / sum(r["groups"] for r in after.values()), 4
            ),
        }
    return arms


def drawing(runs: list[Json]) -> Drawing:
    """A panel for each arm: the true reward of every run, without audits and with them."""
    arms = summary(runs)
    audited = sum(run["audited"] for run in runs) / sum(run["groups"] for run in runs)

    def draw(axes: Any) -> None:
        figure = axes.figure
        axes.remove()
        grid = figure.subplots(-(-len(arms) // COLUMNS), COLUMNS, sharex=True, sharey=True, squeeze=False)
        for place in list(grid.flat)[len(arms) :]:
            place.remove()
        for place, arm in zip(grid.flat, arms, strict=False):
            mine = [run for run in runs if run["arm"] == arm]
            for i, run in enumerate(mine):
                for own, colour, name in (
                    (recorded(arm, run["seed"]), COLOURS[1], "the judge alone"),
                    (run, COLOURS[0], f"{audited:.0%} of the groups audited, and trained on"),
                ):
                    curve = smooth(own["truth"])
                    label = None if i else name
                    place.plot(
                        range(1, len(curve) + 1), curve, color=colour, linewidth=1, alpha=0.8, label=label
                    )
            place.set_title(arm, fontsize=9.5, loc="left", pad=3)
            place.set_ylim(-0.02, 1.04)
        for place in grid[-1]:
            place.set_xlabel("step")
        for row in grid:
            row[0].set_ylabel("true reward")
        handles, labels = grid[0][0].get_legend_handles_labels()
        figure.legend(handles, labels, fontsize=8.5, loc="outside lower center", ncols=2)

    spoken = "; ".join(
        f"{a}: {f['without']['value']:.2f} to {f['with']['value']:.2f}" for a, f in arms.items()
    )
    return Drawing(f"True reward of runs without and with audits, at the end: {spoken}.", draw, 4.6, 7.2)


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    options = parser(MODULE, __doc__)
    options.add_argument("--share", type=float, default=0.1)
    options.add_argument("--only", action="append", default=[], choices=ARMS)
    options.add_argument("--seeds", type=int, nargs="+", default=list(plan.SEEDS))
    add_record(options, required=True)
    args = options.parse_args()
    path: Path = args.json
    runs: list[Json] = json.loads(path.read_text(encoding="utf-8"))["runs"] if path.is_file() else []
    for unit in plan.units(plan.arms(args.only or ARMS), args.seeds):
        if any((run["arm"], run["seed"]) == (unit.arm.name, unit.seed) for run in runs):
            continue
        runs.append(made := train(unit, args.share))
        say(
            f"{unit.arm.name} {unit.seed}: {recorded(unit.arm.name, unit.seed)['final']:.2f} to {made['final']:.2f}"
        )
        about = {"share": args.share, "arms": summary(runs), "runs": runs}
        write_record(path, {"schema_version": 1, **source(MODULE, torch=True), **about})
    path.with_suffix(".png").write_bytes(drawing(runs).png())


if __name__ == "__main__":
    main()
