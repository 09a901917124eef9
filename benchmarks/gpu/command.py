"""Check and measure the trainer on this machine's GPU: correctness, speed, TRL beside it, two processes.

    python -m benchmarks.gpu --json gpu.json

Nothing is fetched: models have random weights. With `--small`, everything is done in tiny sizes, on a CPU too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

from benchmarks.gpu import table
from benchmarks.gpu.parts import FAILED, TIMED_OUT, Part, run_all
from benchmarks.gpu.ratios import ratios
from benchmarks.harness import Json, add_record, parser, source, write_record

MODULE = "benchmarks.gpu"


def parts_for(small: bool) -> list[Part]:
    """What is run, in this order; the seconds add up to less than eight minutes, or to two."""
    if small:
        tiny: Json = {"size": "tiny", "groups": 2, "prompt": 24, "completion": 8, "times": 2}
        few = {"architectures": ["llama", "mistral, a window of 64", "gemma2"]}
        checked: Json = {"hidden": 64, "layers": 2, "vocabulary": 128, "prompt": 70, "completion": 12, **few}
        divided: Json = {
            "groups": 4,
            "prompt": 24,
            "completion": 8,
            "hidden": 64,
            "layers": 2,
            "precisions": 1,
        }
        return [
            Part("correctness", "benchmarks.gpu.correctness", 90, checked),
            Part("speed, tiny", "benchmarks.gpu.speed", 30, {**tiny, "matrix": 128}),
            Part("TRL, tiny", "benchmarks.gpu.beside_trl", 30, tiny),
            Part("two processes", "benchmarks.gpu.processes", 30, divided, every_device=True),
        ]
    work: Json = {"groups": 4, "prompt": 512, "completion": 256, "times": 4}
    checked = {"hidden": 256, "layers": 4, "vocabulary": 4096, "prompt": 300, "completion": 120}
    divided = {"groups": 6, "prompt": 256, "completion": 96, "hidden": 256, "layers": 4, "precisions": 2}
    return [
        Part("speed, 0.5B", "benchmarks.gpu.speed", 85, {**work, "size": "0.5B", "matrix": 8192}),
        Part("TRL, 0.5B", "benchmarks.gpu.beside_trl", 45, {**work, "size": "0.5B"}),
        Part("correctness", "benchmarks.gpu.correctness", 145, checked),
        Part("speed, 1.5B", "benchmarks.gpu.speed", 85, {**work, "size": "1.5B", "matrix": 8192}),
        Part("TRL, 1.5B", "benchmarks.gpu.beside_trl", 55, {**work, "size": "1.5B"}),
        Part("two processes", "benchmarks.gpu.processes", 50, divided, every_device=True),
    ]


def records(parts: Sequence[Part], small: bool, commit: str | None = None) -> Iterator[Json]:
    """Run the parts; everything that was found, after each of them."""
    started = time.monotonic()
    origin = source(MODULE, torch=True)
    origin["commit"] = origin["commit"] or commit
    results: dict[str, Json] = {}
    machines: list[Json] = []
    for name, result in run_all(parts):
        machines += [found for found in (result.pop("machine"),) if found]
        results[name] = result
        yield {
            "schema_version": 1,
            **origin,
            "date": datetime.now(UTC).date().isoformat(),
            "small": small,
            "gpu": max(machines, key=lambda machine: int(machine["devices"]), default=None),
            "seconds": round(time.monotonic() - started, 1),
            "limit_seconds": sum(part.seconds for part in parts),
            "parts": dict(results),
            "beside_trl": ratios(results),
        }


def passed(record: Json) -> bool:
    """Whether every part that could be run came to its end and found nothing wrong."""
    results = record["parts"].values()
    return not any(
        result["status"] in (FAILED, TIMED_OUT) or any(row.get("ok") is False for row in result["rows"])
        for result in results
    )


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser(MODULE, __doc__)
    options.add_argument("--small", action="store_true", help="tiny sizes, for a machine without a GPU")
    options.add_argument("--commit", help="what is recorded where the checkout has no history")
    add_record(options)
    chosen = options.parse_args(arguments)
    record: Json = {}
    for record in records(parts_for(chosen.small), chosen.small, chosen.commit):
        if chosen.json is not None:
            write_record(chosen.json, record)  # what there is stays, should the rest be interrupted
    print(table.text(record))
    return 0 if passed(record) else 1
