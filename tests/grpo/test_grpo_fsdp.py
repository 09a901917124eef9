"""Processes that each hold a part of everything (FSDP2) learn what one learns; runs go on with another number of them.

Run as a script (under torchrun), this file does one of `SCRIPTS` in a folder.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from tests.grpo.test_grpo_distributed import USUAL, finish, often_tied, torchrun
from tests.grpo_models import gemma2
from tests.grpo_runs import SIZE, begin, fives, furthest, lines, policy, spread, train, untimed, weights

CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    # A process with one group and one with two: not as many micro-batches.
    "full": (spread, {"beta": 0.1, "loss_type": "grpo", "max_tokens_per_forward": 30, "groups_per_step": 3}),
    # A process that neither samples nor learns in every other step.
    "one group": (spread, {"groups_per_step": 1, "max_pending_groups": 0, "max_steps": 4}),
    "tied weights": (spread, {"setup": {"tie_word_embeddings": True}, "num_iterations": 2}),
    "often tied": (often_tied, {"dynamic_sampling_rounds": 2, "gradient_checkpointing": True}),
    "adapters": (
        spread,
        {"lora_r": 4, "setup": {"initializer_range": 0.2}, "beta": 0.1, "loss_type": "dr_grpo"},
    ),
    "odd sizes": (
        spread,
        {"setup": {"num_hidden_layers": 3, "intermediate_size": 33}, "max_grad_norm": 0.01},
    ),
    # Soft-capped logits: the model's own, a sequence at a time.
    "whole logits": (spread, {"gemma": True, "groups_per_step": 3, "beta": 0.1}),
}


def cased(out: Path, name: str, **more: Any) -> None:
    reward, options = CASES[name]
    options = {**USUAL, **options, **more}
    if options.pop("gemma", False):
        options["model"] = gemma2(vocab_size=SIZE, eos_token_id=SIZE - 1), policy()[1]
    trainer, history = train(reward, out=out / name, checker=lambda t, row: fives(str(t.messages)), **options)
    if trainer.is_main:
        np.savez(out / f"{name}.npz", **weights(trainer))
        (out / f"{name}.json").write_text(json.dumps(history))


def learn(out: Path, **more: Any) -> None:
    for name in CASES:
        cased(out, name, **more)


# Runs that are begun by some processes and ended by others.
LONG = {**USUAL, "max_steps": 5, "save_steps": 2, "save_total_limit": None}
KINDS: dict[str, dict[str, Any]] = {
    "full": {"beta": 0.1, "max_pending_groups": 3},
    "lora": {"lora_r": 4, "setup": {"initializer_range": 0.2}},
}


def mortal(calls: Path, dies: int, group: Any) -> list[float]:
    """The second process ends when it is asked for the rewards of its n-th group."""
    file = calls.with_name(f"{calls.name}-{os.environ.get('RANK', '0')}")
    with open(file, "a", encoding="utf-8") as told:
        told.write(f"{group.id}\n")
    if os.environ.get("RANK") == "1" and len(file.read_text().splitlines()) == dies:
        os.kill(os.getpid(), signal.SIGKILL)
    return spread(group)


def die(out: Path) -> None:
    kind, fsdp = out.name.split("-")
    reward = partial(mortal, out / "calls", 5)
    train(reward, out=out / "run", fsdp=fsdp == "fsdp", **{**LONG, **KINDS[kind]})


def resume(out: Path, **more: Any) -> None:
    """Go on with whatever runs are in the folder."""
    for run in sorted(out.iterdir()):
        kind = run.name.split("-")[0]
        train(
            spread, out=run, resume=True, **{**LONG, **KINDS[kind], "fsdp": run.name.endswith("fsdp"), **more}
        )


SCRIPTS = {"learn": partial(learn, fsdp=True), "die": die, "resume": resume}


def same(name: str, one: list[dict[str, Any]], other: list[dict[str, Any]]) -> None:
    assert len(one) == len(other) >= 3
    for a, b in zip(untimed(one), untimed(other), strict=True):
        assert a.keys() == b.keys()
        for field in a:
            assert b[field] == pytest.approx(a[field], abs=1e-5), (name, a["step"], field)


def saved(folder: Path) -> dict[str, np.ndarray]:
    (file,) = folder.glob("*.safetensors")
    return load_file(file)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process and what two processes left."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    finish(torchrun(__file__, "learn", str(two)))
    learn(one)
    return one, two


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", CASES)
def test_two_processes_with_half_of_the_weights_each_learn_what_one_learns(folders, name):
    one, two = folders
    same(name, *(json.loads((folder / f"{name}.json").read_text()) for folder in folders))
    assert furthest(*(dict(np.load(folder / f"{name}.npz")) for folder in folders)) < 1e-5
    for place in ("final", "checkpoints/step-2"):
        assert furthest(saved(one / name / place), saved(two / name / place)) < 1e-5
    assert {p.name for p in (one / name / "final").iterdir()} == {
        p.name for p in (two / name / "final").iterdir()
    }
    config = json.loads((one / name / "final" / "config.json").read_text()) if name != "adapters" else {}
    assert "FSDP" not in json.dumps(config)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each kind, by one process, that was never interrupted."""
    made = {}
    for kind, options in KINDS.items():
        made[kind] = tmp_path_factory.mktemp("undisturbed") / kind
        train(spread, out=made[kind], **{**LONG, **options})
    return made


def like(run: Path, undisturbed: Path) -> None:
    same(run.name, lines(undisturbed / "metrics.jsonl"), lines(run / "metrics.jsonl"))
    assert [s["group"] for s in lines(run / "samples.jsonl")] == [
        s["group"] for s in lines(undisturbed / "samples.jsonl")
    ]
    assert furthest(saved(undisturbed / "final"), saved(run / "final")) < 1e-5


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", ["full-fsdp", "lora-whole"])
def test_a_run_whose_second_process_was_killed_is_ended_by_one(tmp_path, undisturbed, name):
    out = tmp_path / name
    out.mkdir()
    told = finish(torchrun(__file__, "die", str(out)), status=1)
    assert "SIGKILL" in told, told[-3000:]
    asked = sorted(line for file in out.glob("calls-*") for line in file.read_text().splitlines())
    earned = {r["group"] for file in (out / "run").glob("rewards*.jsonl") for r in lines(file)}
    assert 4 <= len(earned) < len(asked), "one process died over a reward"
    kept = lines(out / "run" / "rewards.jsonl")
    kind = name.split("-")[0]
    trainer = begin(spread, out=out / "run", resume=True, **{**LONG, **KINDS[kind]})
    assert trainer.step >= 2
    trainer.train()
    like(out / "run", undisturbed[kind])
    now = lines(out / "run" / "rewards.jsonl")
    assert now[: len(kept)] == kept
    assert not earned & {r["group"] for r in now[len(kept) :]}, "what was earned is not asked for again"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_of_one_process_is_ended_by_two(tmp_path, undisturbed):
    for kind, run in undisturbed.items():
        for how in ("fsdp", "whole"):
            shutil.copytree(run, tmp_path / f"{kind}-{how}")
            shutil.rmtree(tmp_path / f"{kind}-{how}" / "final")
            for step in (4, 5):
                shutil.rmtree(tmp_path / f"{kind}-{how}" / "checkpoints" / f"step-{step}")
    finish(torchrun(__file__, "resume", str(tmp_path)))
    for run in sorted(tmp_path.iterdir()):
        like(run, undisturbed[run.name.split("-")[0]])


if __name__ == "__main__":
    SCRIPTS[sys.argv[1]](Path(sys.argv[2]))
