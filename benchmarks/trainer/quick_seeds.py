"""Whether the gain of the training config `quick` holds: the same run under several seeds.

    python -m benchmarks.trainer.quick_seeds --json quick_seeds.json

A seed draws the rows' order, the sampling and the judge's noise; the warm-started policy is the same.
"""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path

from benchmarks.harness import Json, add_record, parser, say, source, write_record

MODULE = "benchmarks.trainer.quick_seeds"


def train(seed: int, changes: list[str]) -> Json:
    """Train once; true reward on held-out letters before and after, with 95 % intervals."""
    from grpo.cli.train import make_trainer, quiet
    from grpo.config_file import read_settings
    from grpo.demo.run import interval
    from grpo.runs.metrics import mean_truth

    quiet()
    settings = read_settings("quick", [f"seed={seed}", f"simulated.seed={seed}", *changes])
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(settings, Path(folder) / "run")
        rows = settings.examples("eval_dataset") or []
        before = trainer.evaluate(rows)
        history = trainer.train()
        after = trainer.evaluate(rows)
    agreed = [line["judge_accuracy"] for line in history if line["judge_accuracy"] is not None]
    return {
        "seed": seed,
        "before": round(mean_truth(before), 4),
        "before_interval": [round(x, 4) for x in interval(before)],
        "after": round(mean_truth(after), 4),
        "after_interval": [round(x, 4) for x in interval(after)],
        "judge_accuracy": round(sum(agreed) / len(agreed), 4),
        "judge_calls": sum(line["judge_calls"] for line in history),
        "seconds": round(sum(line["step_seconds"] for line in history), 1),
    }


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--seeds", type=int, default=5)
    options.add_argument("--set", action="append", default=[], help="change a setting, as in ranker train")
    add_record(options)
    args = options.parse_args()
    logging.basicConfig(level=logging.ERROR)
    runs: list[Json] = []
    for seed in range(args.seeds):
        runs.append(run := train(seed, args.set))
        say(f"seed {seed}: {run['before']:.3f} to {run['after']:.3f}")
    write_record(args.json, {"schema_version": 1, **source(MODULE, torch=True), "runs": runs})


if __name__ == "__main__":
    main()
