"""A small real model with SmolLM2's kind of tokenizer, groups with a rule to learn, and runs that can be killed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from ranker import Trajectory, TrajectoryGroup

WORDS = [
    "red",
    "blue",
    "green",
    "fast",
    "slow",
    "old",
    "new",
    "big",
    "small",
    "warm",
    "cold",
    "round",
    "flat",
    "loud",
    "soft",
    "deep",
    "wide",
    "thin",
]
GOOD = "splendid"
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def tiny(folder: Path, seed: int = 0, **settings: Any) -> str:
    """A Llama of two layers with random weights, saved in a folder with a tokenizer of bytes and some words."""
    raw = Tokenizer(models.BPE())
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    texts = ["Yes No yes no", *(f"{w} {w}" for w in [*WORDS, GOOD])] * 4
    raw.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=600,
            special_tokens=special,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", pad_token="<|endoftext|>", chat_template=TEMPLATE
    )
    shape = {
        "vocab_size": len(tokenizer),
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.2,
        "tie_word_embeddings": True,
    }
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**{**shape, **settings}))
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def group(g: int, size: int = 4, rule: bool = True, seed: int = 0) -> TrajectoryGroup:
    """Attempts of a few words. By the rule the better half has one word that the others lack; else truth is drawn."""
    rng = random.Random(f"{seed}/{g}")
    better = set(rng.sample(range(size), size // 2))
    made = []
    for i in range(size):
        words = rng.choices(WORDS, k=4)
        if i in better and rule:
            words[rng.randrange(4)] = GOOD
        told = [
            {"role": "user", "content": f"Say it, {g}."},
            {"role": "assistant", "content": " ".join(words)},
        ]
        made.append(Trajectory(told, id=f"t{i}", ground_truth=float(i in better)))
    return TrajectoryGroup(made, id=f"g{g}")


def write_groups(path: Path, n: int, **how: Any) -> Path:
    lines = []
    for g in range(n):
        one = group(g, **how)
        members = [
            {"id": t.id, "messages": list(t.messages), "ground_truth": t.ground_truth}
            for t in one.trajectories
        ]
        lines.append(json.dumps({"id": one.id, "trajectories": members}))
    path.write_text("\n".join(lines) + "\n")
    return path


def command(*words: object, check: bool = True, **more: Any) -> subprocess.CompletedProcess[str]:
    """`ranker …` in a process of its own, on one core."""
    done = subprocess.run(
        [sys.executable, "-m", "ranker", *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        **more,
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done
