"""Small real models with random weights, and word-level tokenizers, for the trainer's tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import transformers

from grpo.types import Sequence

VOCABULARY = 60
SMALL = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,  # so that log-probs are far from uniform
    "bos_token_id": None,
    "eos_token_id": 1,
    "pad_token_id": 0,
}
TEMPLATE = (
    "{% if tools %}system {% for t in tools %}{{ t.function.name }} {% endfor %}<|end|> {% endif %}"
    "{% for m in messages %}{{ m.role }} {{ m.content }}"
    "{% for c in m.tool_calls or [] %} <tool_call>{{ c.function | tojson }}</tool_call>{% endfor %}"
    " <|end|> {% endfor %}{% if add_generation_prompt %}assistant {% endif %}"
)


def made(config: Any, seed: int = 0, attention: str | None = None) -> Any:
    """A causal LM of this config, in evaluation mode; the same seed gives the same weights."""
    if attention is not None:
        config._attn_implementation = attention
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return transformers.AutoModelForCausalLM.from_config(config, dtype=torch.float32).eval()


def llama(seed: int = 0, attention: str | None = None, **settings: Any) -> Any:
    return made(transformers.LlamaConfig(**{**SMALL, **settings}), seed, attention)


def gpt2(seed: int = 0, context: int = 128, attention: str | None = None, vocab: int = VOCABULARY) -> Any:
    """With learned positions, biases in no head, and dropout 0.1 everywhere."""
    config = transformers.GPT2Config(
        vocab_size=vocab,
        n_positions=context,
        n_embd=32,
        n_layer=2,
        n_head=4,
        initializer_range=0.3,
        resid_pdrop=0.1,
        embd_pdrop=0.1,
        attn_pdrop=0.1,
        bos_token_id=None,
        eos_token_id=1,
    )
    return made(config, seed, attention)


def qwen3(seed: int = 0, **settings: Any) -> Any:
    return made(transformers.Qwen3Config(**{**SMALL, "head_dim": 8, **settings}), seed)


def gemma2(seed: int = 0, **settings: Any) -> Any:
    """With soft-capped logits."""
    more = {"head_dim": 8, "query_pre_attn_scalar": 8, "final_logit_softcapping": 3.0}
    return made(transformers.Gemma2Config(**{**SMALL, **more, **settings}), seed)


def cohere(seed: int = 0) -> Any:
    """With scaled logits."""
    return made(transformers.CohereConfig(**SMALL, logit_scale=0.5), seed)


def mistral(seed: int = 0, window: int | None = 16, **settings: Any) -> Any:
    return made(transformers.MistralConfig(**{**SMALL, **settings}, sliding_window=window), seed)


def bloom(seed: int = 0) -> Any:
    """With ALiBi, which cannot be told positions."""
    config = transformers.BloomConfig(
        vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, initializer_range=0.3, eos_token_id=1
    )
    return made(config, seed)


def mamba(seed: int = 0) -> Any:
    """With a state in the place of attention."""
    config = transformers.MambaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        state_size=4,
        num_hidden_layers=2,
        initializer_range=0.3,
        eos_token_id=1,
    )
    return made(config, seed)


def scripted(follow: dict[int, tuple[int, ...]]) -> Any:
    """A Llama in which a token is followed by one of those named, each as likely, and by 2 if none is."""
    model = llama(hidden_size=64, num_hidden_layers=1, vocab_size=64, max_position_embeddings=512)
    with torch.no_grad():
        model.model.embed_tokens.weight.copy_(torch.eye(64))
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.lm_head.weight.zero_()
        for token in range(64):
            for after in follow.get(token, (2,)):
                model.lm_head.weight[after, token] = 4.0  # the norm makes 32 of it
    return model


def lora(model: Any, seed: int = 1, scale: float = 0.3, **settings: Any) -> Any:
    """The model with adapters that are not zero."""
    import peft

    config = peft.LoraConfig(
        **{"r": 4, "lora_alpha": 8, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **settings}
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = peft.get_peft_model(model, config)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=scale)
    return model.eval()


def sequence(tokens: Any, prompt: int, kept: Any = ()) -> Sequence:
    """Tokens of which all after `prompt` were sampled; their log-probs are not known."""
    tokens_T = np.asarray(tokens, dtype=np.int64)
    return Sequence(
        tokens_T, np.arange(len(tokens_T)) >= prompt, np.zeros(len(tokens_T), np.float32), tuple(kept)
    )


def group(
    prompt: int = 7, lengths: tuple[int, ...] = (5, 3, 6, 1), seed: int = 0, vocab: int = VOCABULARY
) -> list[Sequence]:
    """Random completions of one random prompt."""
    rng = np.random.default_rng(seed)
    start = rng.integers(2, vocab, prompt)
    return [sequence(np.concatenate([start, rng.integers(2, vocab, n)]), prompt) for n in lengths]


def tokenizer(
    words: tuple[str, ...] = (), template: str | None = TEMPLATE, end: str = "<|end|>", size: int = VOCABULARY
) -> Any:
    """A word-level tokenizer: special tokens and roles, the words given, then w0, w1, … up to `size`.

    Words are split at blanks and decoded without any, so text made from tokens is other tokens.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    first = ["<|pad|>", "<|end|>", "<|unk|>", "<|stop|>", "system", "user", "assistant", "tool", *words]
    every = [*first, *(f"w{i}" for i in range(size - len(first)))]
    inside = Tokenizer(models.WordLevel({w: i for i, w in enumerate(every)}, unk_token="<|unk|>"))
    inside.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    inside.decoder = decoders.Fuse()
    wrapped = transformers.PreTrainedTokenizerFast(
        tokenizer_object=inside, eos_token=end, pad_token="<|pad|>", unk_token="<|unk|>"
    )
    wrapped.add_special_tokens({"additional_special_tokens": ["<|end|>", "<|stop|>"]})
    wrapped.chat_template = template
    return wrapped
