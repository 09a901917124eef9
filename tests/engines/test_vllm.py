"""vLLM with adapters: a judge, and a rollout server that is killed, refuses, and comes back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ranker import ConfigurationError, LLMJudge
from tests.conftest import make_groups
from tests.engines.conftest import WINDOW
from tests.engines.judging import OPTIONS, check_outcomes, poem, ranked, window_of
from tests.engines.server import EngineServer
from tests.engines.training import begin, train

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def server(vllm: Callable[..., EngineServer], smollm2: str) -> EngineServer:
    """With every flag that docs/integrations/servers.md names."""
    return vllm(
        smollm2, "--enable-lora", "--max-lora-rank", "8", "--max-loras", "2", "--logprobs-mode", "processed_logprobs",
        "--max-logprobs", "64",
    )  # fmt: skip


def judge_at(server: EngineServer, **options: Any) -> LLMJudge:
    return LLMJudge("policy", base_url=f"{server.url}/v1", **OPTIONS, **options)


def adapters_of(server: EngineServer) -> list[str]:
    with urllib.request.urlopen(f"{server.url}/v1/models", timeout=30) as reply:
        return [card["id"] for card in json.loads(reply.read())["data"] if card["parent"] is not None]


def test_the_format_is_enforced(server):
    found = poem(server.url, judge_at(server), "policy", ["AB", "CD"])
    assert "cut" in found or set(found) == {"reasons", "ranking"}, found
    if "cut" not in found:
        assert {name for place in found["ranking"] for name in place} <= {"AB", "CD"}


def test_its_window_is_found_and_no_runaway_shrinks_it(server):
    """A reply to the end of the window, as models that repeat themselves write: once that shrank the window of every
    group after it, until one failed with the advice to cut attempts."""
    judge = judge_at(server, structured="text", extra={"ignore_eos": True})
    assert window_of(judge) == WINDOW
    groups = make_groups(3, size=3)
    for group in groups:
        for trajectory in group.trajectories:
            trajectory.messages[1]["content"] += " and so on" * 100
    results = ranked(groups, judge, concurrency=3)
    check_outcomes(results)
    assert all("runaway" in str(r.error) or "cut off" in str(r.error) for r in results), [
        str(r.error) for r in results
    ]
    assert window_of(judge) == WINDOW


def test_groups_are_ranked_or_fail_by_name(server):
    judge = judge_at(server, max_tokens=400)
    check_outcomes(ranked(make_groups(4, size=3), judge, concurrency=4))
    assert window_of(judge) == WINDOW


def test_ids_in_the_schema_leave_none_to_invent(server):
    results = ranked(
        make_groups(4, size=3), judge_at(server, max_tokens=400, ids_in_schema=True), concurrency=4
    )
    check_outcomes(results)
    assert not any("unknown" in str(r.error) for r in results)


@pytest.mark.parametrize(
    "settings",
    [{}, {"temperature": 0.8, "top_k": 20, "top_p": 0.95, "min_p": 0.01, "max_pending_groups": 0}],
    ids=["plain", "truncated"],
)
def test_adapters_are_handed_over_and_log_probs_agree(server, smollm2, tmp_path, settings):
    trainer, history = train(smollm2, server, tmp_path / "run", max_steps=3, **settings)
    assert all(line["broken_rollouts"] == 0 for line in history)
    assert max(line["server_mismatch"] for line in history) <= 0.06
    assert history[0]["sampler_mismatch"] <= 0.06
    assert history[-1]["grad_norm"] > 0
    assert trainer.engine.weights is None
    assert adapters_of(server) == [], "the last one is unloaded"
    assert list((tmp_path / "run" / "adapters").iterdir()) == []


def test_a_rank_above_the_servers_is_refused_in_its_own_words(server, smollm2, tmp_path):
    with pytest.raises(ConfigurationError, match="--max-lora-rank") as caught:
        begin(smollm2, server, tmp_path / "run", lora_r=16)
    assert "max_lora_rank" in str(caught.value), "vLLM's own words"


def test_a_server_killed_in_a_step_is_waited_for(server, smollm2, tmp_path):
    count = 0

    async def rollout(policy: Any, row: Any) -> list[Any]:
        nonlocal count
        first = await policy.complete(row["prompt"])
        count += 1
        if count == 5:
            server.kill()
            server.begin()
        second = await policy.complete(row["prompt"] + first)
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": first + second}]

    _, history = train(smollm2, server, tmp_path / "run", rollout=rollout, max_steps=2, max_pending_groups=0)
    assert count == 2 * 4
    assert [line["broken_rollouts"] for line in history] == [0, 0]
    assert all(line["sampler_mismatch"] <= 0.06 for line in history), (
        "no reply by weights without the adapter"
    )


def test_a_server_that_dies_while_it_loads_is_waited_for(server, smollm2, tmp_path):
    folder = tmp_path / "run" / "adapters"

    def strike() -> None:
        while not any(folder.glob("policy-*-1/adapter_config.json")):
            time.sleep(0.001)
        server.kill()
        server.begin()

    thread = threading.Thread(target=strike, daemon=True)
    thread.start()
    _, history = train(smollm2, server, tmp_path / "run", max_steps=2, max_pending_groups=0)
    thread.join()
    assert [line["broken_rollouts"] for line in history] == [0, 0]
    assert max(line["server_mismatch"] for line in history) <= 0.06


def test_a_killed_trainer_goes_on(server, tmp_path):
    out = tmp_path / "run"
    command = [
        sys.executable, "-m", "ranker", "train", "smollm2", "--out", str(out), "--resume", "--set", "judge.model=local",
        "--set", "max_steps=3", "--set", "save_steps=1", "--set", "lora_r=8", "--set", "dtype=bfloat16", "--set", "num_generations=4",
        "--set", "groups_per_step=1", "--set", "max_completion_length=24", "--set", f"vllm_server_base_url={server.url}",
    ]  # fmt: skip
    with open(tmp_path / "log", "wb") as log:
        first = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        while not (out / "checkpoints" / "step-1" / "manifest.json").is_file():
            assert first.poll() is None, (tmp_path / "log").read_text()[-3000:]
            time.sleep(0.05)
        os.killpg(first.pid, signal.SIGKILL)
        first.wait(30)
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == [1, 2, 3]
    assert all(line["broken_rollouts"] == 0 for line in lines)
    assert adapters_of(server) == [], "what the killed run left is cleared away"


def test_a_tied_output_layer_that_stays_behind_is_noticed(server, smollm2, tmp_path):
    """The CPU build multiplies with a packed copy of the embeddings, which a reload does not renew. (The last test
    here: the server's weights are not the model's any more.)"""
    with pytest.raises(ConfigurationError, match="keeps the old one"):
        begin(smollm2, server, tmp_path / "run", lora_r=0)
    assert not any(Path(tmp_path / "run").glob("metrics.jsonl"))
