"""A short run whose rollouts come from a server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from grpo import GRPOConfig, GRPOTrainer
from tests.engines.server import EngineServer

ROWS = [
    {"prompt": prompt}
    for prompt in (
        "The harbour was quiet that morning, and the first boats",
        "To sort a list of numbers, begin with",
        "My favourite season is autumn, because",
        "A good letter to a friend starts with",
    )
]
SETTINGS: dict[str, Any] = {
    "lora_r": 8, "lora_alpha": 16, "learning_rate": 1e-3, "lr_scheduler_type": "constant", "dtype": "bfloat16",
    "num_generations": 4, "groups_per_step": 1, "max_completion_length": 16, "max_steps": 2,
}  # fmt: skip


def shorter(group: Any) -> list[float]:
    """Prefers fewer letters, and no two of the same length alike."""
    return [-len(str(t.messages[-1]["content"])) - 0.1 * i for i, t in enumerate(group.trajectories)]


def begin(
    model: str, server: EngineServer, out: Path, *, rollout: Any = None, **settings: Any
) -> GRPOTrainer:
    config = GRPOConfig(**{**SETTINGS, "vllm_server_base_url": server.url, **settings})
    return GRPOTrainer(model, dataset=ROWS, reward_fn=shorter, rollout=rollout, config=config, out=out)


def train(
    model: str, server: EngineServer, out: Path, **options: Any
) -> tuple[GRPOTrainer, list[dict[str, Any]]]:
    trainer = begin(model, server, out, **options)
    try:
        return trainer, trainer.train()
    finally:
        trainer.close()
