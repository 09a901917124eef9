"""One unit of the study, from its plan to its numbers; the same unit gives the same numbers, but for `seconds`.

As a process it reads units and prints their numbers, a line of JSON each, until its standard input ends.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from contextlib import redirect_stdout
from queue import SimpleQueue
from typing import Any

from benchmarks.study import judges, online
from benchmarks.study.attempts import reference
from benchmarks.study.dpo import train_dpo
from benchmarks.study.plan import ARMS, JudgeSpec, Unit
from grpo.cli.train import quiet
from grpo.demo import quick
from ranker import rank_groups
from ranker.aggregate.agreement import agreeing_pairs, agreement


def run(unit: Unit) -> dict[str, Any]:
    """Do a unit.

    Raises:
        RankerError, RuntimeError: it could not be done.
    """
    quiet()
    began = time.monotonic()
    if unit.kind == "judge":
        numbers = measure(unit.arm.judge or JudgeSpec())
    elif unit.arm.method == "dpo":
        numbers = train_dpo(unit)
    else:
        numbers = online.train(unit)
    return {**numbers, "seconds": round(time.monotonic() - began, 2)}


def measure(spec: JudgeSpec) -> dict[str, Any]:
    """The judge's accuracy on the untrained policy's groups, through the same path as in training."""
    noise = online.noise_of(spec)
    with judges.server(spec, noise, 0) as server:
        ranked = list(
            rank_groups(
                reference(),
                "openai/simulated",
                quick.RUBRIC,
                base_url=server.base_url,
                cache="off",
                passes=spec.passes,
                reward=spec.reward,
                progress=False,
            )
        )
    pairs = sum(agreeing_pairs(r)[1] for r in ranked)
    return {"noise": online.finite(noise), "accuracy": {**agreement(ranked).to_dict(6), "pairs": pairs}}


def main() -> None:
    """Do units as they are asked for."""
    import torch

    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    lines: SimpleQueue[str] = SimpleQueue()
    threading.Thread(target=_read_input, args=(lines,), daemon=True).start()
    while True:
        fields = json.loads(lines.get())
        try:
            with redirect_stdout(sys.stderr):
                numbers = run(Unit(**{**fields, "arm": ARMS[fields["arm"]]}))
        except Exception as error:
            numbers = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(numbers), flush=True)


def _read_input(lines: SimpleQueue[str]) -> None:
    """Pass lines on, and end the process with its parent, even while it is at a unit."""
    for line in sys.stdin:
        lines.put(line)
    os._exit(1)


if __name__ == "__main__":
    main()
