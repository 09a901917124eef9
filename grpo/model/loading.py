"""The policy's model: loaded, with adapters, without dropout."""

from __future__ import annotations

import contextlib
import copy
import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch

from grpo.config import GRPOConfig
from ranker import ConfigurationError
from ranker.extras import install
from ranker.judges.local.hidden_states import inner

if TYPE_CHECKING:
    from peft import PeftModel
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load(
    model: PreTrainedModel | PeftModel | str, tokenizer: PreTrainedTokenizerBase | None, config: GRPOConfig
) -> tuple[PreTrainedModel | PeftModel, PreTrainedTokenizerBase]:
    """A causal LM and its tokenizer, ready to train.

    Args:
        model: a transformers or peft model; or a name: "smollm2" and the other names `ranker models`
            lists, a folder, a hub name.

    Raises:
        ConfigurationError: no such model; no tokenizer, or one with tokens that the model does not have; LoRA on a model that has adapters; adapters on
            weights that are tied.
    """
    if isinstance(model, str):
        from transformers import AutoModelForCausalLM, AutoTokenizer

        from ranker.judges.local.models import find_model

        path, _ = find_model(model)
        try:
            tokenizer = tokenizer or AutoTokenizer.from_pretrained(path)
            model = AutoModelForCausalLM.from_pretrained(path, dtype=config.dtype)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The model {model!r} cannot be loaded: {error} Give a folder, a hub name, or a name that "
                "`ranker models` lists."
            ) from None
    if tokenizer is None:
        raise ConfigurationError("Give the model's tokenizer: GRPOTrainer(model, tokenizer=…).")
    _check_tokens(model, tokenizer)
    if config.lora_r:
        model = _with_lora(model, config)
    without_dropout(model)
    model.eval()
    if config.gradient_checkpointing:
        causal = inner(model)
        if hasattr(causal, "activation_checkpointing_enable"):  # its name from transformers 5.20 on
            causal.activation_checkpointing_enable({"use_reentrant": False})
        else:
            causal.gradient_checkpointing_enable({"use_reentrant": False})
    if not any(p.requires_grad for p in model.parameters()):
        raise ConfigurationError("No weight of the model can be trained; set lora_r, or requires_grad.")
    return model, tokenizer


def _check_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> None:
    rows = inner(model).get_input_embeddings().weight.shape[0]
    beyond = sorted((i, token) for token, i in tokenizer.get_vocab().items() if i >= rows)
    if beyond:
        names = ", ".join(repr(token) for _, token in beyond[:3]) + (", …" if len(beyond) > 3 else "")
        raise ConfigurationError(
            f"The model has embeddings for {rows} tokens, and {len(beyond)} of the tokenizer's have none ({names}): call "
            f"model.resize_token_embeddings({beyond[-1][0] + 1}) first, or take the tokenizer that belongs to the model."
        )


def _with_lora(model: Any, config: GRPOConfig) -> Any:
    try:
        from peft import LoraConfig, get_peft_model
    except ImportError:
        raise ConfigurationError(f"lora_r needs peft: {install('train')}.") from None
    if hasattr(model, "peft_config"):
        raise ConfigurationError("The model has adapters already; set lora_r = 0 to train those.")
    targets = config.lora_target_modules
    names = targets if isinstance(targets, str) else list(targets)
    lora = LoraConfig(
        r=config.lora_r,
        lora_alpha=config.lora_alpha,
        lora_dropout=0.0,
        target_modules=names,
        task_type="CAUSAL_LM",
    )
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            torch.manual_seed(config.seed)
            warnings.filterwarnings("ignore", category=FutureWarning)  # peft asks transformers by an old name
            adapted = get_peft_model(model, lora)
    except ValueError as error:
        raise ConfigurationError(f"lora_target_modules = {names!r} does not fit the model: {error}") from None
    causal = inner(adapted)
    ends = (causal.get_input_embeddings(), causal.get_output_embeddings())
    if getattr(model.config, "tie_word_embeddings", False) and any(hasattr(m, "base_layer") for m in ends):
        raise ConfigurationError(
            "lora_target_modules names an embedding that this model ties to its output: an adapter would change "
            "one use of the weight and not the other, and merging it would change both. Leave it out."
        )
    return adapted


def without_dropout(model: Any) -> None:
    """Turn every dropout off for good: sampler and trainer must be the same policy, in train mode too."""
    for name, value in list(vars(inner(model).config).items()):
        if "drop" in name.lower() and isinstance(value, float):
            setattr(inner(model).config, name, 0.0)  # some layers read it at every forward
    for module in model.modules():
        if "dropout" in type(module).__name__.lower() and hasattr(module, "p"):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name.lower() and isinstance(value, float):
                setattr(module, name, 0.0)


def autocast(model: Any, bf16: bool) -> torch.autocast:
    """Compute in bfloat16 where asked. It holds for the present thread only."""
    return torch.autocast(model.device.type, torch.bfloat16, enabled=bf16)


class Reference:
    """The policy as it was before training: adapters switched off, or a frozen copy of the weights.

    Args:
        needed: whether it will be asked; no copy is made otherwise.
        samples: whether replies are sampled from it, so that each process needs all of its weights.

    Attributes:
        copy: of the model; None where it is the model itself.
    """

    def __init__(self, model: Any, needed: bool, samples: bool = False):
        self._model = model
        self.samples = samples
        self.copy: Any = None
        if (needed or samples) and not hasattr(model, "peft_config"):
            self.copy = copy.deepcopy(model).eval().requires_grad_(False)

    @contextlib.contextmanager
    def __call__(self) -> Iterator[Any]:
        """The reference model, for the time of a forward."""
        if self.copy is not None:
            yield self.copy
            return
        with self._model.disable_adapter():
            yield self._model


def end_tokens(model: Any, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends a reply: the tokenizer's and those of the generation config."""
    ends: set[int | None] = set()
    for source in (getattr(inner(model), "generation_config", None), inner(model).config):
        named = getattr(source, "eos_token_id", None)
        ends.update(named if isinstance(named, (list, tuple)) else [named])
    ends.add(tokenizer.eos_token_id)
    tokens = sorted(e for e in ends if e is not None)
    if not tokens:
        raise ConfigurationError("Neither tokenizer nor model names an end token; set tokenizer.eos_token.")
    return tokens


def context_length(model: Any) -> int | None:
    """Tokens the model can hold, as its config says."""
    config = inner(model).config
    scaling = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if isinstance(scaling, dict) and scaling.get("rope_type") in ("longrope", "dynamic"):
        # Beyond it positions change their meaning, for tokens that are cached already too.
        original = scaling.get("original_max_position_embeddings")
        if isinstance(original, int):
            return original
    for name in ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"):
        value = getattr(config, name, None)
        if isinstance(value, int) and value > 0:
            return value
    return None
