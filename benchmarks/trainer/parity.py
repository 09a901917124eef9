"""Our losses and gradients beside TRL's, on one frozen batch.

    python -m benchmarks.trainer.parity --json trainer_parity.json

TRL's side runs in an environment of its own, made on first use (see `trl_env`). Differences are
reported, the largest over all entries; the command fails where one exceeds `--tolerance`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.trainer import trl_losses
from benchmarks.trainer.trl_environment import trl_python
from benchmarks.trainer.trl_losses import Case
from ranker.bench import provenance

TOLERANCE = 1e-5
Tensors = dict[str, Any]
Loss = Callable[[Case, Tensors, Any], Any]


@dataclass(frozen=True)
class Difference:
    """One case: both losses, and the largest difference of the gradients, absolute and to TRL's largest."""

    case: Case
    loss_trl: float
    loss_ours: float
    gradient: float
    gradient_relative: float

    @property
    def loss(self) -> float:
        return abs(self.loss_trl - self.loss_ours)


def shared(case: Case) -> bool:
    """Whether both trainers have what the case asks for.

    TRL has loss types that we have not. And where a KL term meets sequence-level ratios off-policy, TRL
    corrects the KL of a token by the ratio of its whole sequence, we by the token's own.
    """
    known = case.loss_type in ("grpo", "bnpo", "dr_grpo", "dapo", "cispo")
    return known and not (case.level == "sequence" and case.beta and case.bias_correction)


def our_loss(case: Case, inputs: Tensors, model: Any) -> Any:
    """Our loss of the whole batch, as a scalar with a graph to `model`'s parameters.

    `inputs` holds what TRL got (`trl_losses.frozen_batch`, `trl_losses.add_log_probs`); `tool_mask`
    counts where `case.tool_mask`, and `ref_per_token_logps` where `case.beta`.
    """
    import torch

    from grpo.losses import Loss as OurLoss
    from grpo.losses import token_losses, token_weights
    from grpo.model.logprobs import score
    from grpo.types import Sequence

    loss = OurLoss(
        loss_type=case.loss_type,
        importance_sampling_level=case.level,
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
        sequences.append(Sequence(tokens_T, loss_T, tokens_T * 0.0))
    lengths_S = mask_ST.sum(1)
    trajectory_N = torch.arange(len(sequences)).repeat_interleave(lengths_S)
    weights_S = token_weights(lengths_S, loss, int(lengths_S.sum()), len(sequences))
    terms = token_losses(
        score(model, sequences, case.temperature).logps_N,
        inputs["old_per_token_logps"][mask_ST],
        inputs["ref_per_token_logps"][mask_ST] if case.beta else None,
        inputs["advantages"][trajectory_N],
        trajectory_N,
        loss,
    )
    return (terms.loss_N * weights_S[trajectory_N]).sum()


def ask_trl(folder: Path, python: Path) -> None:
    """Fill the folder with TRL's side."""
    command = [str(python), trl_losses.__file__, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"TRL's side failed:\n{done.stderr[-4000:]}")


def compare(folder: Path, loss_of: Loss) -> list[Difference]:
    """Every case in the folder that both trainers have."""
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    told = json.loads((folder / trl_losses.CASES).read_text(encoding="utf-8"))
    inputs = load_file(folder / trl_losses.INPUTS)
    theirs = load_file(folder / trl_losses.FOUND)
    model = AutoModelForCausalLM.from_pretrained(folder / trl_losses.MODEL, dtype="float32").train()
    every = [Case(**case) for case in told["cases"]]
    return [_difference(case, inputs, theirs, model, loss_of) for case in every if shared(case)]


def _difference(case: Case, inputs: Tensors, theirs: Tensors, model: Any, loss_of: Loss) -> Difference:
    model.zero_grad(set_to_none=True)
    loss = loss_of(case, inputs, model)
    loss.backward()
    apart = largest = 0.0
    for name, parameter in model.named_parameters():
        expected = theirs[f"{case.name}/grad/{name}"]
        apart = max(apart, float((parameter.grad - expected).abs().max()))
        largest = max(largest, float(expected.abs().max()))
    return Difference(
        case=case,
        loss_trl=float(theirs[f"{case.name}/loss"]),
        loss_ours=float(loss.detach()),
        gradient=apart,
        gradient_relative=apart / largest if largest else apart,
    )


def show(found: list[Difference]) -> Table:
    """A row for every case, and one for the worst."""
    table = Table("case", "TRL's loss", "ours", "loss apart", "gradient apart", "of its largest entry",
                  title="Our losses beside TRL's", caption=f"{len(found)} cases")  # fmt: skip
    for one in found:
        table.add_row(
            one.case.name,
            f"{one.loss_trl:.6f}",
            f"{one.loss_ours:.6f}",
            f"{one.loss:.1e}",
            f"{one.gradient:.1e}",
            f"{one.gradient_relative:.1e}",
        )
    table.add_section()
    table.add_row("largest", "", "", *(f"{value:.1e}" for value in worst(found).values()))
    return table


def worst(found: list[Difference]) -> dict[str, float]:
    return {
        "loss": max(one.loss for one in found),
        "gradient": max(one.gradient for one in found),
        "gradient_relative": max(one.gradient_relative for one in found),
    }


def report(found: list[Difference], versions: dict[str, str]) -> dict[str, Any]:
    """The differences as JSON."""
    return {
        "schema_version": 1,
        "command": provenance.command("trainer_parity"),
        "commit": provenance.commit(),
        "machine": provenance.machine(torch=True),
        "versions": versions,
        "cases": [
            {"name": one.case.name, **asdict(one), "loss": one.loss}  # the settings under `case`
            for one in found
        ],
        "largest": worst(found),
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trainer.parity", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("--trl-python", type=Path, help="a Python with TRL; default: made on first use")
    parser.add_argument("--tolerance", type=float, default=TOLERANCE,
                        help=f"largest difference that passes, loss or relative gradient (default {TOLERANCE})")  # fmt: skip
    parser.add_argument("--json", type=Path, help="the differences as JSON")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Console(stderr=True).status("TRL's side"):
            ask_trl(folder, given.trl_python or trl_python())
        versions = json.loads((folder / trl_losses.CASES).read_text(encoding="utf-8"))["versions"]
        found = compare(folder, our_loss)
    Console(width=None if sys.stdout.isatty() else 160).print(show(found))
    if given.json is not None:
        given.json.parent.mkdir(parents=True, exist_ok=True)
        given.json.write_text(json.dumps(report(found, versions), indent=1) + "\n", encoding="utf-8")
    largest = worst(found)
    return int(max(largest["loss"], largest["gradient_relative"]) > given.tolerance)


if __name__ == "__main__":
    sys.exit(main())
