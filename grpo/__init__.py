"""A GRPO trainer that learns from ranked groups.

from functools import partial
from grpo import GRPOConfig, GRPOTrainer
from ranker import rank_group

trainer = GRPOTrainer("smollm2", dataset=examples, reward_fn=partial(rank_group, judge="openai/gpt-5-mini"))
trainer.train()
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grpo.config import GRPOConfig
    from grpo.errors import ContextError, RewardError, RunFolderError, TrainingError
    from grpo.reward_values import ProcessRewards
    from grpo.rewards import Reward
    from grpo.rollouts.chat import Policy
    from grpo.trainer import GRPOTrainer

# Loaded on first use, so that reading a config does not import torch's stack twice over.
_HOME = {
    "Policy": "grpo.rollouts.chat",
    "GRPOConfig": "grpo.config",
    "ContextError": "grpo.errors",
    "RewardError": "grpo.errors",
    "RunFolderError": "grpo.errors",
    "TrainingError": "grpo.errors",
    "ProcessRewards": "grpo.reward_values",
    "Reward": "grpo.rewards",
    "GRPOTrainer": "grpo.trainer",
}

__all__ = [
    "ContextError",
    "GRPOConfig",
    "GRPOTrainer",
    "Policy",
    "ProcessRewards",
    "Reward",
    "RewardError",
    "RunFolderError",
    "TrainingError",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'grpo' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
