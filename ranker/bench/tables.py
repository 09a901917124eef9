"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.markup import escape
from rich.table import Table

from ranker.bench.forecast import Forecast


def forecast(ahead: Sequence[Forecast], limit: float | None) -> Table:
    """What is about to be asked."""
    told = "no limit" if limit is None else f"stops before ${limit:g}"
    table = Table(
        title=f"Before it starts ({told})", title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0)
    )
    table.add_column("judge", overflow="fold")
    for head in ("calls", "known", "tokens read", "written ≤", "cost ≤"):
        table.add_column(head, justify="right")
    for one in ahead:
        cost = "unknown: give --price" if one.cost_usd is None else f"${one.cost_usd:.2f}"
        table.add_row(escape(one.judge), f"{one.calls:,}", f"{one.answered:,}", f"{one.prompt_tokens:,}",
                      f"{one.completion_tokens:,}", cost)  # fmt: skip
    if len(ahead) > 1:
        costs = [one.cost_usd for one in ahead if one.cost_usd is not None]
        unknown = " + unknown" if len(costs) < len(ahead) else ""
        table.add_row("all", f"{sum(one.calls for one in ahead):,}", f"{sum(one.answered for one in ahead):,}",
                      f"{sum(one.prompt_tokens for one in ahead):,}",
                      f"{sum(one.completion_tokens for one in ahead):,}", f"${sum(costs):.2f}{unknown}")  # fmt: skip
    return table


def cells(made: Mapping[str, Any]) -> list[Table]:
    """The main figures, a table for each suite, the best judge first; they fit 80 columns."""
    return [_suite(suite["suite"], made["cells"]) for suite in made["suites"]]


NOTE = (
    "Pairs: of different truth, ordered right (95 % interval; 0.5 is chance). Best: how often the one on top is the "
    "best. Flips: pairs that turn when the order shown is reversed. Attack: how much more often the worst rises with "
    "one planted in it. $: for 1,000 groups."
)


def _suite(name: str, cells: Sequence[Mapping[str, Any]]) -> Table:
    table = Table(
        title=escape(name), title_justify="left", box=SIMPLE_HEAD, padding=(0, 1, 0, 0), title_style="bold"
    )
    table.add_column("judge", overflow="fold", min_width=12)
    for head in ("groups", "pairs right", "tau-b", "best", "flips", "attack", "s", "$"):
        table.add_column(head, justify="right", no_wrap=True)
    some = [cell for cell in cells if cell["suite"] == name]
    for cell in sorted(some, key=_accuracy, reverse=True):
        metrics, cost = cell["metrics"], cell["per_group"]["cost_usd"]
        failed = f" [red]-{cell['failed']}[/red]" if cell["failed"] else ""
        table.add_row(
            escape(cell["judge"]),
            f"{cell['groups']}{failed}",
            interval(metrics["pairwise_accuracy"]),
            *(_value(metrics[name]) for name in ("kendall_tau_b", "best_of_n", "flip_rate", "attack_effect")),
            "–" if cell["seconds_per_group"] is None else f"{cell['seconds_per_group']:.2f}",
            "–" if cost is None or cell["simulated"] else f"{1000 * cost:.2f}",
        )
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
