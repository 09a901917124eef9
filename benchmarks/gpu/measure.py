"""Time, memory and the peak of matrix products on this device."""

from __future__ import annotations

import gc
import importlib.metadata
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch

from benchmarks.harness import Json
from benchmarks.trainer.work import peak_gb

PACKAGES = ("torch", "triton", "transformers", "accelerate", "peft", "numpy", "trl")


def device() -> torch.device:
    """The first GPU, or the CPU."""
    return torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")


def machine() -> Json:
    """Devices and versions."""
    found: Json = {
        "device": "cpu",
        "devices": 0,
        "versions": versions(),
        "attention": "not FlexAttention, whose backward a CPU does not have; SDPA gets the tree's mask as a tensor",
        "memory": "what the process had resident",
    }
    if torch.cuda.is_available():
        facts = torch.cuda.get_device_properties(0)
        found |= {
            "device": facts.name,
            "devices": torch.cuda.device_count(),
            "memory_gb": round(facts.total_memory / 1e9, 1),
            "capability": f"{facts.major}.{facts.minor}",
            "cuda": torch.version.cuda,
            "attention": "FlexAttention, where a model takes it: see each result",
            "memory": "the most that tensors took on the device",
        }
    return found


def versions() -> dict[str, str | None]:
    """Of the packages that the figures depend on; None where one is missing."""
    return {name: _version(name) for name in PACKAGES}


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


@contextmanager
def remarks() -> Iterator[list[str]]:
    """What the packages log meanwhile: which ways of running a model they refuse, and the one they take."""
    said: list[str] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            said.append(record.getMessage())

    log, keeper = logging.getLogger("ranker"), Keeper()
    before = log.level
    log.addHandler(keeper)
    log.setLevel(logging.INFO)
    try:
        yield said
    finally:
        log.removeHandler(keeper)
        log.setLevel(before)


def seconds(work: Callable[[], Any], times: int, warm_up: int = 0) -> list[float]:
    """How long some work takes, each time; what was begun on the device is waited for."""
    taken = []
    for _ in range(warm_up + times):
        wait()
        started = time.perf_counter()
        work()
        wait()
        taken.append(time.perf_counter() - started)
    return taken[warm_up:]


def wait() -> None:
    """Until the device has done what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def forget() -> None:
    """Give back memory that nothing holds any more, and count the peak anew."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def peak_memory_gb() -> float:
    """The most that tensors have taken since `forget`, in 10⁹ bytes; on a CPU, what the process had resident, ever."""
    if torch.cuda.is_available():
        return float(torch.cuda.max_memory_allocated() / 1e9)
    return peak_gb()


def matrix_peak(size: int, times: int) -> float:
    """Operations a second of bfloat16 products of two square matrices of random numbers, ten in a row."""
    where = device()
    a, b = (torch.randn(size, size, device=where, dtype=torch.bfloat16) for _ in range(2))

    def ten() -> None:
        for _ in range(10):
            a @ b

    return float(20.0 * size**3 / median(seconds(ten, times, warm_up=2)))
