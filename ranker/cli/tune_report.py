"""What a tuning came to: the closing table, what it means, and what to do next."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ranker.tuning.examples import Source
    from ranker.tuning.told import Tuned, Tuning


def show(source: Source, tuning: Tuning, tuned: Tuned) -> None:
    """The closing table, what it means, and what to do next."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 110)
    stops = {"done": "all epochs", "early": "no lower loss on held-out groups", "time": "the time was over"}
    of = "the ground truth" if source.truth == "ground_truth" else f"the ranking of {source.judge}"
    n = tuned.groups
    left = source.left_out + n["left_out"]
    table = Table(show_header=False, title=f"{tuning.base}, asked {tuning.way}", title_justify="left")
    table.add_row("learned from", f"{of}: {n['train']} groups")
    table.add_row("held out", f"{n['held']} groups to choose the best state by, {n['test']} to measure on")
    if left:
        table.add_row("left out", f"{left} groups: all tied, failed, without truth, or too long")
    table.add_row(
        "training", f"{tuned.steps} steps, {tuned.seconds / 60:.1f} minutes; ended by: {stops[tuned.stopped]}"
    )
    table.add_row("accuracy before", f"{tuned.before} of pairs as in {of}")
    table.add_row("accuracy after", f"{tuned.after}")
    table.add_row("gain", f"{tuned.gain:+.3f}")
    console.print(table)
    folder = tuned.judge.parent
    if tuned.learned:
        console.print(
            f"It learned. Judge with it:\n  ranker rank GROUPS.jsonl --judge local:{folder} --out FILE",
            soft_wrap=True,
        )
        return
    console.print(f"It did not learn: {fault(tuned)}", style="bold")
    console.print("What to do:")
    for line in advice(source, tuning, tuned):
        console.print(f"  - {line}", soft_wrap=True)
    console.print(
        f"The judge is in {folder} all the same (--judge local:{folder}); do not train on its word.",
        soft_wrap=True,
    )


def fault(tuned: Tuned) -> str:
    """Why it cannot be said that it learned."""
    faults = []
    if not (tuned.gain.low or 0.0) > 0:
        faults.append(f"the gain may as well be nothing ({tuned.gain:+.3f})")
    if not (tuned.after.low or 0.0) > 0.5:
        faults.append(f"the accuracy may as well be chance, 0.5 ({tuned.after})")
    return ", and ".join(faults) + f", on {tuned.groups['test']} groups that it did not see."


def advice(source: Source, tuning: Tuning, tuned: Tuned) -> list[str]:
    """What to try, the likeliest first."""
    steps = []
    if tuned.groups["train"] < 300:
        steps.append(f"Give more groups: it saw {tuned.groups['train']}; some hundred are usual.")
    if (tuned.before.low or 0.0) > 0.5 and (tuned.after.low or 0.0) > 0.5:
        steps.append(
            "The base ranks better than chance as it is; more groups would narrow the gain's interval."
        )
    if tuned.stopped == "early":
        steps.append("The loss on held-out groups did not fall: try a lower --rate, or --loss listwise.")
    else:
        steps.append(
            "It may not have had enough: give more --epochs" + (" and --minutes." if tuning.minutes else ".")
        )
    if tuning.way == "pointwise":
        steps.append("Let it see the other attempts: --way pointwise_in_context.")
    steps.append("Take a larger base, e.g. --base local:qwen2.5-coder-0.5b-instruct (see `ranker models`).")
    if source.truth == "ranking":
        steps.append(
            "See whether the strong judge agrees with itself (`ranker rank --passes 3` tells): noise cannot be learned."
        )
    return steps
