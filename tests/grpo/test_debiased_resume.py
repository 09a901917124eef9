"""A debiased run that is killed goes on as if nothing had happened: its evidence on the judge is in the checkpoint."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

from tests.grpo_runs import lines, untimed

STEPS = 5
COMMAND = [sys.executable, "-m", "ranker", "train", "quick", "--set", "reward=debiased"]
SETTINGS = {"simulated.length_bias": 1.0, "max_steps": STEPS, "save_steps": 2, "groups_per_step": 4}


def start(out: Path, *more: str) -> subprocess.Popen[bytes]:
    words = [word for name, value in SETTINGS.items() for word in ("--set", f"{name}={value}")]
    return subprocess.Popen([*COMMAND, *words, "--out", str(out), *more], stdout=subprocess.DEVNULL)


def test_a_killed_run_weighs_the_judge_as_before(tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(whole).wait(300) == 0
    run, metrics, deadline = start(killed), killed / "metrics.jsonl", time.monotonic() + 300
    while not (metrics.exists() and metrics.read_bytes().count(b"\n") >= 3):
        assert run.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    run.kill()
    run.wait()
    assert (killed / "checkpoints").exists()
    assert start(killed, "--resume").wait(300) == 0
    expected = untimed(lines(whole / "metrics.jsonl"))
    assert untimed(lines(killed / "metrics.jsonl")) == expected
    assert len(expected) >= STEPS
    assert all(
        line["bias/length_low"] <= line["bias/length"] <= line["bias/length_high"] for line in expected
    )
