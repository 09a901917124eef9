"""Rankings as rewards of TRL's trainer in two processes: groups that are split, processes that fail or die.

Run as a script, this file is one of the processes: its argument says what to do, as JSON.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("trl")

import torch

from ranker.integrations.trl import rank_reward
from ranker.testing.simulated import blocks
from tests.integrations.test_integration_trl import LONELY, digits, fair, groups, rows, trainer_of


def launch(folder: Path, server: Any, job: str, **more: Any) -> list[subprocess.Popen[str]]:
    """Two ranks of a training run, each started by hand, so that nobody ends one when the other dies."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spec = json.dumps({"job": job, "folder": str(folder), "base_url": server.base_url, **more})
    return [
        subprocess.Popen(
            [sys.executable, __file__, spec],
            env={
                **os.environ,
                **LONELY,
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": "2",
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
            },
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]


def ended(processes: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """How each process ended, and what it said last."""
    try:
        return [(p.returncode, err[-6000:]) for p in processes for err in [p.communicate(timeout=500)[1]]]
    finally:
        for process in processes:
            process.kill()


@pytest.mark.timeout(600)
def test_groups_split_over_processes_are_judged_once_and_whole(serve, tmp_path):
    server = serve(digits, keep_prompts=True)
    for code, told_last in ended(launch(tmp_path, server, "split")):
        assert code == 0, told_last
    heard = [
        [json.loads(line) for line in (tmp_path / f"rank{r}.jsonl").read_text().splitlines()]
        for r in range(2)
    ]
    assert [len(calls) for calls in heard] == [2, 2]
    attempts = []
    for first, second in zip(*heard, strict=True):
        assert len(first["rewards"]) == len(second["rewards"]) == 6  # one and a half groups each
        texts = first["completions"] + second["completions"]
        prompts = first["prompts"] + second["prompts"]
        rewards = first["rewards"] + second["rewards"]
        for prompt, said_G, rewards_G in zip(groups(prompts), groups(texts), groups(rewards), strict=True):
            assert len(set(prompt)) == 1
            assert rewards_G == pytest.approx(fair(said_G))
            attempts.append(Counter(said_G).keys())
    # Two judges heard each group; those with nothing to compare are not sent.
    shown = Counter(len(blocks(prompt[-1]["content"])) for prompt in server.prompts)
    expected = Counter(len(texts) for texts in attempts if len(texts) > 1)
    assert shown == {size: 2 * count for size, count in expected.items()}
    logs = [json.loads((tmp_path / f"log{r}.json").read_text()) for r in range(2)]
    assert all(step["rank_reward/failed_groups"] == 0 for step in logs[0][:2])
    assert logs[0][0]["rewards/recorded/mean"] == pytest.approx(0.5)


@pytest.mark.timeout(600)
def test_a_process_that_dies_does_not_leave_the_other_waiting(serve, tmp_path):
    server = serve(digits)
    (survivor, last), (dead, _) = ended(launch(tmp_path, server, "death"))
    assert dead == -signal.SIGKILL
    assert survivor == 1
    assert "RankerError: Process 0 of 2 lost another one" in last


@pytest.mark.timeout(600)
def test_an_error_in_one_process_is_told_by_both(serve, tmp_path):
    server = serve(digits)
    (first, told_first), (second, told_second) = ended(launch(tmp_path, server, "refused"))
    assert first == second == 1
    assert "JudgeCallError: In process 1 of 2: " in told_first
    assert "JudgeCallError" in told_second
    assert "sk-wrong" not in told_first + told_second


def run_rank(told: dict[str, Any]) -> None:
    """What one rank does."""
    torch.set_num_threads(1)
    rank = int(os.environ["RANK"])
    folder = Path(told["folder"])
    wrong = {"api_key": "sk-wrong-111111", "base_url": told["base_url"] + "/nowhere"}
    judged = rank_reward(
        "sim", **({"base_url": told["base_url"]} if told["job"] != "refused" or rank == 0 else wrong)
    )

    async def recorded(prompts: Any, completions: Any, **more: Any) -> Any:
        rewards = await judged(prompts=prompts, completions=completions, **more)
        with (folder / f"rank{rank}.jsonl").open("a") as file:
            line = {"prompts": prompts, "completions": completions, "rewards": rewards}
            file.write(json.dumps(line) + "\n")
        return rewards

    def fatal(trajectories: Any) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)

    rewards: list[Any] = [recorded, rank_reward("sim", base_url=told["base_url"], name="other")]
    if told["job"] == "death" and rank == 1:
        rewards = [rank_reward(fatal)]
    elif told["job"] != "split":
        rewards = [judged]
    trainer = trainer_of(
        folder / f"out{rank}",
        rewards,
        rows(6, False),
        per_device_train_batch_size=6,
        max_completion_length=8,
    )
    trainer.train()
    (folder / f"log{rank}.json").write_text(json.dumps(trainer.state.log_history))
    torch.distributed.destroy_process_group()


if __name__ == "__main__":
    run_rank(json.loads(sys.argv[1]))
