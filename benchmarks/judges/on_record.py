"""Puts the recorded benchmarks of local judges among the judges on record (ranker/bench/data/judges.jsonl).

python -m benchmarks.judges.on_record
"""

from __future__ import annotations

import datetime
import json
from collections.abc import Iterator
from pathlib import Path

from benchmarks.harness import ROOT, Json, parser, say
from benchmarks.judges import embedded
from ranker.bench import records
from ranker.bench.records import Record
from ranker.statistics import Estimate

MODULE = "benchmarks.judges.on_record"
RESULTS = ROOT / "benchmarks" / "results"
# When each record was taken.
SCORES = datetime.date(2026, 11, 22)
LOCAL = datetime.date(2026, 11, 21)
WAYS = datetime.date(2026, 11, 21)
REAL = datetime.date(2026, 11, 30)
FEWEST = 10  # groups, below which a figure says next to nothing
BUSY = "the machine was busy: the seconds are not given"


def recorded() -> list[Record]:
    """The records that follow from benchmarks/results."""
    return [*_scores(), *_local(), *_ways(), *_real()]


def _scores() -> Iterator[Record]:
    """The embedded judge on generated suites."""
    for family, f in embedded.summary(RESULTS / "embedded" / "scores.jsonl")["families"].items():
        yield Record(
            judge="local",
            suite=family,
            date=SCORES,
            command=f"python -m {embedded.MODULE} measure ranker/judges/embedded --families {family} "
            f"--groups {f['groups']} --out scores.jsonl",
            groups=f["groups"],
            metrics={"pairwise_accuracy": _estimate(f)},
            per_group={"cost_usd": 0.0},
        )


def _local() -> Iterator[Record]:
    """Local models that write their verdicts."""
    results = _read("judges/local/results.json")
    for record in records.measured(results, LOCAL):
        if record.groups < FEWEST:
            continue
        told: Json = {"command": "make bench-judges"}
        if record.judge != records.BASELINE:
            told |= {"seconds_per_group": None, "note": BUSY}
        yield record.model_copy(update=told)


def _ways() -> Iterator[Record]:
    """Local models that are asked of each attempt alone whether it is good."""
    for row in _read("ways/summary.json")["rows"]:
        yield Record(
            judge=f"local:{row['model']}@pointwise",
            suite=row["suite"],
            date=WAYS,
            command="make bench-ways",
            groups=row["groups"],
            metrics={"pairwise_accuracy": _estimate(row["ways"]["alone"])},
            per_group={"cost_usd": 0.0},
        )


def _real() -> Iterator[Record]:
    """The embedded judge on real attempts."""
    tau = embedded.summary(RESULTS / "embedded" / "tau_airline.jsonl")["families"]["tau-airline"]
    yield Record(
        judge="local",
        suite="tau-airline",
        date=SCORES,
        command=f"python -m {embedded.MODULE} measure ranker/judges/embedded --families tau-airline --groups 25 "
        "--out tau_airline.jsonl",
        groups=tau["groups"],
        metrics={"pairwise_accuracy": _estimate(tau)},
        per_group={"cost_usd": 0.0},
    )
    for path in sorted((RESULTS / "judges").glob("embedded*/results.json")):
        for record in records.measured(json.loads(path.read_text()), REAL):
            busy = path.parent.name == "embedded_gsm8k" and record.judge != records.BASELINE
            told: Json = {"seconds_per_group": None, "note": BUSY} if busy else {}
            yield record.model_copy(update=told)


def _estimate(figure: Json) -> Estimate:
    return Estimate(*(None if figure[k] is None else round(figure[k], 4) for k in ("value", "low", "high")))


def _read(name: str) -> Json:
    made: Json = json.loads((RESULTS / name).read_text(encoding="utf-8"))
    return made


def main() -> None:
    options = parser(MODULE, __doc__)
    options.add_argument("--out", type=Path, default=records.FILE)
    args = options.parse_args()
    say(f"{records.append(args.out, recorded())} records added to {args.out}")


if __name__ == "__main__":
    main()
