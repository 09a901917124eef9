"""What both sides of the comparisons with TRL train on: model, tokenizer, prompts and reward; and TRL's Python.

It needs only torch, transformers and tokenizers, each imported where it is used, since it also runs
under the Python that has TRL. Models and prompts follow from a seed; nothing is downloaded.

The end token has an id for which the model has no logit, so no completion can end early, exactly and
at no cost to either side.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.metadata
import os
import random
import sys
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.harness import peer_python

TRL_VERSION = "1.16"
TRL_DISTRIBUTIONS = ("trl", "transformers", "torch")

VOCABULARY = 49152  # SmolLM2's
GROUPS = 2
GENERATIONS = 8
LEARNING_RATE = 1e-6
PAD, BEGIN, UNKNOWN, END = 0, 1, 2, VOCABULARY
SPECIAL = {"<pad>": PAD, "<s>": BEGIN, "<unk>": UNKNOWN, "</s>": END}


@dataclass(frozen=True)
class Work:
    """Tokens of every prompt and completion, optimizer steps timed, and steps before them that are not."""

    prompt: int
    completion: int
    steps: int = 3
    warm_up: int = 1
    seed: int = 0


def trl_python(named: Path | None) -> Path:
    """The Python that has TRL, with the torch and transformers of this one.

    In this order: the one that is named; the one in the variable `RANKER_TRL_PYTHON`; this one, where it has TRL; one in
    the user's cache folder, created on first use.
    """
    if one := named or os.environ.get("RANKER_TRL_PYTHON"):
        return Path(one)
    installed = {}
    for name in TRL_DISTRIBUTIONS:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            installed[name] = importlib.metadata.version(name).split("+")[0]
    if installed.get("trl", "").startswith(f"{TRL_VERSION}."):
        return Path(sys.executable)
    same = [f"{name}=={installed[name]}" if name in installed else name for name in ("torch", "transformers")]
    return peer_python(f"trl-{TRL_VERSION}", [*same, f"trl=={TRL_VERSION}.*"])


def silence_trl() -> None:
    """Turn off TRL's remarks."""
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    warnings.simplefilter("ignore")


def add_trl(parser: argparse.ArgumentParser) -> None:
    """The option that names TRL's Python."""
    parser.add_argument("--trl-python", type=Path, help="a Python with TRL; default: created on first use")


def add_work(parser: argparse.ArgumentParser) -> None:
    """The options that say what work to do, and that of `add_trl`."""
    parser.add_argument("--prompt", type=int, default=384, help="tokens of every prompt (default 384)")
    parser.add_argument("--completion", type=int, default=64, help="tokens of every completion (default 64)")
    parser.add_argument("--steps", type=int, default=3, help="steps timed, after one that is not (default 3)")
    add_trl(parser)


def work_of(args: argparse.Namespace) -> Work:
    return Work(prompt=args.prompt, completion=args.completion, steps=args.steps)


def build_model(work: Work) -> Any:
    """A Llama of 32M parameters in fp32, its weights drawn anew."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(work.seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=384, intermediate_size=960, num_hidden_layers=8,
        num_attention_heads=6, num_key_value_heads=6, max_position_embeddings=work.prompt + work.completion,
        tie_word_embeddings=True, pad_token_id=PAD, bos_token_id=BEGIN, eos_token_id=None, dtype="float32",
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    model.generation_config.eos_token_id = END
    return model


def build_tokenizer(vocabulary: int = VOCABULARY, special: Mapping[str, int] = SPECIAL) -> Any:
    """Words `t3 t4 ...` between spaces, one token each; no token is added at either end."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = {f"t{i}": i for i in range(vocabulary) if i not in special.values()}
    backend = Tokenizer(models.WordLevel({**special, **words}, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>", bos_token="<s>", eos_token="</s>", unk_token="<unk>", padding_side="left",
    )  # fmt: skip


def prompts(work: Work) -> list[dict[str, str]]:
    """A row for every group of the run, each of exactly `work.prompt` tokens."""
    drawn = random.Random(work.seed)
    first = max(BEGIN, UNKNOWN) + 1
    count = GROUPS * (work.warm_up + work.steps)
    return [
        {"prompt": " ".join(f"t{drawn.randrange(first, VOCABULARY)}" for _ in range(work.prompt))}
        for _ in range(count)
    ]


def reward(text: str) -> float:
    """A number in [0, 1) that follows from the completion alone and differs between completions."""
    return zlib.crc32(text.encode()) / 2**32


def peak_gb() -> float:
    """The most memory this process has had resident, in 10⁹ bytes."""
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9
