"""The result of tuning: the closing table, what it means, and what to do next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranker.tuning.config import Tuning, TuningResult
    from ranker.tuning.examples import Source

STOPS = {"done": "all epochs", "early": "validation loss stopped falling", "time": "time limit"}


def show(source: Source, tuning: Tuning, result: TuningResult) -> None:
    """Print the closing table, what it means, and what to do next."""
    from rich.console import Console

    from ranker.runtime.terminal import facts

    width = None if sys.stdout and sys.stdout.isatty() else 110
    console = Console(width=width, soft_wrap=True, markup=False, emoji=False)
    truth = "the ground truth" if source.truth == "ground_truth" else f"the ranking of {source.judge}"
    n = result.groups
    left_out = source.left_out + n["left_out"]
    console.print(f"{tuning.base}, asked {tuning.way}", style="italic")
    rows = [
        ("trained on", f"{truth}: {n['train']} groups"),
        ("held out", f"{n['validation']} groups to select the best checkpoint, {n['test']} to measure"),
        (
            "left out",
            f"{left_out} groups: all tied, failed, without truth, or too long" if left_out else "",
        ),
        (
            "training",
            f"{result.steps} steps, {result.seconds / 60:.1f} minutes; ended by: {STOPS[result.stopped]}",
        ),
        ("accuracy before", f"{result.before} of pairs as in {truth}"),
        ("accuracy after", f"{result.after}"),
        ("gain", f"{result.gain:+.3f}"),
    ]
    console.print(facts(rows))
    folder = result.judge.parent
    if result.learned:
        console.print(f"It learned. Use it:\n  ranker rank GROUPS.jsonl --judge local:{folder} --out FILE")
        return
    console.print(f"It did not learn: {fault(result)}", style="bold")
    console.print("What to do:")
    for line in advice(source, tuning, result):
        console.print(f"  - {line}")
    console.print(
        f"The judge was still written to {folder} (--judge local:{folder}); do not train on its rankings alone."
    )


def fault(result: TuningResult) -> str:
    """Why there is no evidence that it learned."""
    faults = []
    if not result.gain.above(0):
        faults.append(f"the gain is not significant ({result.gain:+.3f})")
    if not result.after.above(0.5):
        faults.append(f"the accuracy is not significantly above chance, 0.5 ({result.after})")
    return ", and ".join(faults) + f", on {result.groups['test']} groups that it did not see."


def advice(source: Source, tuning: Tuning, result: TuningResult) -> list[str]:
    """What to try, the most promising first."""
    steps = []
    if result.groups["train"] < 300:
        steps.append(f"Give more groups: it saw {result.groups['train']}; several hundred are usual.")
    if result.before.above(0.5) and result.after.above(0.5):
        steps.append(
            "The base model already ranks better than chance; more groups would narrow the gain's interval."
        )
    if result.stopped == "early":
        steps.append("The validation loss did not fall: try a lower --learning-rate, or --loss listwise.")
    else:
        steps.append(
            "Training may have been too short: more --epochs" + (" and --minutes." if tuning.minutes else ".")
        )
    if tuning.way == "pointwise":
        steps.append("Show it the other attempts: --way pointwise_in_context.")
    steps.append(
        "Use a larger base, e.g. --base local:qwen2.5-coder-0.5b-instruct (`ranker models` lists them)."
    )
    if source.truth == "ranking":
        steps.append(
            "Check whether the strong judge agrees with itself (`ranker rank --passes 3`): noise cannot be learned."
        )
    return steps
