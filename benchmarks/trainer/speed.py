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

from rich.console import Console
from rich.table import Table

from benchmarks.harness import Json, Say, add_record, console, parser, run_json, source, write_record
from benchmarks.trainer import speed_model
from benchmarks.trainer.speed_model import Work
from benchmarks.trainer.trl_runs import trl_python

MODULE = "benchmarks.trainer.speed"
TIMES = ("step_seconds", "generate_seconds", "update_seconds")
PENDING = 2  # groups that may await the judge while the next ones are generated
_TRL = {  # options of `trl_side`
    "trl": (),
    "trl_checkpointing": ("--checkpointing",),
    "trl_micro_batch_8": ("--micro-batch", "8"),
    "trl_head_on_completions": ("--completions-only",),
}
_OFFERED = ("trl", "trl_checkpointing", "trl_micro_batch_8")  # what a user of TRL can choose here


def run_side(python: Path | str, module: str, work: Work, *options: str) -> Json:
    """The medians of a run in a process of its own, with every step's time beside them.

    This process loads no model: on Linux a child's peak of memory starts at what its parent held.
    """
    run = run_json(python, module, *work.options(), *options)
    return {
        **{name: round(median(run[name]), 3) for name in TIMES},
        "peak_rss_gb": round(run["peak_rss_gb"], 3),
        "all_step_seconds": [round(seconds, 3) for seconds in run["step_seconds"]],
        **{name: run[name] for name in ("threads", "settings", "versions")},
    }


def ours(work: Work, latency: float = 0.0, pending: int = 0) -> Json:
    """Our trainer, with a judge that takes `latency` seconds a group."""
    options = ("--judge-latency", str(latency), "--pending", str(pending))
    return run_side(sys.executable, "benchmarks.trainer.speed_ours", work, *options)


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


def compare(work: Work, python: Path, latency: float | None, say: Say) -> Json:
    """Every measurement, ours first."""
    say("our trainer")
    own = ours(work)
    runs: dict[str, Json] = {}
    for name, options in _TRL.items():
        say(name.replace("_", " "))
        runs[name] = run_side(python, "benchmarks.trainer.trl_side", work, *options)
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


def show(record: Json) -> Table:
    """A row for every run."""
    work = record["work"]
    table = Table("", "step s", "generate s", "update s", "peak GB", "TRL's step / ours", "our memory / TRL's",
                  title=f"Prompt {work['prompt']}, completion {work['completion']}")  # fmt: skip
    for name, run in {"ours": record["ours"], **record["trl_runs"]}.items():
        beside = [f"{run['ratio'][part]:.2f}" for part in ("step", "memory")] if "ratio" in run else []
        table.add_row(
            name.replace("_", " "), *(f"{run[part]:.2f}" for part in (*TIMES, "peak_rss_gb")), *beside
        )
    if "judge" in record:
        table.caption = (
            "A judge that takes {latency:g} s a group: {step_seconds_with:.2f} s a step, "
            "{step_seconds_without:.2f} s without.".format(**record["judge"])
        )
    return table


def main() -> None:
    options = parser(MODULE, __doc__)
    speed_model.add_work(options)
    options.add_argument("--judge-latency", type=float,
                         help="also measure ours with a judge that takes so many seconds a group")  # fmt: skip
    options.add_argument("--trl-python", type=Path, help="a Python with TRL; default: created on first use")
    add_record(options)
    args = options.parse_args()
    with Console(stderr=True).status("TRL's environment") as status:
        python = args.trl_python or trl_python()
        record = compare(speed_model.work_of(args), python, args.judge_latency, status.update)
    console().print(show(record))
    write_record(args.json, record)


if __name__ == "__main__":
    main()
