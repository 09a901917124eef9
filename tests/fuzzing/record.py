"""The command line of a fuzzer and the record it leaves."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ranker.bench.provenance import bare, commit, machine


def main_of(run: Callable[[int, int], dict[str, Any]], about: str | None) -> None:
    """Run a fuzzer as its command line says; exit code 1 where it finds faults."""
    parser = argparse.ArgumentParser(description=(about or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    started = time.perf_counter()
    record = {**run(options.count, options.seed), "seed": options.seed}
    record["seconds"] = round(time.perf_counter() - started, 1)
    module = f"tests.fuzzing.{Path(sys.argv[0]).stem}"
    origin = {
        "command": shlex.join(["python", "-m", module, *map(bare, sys.argv[1:])]),
        "commit": commit(),
        "machine": machine(),
    }
    text = json.dumps({**origin, **record}, indent=1, ensure_ascii=False) + "\n"
    if options.json is not None:
        options.json.parent.mkdir(parents=True, exist_ok=True)
        options.json.write_text(text)
    print(text)
    sys.exit(1 if record["faults"] else 0)
