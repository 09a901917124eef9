"""TRL's losses and gradients on one frozen batch, written to a folder for `parity`.

It runs under the Python that has TRL and imports nothing of Ranker. Every case is a real `GRPOTrainer`
with a small Llama, whose own `_compute_loss` gets the same inputs: two groups of four completions of
different lengths, old log-probs off the current ones both ways, log-probs of a reference, advantages.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from benchmarks.harness import Json, print_json, versions
from benchmarks.trainer.work import TRL_DISTRIBUTIONS, build_tokenizer, silence_trl

CASES, MODEL, INPUTS, RESULTS = "cases.json", "model", "inputs.safetensors", "results.safetensors"
VOCABULARY, PAD, GENERATIONS, MAX_COMPLETION = 128, 0, 4, 16
PROMPTS = (5, 9)
COMPLETIONS = (3, 12, 7, 1, 12, 5, 9, 10)
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo")


@dataclass(frozen=True)
class Case:
    """Settings under TRL's names; what stays at its default here does so there."""

    loss_type: str
    level: str = "token"  # importance_sampling_level
    beta: float = 0.0
    epsilon: float = 0.2
    epsilon_high: float | None = None
    delta: float | None = None
    bias_correction: bool = True  # use_bias_correction_kl
    temperature: float = 1.0
    tool_mask: bool = False
    micro_batches: int = 1  # the batch goes through in so many equal parts, gradients added up

    @property
    def name(self) -> str:
        """Every setting that is not the default, as one word."""
        changes = [
            field.name.replace("_", "") + f"={getattr(self, field.name)}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return ",".join(changes).removeprefix("losstype=")


def cases() -> Iterator[Case]:
    """Every loss type that both trainers have, with each setting that changes its value.

    Left out is a KL term with corrected, sequence-level ratios off-policy: TRL corrects the KL of a token by the ratio
    of its whole sequence, we by the token's own.
    """
    kl = ((0.0, True), (0.04, True), (0.04, False))
    for loss_type, level, (beta, corrected) in product((*CLIPPED, "cispo"), ("token", "sequence"), kl):
        highs: tuple[float | None, ...] = (None, 1.28 if loss_type == "cispo" else 0.28)
        deltas: tuple[float | None, ...] = (None, 1.5) if loss_type in CLIPPED else (None,)
        if level == "sequence" and beta and corrected:
            continue
        for high, delta in product(highs, deltas):
            yield Case(loss_type, level, beta, 0.2, high, delta, corrected)
    for loss_type in (*CLIPPED, "cispo"):
        yield Case(loss_type, tool_mask=True)
        yield Case(loss_type, "sequence", tool_mask=True)
        yield Case(loss_type, temperature=0.7)
        if loss_type != "bnpo":  # it divides by the tokens of each part
            yield Case(loss_type, beta=0.04, micro_batches=2)


def save_model(folder: Path) -> None:
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY, hidden_size=64, intermediate_size=160, num_hidden_layers=2,
        num_attention_heads=4, max_position_embeddings=64, tie_word_embeddings=True, initializer_range=0.15,
        pad_token_id=PAD, bos_token_id=1, eos_token_id=2, dtype="float32",
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)


def build(case: Case, model: Any, folder: str, tokenizer: Any = None, **settings: Any) -> Any:
    """TRL's trainer for a case.

    Args:
        model: its folder, or the model itself with a tokenizer.
        settings: of TRL's, in the place of those that the frozen batch needs.
    """
    trl, datasets = importlib.import_module("trl"), importlib.import_module("datasets")
    rows = settings.pop("rows", len(COMPLETIONS))
    fields = dataclasses.asdict(case)
    for name in ("tool_mask", "micro_batches"):
        del fields[name]
    usual = {
        "use_cpu": True, "bf16": False, "gradient_checkpointing": False, "num_generations": GENERATIONS,
        "max_completion_length": MAX_COMPLETION,
    }  # fmt: skip
    config = trl.GRPOConfig(
        output_dir=folder, report_to="none",
        per_device_train_batch_size=rows // case.micro_batches, gradient_accumulation_steps=case.micro_batches,
        importance_sampling_level=fields.pop("level"), use_bias_correction_kl=fields.pop("bias_correction"),
        **fields, **{**usual, **settings},
    )  # fmt: skip
    trainer = trl.GRPOTrainer(
        model=str(model) if isinstance(model, Path) else model,
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        args=config,
        train_dataset=datasets.Dataset.from_list([{"prompt": "t4"}] * rows),
        processing_class=tokenizer,
    )
    trainer.model.train()
    trainer.current_gradient_accumulation_steps = case.micro_batches  # its training loop sets this
    return trainer


def frozen_batch() -> dict[str, Any]:
    """Token ids, masks and advantages: prompts padded on the left, completions on the right."""
    import torch

    drawn = torch.Generator().manual_seed(1)
    rows, P, C = len(COMPLETIONS), max(PROMPTS), max(COMPLETIONS)
    ends = torch.tensor(COMPLETIONS)[:, None]
    prompt_ids, prompt_mask = torch.full((rows, P), PAD), torch.zeros(rows, P, dtype=torch.long)
    for group, length in enumerate(PROMPTS):
        members = slice(group * GENERATIONS, (group + 1) * GENERATIONS)
        prompt_ids[members, P - length :] = torch.randint(4, VOCABULARY, (length,), generator=drawn)
        prompt_mask[members, P - length :] = 1
    completion_mask = (torch.arange(C)[None] < ends).long()
    completion_ids = torch.randint(4, VOCABULARY, (rows, C), generator=drawn)
    tool_mask = (torch.rand(rows, C, generator=drawn) < 0.7).long()
    tool_mask[:, 0] = 1
    rewards = torch.rand(rows // GENERATIONS, GENERATIONS, generator=drawn)
    advantages = (rewards - rewards.mean(1, keepdim=True)) / (rewards.std(1, keepdim=True) + 1e-4)
    return {
        "prompt_ids": prompt_ids,
        "prompt_mask": prompt_mask,
        "completion_ids": completion_ids.masked_fill(completion_mask == 0, PAD),
        "completion_mask": completion_mask,
        "tool_mask": tool_mask,
        "advantages": advantages.flatten(),
    }


def add_log_probs(inputs: dict[str, Any], trainer: Any) -> None:
    """Log-probs of the model as it is, and others off them by noise a token and a shift a sequence."""
    import torch

    drawn = torch.Generator().manual_seed(2)
    ids = torch.cat([inputs["prompt_ids"], inputs["completion_ids"]], 1)
    mask = torch.cat([inputs["prompt_mask"], inputs["completion_mask"]], 1)
    with torch.no_grad():
        now, _, _ = trainer._get_per_token_logps_and_entropies(
            trainer.model, ids, mask, inputs["completion_ids"].size(1)
        )
    shift = torch.linspace(-0.6, 0.6, len(now))[torch.randperm(len(now), generator=drawn)][:, None]
    inputs["per_token_logps"] = now
    inputs["old_per_token_logps"] = now + shift + 0.4 * torch.randn(now.shape, generator=drawn)
    inputs["ref_per_token_logps"] = now + 0.3 * torch.randn(now.shape, generator=drawn)


def micro_batches(case: Case, inputs: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What TRL's `_compute_loss` gets, a micro-batch at a time."""
    left_out = {"per_token_logps"}
    left_out |= set() if case.tool_mask else {"tool_mask"}
    left_out |= set() if case.beta else {"ref_per_token_logps"}
    mask = inputs["completion_mask"] * (inputs["tool_mask"] if case.tool_mask else 1)
    parts = {
        name: tensor.chunk(case.micro_batches) for name, tensor in inputs.items() if name not in left_out
    }
    for part in range(case.micro_batches):
        yield {name: split[part] for name, split in parts.items()} | {"num_items_in_batch": mask.sum()}


def loss_and_gradients(case: Case, trainer: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """The loss, summed over micro-batches, and every parameter's gradient."""
    losses = []
    for part in micro_batches(case, inputs):
        loss = trainer._compute_loss(trainer.model, part)
        loss.backward()
        losses.append(loss.detach())
    gradients = {f"grad/{name}": parameter.grad for name, parameter in trainer.model.named_parameters()}
    return {"loss": sum(losses), **gradients}


def write(out: str) -> Json:
    """Run every case and fill the folder: model, inputs, cases, and TRL's losses and gradients."""
    from safetensors.torch import save_file

    silence_trl()
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    save_model(folder / MODEL)
    # TRL wants a tokenizer to start, and makes no use of it here.
    special = {"<pad>": PAD, "<s>": 1, "</s>": 2, "<unk>": 3}
    build_tokenizer(VOCABULARY, special).save_pretrained(folder / MODEL)
    inputs = frozen_batch()
    results: dict[str, Any] = {}
    every = list(cases())
    with tempfile.TemporaryDirectory() as scratch:
        add_log_probs(inputs, build(Case("grpo"), folder / MODEL, scratch))
        for case in every:
            tensors = loss_and_gradients(case, build(case, folder / MODEL, scratch), inputs)
            results |= {f"{case.name}/{name}": tensor.contiguous() for name, tensor in tensors.items()}
    save_file(inputs, folder / INPUTS)
    save_file(results, folder / RESULTS)
    described = {"cases": [dataclasses.asdict(case) for case in every]}
    (folder / CASES).write_text(json.dumps(described), encoding="utf-8")
    return {"versions": versions(*TRL_DISTRIBUTIONS)}


if __name__ == "__main__":
    print_json(write)
