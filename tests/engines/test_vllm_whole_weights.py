"""vLLM without adapters: all weights are handed over through a folder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ranker import ConfigurationError
from tests.engines.server import EngineServer
from tests.engines.training import begin, train

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def server(vllm: Callable[..., EngineServer], untied: str) -> EngineServer:
    """Log-probs as vLLM's default returns them: before temperature."""
    return vllm(untied)


def test_adapters_need_the_flag(server, untied, tmp_path):
    with pytest.raises(ConfigurationError, match="--enable-lora"):
        begin(untied, server, tmp_path / "run")


def test_log_probs_before_temperature_are_noticed(server, untied, tmp_path):
    with pytest.raises(ConfigurationError, match="processed_logprobs"):
        begin(untied, server, tmp_path / "run", lora_r=0, temperature=0.7)


def test_whole_weights_are_handed_over_and_survive_a_restart(server, untied, tmp_path):
    count = 0

    async def rollout(policy: Any, row: Any) -> list[Any]:
        nonlocal count
        first = await policy.complete(row["prompt"])
        count += 1
        if count == 10:
            server.kill()
            server.begin()
        second = await policy.complete(row["prompt"] + first)
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": first + second}]

    options = {"lora_r": 0, "learning_rate": 1e-4, "max_steps": 4, "max_pending_groups": 0}
    _, history = train(untied, server, tmp_path / "run", rollout=rollout, **options)
    assert count == 4 * 4
    assert [line["broken_rollouts"] for line in history] == [0] * 4
    assert max(line["server_mismatch"] for line in history) <= 0.05
    # In the third step the server began anew, with its first weights: not one token of theirs was trained on.
    assert max(line["sampler_mismatch"] for line in history) <= 0.06
