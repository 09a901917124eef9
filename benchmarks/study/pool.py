"""Worker processes that do units, one at a time each; they end with their parent, however it ends."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from benchmarks.study.plan import Unit

_SPAWN = multiprocessing.get_context("spawn")


@dataclass(slots=True)
class _Worker:
    process: BaseProcess
    pipe: Connection
    unit: Unit | None = None


def work(units: Sequence[Unit], workers: int) -> Iterator[tuple[Unit, dict[str, Any]]]:
    """Do all units; yields each with its numbers, or with an "error", in the order in which they end.

    A worker that dies (for want of memory, say) costs the unit it was at, and is replaced.
    """
    waiting = list(reversed(units))
    running: list[_Worker] = []
    try:
        while waiting or running:
            while waiting and len(running) < workers:
                running.append(_start())
                _give(running[-1], waiting.pop())
            ready = wait([worker.pipe for worker in running])
            for worker in [w for w in running if w.pipe in ready]:
                unit = worker.unit
                assert unit is not None
                try:
                    found = worker.pipe.recv()
                except (EOFError, OSError):
                    running.remove(worker)
                    worker.process.join()
                    found = {"error": f"the worker died (exit code {worker.process.exitcode})"}
                else:
                    if waiting:
                        _give(worker, waiting.pop())
                    else:
                        running.remove(worker)
                        _stop(worker)
                yield unit, found
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.join()


def _start() -> _Worker:
    ours, theirs = _SPAWN.Pipe()
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"  # read when torch is imported
    try:
        process = _SPAWN.Process(target=_serve, args=(theirs,), daemon=True)
        process.start()
    finally:
        if before is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = before
    theirs.close()
    return _Worker(process, ours)


def _give(worker: _Worker, unit: Unit) -> None:
    worker.unit = unit
    try:
        worker.pipe.send(unit)
    except OSError:  # it has died; reading its answer will tell
        pass


def _stop(worker: _Worker) -> None:
    worker.pipe.close()
    worker.process.join(5)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()


def _serve(pipe: Connection) -> None:
    """The worker: units in, numbers out, until the pipe closes."""
    threading.Thread(target=_die_with_parent, daemon=True).start()
    import logging
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C and ends its workers
    logging.basicConfig(level=logging.ERROR)
    import torch

    from benchmarks.study.one import run

    torch.set_num_threads(1)
    while True:
        try:
            unit = pipe.recv()
        except (EOFError, OSError):
            return
        try:
            found = run(unit)
        except Exception as error:
            found = {"error": f"{type(error).__name__}: {error}"}
        pipe.send(found)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
    os._exit(1)
