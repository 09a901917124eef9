"""The trained adapter: a LoRA on the upper layers."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ranker.errors import ConfigurationError
from ranker.extras import install

TARGETS = ("q_proj", "v_proj", "o_proj", "down_proj")


@dataclass(frozen=True, slots=True)
class Lora:
    """Attributes:
    rank: of the adapter.
    upper: share of the model's layers, from the top, that get an adapter; those below run without gradients.
    targets: names of the linear layers.
    """

    rank: int = 16
    upper: float = 0.6
    targets: tuple[str, ...] = TARGETS


def with_lora(model: Any, lora: Lora, adapter: Path | None, seed: int) -> Any:
    """The model with a trainable adapter: that of a folder, or a fresh one, which changes nothing yet.

    Raises:
        ConfigurationError: peft is not installed, or no layer accepts an adapter.
    """
    try:
        from peft import LoraConfig, PeftModel, get_peft_model
    except ImportError:
        raise ConfigurationError(f"Tuning needs peft: {install('local')}.") from None
    with warnings.catch_warnings(), torch.random.fork_rng():
        warnings.filterwarnings("ignore", category=FutureWarning)
        torch.manual_seed(seed)
        if adapter is not None:
            return PeftModel.from_pretrained(model, str(adapter), is_trainable=True)
        config = getattr(model.config, "text_config", model.config)
        layers = int(getattr(config, "num_hidden_layers", 0) or 0)
        names = {name.rpartition(".")[2] for name, _ in model.named_modules()}
        known = bool(names & set(lora.targets))
        upper = list(range(round(layers * (1 - lora.upper)), layers))
        wanted = LoraConfig(
            r=lora.rank,
            lora_alpha=2 * lora.rank,
            lora_dropout=0.0,
            # A model whose layers have other names gets adapters on all linear layers.
            target_modules=list(lora.targets) if known else "all-linear",
            layers_to_transform=upper if known and layers else None,
            task_type="CAUSAL_LM",
        )
        try:
            return get_peft_model(model, wanted)
        except ValueError as error:
            raise ConfigurationError(
                f"No layer of this model accepts an adapter ({error}); give another --base."
            ) from None
