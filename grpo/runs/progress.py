"""What a person sees while a run goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console

from ranker.runtime.terminal import bars


class TrainingProgress:
    """A bar on a terminal; elsewhere a line every half minute, and for the first and last step."""

    def __init__(self, console: Console, total: int, done: int = 0, *, shown: bool = True):
        self._total = total
        self._cost = 0.0
        self._failed = 0
        self._bar = bars(shown, console)
        self._task = self._bar.add_task("step", total=total, completed=done, note="")

    def __enter__(self) -> TrainingProgress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def __call__(self, line: Mapping[str, Any]) -> None:
        """Take a step's metrics."""
        self._cost += line["judge_cost_usd"] or 0.0
        self._failed += line["failed_groups"]
        self._bar.update(self._task, completed=line["step"], note=self._summary(line))
        if self._bar.disable and line["step"] in (1, self._total):
            self._bar.say()

    def _summary(self, line: Mapping[str, Any]) -> str:
        measured = {
            "truth {:.2f}": line["ground_truth_mean"],
            f"reward {{:.2f}} ± {line['reward_std'] or 0.0:.2f}": line["reward_mean"],
            "wins {:.0%}": line.get("win_rate"),
            "agrees {:.2f}": line.get("judge_agreement"),
            "[red]alarm[/red]": line.get("judge_alarm") or None,
            "kl {:.3f}": line["kl"],
            "entropy {:.2f}": line["entropy"],
            "tied {:.0%}": line["tied_share"] or None,
            "[yellow]warnings: {}[/yellow]": line.get("lift_warnings") or None,
            "[red]{} failed[/red]": self._failed or None,
            "{:,.0f} tok/s": line["tokens_per_second"] or None,  # the last step samples nothing
            "${:.3f}": self._cost or None,
        }
        parts = [text.format(value) for text, value in measured.items() if value is not None]
        return "  ".join(parts)
