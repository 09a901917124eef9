"""Whether the gain of a packaged training config holds: the same run under several seeds.

    python -m benchmarks.trainer.seeds --json quick_seeds.json
    python -m benchmarks.trainer.seeds --config demo --retune --json demo_retune_seeds.json

A seed draws the rows' order, the sampling, which groups are audited and the simulated judge's noise; the warm-started
policy is the same. A record that exists is gone on with: its seeds are not run again.
"""

from __future__ import annotations

import json
import logging
import tempfile
import time
from pathlib import Path

from benchmarks.harness import Json, add_record, parser, say, source, write_record

MODULE = "benchmarks.trainer.seeds"


def train(config: str, seed: int, changes: list[str]) -> Json:
    """Train once; true reward on held-out letters before and after, with 95 % intervals, and what the audits showed."""
    from grpo.cli.train import make_trainer, quiet
    from grpo.config_file import read_settings
    from grpo.demo.run import interval
    from grpo.runs.folder import whole_lines
    from grpo.runs.metrics import mean_truth

    quiet()
    drawn = [f"seed={seed}", *([f"simulated.seed={seed}"] if config == "quick" else [])]
    settings = read_settings(config, [*drawn, *changes])
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        trainer = make_trainer(settings, out)
        rows = settings.examples("eval_dataset") or []
        before = trainer.evaluate(rows)
        history = trainer.train()
        after = trainer.evaluate(rows)
        trainer.close()
        audits = list(whole_lines(out / "audits.jsonl"))
        retunes = [record for _, record in whole_lines(out / "retunes.jsonl")]
    agreed = [line["judge_accuracy"] for line in history if line["judge_accuracy"] is not None]
    run: Json = {
        "seed": seed,
        "before": round(mean_truth(before), 4),
        "before_interval": [round(x, 4) for x in interval(before)],
        "after": round(mean_truth(after), 4),
        "after_interval": [round(x, 4) for x in interval(after)],
        "judge_accuracy": round(sum(agreed) / len(agreed), 4),
        "judge_calls": sum(line["judge_calls"] for line in history),
        "seconds": round(sum(line["step_seconds"] for line in history), 1),
    }
    if audits:
        run |= {
            "steps": len(history),
            "whole_seconds": round(time.perf_counter() - began, 1),
            "audited": len(audits),
            "groups": sum(line["groups"] for line in history),
            "agreement": [line["judge_agreement"] for line in history],
            "stopped": trainer.stopped and trainer.stopped.to_dict(),
            "handed_back": trainer.handed_back,
            "retunes": [{k: v for k, v in r.items() if k != "judge"} for r in retunes],
        }
    return run


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--config", choices=("quick", "demo"), default="quick")
    options.add_argument(
        "--retune", action="store_true", help="with --config demo, as in `ranker demo --retune`"
    )
    options.add_argument("--seeds", type=int, nargs="+", default=[*range(5)])
    options.add_argument("--set", action="append", default=[], help="change a setting, as in ranker train")
    add_record(options)
    args = options.parse_args()
    logging.basicConfig(level=logging.ERROR)
    from grpo.demo.run import RETUNE

    changes = [*(RETUNE if args.retune else ()), *args.set]
    known = json.loads(args.json.read_text(encoding="utf-8")) if args.json and args.json.is_file() else {}
    runs: list[Json] = known.get("runs", [])
    for seed in args.seeds:
        if any(run["seed"] == seed for run in runs):
            continue
        runs.append(run := train(args.config, seed, changes))
        say(f"seed {seed}: {run['before']:.3f} to {run['after']:.3f}")
        if args.json:
            write_record(args.json, {"schema_version": 1, **source(MODULE, torch=True), "runs": runs})
    if not args.json:
        write_record(None, {"schema_version": 1, **source(MODULE, torch=True), "runs": runs})


if __name__ == "__main__":
    main()
