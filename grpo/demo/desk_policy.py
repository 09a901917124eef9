"""The small policy of the returns desk: a Llama of some 67,000 weights, its tokenizer, its warm start.

The tokenizer knows the desk's words and nothing else. A word's token holds the space before it, the
phrases that every call repeats are one token each, and so are the rules: a whole conversation is some
85 tokens, of which the policy writes some 27. Text and tokens determine each other: decoding and
encoding again gives the same tokens, whatever was sampled.

The warm start learns from clerks of mixed competence, so it makes their mistakes at their rates.
"""

from __future__ import annotations

import argparse
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import save_model
from tokenizers import Regex, Tokenizer, decoders
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split
from torch.nn.functional import cross_entropy
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ranker.suites import desk_world as desk

PAD, UNK, START, END = "<pad>", "<unk>", "<|im_start|>", "<|im_end|>"
ASSISTANT = "assistant\n"
LENGTH = 256  # tokens; a conversation of clerks has at most some 130
_PHRASES = (
    "system\n", "user\n", "tool\n", ASSISTANT, "<tool_call>", "</tool_call>", desk.RULES,
    '{"name":', ' "look_up", "arguments":', ' "resolve", "arguments":', ' {"order":', '{"order":', '{"error":',
    ' "item":', ' "days":', ' "state":', ' "action":', ' "done":', "}", ",", ".", ":", "?",
    *(f' "{name}"' for name in (*desk.ITEMS, *desk.STATES, *desk.ACTIONS, *desk.ERRORS)),
)  # fmt: skip
_WORD = r" ?(?:[A-Z][a-z]*|[a-z]+)| \d+"

TEMPLATE = """\
{%- for message in messages -%}
<|im_start|>{{ message.role }}
{{ message.content or "" }}
{%- for call in message.tool_calls or [] -%}
{%- set spec = call.function or call -%}
{%- set arguments = spec.arguments -%}
<tool_call>{"name": "{{ spec.name }}", "arguments": {{ arguments if arguments is string else arguments | tojson }}}</tool_call>
{%- endfor -%}
<|im_end|>
{%- endfor -%}
{%- if add_generation_prompt -%}
<|im_start|>assistant
{% endif -%}
"""


def tokenizer() -> PreTrainedTokenizerFast:
    """The desk's tokenizer, with a chat template in the manner of Hermes. The template leaves the tools
    out: they are always the same two."""
    words = {word: i for i, word in enumerate(_vocabulary())}
    backend = Tokenizer(WordLevel(words, unk_token=UNK))
    backend.pre_tokenizer = Split(Regex(_WORD), behavior="isolated")
    backend.decoder = decoders.Fuse()
    backend.add_special_tokens([PAD, UNK, START, END])
    backend.add_tokens(list(_PHRASES))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token=START,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNK,
        chat_template=TEMPLATE,
        clean_up_tokenization_spaces=False,
        padding_side="left",
        model_max_length=LENGTH,
    )


def _vocabulary() -> Iterator[str]:
    yield from (PAD, UNK, START, END)
    yield from _PHRASES
    yield from (f" {n}" for n in (*desk.DAYS, *desk.ORDERS))
    texts = [*desk.letters(), *desk.letters(held_out=True), *desk.REPLIES, *desk.IDLE, *desk.RAMBLE]
    words = {word for text in texts for word in re.findall(_WORD, re.sub(r"{\w+}", "", text))}
    words |= {f" {w}" for w in (*desk.ITEMS, *desk.CLAIMS, *desk.ACTIONS.values())}
    yield from sorted(words)


@dataclass(frozen=True, slots=True)
class WarmStart:
    """Supervised learning on clerks' attempts, with loss on what they wrote.

    Attributes:
        steps: batches; each has attempts never seen before.
        clean: the first batches, by clerks without fault: copying a number is learnt late, and later still
            where it is often copied wrong.
        low, high: the competence of all other clerks is uniform between them.
    """

    steps: int = 1300
    clean: int = 1000
    batch: int = 16
    lr: float = 6e-3
    low: float = 0.1
    high: float = 0.9


WARM_START = WarmStart()


def policy(seed: int = 0) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """A fresh policy that knows nothing, and its tokenizer."""
    words = tokenizer()
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=48,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=LENGTH,
        # About 1/sqrt(hidden). Transformers' 0.02 is for widths in the thousands, and with it so narrow a model does
        # not learn to copy in any useful time.
        initializer_range=0.12,
        tie_word_embeddings=True,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return LlamaForCausalLM(config), words


def examples(
    words: PreTrainedTokenizerFast, conversations: Sequence[Sequence[Any]]
) -> Iterator[tuple[list[int], list[int]]]:
    """Each conversation's tokens, and the labels: what the assistant wrote, -100 elsewhere."""
    assistant = words.convert_tokens_to_ids(ASSISTANT)
    shown = [list(messages) for messages in conversations]
    for ids in words.apply_chat_template(shown, tokenize=True, return_dict=False):
        speaks, labels = False, []
        for before, token in zip([-1, *ids], ids, strict=False):
            labels.append(token if speaks else -100)
            starts = token == assistant and before == words.bos_token_id
            speaks = starts or (speaks and token != words.eos_token_id)
        yield ids, labels


def warm_policy(
    seed: int = 0, settings: WarmStart = WARM_START
) -> tuple[LlamaForCausalLM, PreTrainedTokenizerFast]:
    """The policy trained to write what clerks write; the learning rate rises and falls evenly.

    It runs on one thread: a step is too small to share, and on a busy machine threads wait for each other.
    """
    model, words = policy(seed)
    rng = random.Random(f"clerks/{seed}")
    rows = desk.rows(settings.steps * settings.batch, seed=-1 - seed)
    clean = settings.clean * settings.batch
    trajectories = [
        desk.clerk(row, 1.0 if i < clean else rng.uniform(settings.low, settings.high), rng)
        for i, row in enumerate(rows)
    ]
    attempts = list(examples(words, [attempt.messages for attempt in trajectories]))
    optimizer = torch.optim.AdamW(model.parameters(), settings.lr, betas=(0.9, 0.98), weight_decay=0.01)
    slope = max(1, settings.steps // 10)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / slope, 1 - step / settings.steps)
    )
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        model.train()
        for step in range(settings.steps):
            batch = attempts[step * settings.batch : (step + 1) * settings.batch]
            # The padding is on the right, where no real token looks.
            ids = pad_sequence([torch.tensor(ids) for ids, _ in batch], True, words.pad_token_id)
            labels = pad_sequence([torch.tensor(labels) for _, labels in batch], True, -100)[:, 1:]
            hidden = model.model(ids[:, :-1]).last_hidden_state
            loss = cross_entropy(model.lm_head(hidden[labels >= 0]), labels[labels >= 0])
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
    finally:
        torch.set_num_threads(threads)
    return model.eval(), words


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        prog="python -m grpo.demo.desk_policy", description="Make the warm-started policy."
    )
    parser.add_argument("file", help="the safetensors file to write")
    save_model(warm_policy()[0], parser.parse_args().file)
