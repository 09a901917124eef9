"""How large must a tuned judge be? Bases of several sizes, tuned on the same groups for the same minutes.

    python -m benchmarks.judges.base_size --base smollm2-135m-instruct --minutes 40 --json benchmarks/results/base_size.json
    python -m benchmarks.judges.base_size --base qwen2.5-coder-0.5b-instruct --minutes 40 --json benchmarks/results/base_size.json

Trained on the training templates of every generated family and on real completions of two thirds of the tasks of
`humaneval-samples`; measured on held-out templates, on the other tasks, and on the other real attempts. Interrupted, the same command
continues. $RANKER_MODELS names the folder of the models' GGUF files, $RANKER_DATA that of the published group files, where
they are not to be fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from benchmarks.harness import Json, add_record, parser, rows_with, say, source, write_record
from benchmarks.judges.embedded import GROUPS, SEED, TUNING, examples, figures, score_groups
from ranker.jsonl.appender import read_records
from ranker.judges.local.judge_file import read_judge
from ranker.suites import load
from ranker.tuning.examples import Example, from_groups
from ranker.tuning.run import Run

MODULE = "benchmarks.judges.base_size"
FAMILIES = tuple(GROUPS)
EACH = 240  # groups of each family, of four attempts
CODE = "humaneval-samples"
CODE_TIMES = 3  # each real group of code is seen so often as one of the others
REAL = ("gsm8k-solutions", "game24", "topical-chat")
FRESH = ("toolenv", *FAMILIES)


def real_code() -> tuple[list[Example], list[Example]]:
    """Real completions: two thirds of the tasks to train on, every third task to measure on."""
    every = from_groups(load(CODE, None).groups)
    return [e for i, e in enumerate(every) if i % 3], [e for i, e in enumerate(every) if i % 3 == 0]


def training() -> list[Example]:
    """What every base is tuned on."""
    code, _ = real_code()
    again = [replace(e, id=f"{e.id}/{k}") for k in range(CODE_TIMES) for e in code]
    return examples(dict.fromkeys(FAMILIES, EACH), SEED) + again


def held_out(family: str, count: int) -> Sequence[Example]:
    """Groups that none of the bases was trained on."""
    if family == CODE:
        return real_code()[1]
    return from_groups(load(family, count, seed=7).groups)


def tune(base: str, minutes: float, learning_rate: float, out: Path) -> Json:
    """Tune a base, going on where an earlier call stopped; what the judge file says of it."""
    settings = replace(TUNING, base=base, minutes=minutes, learning_rate=learning_rate, epochs=3)
    groups = training()
    looked_at = examples(dict.fromkeys(FAMILIES, 1), SEED + 100)
    run = Run(settings, groups, out, validation=looked_at, test=looked_at, report=lambda at: say(
        f"{base}: {at.seconds:.0f} s, step {at.step} of {at.steps}, loss {at.loss:.3f}"
    ))  # fmt: skip
    say(str(run.go()))
    return dict(read_judge(out)[0]["measured"])


def measure(judge: Path, count: int, records: Path) -> Json:
    """Accuracy and seconds of a group, of each family and each kind of real attempts."""
    score_groups(judge, {family: held_out(family, count) for family in (*FRESH, CODE, *REAL)}, records)
    return summary(records)


def summary(records: Path) -> Json:
    """Each family's accuracy with its interval, the mean over the generated ones without code, and the seconds of a group."""
    by_family: dict[str, list[Json]] = {}
    for record in read_records(records):
        by_family.setdefault(str(record["family"]), []).append(record)
    families = {}
    for family, own in by_family.items():
        accuracy, _ = figures(TUNING.way, [r["truths"] for r in own], [r["scores"] for r in own])
        families[family] = {**accuracy.to_dict(3), "groups": len(own)}
    generated = [
        v for f in FRESH if f in families and f != "code" and (v := families[f]["value"]) is not None
    ]
    return {
        "families": families,
        "mean_without_code": round(float(np.mean(generated)), 3),
        "seconds_per_group": round(
            float(np.median([r["seconds"] for o in by_family.values() for r in o])), 2
        ),
    }


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--base", required=True)
    options.add_argument("--minutes", type=float, required=True, help="of training")
    options.add_argument("--learning-rate", type=float, default=TUNING.learning_rate)
    options.add_argument("--groups", type=int, default=60, help="to measure on, of each family")
    options.add_argument("--out", type=Path, default=Path("build/base_size"))
    add_record(options)
    chosen = options.parse_args()
    out = chosen.out / f"{chosen.base}_{chosen.minutes:g}"
    tuned = tune(chosen.base, chosen.minutes, chosen.learning_rate, out)
    row = {
        "base": chosen.base,
        "minutes": chosen.minutes,
        "learning_rate": chosen.learning_rate,
        "tuning": tuned["tuning"],
        **measure(out, chosen.groups, out / "scores.jsonl"),
    }
    rows = rows_with(chosen.json, row, "base", "minutes")
    write_record(chosen.json, {**source(MODULE, torch=True), "rows": rows})


if __name__ == "__main__":
    main()
