"""SmolLM2-135M learns to follow instructions from real judges, from noise that is as often right, and from the truth.

    python -m benchmarks.smollm2 --out benchmarks/results/smollm2

A run takes some twenty minutes on one core; interrupted, the same command continues where it stopped. Judges are "truth", "local",
"noise", "tuned" (see benchmarks.smollm2.labelled) and whatever `--judge` of Ranker takes. Writes runs.jsonl, smollm2.json and curves.png.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
from rich.console import Console

from benchmarks.harness import Json, parser, run_json, say, source, write_record
from benchmarks.smollm2 import report
from ranker.bench.simulated_judges import noise_for

MODULE = "benchmarks.smollm2"
NEEDED = 3  # runs with the embedded judge before noise can be as often right as it


def main() -> int:
    options = parser(MODULE, __doc__)
    options.add_argument("--out", type=Path, required=True)
    options.add_argument(
        "--judge", action="append", help="repeatable; default: truth, local, noise in this order"
    )
    options.add_argument(
        "--tuned", type=Path, metavar="FOLDER", help="of the judge that was tuned on these tasks"
    )
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--steps", type=int, default=40)
    options.add_argument(
        "--dtype",
        choices=("float32", "bfloat16"),
        default="float32",
        help="bfloat16 is for processors that have it",
    )
    chosen = options.parse_args()
    if "tuned" in (chosen.judge or ()) and chosen.tuned is None:
        options.error("--judge tuned needs --tuned FOLDER, which ranker tune-judge wrote.")
    chosen.out.mkdir(parents=True, exist_ok=True)
    record = chosen.out / "runs.jsonl"
    runs = [r for r in read(record) if r["steps"] == chosen.steps and r["dtype"] == chosen.dtype]
    for seed in range(chosen.seeds):
        for judge in chosen.judge or ("truth", "local", "noise"):
            if any((r["judge"], r["seed"]) == (judge, seed) for r in runs):
                continue
            deviation = deviation_of(runs) if judge == "noise" else None
            if judge == "noise" and deviation is None:
                say(f"noise waits for {NEEDED} runs with the embedded judge: start the command again")
                continue
            say(f"{judge}, seed {seed}")
            run = run_json(
                sys.executable,
                f"{MODULE}.run",
                judge=judge,
                seed=seed,
                steps=chosen.steps,
                deviation=deviation,
                dtype=chosen.dtype,
                tuned=str(chosen.tuned.resolve()) if chosen.tuned else None,
            )
            runs.append({**run, **source(MODULE, torch=True)})
            with open(record, "a", encoding="utf-8") as file:
                file.write(json.dumps(runs[-1], ensure_ascii=False) + "\n")
    arms = report.figures(runs)
    write_record(
        chosen.out / "smollm2.json", {**source(MODULE, torch=True), "steps": chosen.steps, "arms": arms}
    )
    if arms:
        (chosen.out / "curves.png").write_bytes(report.curves(arms).png())
    Console(width=240).print(report.table(arms))  # Markdown, a line a row whatever the terminal
    return 0


def read(record: Path) -> list[Json]:
    """The runs so far; a last line that was torn is none."""
    lines = record.read_text(encoding="utf-8").split("\n") if record.is_file() else []
    return [json.loads(line) for line in lines[:-1]]


def deviation_of(runs: list[Json]) -> float | None:
    """The noise on the truth under which a judge is as often right on groups of the start policy as the embedded one
    was in the first steps: by the gaps between the held-out truths of the start policy."""
    right = [a for r in runs if r["judge"] == "local" and (a := report.accuracy(r, report.FIRST)) is not None]
    if len(right) < NEEDED:
        return None
    seen = np.concatenate([r["before"]["truths"] for r in runs if r["judge"] == "local"])
    gaps = np.abs(seen[:, None] - seen[None, :])[np.triu_indices(len(seen), 1)]
    return noise_for(float(np.mean(right)), gaps[gaps > 0])


if __name__ == "__main__":
    sys.exit(main())
