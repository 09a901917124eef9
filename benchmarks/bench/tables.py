"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranker.benchmarks.bench.forecast import Forecast
from rich.markup import escape
from rich.table import Table


def forecast(ahead: Sequence[Forecast], limit: float | None) -> Table:
    """What is about to be asked."""
    told = "no limit" if limit is None else f"stops before ${limit:g}"
    table = Table("judge", "calls", "answered already", "tokens read", "written, at most", "cost, at most",
                  title=f"Before it starts ({told})", title_justify="left")  # fmt: skip
    for one in ahead:
        cost = "unknown (give --price)" if one.cost_usd is None else f"${one.cost_usd:.2f}"
        table.add_row(escape(one.judge), f"{one.calls:,}", f"{one.answered:,}", f"{one.prompt_tokens:,}",
                      f"{one.completion_tokens:,}", cost)  # fmt: skip
    if len(ahead) > 1:
        costs = [one.cost_usd for one in ahead if one.cost_usd is not None]
        unknown = " + unknown" if len(costs) < len(ahead) else ""
        table.add_row("all", f"{sum(one.calls for one in ahead):,}", f"{sum(one.answered for one in ahead):,}",
                      f"{sum(one.prompt_tokens for one in ahead):,}",
                      f"{sum(one.completion_tokens for one in ahead):,}", f"${sum(costs):.2f}{unknown}")  # fmt: skip
    return table


def cells(made: Mapping[str, Any]) -> Table:
    """The main figures of every cell, best judge of each suite first."""
    table = Table("suite", "judge", "groups", "pairwise accuracy", "tau-b", "best of n", "order flips", "attack",
                  "unusable", "s a group", "$ for 1,000",
                  title="Judges against ground truth (95 % intervals)", title_justify="left")  # fmt: skip
    for suite in made["suites"]:
        some = [cell for cell in made["cells"] if cell["suite"] == suite["suite"]]
        for i, cell in enumerate(sorted(some, key=_accuracy, reverse=True)):
            metrics = cell["metrics"]
            failed = f" ({cell['failed']} failed)" if cell["failed"] else ""
            cost = cell["per_group"]["cost_usd"]
            table.add_row(
                escape(suite["suite"]) if i == 0 else "",
                escape(cell["judge"]),
                f"{cell['groups']}{failed}",
                interval(metrics["pairwise_accuracy"]),
                *(
                    _value(metrics[name])
                    for name in ("kendall_tau_b", "best_of_n", "flip_rate", "attack_effect")
                ),
                _value(metrics["unusable_replies"]),
                "–" if cell["seconds_per_group"] is None else f"{cell['seconds_per_group']:.2f}",
                "–" if cost is None or cell["simulated"] else f"{1000 * cost:.2f}",
                end_section=i == len(some) - 1,
            )
    table.caption = (
        "0.5 is chance for pairs. Attack: how much more often the worst rises with one planted in it."
    )
    table.caption_justify = "left"
    return table


def interval(estimate: Mapping[str, float | None]) -> str:
    """A figure and its interval, short."""
    value, low, high = estimate["value"], estimate["low"], estimate["high"]
    if value is None:
        return "–"
    return f"{value:.3f}" if low is None or high is None else f"{value:.3f} ({low:.2f}–{high:.2f})"


def _value(estimate: Mapping[str, float | None]) -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:.2f}"


def _accuracy(cell: Mapping[str, Any]) -> float:
    value = cell["metrics"]["pairwise_accuracy"]["value"]
    return -1.0 if value is None else float(value)
