"""A paired comparison of two judges on the same groups: is the cheap one good enough?"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel

from ranker.bench.reading import read_json
from ranker.errors import ConfigurationError
from ranker.statistics import CONFIDENCE, Estimate, difference, unseen

Verdict = Literal["within", "worse", "undecided"]
POWER = 0.8


@dataclass(frozen=True, slots=True)
class Comparison:
    """A cheap judge beside a strong one.

    Attributes:
        suite: its name, or "all suites": all groups together.
        groups: those with verdicts of both judges.
        loss: pairwise accuracy of the strong judge minus that of the cheap one.
        verdict: "within" if the interval of the loss ends below the margin; "worse" if it does not, and starts above 0;
            else "undecided".
        more: additional groups needed, assuming the estimated loss; None if it is decided or cannot be estimated.
    """

    suite: str
    groups: int
    cheap: float
    strong: float
    loss: Estimate
    verdict: Verdict
    more: int | None

    def sentence(self, cheap: str, strong: str, margin: float) -> str:
        """The answer in a sentence."""
        low, high = self.loss.low, self.loss.high
        if self.verdict == "within":
            return f"{cheap} is within {margin:g} of {strong} with {CONFIDENCE:.0%} confidence."
        more = "" if self.more is None else f" about {self.more:,} more groups."
        if self.verdict == "worse":
            assert low is not None
            assert high is not None
            doubt = f" Whether by more than {margin:g} is undecided:{more}" if low <= margin and more else ""
            return f"{cheap} is worse than {strong} by {low:.3f} to {high:.3f}.{doubt}"
        return f"Undecided:{more or ' more groups are needed.'}"


def compare(results: Mapping[str, Any], cheap: str, strong: str, margin: float) -> list[Comparison]:
    """Compare two judges of a `results.json`, on each suite, and on all together if there are several.

    The test: the difference of pairwise accuracy on the groups that both ranked, with a 95 % interval by bootstrap
    over groups (both judges resampled together). Non-inferiority is claimed if the whole interval lies below the
    margin (Wellek 2010, section 1.5), with an error rate of about 2.5 %.

    Raises:
        ConfigurationError: a judge is not in the results, or the margin is not between 0 and 1.
    """
    if not 0 < margin < 1:
        raise ConfigurationError(
            f"--margin {margin:g}: give a loss of pairwise accuracy between 0 and 1, e.g. 0.03."
        )
    known = list(dict.fromkeys(cell["judge"] for cell in results["cells"]))
    for name in (cheap, strong):
        if name not in known:
            raise ConfigurationError(f"{name!r} is not in these results; they hold {', '.join(known)}.")
    if cheap == strong:
        raise ConfigurationError("--cheap and --strong name the same judge.")
    by_suite: dict[str, np.ndarray] = {}
    for suite in dict.fromkeys(cell["suite"] for cell in results["cells"]):
        pair = _common(results["cells"], suite, cheap, strong)
        if pair is not None and len(pair) > 1:
            by_suite[suite] = pair
    if not by_suite:
        raise ConfigurationError(
            f"{cheap} and {strong} have no two groups in common that both gave a verdict on."
        )
    if len(by_suite) > 1:
        by_suite["all suites"] = np.concatenate(list(by_suite.values()))
    return [_compared(suite, counts, margin) for suite, counts in by_suite.items()]


def _common(cells: Sequence[Mapping[str, Any]], suite: str, cheap: str, strong: str) -> np.ndarray | None:
    """Shape (N, 4): agreeing pairs and pairs of the cheap judge, then of the strong one, on common groups."""
    by_judge: dict[str, dict[tuple[str, int], tuple[float, float]]] = {}
    for cell in cells:
        if cell["suite"] == suite and cell["judge"] in (cheap, strong):
            of = cell["by_group"]
            rows = zip(of["ids"], of["agreeing"], of["pairs"], strict=True)
            seen: Counter[str] = Counter()  # ids that repeat: groups are told apart by their order
            own = by_judge.setdefault(cell["judge"], {})
            for name, right, pairs in rows:
                seen[name] += 1
                if pairs:
                    own[name, seen[name]] = (right, pairs)
    if len(by_judge) < 2:
        return None
    one, other = by_judge[cheap], by_judge[strong]
    return np.array([(*one[name], *other[name]) for name in one if name in other], dtype=float).reshape(-1, 4)


def _compared(suite: str, counts_N4: np.ndarray, margin: float) -> Comparison:
    a, b = (counts_N4[:, 0], counts_N4[:, 1]), (counts_N4[:, 2], counts_N4[:, 3])
    loss, error = difference(b, a)
    verdict: Verdict = "undecided"
    if loss.high is not None and loss.high < margin:
        verdict = "within"
    elif loss.low is not None and loss.low > 0:
        verdict = "worse"
    n = len(counts_N4)
    cheap, strong = (float(right.sum() / pairs.sum()) for right, pairs in (a, b))
    more = _more(loss, error, n, margin) if verdict != "within" else None
    return Comparison(suite, n, cheap, strong, loss, verdict, more)


def _more(loss: Estimate, error: float | None, n: int, margin: float) -> int | None:
    """Additional groups that decide it with a probability of 80 %, assuming the estimated loss:
    N = ((z₀.₉₇₅ + z₀.₈) · s / distance)², s the standard deviation of one group, distance that of the loss to the
    margin, or to 0 if that is further and the cheap judge is the worse one."""
    if error is None or loss.value is None:
        return None
    if error == 0:  # all groups agree: enough of them to rule out others
        away = margin - loss.value
        return max(1, math.ceil(math.log(1 - unseen(1)) / math.log(1 - away)) - n) if 0 < away < 1 else None
    away = abs(margin - loss.value)
    if loss.low is not None and loss.low <= 0 < loss.value:  # "worse" would decide it, too
        away = max(away, loss.value)
    if away == 0:
        return None
    needed = ((NormalDist().inv_cdf(0.975) + NormalDist().inv_cdf(POWER)) * error * math.sqrt(n) / away) ** 2
    return max(1, int(np.ceil(needed)) - n)


class _Counts(BaseModel):
    ids: list[str]
    agreeing: list[float]
    pairs: list[int]


class _Cell(BaseModel):
    judge: str
    suite: str
    by_group: _Counts


class _Compared(BaseModel):
    """What a comparison needs of `results.json`."""

    schema_version: Literal[1]
    cells: list[_Cell]


def read_results(path: Path) -> dict[str, Any]:
    """`results.json`, named by the file or its folder.

    Raises:
        ConfigurationError: it is missing, or something else.
    """
    results, _ = read_json(path / "results.json" if path.is_dir() else path, _Compared)
    return results
