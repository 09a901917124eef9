"""Two processes, on two GPUs, learn what one learns: the same losses and gradient norms."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from math import log
from pathlib import Path
from typing import Any

import torch

from benchmarks.gpu import measure
from benchmarks.gpu.batch import drawn
from benchmarks.gpu.models import FLOAT32, MIXED, built, small_config
from benchmarks.gpu.parts import Skipped
from benchmarks.harness import ROOT, Json
from grpo.model.distributed import Processes
from ranker import ConfigurationError

VOCABULARY = 512
# The largest difference of a loss, and of a gradient's norm as a part of it.
LIMITS = {FLOAT32.name: 1e-4, MIXED.name: 2e-2}
WAYS = {"whole weights": False, "weights sharded (fsdp)": True}


def rows(**settings: Any) -> Iterator[Json]:
    """A row for each way in each precision."""
    if torch.cuda.is_available() and torch.cuda.device_count() < 2:
        raise Skipped("one device")
    with tempfile.TemporaryDirectory() as folder:
        return iter(compared(Path(folder), settings))


def compared(folder: Path, settings: Json) -> list[Json]:
    """One process's steps and those of two, started by torchrun."""
    one, two = folder / "one.json", folder / "two.json"
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    work = ["-m", "benchmarks.gpu.processes", str(two), json.dumps(settings)]
    started = subprocess.Popen(
        [sys.executable, *launch, *work],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    learn(one, settings)  # meanwhile, as nothing is timed; should it fail, the part's process group is ended
    said, _ = started.communicate()
    if started.returncode:
        first = said[max(0, said.find("Traceback")) :][:1200]  # what comes after is torchrun's
        raise RuntimeError(f"two processes ended with status {started.returncode}\n{first}")
    alone, together = (json.loads(path.read_text(encoding="utf-8")) for path in (one, two))
    return [_row(a, b) for a, b in zip(alone, together, strict=True)]


def _row(alone: Json, together: Json) -> Json:
    about = {name: together[name] for name in ("precision", "way", "backend")}
    if "error" in together:
        return about | {"error": together["error"]}
    limit = LIMITS[alone["precision"]]
    loss = max(abs(a - b) for a, b in zip(alone["loss"], together["loss"], strict=True))
    norm = max(abs(a - b) / a for a, b in zip(alone["grad_norm"], together["grad_norm"], strict=True))
    return about | {
        "loss_one_process": alone["loss"],
        "loss_two_processes": together["loss"],
        "loss_apart": loss,
        "grad_norm_apart": norm,
        "limit": limit,
        "ok": max(loss, norm) <= limit,
    }


def learn(file: Path, settings: Json) -> None:
    """Take three steps in every way; every process of the run calls this, and the first writes the file."""
    every = []
    settings = dict(settings)
    for precision in (FLOAT32, MIXED)[: settings.pop("precisions")]:
        for way, fsdp in WAYS.items():
            backend = torch.distributed.get_backend() if torch.distributed.is_initialized() else None
            about: Json = {"precision": precision.name, "way": way, "backend": backend}
            try:
                every.append(about | steps(precision, fsdp, **settings))
            except ConfigurationError as error:  # fsdp needs a newer torch
                every.append(about | {"error": str(error)})
            measure.forget()
    if Processes().is_main:
        file.write_text(json.dumps(every), encoding="utf-8")


def steps(
    precision: Any, fsdp: bool, groups: int, prompt: int, completion: int, hidden: int, layers: int
) -> Json:
    """Three steps on the same groups, divided between the processes."""
    from benchmarks.gpu.speed import updater_for

    processes = Processes()
    config = small_config("qwen2", hidden, layers, VOCABULARY)
    model = built(config, precision, processes.device)
    processes.share(model)
    # Adam turns a rounding error in a gradient near 0 into a whole step, unless its epsilon is large.
    updater, _, _ = updater_for(model, precision, groups, 3, fsdp=fsdp, adam_epsilon=1.0, learning_rate=0.1)
    # Of other weights, as the loss of those that the present ones sampled does not depend on the weights.
    rollouts = drawn(groups, prompt, completion, VOCABULARY, even=False).rollouts(-log(VOCABULARY))
    each = len(rollouts) // groups
    mine = [rollout for i, rollout in enumerate(rollouts) if (i // each) % processes.world == processes.rank]
    taken = [updater.step(mine) for _ in range(3)]
    return {"loss": [step.loss for step in taken], "grad_norm": [step.grad_norm for step in taken]}


def main() -> None:
    Processes()  # joins the group
    learn(Path(sys.argv[1]), json.loads(sys.argv[2]))


if __name__ == "__main__":
    main()
