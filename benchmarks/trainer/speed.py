"""Our trainer beside TRL's: seconds and memory of a step on the same model, prompts and lengths.

    python -m benchmarks.trainer.speed --prompt 384 --completion 64 --json trainer_speed.json

Both train the same Llama of 32M parameters, 2 groups of 8, fp32, on-policy, on the CPU, one after the
other, each in a process of its own; medians of the timed steps are reported. TRL runs as one batch, in
two micro-batches, and with gradient checkpointing, its default; the fastest counts. It also runs with a
change its users cannot set, the head skipping the prompt's positions as where TRL's Triton kernels run.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.harness import Json, add_record, parser, say, source, write_record
from benchmarks.trainer.sides import run_side
from benchmarks.trainer.work import Work, add_work, trl_python, work_of

MODULE = "benchmarks.trainer.speed"
TIMES = ("step_seconds", "generate_seconds", "update_seconds")
PENDING = 2  # groups that may await the judge while the next ones are generated
_TRL: dict[str, Json] = {  # options of the side `trl`
    "trl": {},
    "trl_checkpointing": {"checkpointing": True},
    "trl_micro_batch_8": {"micro_batch": 8},
    "trl_head_on_completions": {"completions_only": True},
}
_USUAL: Json = {"checkpointing": False, "micro_batch": 16, "completions_only": False}
_OFFERED = ("trl", "trl_checkpointing", "trl_micro_batch_8")  # what a user of TRL can choose here


def medians(python: Path | str, side: str, work: Work, **options: Any) -> Json:
    """The medians of a side's run, with every step's time beside them."""
    run = run_side(python, side, work, **options)
    return {
        **{name: round(median(run[name]), 3) for name in TIMES},
        "peak_rss_gb": round(run["peak_rss_gb"], 3),
        "all_step_seconds": [round(seconds, 3) for seconds in run["step_seconds"]],
        **{name: run[name] for name in ("threads", "settings", "versions")},
    }


def ours(work: Work, latency: float = 0.0, pending: int = 0) -> Json:
    """Our trainer, with a judge that takes `latency` seconds a group."""
    return medians(sys.executable, "ours", work, latency=latency, pending=pending)


def judge(work: Work, latency: float) -> Json:
    """A judge that takes its time beside one that answers at once, groups awaiting it in the background."""
    at_once = ours(work, 0.0, PENDING)["step_seconds"]
    slow = ours(work, latency, PENDING)["step_seconds"]
    return {
        "latency": latency,
        "step_seconds_without": at_once,
        "step_seconds_with": slow,
        "ratio": round(slow / at_once, 3),
    }


def ratios(own: Json, trl: Json) -> Json:
    """`step`: how many of our steps fit in one of TRL's; `memory`: our peak as a part of TRL's."""
    times = {name.removesuffix("_seconds"): round(trl[name] / own[name], 2) for name in TIMES}
    return {**times, "memory": round(own["peak_rss_gb"] / trl["peak_rss_gb"], 3)}


def compare(work: Work, python: Path, latency: float | None) -> Json:
    """Every measurement, ours first."""
    say("our trainer")
    own = ours(work)
    runs: dict[str, Json] = {}
    for name, options in _TRL.items():
        say(name.replace("_", " "))
        runs[name] = medians(python, "trl", work, **_USUAL | options)
    headline = min(_OFFERED, key=lambda name: runs[name]["step_seconds"])
    origin = source(MODULE, torch=True)
    record: Json = {
        "schema_version": 1,
        **origin,
        "work": asdict(work),
        "machine": origin["machine"] | {"threads": own["threads"]},
        "ours": own,
        "trl": runs[headline],
        "ratio": ratios(own, runs[headline]),
        "trl_runs": {name: {**run, "ratio": ratios(own, run)} for name, run in runs.items()},
    }
    if latency is not None:
        say("a slow judge")
        record["judge"] = judge(work, latency)
    return record


def main() -> None:
    options = parser(MODULE, __doc__)
    add_work(options)
    options.add_argument("--judge-latency", type=float,
                         help="also measure ours with a judge that takes so many seconds a group")  # fmt: skip
    add_record(options)
    args = options.parse_args()
    record = compare(work_of(args), trl_python(args.trl_python), args.judge_latency)
    write_record(args.json, record)


if __name__ == "__main__":
    main()
