"""Whether a JSON schema that names the ids of each call helps small judges: failed verdicts with and without it.

    python -m benchmarks.judges.schema_ids MODEL --base-url http://localhost:8000/v1 --json benchmarks/results/schema_ids.json

MODEL is what an OpenAI-compatible server that enforces schemas (vLLM, llama.cpp) calls its model. The groups are real:
four attempts each at problems of GSM8K ($RANKER_DATA names the folder of the published file, where it is not to be fetched).
Every figure is of the same groups, asked in the same order; a rerun into the same file keeps other rows.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np

from benchmarks.harness import add_record, parser, rows_with, say, source, write_record
from ranker import LLMJudge, RankedGroup, rank_groups
from ranker.aggregate.agreement import agreeing_pairs
from ranker.statistics import ratio
from ranker.suites import load

SUITE, SIZE = "gsm8k-solutions", 4
FAULTS = ("repeated", "missing", "unknown", "cut off", "runaway", "no room", "not JSON")


def fault(result: RankedGroup) -> str:
    """In a word or two, why a group has no rewards."""
    text = str(result.error)
    return next((name for name in FAULTS if name in text), type(result.error).__name__)


def measure(model: str, base_url: str, groups: int, concurrency: int, ids_in_schema: bool) -> dict[str, Any]:
    """One row: a model's failures and accuracy."""
    some = [replace(g, trajectories=g.trajectories[:SIZE]) for g in load(SUITE, groups).groups]
    judge = LLMJudge(model, base_url=base_url, cache="off", ids_in_schema=ids_in_schema, timeout=1200.0)
    began = time.monotonic()
    results: list[RankedGroup] = []
    for result in rank_groups(some, judge, on_error="skip", concurrency=concurrency, progress=False):
        results.append(result)
        if len(results) % 10 == 0:
            say(
                f"{model}, ids {ids_in_schema}: {len(results)} groups, {sum(r.error is not None for r in results)} failed"
            )
    seconds = time.monotonic() - began
    failed_N = np.array([result.error is not None for result in results], dtype=float)
    right = [agreeing_pairs(r) for r in results if r.error is None]
    calls = sum(r.usage.calls for r in results)
    return {
        "model": model,
        "ids_in_schema": ids_in_schema,
        "groups": len(results),
        "failed": ratio(failed_N, np.ones_like(failed_N), share=True).to_dict(3),
        "faults": dict(Counter(fault(r) for r in results if r.error is not None)),
        "accuracy": ratio(
            np.array([a for a, _ in right]), np.array([b for _, b in right]), share=True
        ).to_dict(3),
        "calls_a_group": round(calls / len(results), 2),
        "completion_tokens_a_group": round(sum(r.usage.completion_tokens for r in results) / len(results)),
        "seconds_a_group": round(seconds / len(results), 1),
    }


def main() -> None:
    options = parser("benchmarks.judges.schema_ids", __doc__)
    options.add_argument("model")
    options.add_argument("--base-url", required=True)
    options.add_argument("--groups", type=int, default=100)
    options.add_argument("--concurrency", type=int, default=8)
    options.add_argument(
        "--ids", choices=("both", "without", "with"), default="both", help="which rows to make"
    )
    options.add_argument("--engine", default="", help="what serves it, for the record")
    add_record(options)
    chosen = options.parse_args()
    wanted = {"both": (False, True), "without": (False,), "with": (True,)}[chosen.ids]
    for ids_in_schema in wanted:
        row = measure(chosen.model, chosen.base_url, chosen.groups, chosen.concurrency, ids_in_schema)
        rows = rows_with(chosen.json, {**row, "engine": chosen.engine}, "model", "ids_in_schema")
        write_record(
            chosen.json,
            {**source("benchmarks.judges.schema_ids"), "suite": SUITE, "size": SIZE, "rows": rows},
        )


if __name__ == "__main__":
    main()
