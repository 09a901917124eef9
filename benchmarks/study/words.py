"""Figures and their intervals in words."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.study.statistics import Estimate

UNDECIDED = "not decided"


def told(estimate: Estimate | None, digits: int = 2) -> str:
    """A figure with its interval, in words."""
    if estimate is None:
        return "not measured"
    value = _number(estimate.value, digits)
    if estimate.low is None or estimate.high is None:
        return f"{value} (no interval from {estimate.n} seed{'s'[: estimate.n != 1]})"
    return f"{value} ({_number(estimate.low, digits)} to {_number(estimate.high, digits)})"


def _number(value: float, digits: int, sign: str = "") -> str:
    """Rounded, without a minus before nothing."""
    return f"{round(value, digits) + 0.0:{sign}.{digits}f}"


def direction(estimate: Estimate | None) -> int:
    """1 where the interval lies above 0, -1 below, 0 where it holds 0 or there is none."""
    if estimate is None:
        return 0
    return int(estimate.above(0)) - int(estimate.below(0))


def signed(estimate: Estimate) -> str:
    if estimate.low is None or estimate.high is None:
        return _number(estimate.value, 2, "+")
    value, low, high = (_number(v, 2, "+") for v in (estimate.value, estimate.low, estimate.high))
    return f"{value} ({low} to {high})"


def compared(differences: Sequence[Estimate], better: str, worse: str) -> str:
    """What several differences say together.

    Args:
        better, worse: what to say where all that is decided lies above or below 0.
    """
    signs = [direction(e) for e in differences]
    if not any(signs):
        return UNDECIDED
    if all(s >= 0 for s in signs) or all(s <= 0 for s in signs):
        decided, total = sum(map(abs, signs)), len(signs)
        said = better if max(signs) > 0 else worse
        if 2 * decided < total:
            return f"{UNDECIDED} at {total - decided} of {total} settings; {said.rpartition(': ')[2]} at {decided}"
        where = "" if decided == total else f" at {decided} of {total} settings; {UNDECIDED} at the others"
        return said + where
    up, down = signs.count(1), signs.count(-1)
    return f"it depends: {better} at {up}, {worse} at {down}, {UNDECIDED} at {signs.count(0)} settings"
