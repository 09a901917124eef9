"""Train the same small agent with rewards of whole attempts, with marks of turns that are right more or less often, and with
branches, 5 seeds each.

    python -m benchmarks.turns --out benchmarks/results/turns

100 short runs, half an hour on an idle core; interrupted, the same command continues where it stopped. Writes runs.jsonl,
turns.json and the pictures.
"""

from __future__ import annotations

import json
import os
import sys
from functools import partial
from pathlib import Path

from rich.console import Console

from benchmarks.harness import exit_code, parser, say, source
from benchmarks.turns import plan, report
from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender, read_records
from ranker.runtime.outputs import replace_file

MODULE = "benchmarks.turns"
START = "start"


def study(out: Path, seeds: int, only: list[str], setting: list[str], steps: int | None) -> bool:
    """Make every run that is missing, then draw.

    Raises:
        ConfigurationError: an unknown arm, or a folder that cannot be written.
    """
    units = plan.units(plan.chosen(only, setting), seeds, steps)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{out} cannot be created: {error.strerror}.") from None
    sink = Appender(out / "runs.jsonl", holds=("arm",), what="result of the study")
    about = source(MODULE, torch=True)
    try:
        records = {record["id"]: record for record in read_records(out / "runs.jsonl")}
        for seed in sorted({unit.seed for unit in units}):
            if f"{START}/{seed}" not in records:
                from benchmarks.turns.run import examined
                from grpo.demo import quick

                _keep(
                    sink,
                    records,
                    f"{START}/{seed}",
                    arm=START,
                    seed=seed,
                    final=examined(quick.policy(), seed),
                )
        for unit in units:
            if unit.id not in records:
                from benchmarks.turns.run import train

                say(f"{unit.setting.name}, {unit.arm.name}, seed {unit.seed}")
                made = train(unit)
                _keep(
                    sink, records, unit.id, arm=unit.arm.name, seed=unit.seed, commit=about["commit"], **made
                )
    finally:
        sink.close()
    start = {seed: records[f"{START}/{seed}"]["final"] for seed in {unit.seed for unit in units}}
    found = report.figures(units, records, start)
    text = json.dumps({**about, "seeds": seeds, "settings": found}, indent=1, default=lambda e: e.to_dict(6))
    replace_file(out / "turns.json", (text + "\n").encode())
    for of in found:
        if of["arms"]:
            window = plan.SETTINGS[of["setting"]].window
            (out / f"curves_{of['setting']}.png").write_bytes(report.curves(of, window).png())
            (out / f"changes_{of['setting']}.png").write_bytes(report.changes(of).png())
    Console(width=200).print(report.table(found))
    return True


def _keep(sink: Appender, records: dict[str, dict[str, object]], key: str, **fields: object) -> None:
    records[key] = {"id": key, **fields}
    sink.write(records[key])


def main() -> int:
    options = parser(MODULE, __doc__)
    options.add_argument("--out", type=Path, required=True, help="folder for runs, results and pictures")
    options.add_argument(
        "--seeds", type=int, default=plan.SEEDS, help="seeds of each arm; the same ones for all"
    )
    options.add_argument(
        "--only", metavar="ARM", action="append", default=[], help="only this arm; repeatable"
    )
    options.add_argument(
        "--setting", choices=plan.SETTINGS, action="append", default=[], help="only this setting; repeatable"
    )
    options.add_argument("--steps", type=int, help="optimizer steps of each run")
    args = options.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    return exit_code(partial(study, **vars(args)))


if __name__ == "__main__":
    sys.exit(main())
