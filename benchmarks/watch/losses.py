"""What a run did to the true reward: how far it rose, and when a quarter of that was lost. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import spearmanr

from benchmarks.study.analysis import smooth as trailing
from benchmarks.watch.recording import Group, Run
from benchmarks.watch.replay import by_step
from grpo.group_reward import wins_over
from grpo.runs.win_rate import WinRate

WINDOW = 5  # steps over which the true reward is smoothed: as many before as after
QUARTER = 0.25
LEAST = 0.05  # a smaller fall is none: the smoothed true reward of a step is only known to some ±0.05
TELLING = 8  # groups with an anchor from which on the win rate is compared


@dataclass(frozen=True, slots=True)
class Course:
    """The true reward of a run, smoothed; steps count from 1.

    Attributes:
        curve: by step.
        start: of the untrained policy's attempts.
        lost: the step at which a quarter of the gain from the start to the peak so far was lost; None where it never was.
        noticed: the step at which the mean of the latest `WINDOW` steps shows it.
    """

    curve: tuple[float, ...]
    start: float
    lost: int | None
    noticed: int | None

    @property
    def best(self) -> float:
        """Its peak."""
        return max(self.curve)

    def at(self, step: int) -> float:
        """At a step; what was there before the first one is the start."""
        return self.start if step < 1 else self.curve[min(step, len(self.curve)) - 1]

    def fall(self, step: int) -> float:
        """How far it lies below its peak up to a step."""
        return max(self.start, *self.curve[:step]) - self.at(step)


def course(run: Run) -> Course:
    """The course of a run."""
    means = [_mean_truth(groups) for _, groups in by_step(run)]
    return of_means(means, _mean_truth([g for g in run.groups if g.version == 0]))


def of_means(means: Sequence[float], start: float) -> Course:
    """The course of mean true rewards, one a step."""
    curve, lagging = smooth(means), trailing(means, WINDOW)
    return Course(tuple(curve), start, _lost(curve, start, WINDOW // 2 + 1), _lost(lagging, start, WINDOW))


def _lost(curve: Sequence[float], start: float, whole: int) -> int | None:
    """The first step at which a quarter of the gain so far, and `LEAST`, is lost; steps before `whole`, which are means of
    fewer, do not count."""
    peak = start
    for step, level in enumerate(curve[whole - 1 :], start=whole):
        peak = max(peak, level)
        if peak - level >= max(QUARTER * (peak - start), LEAST):
            return step
    return None


def smooth(values: Sequence[float], window: int = WINDOW) -> list[float]:
    """The mean of each value and as many before as after it, `window` in all where there are so many."""
    half = window // 2
    return [_mean(values[max(0, i - half) : i + half + 1]) for i in range(len(values))]


def win_rates(run: Run) -> list[tuple[int, float, float]]:
    """At every step the win rate over the latest groups with an anchor, by the judge, and the mean true reward of the steps
    that they stand for."""
    wins, steps, shown = WinRate(), [], []
    means = {step: _mean_truth(groups) for step, groups in by_step(run)}
    for step, groups in by_step(run):
        steps += [
            step
            for group in groups
            if group.anchor_judge is not None and wins.add(judged_wins(group)) is not None
        ]
        rate = wins.estimate().value if len(steps) >= TELLING else None
        if rate is not None:
            since = steps[-len(wins.latest)]
            shown.append((step, rate, _mean([means[s] for s in range(since, step + 1) if s in means])))
    return shown


def judged_wins(group: Group) -> list[float | None]:
    """Whether the judge put each attempt above the anchor."""
    return wins_over(group.anchor_judge, group.judge)


def win_rate_correlation(run: Run) -> float | None:
    """Spearman's correlation of the win rate with the true reward over the steps; None where one of them never changes."""
    shown = win_rates(run)
    if len(shown) < 3 or min(np.ptp([s[k] for s in shown]) for k in (1, 2)) == 0:
        return None
    value = float(spearmanr([s[1] for s in shown], [s[2] for s in shown]).statistic)
    return value if math.isfinite(value) else None


def _mean_truth(groups: Iterable[Group]) -> float:
    return _mean([t for g in groups for t in g.truth if t is not None])


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values) if values else math.nan
