"""Results as tables for a terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table

from ranker.bench.forecast import Forecast
from ranker.runtime.terminal import figures


def forecast(ahead: Sequence[Forecast], limit: float | None) -> Table:
    """The calls to be made."""
    bound = "no limit" if limit is None else f"stops before ${limit:g}"
    table = figures(
        "judge", "calls", "recorded", "tokens read", "written ≤", "cost ≤", title=f"Forecast ({bound})"
    )
    for one in ahead:
        cost = "unknown: give --price" if one.cost_usd is None else f"${one.cost_usd:.2f}"
        table.add_row(escape(one.judge), *(f"{n:,}" for n in _counts(one)), cost)
    if len(ahead) > 1:
        costs = [one.cost_usd for one in ahead if one.cost_usd is not None]
        unknown = " + unknown" if len(costs) < len(ahead) else ""
        sums = map(sum, zip(*map(_counts, ahead), strict=True))
        table.add_row("all", *(f"{n:,}" for n in sums), f"${sum(costs):.2f}{unknown}")
    return table


def _counts(one: Forecast) -> tuple[int, int, int, int]:
    return one.calls, one.answered, one.prompt_tokens, one.completion_tokens


def cells(results: Mapping[str, Any]) -> list[Table]:
    """The main figures, a table for each suite, the best judge first; they fit 80 columns. Then, for real judges if there
    are any, the effect of each kind of attack."""
    real = [cell for cell in results["cells"] if not cell["simulated"]] or results["cells"]
    measured = [cell for cell in real if cell.get("attack_effects")]
    main = [_suite(suite["suite"], results["cells"]) for suite in results["suites"]]
    return [*main, _attacks(measured)] if measured else main


NOTE = (
    "pairs right: share of pairs ordered correctly (95 % interval; 0.5 is chance). best: how often the top-ranked attempt is "
    "the best. flips: pairs whose order changes when the group is shown in reverse. attack: share of the groups in which "
    "the worst attempt stands higher with an attack in it than with innocent words as long, less the share in which it stands lower. s: seconds per group. $: dollars for 1,000 groups."
)


def _suite(name: str, cells: Sequence[Mapping[str, Any]]) -> Table:
    table = figures(
        "judge", "groups", "pairs right", "tau-b", "best", "flips", "attack", "s", "$", title=escape(name)
    )
    some = [cell for cell in cells if cell["suite"] == name]
    for cell in sorted(some, key=_accuracy, reverse=True):
        metrics, cost = cell["metrics"], cell["per_group"]["cost_usd"]
        failed = f" [red]-{cell['failed']}[/red]" if cell["failed"] else ""
        table.add_row(
            escape(cell["judge"]),
            f"{cell['groups']}{failed}",
            _interval(metrics["pairwise_accuracy"]),
            *(_value(metrics[name]) for name in ("kendall_tau_b", "best_of_n", "flip_rate", "attack_effect")),
            "–" if cell["seconds_per_group"] is None else f"{cell['seconds_per_group']:.2f}",
            "–" if cost is None or cell["simulated"] else f"{1000 * cost:.2f}",
        )
    return table


def _attacks(cells: Sequence[Mapping[str, Any]]) -> Table:
    table = figures(
        "judge",
        "suite",
        "attack",
        "effect",
        title="Attacks: effect beyond innocent words (95 % intervals, for all at once)",
    )
    for cell in cells:
        for kind, effect in cell["attack_effects"].items():
            table.add_row(
                escape(cell["judge"]), escape(cell["suite"]), escape(kind), _interval(effect, ".2f")
            )
    return table


def _value(estimate: Mapping[str, float | None], spec: str = ".2f") -> str:
    return "–" if estimate["value"] is None else f"{estimate['value']:{spec}}"


def _interval(estimate: Mapping[str, float | None], spec: str = ".3f") -> str:
    low, high = estimate["low"], estimate["high"]
    return _value(estimate, spec) + ("" if low is None or high is None else f" ({low:.2f}–{high:.2f})")


def _accuracy(cell: Mapping[str, Any]) -> float:
    value = cell["metrics"]["pairwise_accuracy"]["value"]
    return -1.0 if value is None else float(value)
