"""One unit of the study, from its plan to its numbers, and the processes that do units.

The same unit gives the same numbers, but for `seconds`.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

from benchmarks.study.plan import JudgeSpec, Unit

Numbers = dict[str, Any]
_PROCESSES = multiprocessing.get_context("spawn")


def run(unit: Unit) -> Numbers:
    """Do a unit.

    Raises:
        RankerError, RuntimeError: it could not be done.
    """
    from benchmarks.study import online
    from benchmarks.study.dpo import train_dpo
    from grpo.cli.train import quiet

    quiet()
    began = time.monotonic()
    if unit.kind == "judge":
        numbers = measure(unit.arm.judge or JudgeSpec())
    elif unit.arm.method == "dpo":
        numbers = train_dpo(unit)
    else:
        numbers = online.train(unit)
    return {**numbers, "seconds": round(time.monotonic() - began, 2)}


def measure(spec: JudgeSpec) -> Numbers:
    """The judge's accuracy on the untrained policy's groups, through the same path as in training."""
    from benchmarks.study import judges, online
    from benchmarks.study.attempts import reference
    from grpo.demo import quick
    from ranker import rank_groups
    from ranker.aggregate.agreement import agreeing_pairs, agreement

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
                debiaser=online.debiaser(spec, 0),
                progress=False,
            )
        )
    pairs = sum(agreeing_pairs(r)[1] for r in ranked)
    return {"noise": online.finite(noise), "accuracy": {**agreement(ranked).to_dict(6), "pairs": pairs}}


def work(
    units: Sequence[Unit], workers: int, do: Callable[[Unit], Numbers] = run
) -> Iterator[tuple[Unit, Numbers]]:
    """Do all units in processes; yields each with its numbers, or with an "error", in the order in which they end.

    A process that dies (for want of memory, say) costs the unit it was at, and is replaced.
    """
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes
    waiting = list(reversed(units))
    idle: dict[Connection, multiprocessing.process.BaseProcess] = {}
    busy: dict[Connection, tuple[multiprocessing.process.BaseProcess, Unit]] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                if not idle:
                    mine, its = _PROCESSES.Pipe()
                    idle[mine] = _PROCESSES.Process(target=_serve, args=(its, do), daemon=True)
                    idle[mine].start()
                    its.close()
                pipe, process = idle.popitem()
                busy[pipe] = process, waiting.pop()
                with contextlib.suppress(OSError):  # it has died; reading its answer shows it
                    pipe.send(busy[pipe][1])
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                process, unit = busy.pop(ready)
                try:
                    numbers = ready.recv()
                    idle[ready] = process
                except (EOFError, OSError):
                    process.join()
                    numbers = {"error": f"the worker died (exit code {process.exitcode})"}
                yield unit, numbers
    finally:
        for process in [*idle.values(), *(process for process, _ in busy.values())]:
            process.kill()
            process.join()


def _serve(pipe: Connection, do: Callable[[Unit], Numbers]) -> None:
    """Do units as they are asked for, on one thread, until the parent ends, even while at a unit."""
    import torch

    def end_with_parent() -> None:
        if parent := multiprocessing.parent_process():
            parent.join()
        os._exit(1)

    os.setsid()  # Ctrl-C reaches the parent alone
    threading.Thread(target=end_with_parent, daemon=True).start()
    logging.basicConfig(level=logging.ERROR)
    torch.set_num_threads(1)
    while True:
        unit = pipe.recv()
        try:
            with contextlib.redirect_stdout(sys.stderr):
                numbers = do(unit)
        except Exception as error:
            numbers = {"error": f"{type(error).__name__}: {error}"}
        pipe.send(numbers)
