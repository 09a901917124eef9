"""Two processes learn what one learns: the same losses, gradient norms and weights.

Run as a script (under torchrun), this file trains every case and writes what came of it to a folder.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grpo import Reward
from grpo.cli.train import _allot
from grpo.runs.folder import spent
from ranker import Audit, Budget, rank_group
from ranker.jsonl.group_file import dump_line
from tests.grpo_runs import ROWS, fives, furthest, lines, policy, spread, train, untimed, weights

# Adam turns a rounding error in a gradient near 0 into a whole step, unless its epsilon is large.
USUAL = {"max_steps": 3, "adam_epsilon": 1.0, "learning_rate": 0.3}


def often_tied(group: Any) -> list[float]:
    """No signal in two of three groups, so that a process may have nothing to learn from."""
    return spread(group) if int(group.id[1:]) % 3 == 0 else [0.5] * len(group)


def partly(group: Any) -> list[float | None]:
    return [None, *spread(group)[1:]]


CASES: dict[str, tuple[Any, dict[str, Any]]] = {
    "even": (spread, {}),
    "odd": (spread, {"groups_per_step": 3, "loss_type": "grpo", "beta": 0.1, "max_tokens_per_forward": 30}),
    "one group": (spread, {"groups_per_step": 1, "max_pending_groups": 0}),
    "batch": (partly, {"groups_per_step": 3, "scale_rewards": "batch", "num_iterations": 2}),
    "tied": (often_tied, {"groups_per_step": 2, "dynamic_sampling_rounds": 2, "max_steps": 4}),
    "adapters": (spread, {"lora_r": 4, "setup": {"initializer_range": 0.2}, "loss_type": "dr_grpo"}),
}


def learn(folder: Path) -> None:
    for name, (reward, changed) in CASES.items():
        trainer, history = train(
            reward, out=folder / name, checker=lambda t, row: fives(str(t.messages)), **{**USUAL, **changed}
        )
        if trainer.is_main:
            np.savez(folder / f"{name}.npz", **weights(trainer))
            (folder / f"{name}.json").write_text(json.dumps(history))


def torchrun(script: str, *arguments: str, processes: int = 2) -> subprocess.Popen[str]:
    """Begin a script in several processes, as torchrun does."""
    launch = [
        "-m",
        "torch.distributed.run",
        f"--nproc-per-node={processes}",
        "--rdzv-backend=c10d",
        "--rdzv-endpoint=127.0.0.1:0",
    ]
    root = Path(__file__).parents[2]
    alone = {
        "PYTHONPATH": str(root),
        "OMP_NUM_THREADS": "1",
        "GLOO_SOCKET_IFNAME": "lo",
        "TOKENIZERS_PARALLELISM": "false",
    }
    return subprocess.Popen(
        [sys.executable, *launch, script, *arguments],
        env={**os.environ, **alone},
        cwd=root,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(started: subprocess.Popen[str], status: int = 0) -> str:
    """Wait for the end of a script; returns what it said."""
    try:
        told, _ = started.communicate(timeout=380)
    finally:
        started.terminate()  # which torchrun passes on
    assert started.returncode == status, told[-3000:]
    return told


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process and what two processes left."""
    one, two = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    finish(torchrun(__file__, str(two)))
    learn(one)
    return one, two


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(folders):
    for name in CASES:
        one, two = (untimed(json.loads((folder / f"{name}.json").read_text())) for folder in folders)
        assert len(one) == len(two) >= 3
        for a, b in zip(one, two, strict=True):
            assert a.keys() == b.keys()
            for field in a:
                assert b[field] == pytest.approx(a[field], abs=1e-5), (name, a["step"], field)
        first, second = (dict(np.load(folder / f"{name}.npz")) for folder in folders)
        assert furthest(first, second) < 1e-5, name
        for file in ("samples.jsonl", "metrics.jsonl"):
            kept = [[line["step"] for line in lines(folder / name / file)] for folder in folders]
            assert kept[0] == kept[1], (name, file)


@pytest.mark.slow
def test_the_rewards_of_every_process_are_kept(folders):
    for name in CASES:
        kept = [_earned(folder / name) for folder in folders]
        assert kept[0] == kept[1], name


LIMITED = """
import sys
from pathlib import Path
from grpo.cli.train import make_trainer
from grpo.config_file import read_settings

make_trainer(read_settings(sys.argv[1]), Path(sys.argv[2]), "resume" in sys.argv).train()
"""


@pytest.mark.slow
def test_processes_share_a_judges_limit(serve, tmp_path):
    """Seven calls are all, of both processes together, and of both starts."""
    model, tokenizer = policy()
    model.save_pretrained(tmp_path / "tiny")
    tokenizer.save_pretrained(tmp_path / "tiny")
    (tmp_path / "rows.jsonl").write_bytes(b"".join(dump_line(row) for row in ROWS))
    server, script, out = serve(len), tmp_path / "limited.py", tmp_path / "run"
    script.write_text(LIMITED)
    (tmp_path / "run.toml").write_text(
        f"""model = "{tmp_path / "tiny"}"
dataset = "rows.jsonl"
max_steps = 20
groups_per_step = 2
max_completion_length = 8
save_steps = 1
anchor_share = 0.0

[judge]
model = "sim"
base_url = "{server.base_url}"
max_calls = 7
cache = "off"
"""
    )
    told = finish(torchrun(str(script), str(tmp_path / "run.toml"), str(out)), 1)
    assert "BudgetExceeded" in told
    first, (recorded, _) = server.requests, spent(out)
    assert 5 <= first <= 7
    assert first - 1 <= recorded.calls <= first, "a call in flight when its process was ended"
    finish(torchrun(str(script), str(tmp_path / "run.toml"), str(out), "resume"), 1)
    assert server.requests - first <= 7 - recorded.calls


def test_each_process_may_spend_its_part_of_what_is_left(monkeypatch, tmp_path):
    (tmp_path / "rewards.jsonl").write_bytes(dump_line({"usage": {"calls": 3, "cost_usd": 0.5}}))
    (tmp_path / "rewards-1.jsonl").write_bytes(
        dump_line({"usage": {"calls": 1}, "audit": {"usage": {"calls": 2}}})
    )
    monkeypatch.setenv("WORLD_SIZE", "3")
    allowed = []
    for rank in range(3):
        monkeypatch.setenv("RANK", str(rank))
        judge, auditor = Budget(max_calls=12, max_cost_usd=2.0), Budget(max_calls=1)
        _allot(
            [Reward(partial(rank_group, budget=judge)), Reward(spread, "other")],
            Audit(auditor=partial(rank_group, budget=auditor)),
            tmp_path,
        )
        assert judge.max_cost_usd == pytest.approx(0.5 + 1.5 / 3)
        assert auditor.max_calls == auditor.calls == 2
        allowed.append(judge.max_calls - judge.calls)
    assert allowed == [3, 3, 2]


def _earned(run: Path) -> list[int]:
    return sorted(r["group"] for file in run.glob("rewards*.jsonl") for r in lines(file))


if __name__ == "__main__":
    learn(Path(sys.argv[1]))
