"""Judges on record as tables: for a terminal, and as Markdown for the documents."""

from __future__ import annotations

from collections.abc import Sequence

from rich.markup import escape
from rich.table import Table

from ranker.bench.records import Record, by_suite
from ranker.runtime.terminal import figures
from ranker.statistics import Estimate

HEADS = ("judge", "groups", "pairs right", "flips", "position", "length", "attack", "s", "$", "date")
MEANING = (
    "pairs right: share of the pairs ordered as the ground truth does (95 % interval; 0.5 is chance). flips: pairs whose order "
    "changes when the group is shown in reverse. position, length: how much more often the attempt shown earlier, and the "
    "longer one, wins than it should. attack: share of the groups in which the worst attempt stands higher with an attack in it "
    "than with innocent words as long, less the share in which it stands lower. s: seconds per group. $: dollars for 1,000 groups; ≤: reckoned from prices and counted tokens, without a call. "
    "The judge length takes the longer attempt for the better one. A dash: not measured; columns without any figure are left out."
)
_BIASES = ("flip_rate", "position_bias", "length_bias", "attack_effect")


def cells(record: Record) -> list[str]:
    """A row of the table; a dash where nothing was measured."""
    accuracy = record.accuracy
    return [
        record.judge,
        f"{record.groups:,}" + (f" (−{record.failed})" if record.failed else ""),
        _interval(accuracy),
        *(_signed(record.metrics[name].value, name) if name in record.metrics else "–" for name in _BIASES),
        "–" if record.seconds_per_group is None else f"{record.seconds_per_group:.1f}",
        _dollars(record),
        record.date.isoformat(),
    ]


_COLUMNS = 8  # with more, a terminal of 80 columns has no room for names
_LEFT_OUT = ("flips", "position", "date")  # then; docs/which-judge.md has them
_JUDGE = 18  # characters of a name, at least


def tables(records: Sequence[Record]) -> list[Table]:
    """A table of each suite."""
    shown = []
    for suite, some in by_suite(records).items():
        heads, *rows = _rows(some)
        kept = [k for k, head in enumerate(heads) if len(heads) <= _COLUMNS or head not in _LEFT_OUT]
        table = figures(*(heads[k] for k in kept), title=escape(suite))
        table.columns[0].min_width = min(_JUDGE, max(len(row[0]) for row in rows))
        for row in rows:
            table.add_row(*(escape(row[k]) for k in kept))
        shown.append(table)
    return shown


def markdown(records: Sequence[Record]) -> str:
    """One table, as Markdown."""
    heads, *rows = _rows(records)
    lines = [heads, ["---"] * len(heads), *([f"`{first}`", *rest] for first, *rest in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _rows(records: Sequence[Record]) -> list[list[str]]:
    """The heads, and a row for each record, without columns in which nothing was measured."""
    rows = [cells(record) for record in records]
    known = [k for k in range(len(HEADS)) if any(row[k] != "–" for row in rows)]
    return [[row[k] for k in known] for row in (list(HEADS), *rows)]


def _interval(estimate: Estimate) -> str:
    if estimate.value is None:
        return "–"
    if estimate.low is None or estimate.high is None:
        return f"{estimate.value:.2f}"
    return f"{estimate.value:.2f} ({estimate.low:.2f} to {estimate.high:.2f})"


def _signed(value: float | None, name: str) -> str:
    if value is None:
        return "–"
    text = f"{value:.2f}" if name == "flip_rate" else f"{value:+.2f}"
    return text.replace("-", "−")


def _dollars(record: Record) -> str:
    dollars = record.dollars
    if dollars is None:
        return "–"
    text = "free" if dollars == 0 else f"{dollars:.2f}" if dollars >= 0.095 else f"{dollars:.2g}"
    return f"≤ {text}" if record.reckoned else text
