"""The models of the run: configs of several architectures and sizes, with random weights."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

# Every architecture by the class of its config, with what makes it differ from the others.
ARCHITECTURES: dict[str, tuple[str, dict[str, Any]]] = {
    "llama": ("LlamaConfig", {}),
    "qwen2": ("Qwen2Config", {}),
    "qwen3": ("Qwen3Config", {"head_dim": 64}),
    "mistral": ("MistralConfig", {"sliding_window": None}),
    "mistral, a window of 64": ("MistralConfig", {"sliding_window": 64}),
    "gemma2": ("Gemma2Config", {"head_dim": 64, "query_pre_attn_scalar": 64, "final_logit_softcapping": 3.0}),
}

# Shapes of Qwen2.5, which ties its embeddings at both sizes.
_QWEN = {"vocab_size": 151936, "max_position_embeddings": 32768, "num_key_value_heads": 2, "rope_theta": 1e6}
SIZES: dict[str, dict[str, Any]] = {
    "0.5B": {
        **_QWEN,
        "hidden_size": 896,
        "intermediate_size": 4864,
        "num_hidden_layers": 24,
        "num_attention_heads": 14,
    },
    "1.5B": {
        **_QWEN,
        "hidden_size": 1536,
        "intermediate_size": 8960,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
    },
    "tiny": {
        **_QWEN,
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    },
}


@dataclass(frozen=True)
class Precision:
    """Attributes:
    weights: their dtype.
    autocast: compute in bfloat16 all the same, as with the trainer's `bf16`.
    """

    name: str
    weights: str
    autocast: bool

    @property
    def dtype(self) -> torch.dtype:
        return torch.float32 if self.weights == "float32" else torch.bfloat16


FLOAT32 = Precision("float32", "float32", False)
BFLOAT16 = Precision("bfloat16 weights", "bfloat16", False)
MIXED = Precision("float32 weights, bfloat16 compute", "float32", True)


def small_config(architecture: str, hidden: int, layers: int, vocabulary: int) -> Any:
    """A config of the architecture, four heads wide, whose log-probs are far from uniform."""
    import transformers

    name, own = ARCHITECTURES[architecture]
    settings: Mapping[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "intermediate_size": 2 * hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 2048,
        "initializer_range": 1.25 / hidden**0.5,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": 0,
    }
    return getattr(transformers, name)(**{**settings, **own})


def sized_config(size: str) -> Any:
    """The config of a model of this size."""
    import transformers

    ends = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": 0}
    return transformers.Qwen2Config(**SIZES[size], **ends, tie_word_embeddings=True)


def built(config: Any, precision: Precision, where: torch.device, seed: int = 0) -> Any:
    """A causal LM of this config, in evaluation mode; the same seed gives the same weights on the same device."""
    import transformers

    from grpo.model.loading import without_dropout

    torch.manual_seed(seed)
    with where:
        model = transformers.AutoModelForCausalLM.from_config(config, dtype=precision.dtype)
    without_dropout(model)
    return model.to(where).eval()
