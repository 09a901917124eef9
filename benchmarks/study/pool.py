"""Worker processes that do units, one at a time each; they end with their parent, however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from select import select
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.study.plan import Unit

_COMMAND = (sys.executable, "-m", "benchmarks.study.worker")
Worker = subprocess.Popen[str]


def work(units: Sequence[Unit], workers: int) -> Iterator[tuple[Unit, dict[str, Any]]]:
    """Do all units; yields each with its numbers, or with an "error", in the order in which they end.

    A worker that dies (for want of memory, say) costs the unit it was at, and is replaced.
    """
    waiting = list(reversed(units))
    idle: list[Worker] = []
    busy: dict[Worker, Unit] = {}
    try:
        while waiting or busy:
            while waiting and len(busy) < workers:
                worker = idle.pop() if idle else _start()
                busy[worker] = waiting.pop()
                _send(worker, busy[worker])
            outputs = {worker.stdout: worker for worker in busy if worker.stdout}
            ready, _, _ = select(list(outputs), [], [])
            for output in ready:
                worker = outputs[output]
                unit = busy.pop(worker)
                line = output.readline()
                if line.endswith("\n"):
                    idle.append(worker)
                    yield unit, json.loads(line)
                else:
                    _end(worker)
                    yield unit, {"error": f"the worker died (exit code {worker.returncode})"}
    finally:
        for worker in [*idle, *busy]:
            worker.kill()
            _end(worker)


def _end(worker: Worker) -> None:
    """Wait for a worker that is dead or dying, and close its pipes."""
    worker.wait()
    for pipe in (worker.stdin, worker.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):  # what it was sent last may lie unread
                pipe.close()


def _start() -> Worker:
    """A worker on one thread, in a session of its own, so that Ctrl-C reaches the parent alone."""
    return subprocess.Popen(
        _COMMAND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        start_new_session=True,
    )


def _send(worker: Worker, unit: Unit) -> None:
    assert worker.stdin is not None
    fields = {"kind": unit.kind, "arm": unit.arm.name, "seed": unit.seed, "steps": unit.steps}
    try:
        worker.stdin.write(json.dumps(fields) + "\n")
        worker.stdin.flush()
    except OSError:  # it has died; reading its answer shows it
        pass
