"""What audits and anchors do to the time of a step, with a judge and an auditor that take their time.

    python -m benchmarks.watch.step_time --json benchmarks/results/watch/step_time.json

The clerk of the config `quick` learns from a judge server that takes some seconds for a reply. Runs without, and runs with an audit
of a tenth of the groups by a slower server and with anchors in a quarter of the groups, take turns, so that what else the machine
does falls on both. The ratio is that of the total times of each pair.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from functools import partial

from benchmarks.harness import Json, add_record, parser, say, source, write_record

MODULE = "benchmarks.watch.step_time"
SHARE, ANCHORS = 0.1, 0.25


def run(judge: float, auditor: float | None, steps: int, seed: int) -> Json:
    """Seconds of each step, and how many groups were audited."""
    from grpo.cli.train import quiet
    from grpo.config_file import read_settings
    from grpo.demo import desk_blocks, quick
    from grpo.trainer import GRPOTrainer
    from ranker import rank_group
    from ranker.testing import JudgeServer
    from ranker.watch.audit import Audit

    quiet()
    model, tokenizer = quick.policy()
    anchors = 0.0 if auditor is None else ANCHORS
    config = replace(
        read_settings("quick").config,
        max_steps=steps,
        seed=seed,
        save_steps=0,
        anchor_share=anchors,
    )
    ask = partial(rank_group, judge="openai/simulated", rubric=quick.RUBRIC, cache="off")
    with (
        JudgeServer(desk_blocks.worth, latency=judge) as server,
        JudgeServer(desk_blocks.worth, latency=auditor or 0.0) as strong,
    ):
        audit = Audit(auditor=partial(ask, base_url=strong.base_url), share=SHARE, min_agreement=0.0)
        trainer = GRPOTrainer(
            model,
            tokenizer=tokenizer,
            dataset=quick.rows(),
            reward_fn=partial(ask, base_url=server.base_url),
            rollout=quick.rollout,
            config=config,
            audit=None if auditor is None else audit,
        )
        history = trainer.train()
        trainer.close()
    audited = history[-1].get("audited_groups") or 0
    return {"seconds": [round(line["step_seconds"], 3) for line in history], "audited": int(audited)}


def main() -> None:
    logging.basicConfig(level=logging.ERROR)
    options = parser(MODULE, __doc__)
    options.add_argument("--judge", type=float, default=2.0, help="seconds of a reply")
    options.add_argument(
        "--auditor", type=float, nargs="+", default=[2.0, 4.0, 6.0], help="seconds of a reply"
    )
    options.add_argument("--steps", type=int, default=12)
    options.add_argument("--pairs", type=int, default=3)
    add_record(options)
    args = options.parse_args()
    rows = []
    for auditor in args.auditor:
        pairs = []
        for seed in range(args.pairs):
            without, audited = (run(args.judge, a, args.steps, seed) for a in (None, auditor))
            ratio = sum(audited["seconds"]) / sum(without["seconds"])
            pairs.append({"ratio": round(ratio, 4), "without": without, "with": audited})
            say(
                f"auditor {auditor:g} s: {sum(without['seconds']):.1f} s to {sum(audited['seconds']):.1f} s, {ratio - 1:+.1%}"
            )
        rows.append({"auditor_seconds": auditor, "pairs": pairs})
    about = {"judge_seconds": args.judge, "steps": args.steps, "audits": rows}
    write_record(args.json, {"schema_version": 1, **source(MODULE, torch=True), **about})


if __name__ == "__main__":
    main()
