"""The parts of the run: each in a process of its own with a time limit, so that one that fails or hangs costs no other.

A part is a module with a function `rows(**settings)` that yields its results one by one. What it had yielded
when it failed or ran out of time is kept.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.harness import ROOT, Json, say

DONE, FAILED, TIMED_OUT, SKIPPED = "done", "failed", "timed out", "skipped"
_REASON = 1500  # characters of an error that are kept
_GRACE = 5  # seconds that a process has to end those it started


class Skipped(Exception):
    """A part cannot be run here; the message says why."""


@dataclass(frozen=True)
class Part:
    """Attributes:
    name: in the record.
    module: whose `rows` does the work.
    seconds: what it may take, with what the parts before it left over.
    every_device: whether it sees more than the first GPU.
    """

    name: str
    module: str
    seconds: float
    settings: Json = field(default_factory=dict)
    every_device: bool = False


def run_all(parts: Sequence[Part]) -> Iterator[tuple[str, Json]]:
    """Run every part, one after the other; the name of each and what came of it."""
    started, allowed = time.monotonic(), 0.0
    for part in parts:
        allowed += part.seconds
        say(f"{part.name} …")
        result = run(part, allowed - (time.monotonic() - started))
        say(f"{part.name}: {result['status']} after {result['seconds']} s")
        yield part.name, result


def run(part: Part, limit: float) -> Json:
    """Run a part for at most `limit` seconds.

    Returns:
        `status`, one of "done", "failed", "timed out" and "skipped"; `reason`, why it is not "done"; `rows`, what was
        measured until then; `machine`, what the process found; `seconds` and `limit_seconds`.
    """
    command = [sys.executable, "-m", "benchmarks.gpu.worker", part.module, json.dumps(part.settings)]
    started = time.monotonic()
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        cwd=ROOT,
        env=environment(part.every_device),
        start_new_session=True,  # so that processes which it starts end with it
    )
    try:
        out, remarks = process.communicate(timeout=limit)
        status, reason = (DONE if process.returncode == 0 else FAILED), None
    except subprocess.TimeoutExpired:
        status, reason = TIMED_OUT, f"it took more than {limit:.0f} s"
    finally:
        _end(process)
    if status == TIMED_OUT:
        out, remarks = _rest(process)
    said = list(_messages(out.splitlines()))
    if status == DONE and (skipped := _of(said, "skipped")):
        status, reason = SKIPPED, skipped[0]
    if status == FAILED:
        died = f"it ended with status {process.returncode}\n{remarks[-_REASON:]}"
        reason = without_paths((_of(said, "failed") or [died])[0])
    return {
        "status": status,
        "reason": reason,
        "seconds": round(time.monotonic() - started, 1),
        "limit_seconds": round(limit, 1),
        "machine": (_of(said, "machine") or [None])[0],
        "rows": _of(said, "row"),
    }


def environment(every_device: bool) -> dict[str, str]:
    """For a process that measures: nothing is looked up on a hub."""
    quiet = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "TRL_EXPERIMENTAL_SILENCE": "1"}
    if not every_device:
        quiet["CUDA_VISIBLE_DEVICES"] = os.environ.get("CUDA_VISIBLE_DEVICES", "0").partition(",")[0]
    return {**os.environ, **quiet}


def without_paths(text: str) -> str:
    """An error's text, without the folders of this machine, cut to its end."""
    for folder, name in ((str(ROOT), "."), (sys.prefix, "python"), (str(Path.home()), "~")):
        text = text.replace(folder + os.sep, name + os.sep)
    return text.strip()[-_REASON:]


def _of(said: Iterable[Json], kind: str) -> list[Any]:
    return [message[kind] for message in said if kind in message]


def _messages(lines: Iterable[str]) -> Iterator[Json]:
    """What the worker wrote; other lines, and one cut off at its end, are left out."""
    for line in lines:
        try:
            message = json.loads(line)
        except ValueError:
            continue
        if isinstance(message, dict):
            yield message


def _rest(process: subprocess.Popen[str]) -> tuple[str, str]:
    """What an ended process had written; one that it started and that lives on is not waited for."""
    try:
        return process.communicate(timeout=_GRACE)
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace"), ""


def _end(process: subprocess.Popen[str]) -> None:
    """End a process and those that it started. They are asked first: torchrun ends its own, which are in no group of
    ours."""
    try:
        os.killpg(process.pid, signal.SIGTERM)
        for _ in range(_GRACE * 10):
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.1)
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # all have ended
