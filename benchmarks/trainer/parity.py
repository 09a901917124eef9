"""Our losses and gradients beside TRL's, on one frozen batch.

    python -m benchmarks.trainer.parity --json trainer_parity.json

TRL's side runs in an environment of its own, created on first use (see `work`). Differences are
reported, the largest over all entries; the command fails where one exceeds `--tolerance`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, cast

from benchmarks.harness import Json, add_record, parser, run_json, source, write_record
from benchmarks.trainer import trl_losses
from benchmarks.trainer.trl_losses import Case
from benchmarks.trainer.work import add_trl, trl_python

MODULE = "benchmarks.trainer.parity"
TOLERANCE = 1e-5
Tensors = dict[str, Any]
Loss = Callable[[Case, Tensors, Any], Any]


def our_loss(case: Case, inputs: Tensors, model: Any) -> Any:
    """Our loss of the whole batch, as a scalar with a graph to `model`'s parameters.

    `inputs` holds what TRL got (`trl_losses.frozen_batch`, `trl_losses.add_log_probs`); `tool_mask`
    counts where `case.tool_mask`, and `ref_per_token_logps` where `case.beta`.
    """
    import torch

    from grpo.losses import Loss as OurLoss
    from grpo.losses import token_losses, token_weights
    from grpo.model.logprobs import token_logprobs
    from grpo.types import TokenSequence

    loss = OurLoss(
        loss_type=cast("Any", case.loss_type),
        importance_sampling_level=cast("Any", case.level),
        epsilon=case.epsilon,
        epsilon_high=case.epsilon_high,
        delta=case.delta,
        beta=case.beta,
        # TRL's correction multiplies by the ratio and differentiates it, which gives the gradient of the KL.
        kl_estimator="k3" if case.bias_correction else "k3_naive",
        max_completion_length=trl_losses.MAX_COMPLETION,
    )
    mask_ST = inputs["completion_mask"].bool()
    if case.tool_mask:
        mask_ST = mask_ST & inputs["tool_mask"].bool()
    sequences = []
    for row, sampled_T in enumerate(mask_ST):
        prompt = inputs["prompt_ids"][row][inputs["prompt_mask"][row].bool()]
        length = int(inputs["completion_mask"][row].sum())
        tokens_T = torch.cat([prompt, inputs["completion_ids"][row, :length]]).numpy()
        loss_T = torch.cat([torch.zeros(len(prompt), dtype=torch.bool), sampled_T[:length]]).numpy()
        sequences.append(TokenSequence(tokens_T, loss_T, tokens_T * 0.0))
    lengths_S = mask_ST.sum(1)
    trajectory_N = torch.arange(len(sequences)).repeat_interleave(lengths_S)
    weights_S = token_weights(lengths_S, loss, int(lengths_S.sum()), len(sequences))
    terms = token_losses(
        token_logprobs(model, sequences, case.temperature).logps_N,
        inputs["old_per_token_logps"][mask_ST],
        inputs["ref_per_token_logps"][mask_ST] if case.beta else None,
        inputs["advantages"][trajectory_N],
        trajectory_N,
        loss,
    )
    return (terms.loss_N * weights_S[trajectory_N]).sum()


def compare(folder: Path, loss_of: Loss) -> list[Json]:
    """Every case in the folder: its settings, both losses, and the largest difference of the gradients, absolute and as
    a part of the largest entry of TRL's."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    described = json.loads((folder / trl_losses.CASES).read_text(encoding="utf-8"))
    inputs = load_file(folder / trl_losses.INPUTS)
    theirs = load_file(folder / trl_losses.RESULTS)
    model = AutoModelForCausalLM.from_pretrained(folder / trl_losses.MODEL, dtype="float32").train()
    return [_difference(Case(**case), inputs, theirs, model, loss_of) for case in described["cases"]]


def _difference(case: Case, inputs: Tensors, theirs: Tensors, model: Any, loss_of: Loss) -> Json:
    model.zero_grad(set_to_none=True)
    loss = loss_of(case, inputs, model)
    loss.backward()
    apart = largest = 0.0
    for name, parameter in model.named_parameters():
        expected = theirs[f"{case.name}/grad/{name}"]
        apart = max(apart, float((parameter.grad - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    loss_trl, loss_ours = float(theirs[f"{case.name}/loss"]), float(loss.detach())
    return {
        "name": case.name,
        "case": asdict(case),
        "loss_trl": loss_trl,
        "loss_ours": loss_ours,
        "gradient": apart,
        "gradient_relative": apart / largest if largest else apart,
        "loss": abs(loss_trl - loss_ours),
    }


def main() -> int:
    options = parser(MODULE, __doc__)
    add_trl(options)
    options.add_argument("--tolerance", type=float, default=TOLERANCE,
                         help=f"largest difference that passes, loss or relative gradient (default {TOLERANCE})")  # fmt: skip
    add_record(options, help="the differences as JSON")
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        run = run_json(trl_python(args.trl_python), "benchmarks.trainer.trl_losses", out=name)
        cases = compare(Path(name), our_loss)
    largest = {kind: max(one[kind] for one in cases) for kind in ("loss", "gradient", "gradient_relative")}
    origin = source(MODULE, torch=True)
    record = {"schema_version": 1, **origin, "versions": run["versions"], "cases": cases, "largest": largest}
    write_record(args.json, record)
    return int(max(largest["loss"], largest["gradient_relative"]) > args.tolerance)


if __name__ == "__main__":
    sys.exit(main())
