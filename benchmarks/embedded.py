"""The embedded default judge: tuned on training templates of generated suites, measured on templates held out.

    python -m ranker.benchmarks.embedded tune --out DIR
    python -m ranker.benchmarks.embedded measure DIR --groups 400 --out FILE
"""

from __future__ import annotations

import argparse
import itertools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranker.benchmarks import provenance
from ranker.benchmarks.bench.intervals import ratio
from ranker.benchmarks.suites import load
from rich.progress import Progress as Bar
from rich.progress import track

from ranker.files import Appender, read_records
from ranker.local.probe import ProbeJudge
from ranker.local.setup import read_judge, setup_from
from ranker.local.ways import fit
from ranker.tuning.examples import Example, agreeing, from_groups
from ranker.tuning.run import Progress, Run, Tuning

SEED = 11
# Groups of each family's training templates, of four attempts, a third at each difficulty.
GROUPS = {"constraints": 440, "answers": 440, "lookup": 300, "arithmetic": 300, "code": 150, "desk": 300}
DIFFICULTIES = (0.2, 0.4, 0.6)
HELD = 8  # groups of each family that choose the best state
TEST = 8  # and that are looked at after it; `measure` is what counts
TUNING = Tuning(base="smollm2-135m-instruct", way="blend", template="brief.v1", epochs=1, batch=8, rate=1.5e-3,
                minutes=None, checks=5, patience=99, seed=SEED)  # fmt: skip


def examples(groups: Mapping[str, int], seed: int) -> list[Example]:
    """Groups of training templates."""
    made: list[Example] = []
    for family, count in groups.items():
        for k, difficulty in enumerate(DIFFICULTIES):
            share = count // 3 + (k < count % 3)
            spec = f"{family}:split=train,difficulty={difficulty}"
            made += from_groups(load(spec, share, seed=seed + k).groups)
    return made


def tune(out: Path, groups: Mapping[str, int], minutes: float | None) -> None:
    """Train the adapter into `out`."""
    from dataclasses import replace

    with Bar() as bar:
        task = bar.add_task("tuning", total=None)

        def report(at: Progress) -> None:
            bar.update(task, total=at.steps, completed=at.step)
            print(f"{at.seconds:.0f} s, step {at.step} of {at.steps}: loss {at.loss:.3f}, accuracy {at.accuracy:.3f}, "
                  f"held out {at.held_loss}", flush=True)  # fmt: skip

        run = Run(
            replace(TUNING, minutes=minutes),
            examples(groups, SEED),
            out,
            held=examples(dict.fromkeys(groups, HELD), SEED + 100),
            test=examples(dict.fromkeys(groups, TEST), SEED + 200),
            report=report,
            source={"families": dict(groups), "split": "train", "command": provenance.command("embedded")},
        )
        print(run.go())


def measure(judge: Path, families: Mapping[str, int], out: Path, seed: int) -> None:
    """Pairwise accuracy on templates held out; scores of each group go to `out`, line by line."""
    told, home = read_judge(judge)
    probe = ProbeJudge(setup_from(told, home), cache="off")
    loaded = probe.local.load()
    sink = Appender(out, holds=("scores",), what="record of scores")
    try:
        for family, count in families.items():
            for example in track(from_groups(load(family, count, seed=seed).groups), family):
                name = f"{family}/{example.id}"
                if name not in sink.done:
                    given = fit(example.shown, probe.setup.way, loaded.window, loaded.count)
                    scores, tokens = probe.read(loaded, given)
                    sink.write({"id": name, "family": family, "truths": example.truths_G,
                                "scores": [round(s, 4) for s in scores], "tokens": tokens})  # fmt: skip
    finally:
        sink.close()
    print(json.dumps(summary(out), indent=1))


def summary(records: Path) -> dict[str, Any]:
    """Accuracy of each family with its interval, and their mean."""
    import numpy as np

    found: dict[str, Any] = {}
    every = sorted(read_records(records), key=lambda r: str(r["family"]))
    for family, own in itertools.groupby(every, key=lambda r: str(r["family"])):
        pairs = [agreeing(r["truths"], r["scores"]) for r in own]
        made = ratio(np.array([a for a, _ in pairs]), np.array([float(n) for _, n in pairs]), share=True)
        found[family] = {**made.to_dict(), "groups": len(pairs)}
    return {"families": found, "mean": sum(f["value"] for f in found.values()) / len(found)}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ranker.benchmarks.embedded", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    commands = parser.add_subparsers(dest="command", required=True)
    tuning = commands.add_parser("tune")
    tuning.add_argument("--out", type=Path, required=True)
    tuning.add_argument("--minutes", type=float)
    tuning.add_argument("--without", default="", help="a family to leave out of the training")
    measuring = commands.add_parser("measure")
    measuring.add_argument("judge", type=Path)
    measuring.add_argument("--groups", type=int, default=400)
    measuring.add_argument("--families", default=",".join([*GROUPS, "toolenv"]))
    measuring.add_argument("--seed", type=int, default=7)
    measuring.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    if given.command == "tune":
        tune(given.out, {f: n for f, n in GROUPS.items() if f != given.without}, given.minutes)
    else:
        measure(given.judge, dict.fromkeys(given.families.split(","), given.groups), given.out, given.seed)


if __name__ == "__main__":
    main()
