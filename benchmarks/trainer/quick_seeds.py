"""Whether the gain of the training config `quick` holds: the same run under several seeds.

    python -m benchmarks.trainer.quick_seeds --json quick_seeds.json

A seed draws the rows' order, the sampling and the judge's noise; the warm-started policy is the same.
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from ranker.bench import provenance


def one(seed: int, changes: list[str]) -> dict[str, Any]:
    """Train once; true reward on held-out letters before and after, with 95 % intervals."""
    from grpo.cli.train import make_trainer, quiet
    from grpo.config_file import read_settings
    from grpo.demo import quick
    from grpo.demo.run import interval
    from grpo.runs.metrics import mean_truth
    from ranker.testing import Behaviour

    quiet()
    quick.judge = quick.DeskJudge(Behaviour(noise=quick.NOISE, seed=seed))
    settings = read_settings("quick", [f"seed={seed}", *changes])
    with tempfile.TemporaryDirectory() as folder:
        trainer = make_trainer(settings, Path(folder) / "run")
        rows = settings.rows("eval_dataset") or []
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
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.quick_seeds", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--set", action="append", default=[], help="change a setting, as in ranker train")
    parser.add_argument("--json", type=Path, help="the results as JSON")
    given = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    runs = []
    for seed in range(given.seeds):
        runs.append(one(seed, given.set))
        print(
            f"seed {seed}: {runs[-1]['before']:.3f} to {runs[-1]['after']:.3f}", file=sys.stderr, flush=True
        )
    table = Table("seed", "before", "after", "judge's pairs right", "seconds", title="quick")
    for run in runs:
        low, high = run["after_interval"]
        after = f"{run['after']:.3f} ({low:.3f} to {high:.3f})"
        table.add_row(
            str(run["seed"]),
            f"{run['before']:.3f}",
            after,
            f"{run['judge_accuracy']:.2f}",
            f"{run['seconds']:.0f}",
        )
    Console(width=120).print(table)
    if given.json is not None:
        found = {
            "schema_version": 1,
            "command": provenance.command("quick_seeds"),
            "commit": provenance.commit(),
            "machine": provenance.machine(torch=True),
            "runs": runs,
        }
        given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
