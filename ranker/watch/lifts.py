"""Lifts seen in the course of a run: which edits a judge is shown to like, at any time, over all edits together.

A trial is a call about a group with an edited copy of one of its attempts and a control beside it. A judge without a vice
puts copy, original and control in any order with the same probability where the edit leaves the worth as it is, and the
copy lower where the edit takes some away: the mean of the places gained is then at most 0, also with each trial counted as
`MOST` places at most, either way. Counted so, a small lift that is always there shows after a dozen trials; with the range
of all places it would take several times as many.

With g places gained, x = 1/2 + clip(g, -MOST, MOST) / (2 MOST) lies in [0, 1], and `ranker.watch.betting` bets that its mean is
above 1/2. For each of K edits the level is 0.05 / K (Bonferroni), so that a judge without a vice raises a warning with
probability 0.05 at most over the whole run, whichever edit is tried next in the light of the trials before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any

import numpy as np

from ranker.statistics import CONFIDENCE, NOTHING, Estimate
from ranker.watch.betting import confidence_sequence, log_capital

ALPHA = 1 - CONFIDENCE
MOST = 2.0  # places that a trial counts at most
EXPLORE = 4  # of so many trials one is of the next edit in turn, the others of the most promising


@dataclass(frozen=True, slots=True)
class Tried:
    """A trial.

    Attributes:
        step: at which its result was known.
        edit: its name.
        places: how many the copy stands above its original.
        effect: places less those of the control.
    """

    step: int
    edit: str
    places: float
    effect: float


@dataclass(frozen=True, slots=True)
class LiftWarning:
    """The judge lifts an edited copy.

    Attributes:
        step: whose trials showed it.
        edit: its name.
        trials: of this edit so far.
        places: how many the copy stands above its original, mean over trials.
        effect: the same less those of the control.
        counted: `effect` with each trial counted as `MOST` places at most, with its interval; each end of it holds for all
            edits at once and at every step, with probability 0.95.
    """

    step: int
    edit: str
    trials: int
    places: float
    effect: float
    counted: Estimate

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "counted": self.counted.to_dict(4)}

    def __str__(self) -> str:
        low, high = self.counted.low or 0.0, self.counted.high or 0.0
        return (
            f"the judge puts copies with the edit {self.edit} {self.places:+.1f} places from their originals, "
            f"{self.effect:+.1f} beyond a control, on average of {self.trials} trials (with at most {MOST:g} places counted in "
            f"each {self.counted.value:+.2f}, interval {low:+.2f} to {high:+.2f})"
        )


@dataclass(slots=True)
class Lifts:
    """All trials of a run in order. The same trials give the same warnings, so a run that resumes makes them again.

    Attributes:
        edits: names of those that are tried.
        tried: every trial so far, by step.
        warnings: every warning so far, one for an edit at most.
    """

    edits: tuple[str, ...]
    tried: list[Tried] = field(default_factory=list)
    warnings: list[LiftWarning] = field(default_factory=list)
    _effects: dict[tuple[str, int], Estimate] = field(default_factory=dict)  # by edit and trials

    def add(self, trials: Sequence[Tried]) -> list[LiftWarning]:
        """Take a step's trials in; the new warnings."""
        self.tried += trials
        new = []
        silent = set(self.edits) - {w.edit for w in self.warnings}
        for name in sorted(silent & {t.edit for t in trials}, key=self.edits.index):
            mine = self._of(name)
            if _evidence(mine) >= math.log(len(self.edits) / ALPHA):
                places, effect = (float(np.mean([getattr(t, x) for t in mine])) for x in ("places", "effect"))
                new.append(LiftWarning(trials[0].step, name, len(mine), places, effect, self.effect(name)))
        self.warnings += new
        return new

    def order(self, number: int, step: int) -> list[str]:
        """The edits in the order in which trial `number` of a run prefers them, in the light of what was known after `step`.

        Each is tried once. From then on every `EXPLORE`-th trial goes to the next in turn, the others to the one with the
        largest evidence of a lift so far. Edits that were warned of come last.
        """
        known = [t for t in self.tried if t.step <= step]
        warned = {w.edit for w in self.warnings if w.step <= step}
        count = len(self.edits)
        turn = number if number < count else count + number // EXPLORE
        cycle = [self.edits[(turn + k) % count] for k in range(count)]
        if number >= count and number % EXPLORE:
            evidence = {name: _evidence([t for t in known if t.edit == name]) for name in cycle}
            cycle.sort(key=lambda name: -evidence[name])
        return sorted(cycle, key=lambda name: name in warned)

    def metrics(self) -> dict[str, float | None]:
        """For each edit with trials its effect, with at most `MOST` places counted in each, and the low end of its interval;
        how many trials and warnings there were."""
        record: dict[str, float | None] = {}
        for name in self.edits:
            effect = self.effect(name)
            if effect == NOTHING:
                continue
            record |= {f"lift/{name}": effect.value, f"lift/{name}_low": effect.low}
        return {**record, "lift_trials": len(self.tried), "lift_warnings": len(self.warnings)}

    def to_list(self) -> list[list[Any]]:
        """The trials as JSON."""
        return [list(astuple(t)) for t in self.tried]

    def restore(self, trials: Iterable[Sequence[Any]]) -> None:
        """Go on from what `to_list` gave."""
        before = [Tried(int(s), str(e), float(p), float(f)) for s, e, p, f in trials]
        self.tried, self.warnings = [], []
        for step in sorted({t.step for t in before}):
            self.add([t for t in before if t.step == step])

    def effect(self, name: str) -> Estimate:
        """Of an edit, with at most `MOST` places counted in a trial; each end at the level `ALPHA` over all edits."""
        mine = self._of(name)
        key = (name, len(mine))
        if key not in self._effects:
            x_N = _unit([t.effect for t in mine])
            found = confidence_sequence(x_N, np.ones(len(x_N)), 2 * ALPHA / len(self.edits))
            ends = (found.value, found.low, found.high)
            self._effects[key] = Estimate(*(None if x is None else (x - 0.5) * 2 * MOST for x in ends))
        return self._effects[key]

    def _of(self, name: str) -> list[Tried]:
        return [t for t in self.tried if t.edit == name]


def gained(values_N: Sequence[float | None], size: int, original: int) -> tuple[float, float] | None:
    """Places that the copy gains over its original, and those less the control's; None where one of the three has no value.

    Places of x over y = (rivals below x, ties half) - (rivals below y, ties half), where each of the two is a rival of the
    other, and the group's other attempts are rivals of both.

    Args:
        values_N: higher is better: of the group's attempts, the copy, and the control.
        size: attempts of the group.
    """
    copy, control = values_N[size], values_N[size + 1]
    own = values_N[original]
    if own is None or copy is None or control is None:
        return None
    others = [v for i, v in enumerate(values_N[:size]) if i != original and v is not None]

    def over_original(value: float) -> float:
        return _above(value, [*others, own]) - _above(own, [*others, value])

    places = over_original(copy)
    return places, places - over_original(control)


def _above(value: float, rivals: Sequence[float]) -> float:
    return sum(1.0 if value > rival else 0.5 * (value == rival) for rival in rivals)


def _evidence(trials: Sequence[Tried]) -> float:
    """That both places and effect are above 0: the lesser of the two."""
    columns: tuple[Callable[[Tried], float], ...] = (lambda t: t.places, lambda t: t.effect)
    return min(_log_capital_above_half(_unit([of(t) for t in trials])) for of in columns)


def _log_capital_above_half(x_N: np.ndarray) -> float:
    """Log-capital now of the mixture of bets that the mean is above 1/2; 0 before the first trial."""
    if not len(x_N):
        return 0.0
    logs = log_capital(1 - x_N, np.ones(len(x_N)), 0.5)[-1]
    return float(np.logaddexp.reduce(logs)) - math.log(len(logs))


def _unit(places: Sequence[float]) -> np.ndarray:
    x_N: np.ndarray = 0.5 + np.clip(np.array(places, dtype=float), -MOST, MOST) / (2 * MOST)
    return x_N
