"""Runs that are killed, and go on as if nothing had happened."""

from __future__ import annotations

import os
import shutil
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.numpy import load_file

from grpo import RunFolderError
from tests.grpo_runs import (
    LONG,
    Nursery,
    begin,
    fives,
    furthest,
    halt,
    lines,
    spread,
    train,
    untimed,
    weights,
)

STEPS = {"max_steps": 5, "save_steps": 2}


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


def final(out: Path) -> dict[str, bytes]:
    return {
        name: weight.tobytes()
        for file in sorted((out / "final").glob("*.safetensors"))
        for name, weight in load_file(file).items()
    }


def same(one: Path, other: Path) -> None:
    """Whether two runs left the same metrics, samples and weights."""
    assert untimed(lines(one / "metrics.jsonl")) == untimed(lines(other / "metrics.jsonl"))
    assert lines(one / "samples.jsonl") == lines(other / "samples.jsonl")
    assert final(one)
    assert final(one) == final(other)


MOMENTS = {
    "before the first checkpoint": {"step": 1},
    "between steps": {"step": 3},
    "before a checkpoint is written": {"step": 4},
    "in the first checkpoint": {"save": 1},
    "in a later checkpoint": {"save": 2},
    "in the last checkpoint": {"save": 3},
    "while final is written": {"save": 4},
    "in a reward function": {"reward": 6},
}
FIRST = "in the first checkpoint"
KINDS: dict[str, dict[str, Any]] = {
    "full": {**STEPS, "beta": 0.1, "lr_scheduler_type": "cosine"},
    "lora": {**STEPS, "lora_r": 4, "beta": 0.1, "num_iterations": 2, "max_pending_groups": 3, "top_k": 30},
}


@pytest.fixture(scope="module")
def whole(nursery: Nursery, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """An uninterrupted run of each kind."""
    made = {}
    for kind, config in KINDS.items():
        made[kind] = tmp_path_factory.mktemp("whole") / kind
        assert nursery.run({"out": str(made[kind]), "config": config}) == 0
        assert len(lines(made[kind] / "metrics.jsonl")) == 5
    return made


@pytest.mark.parametrize(
    ("kind", "moment"),
    [
        *(("full", moment) for moment in MOMENTS if moment != FIRST),
        ("full", FIRST),
        *(("lora", moment) for moment in ("between steps", "in a later checkpoint", "in a reward function")),
    ],
)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, nursery, whole, kind, moment):
    spec = {"out": str(tmp_path / "run"), "config": KINDS[kind]}
    assert nursery.run({**spec, "die": MOMENTS[moment]}) == -signal.SIGKILL
    assert not (tmp_path / "run" / "final").exists()
    assert nursery.run({**spec, "resume": True}) == 0, (tmp_path / "run.log").read_text()
    same(tmp_path / "run", whole[kind])
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-4", "step-5"]


def test_a_run_killed_again_and_again_comes_to_the_same_end(tmp_path, nursery, whole):
    spec = {"out": str(tmp_path / "run"), "config": KINDS["full"]}
    for die in ({"step": 1}, {"save": 1}, {"step": 3}, {"reward": 2}):
        nursery.run({**spec, "resume": (tmp_path / "run").exists(), "die": die})
    assert nursery.run({**spec, "resume": True}) == 0
    same(tmp_path / "run", whole["full"])


def test_rewards_are_asked_for_once_though_the_run_is_killed_at_the_judge(tmp_path, nursery, serve):
    server = serve(fives)
    spec = {"judge": server.base_url, "config": {**STEPS, "max_pending_groups": 2}}
    assert nursery.run({**spec, "out": str(tmp_path / "whole")}) == 0
    once = server.requests
    server.requests, server.latency = 0, 0.3
    pid = nursery.start({**spec, "out": str(tmp_path / "run")})
    deadline = time.monotonic() + 30
    while server.requests < 7 and time.monotonic() < deadline:
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    assert nursery.wait(pid) == -signal.SIGKILL
    server.latency = 0.0
    earned = len(lines(tmp_path / "run" / "rewards.jsonl"))
    assert 0 < earned < server.requests, "calls were pending"
    pending = server.requests - earned
    assert nursery.run({**spec, "out": str(tmp_path / "run"), "resume": True}) == 0
    assert server.requests == once + pending
    same(tmp_path / "run", tmp_path / "whole")


def test_a_finished_run_resumed_stays_as_it_is(tmp_path, nursery, whole):
    shutil.copytree(whole["full"], tmp_path / "run")
    calls = tmp_path / "calls"
    spec = {"out": str(tmp_path / "run"), "config": KINDS["full"], "resume": True, "calls": str(calls)}
    assert nursery.run(spec) == 0
    same(tmp_path / "run", whole["full"])
    assert not calls.exists()


def test_two_processes_cannot_share_a_folder(tmp_path, nursery):
    hold = tmp_path / "hold"
    hold.touch()
    pid = nursery.start({"out": str(tmp_path / "run"), "hold": str(hold), "calls": str(tmp_path / "calls")})
    while not (tmp_path / "calls").exists():
        time.sleep(0.01)
    for resume in (False, True):
        with pytest.raises(RunFolderError, match="Another process"):
            begin(spread, out=tmp_path / "run", resume=resume)
    hold.unlink()
    assert nursery.wait(pid) == 0


@pytest.mark.parametrize("where", ["weights", "optimizer"])
def test_a_full_disk_at_a_checkpoint_leaves_the_run_fit_for_a_resume(tmp_path, nursery, whole, where):
    spec = {"out": str(tmp_path / "run"), "config": KINDS["full"]}
    size = (whole["full"] / "final" / "model.safetensors").stat().st_size
    assert nursery.run({**spec, "limit": size // 2 if where == "weights" else size + 4096}) == 1
    told = (tmp_path / "run.log").read_text()
    assert list((tmp_path / "run" / "checkpoints").iterdir()) == []
    assert len(lines(tmp_path / "run" / "metrics.jsonl")) == 2
    assert nursery.run({**spec, "resume": True}) == 0
    same(tmp_path / "run", whole["full"])
    assert "RunFolderError: The checkpoint" in told
    assert "make room" in told


@pytest.fixture
def halted(tmp_path: Path) -> Path:
    return halt(tmp_path / "run")


def damage(checkpoint: Path, how: str) -> None:
    if how == "weights cut short":
        os.truncate(checkpoint / "model.safetensors", 1000)
    elif how == "a byte of the optimizer":
        with open(checkpoint / "optimizer.pt", "r+b") as file:
            file.seek(2000)
            file.write(b"\xff\x00\xff")
    elif how == "no manifest":
        (checkpoint / "manifest.json").unlink()
    elif how == "half a manifest":
        os.truncate(checkpoint / "manifest.json", 50)
    else:
        (checkpoint / "state.json").write_text("")


DAMAGES = ["weights cut short", "a byte of the optimizer", "no manifest", "half a manifest", "empty state"]


@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over(halted, how, caplog, tmp_path):
    damage(halted / "checkpoints" / "step-6", how)
    trainer, history = train(spread, out=halted, resume=True, **LONG)
    assert "step-6 is damaged" in caplog.text
    assert len(history) == 8
    plain, undisturbed = train(spread, **LONG)
    assert untimed(history) == untimed(undisturbed)
    assert furthest(weights(trainer), weights(plain)) == 0.0


def test_nothing_is_made_up_when_all_checkpoints_are_damaged(halted):
    for step in (2, 4, 6):
        damage(halted / "checkpoints" / f"step-{step}", "weights cut short")
    with pytest.raises(RunFolderError, match="No checkpoint"):
        begin(spread, out=halted, resume=True, **LONG)


def test_pruning_keeps_a_whole_checkpoint_after_a_damaged_one_was_passed_over(halted):
    damage(halted / "checkpoints" / "step-6", "weights cut short")
    trainer = begin(spread, out=halted, resume=True, **{**LONG, "save_steps": 1, "save_total_limit": 1})

    def stop(line):
        if line["step"] == 6:  # step 5 has been saved
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        trainer.train(stop)
    trainer.close()
    begin(spread, out=halted, resume=True, **LONG).close()


def test_a_checkpoint_may_be_damaged_twice(halted):
    for _ in range(2):
        damage(halted / "checkpoints" / "step-6", "weights cut short")
        train(spread, out=halted, resume=True, **LONG)
        for later in halted.glob("checkpoints/step-[78]"):
            shutil.rmtree(later)


@pytest.mark.parametrize("tear", [b'{"step": 7, "rew', b"\x00\x00\x00", b'{"step": 99}\n', b"no json\n"])
def test_torn_last_lines_are_mended(halted, tear):
    for name in ("metrics.jsonl", "samples.jsonl", "rewards.jsonl"):
        with open(halted / name, "ab") as file:
            file.write(tear if b"99" not in tear or name != "rewards.jsonl" else b"")
    _, history = train(spread, out=halted, resume=True, **LONG)
    assert untimed(history) == untimed(train(spread, **LONG)[1])
    assert untimed(lines(halted / "metrics.jsonl")) == untimed(history)
    assert [s["group"] for s in lines(halted / "samples.jsonl")] == list(range(16))
    assert len(lines(halted / "rewards.jsonl")) >= 16
