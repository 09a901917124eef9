"""Audits replayed over recorded runs: pure. An alarm changes nothing of what came before it, so a replay says when a live
run's would come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np

from benchmarks.study.judges import calibrate
from benchmarks.watch.plan import SUSPICION, Setting
from benchmarks.watch.recording import Group, Run
from grpo.draws import drawn, seed_for
from ranker.aggregate.rewards import rank_rewards
from ranker.watch.agreement import ALPHA, WINDOW, Audited, below, columns, compared, first, spread
from ranker.watch.audit import probability
from ranker.watch.betting import lies_below
from ranker.watch.watch import Alarm, Watch

SIGNS = ("truncated_share", "words_mean", "turns_mean", "entropy", "reward_std")
MOVED = 3.0  # deviations of the first steps by which a free sign has moved
CALM = 6  # those first steps
LAG = 2  # steps from a sign to the first groups whose audit it can decide


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one replay says.

    Attributes:
        audited: groups over the whole run.
        until: those up to the alarm; all of them where none came.
        alarm: the first; None where none came.
    """

    audited: int
    until: int
    alarm: Alarm | None


@dataclass(slots=True)
class Kept(Watch):
    """A watch that works out its agreement at the start once."""

    _start: float | None = field(default=None, init=False)

    def bound(self) -> float:
        """The bound of `Watch`."""
        if self._start is None:
            self._start = _start_of(tuple([a for a in self.audited if a.weight > 0][:WINDOW]))
        return (
            self.min_agreement
            if self._start is None
            else max(self.min_agreement, self._start - self.max_drop)
        )


@lru_cache(maxsize=64)
def _start_of(audited: tuple[Audited, ...]) -> float | None:
    """The low end of the agreement on the first audits: watches with other bounds ask for the same."""
    return first(audited).low


def replay(steps: Iterable[tuple[int, Sequence[Audited]]], setting: Setting) -> Outcome:
    """Give a watch the audits, step by step, until it raises an alarm."""
    watch = Kept(setting.min_agreement, setting.max_drop)
    audited, until, alarm = 0, 0, None
    for step, found in steps:
        audited += len(found)
        if alarm is None:
            alarm = watch.add(step, found)
            until = audited
    return Outcome(audited, until, alarm)


def audits(run: Run, setting: Setting, draw: int, noise: float) -> list[tuple[int, list[Audited]]]:
    """The audits of a run, by step; steps without any are left out.

    Args:
        draw: which groups are audited; 0 audits those that the run's own audit would have.
        noise: deviation of what the auditor sees around the truth.
    """
    found: list[tuple[int, list[Audited]]] = []
    scale = 0.0
    drawing = Drawing(run, setting, draw)
    for step, groups in by_step(run):
        now: list[Audited] = []
        for group in drawing.of(step, groups):
            if len(group.alive) < 2:
                continue
            *values, anchor = said(group, setting, noise, run.seed, draw)
            scale = max(scale, spread([*values, anchor]))
            if not group.failed:
                now.append(Audited(step, group.index, *compared(group.judge, values, scale or 1.0)))
        drawing.learn(step, now)
        if now:
            found.append((step, now))
    return found


class Drawing:
    """Which groups of a run are audited, step by step."""

    def __init__(self, run: Run, setting: Setting, draw: int):
        self._planned = len(run.groups)
        self._lots = lots_of(run.seed, draw, self._planned)
        self._setting = setting
        share = setting.share / 2 if setting.waiting else setting.share
        self._chances = chances(share, setting.power, self._planned)
        self._left = int(setting.share * self._planned / 2) if setting.waiting else 0
        moved = moved_at(run) if setting.waiting == "signs" else None
        self._since = None if moved is None else moved + LAG
        self._suspected: set[int] = set()  # steps whose groups are audited for the evidence so far
        self._found: list[Audited] = []

    def of(self, step: int, groups: Iterable[Group]) -> Iterator[Group]:
        """Those of a step."""
        asked = step in self._suspected or (self._since is not None and step >= self._since)
        for group in groups:
            if self._lots[group.index] < self._chances[group.index]:
                yield group
            elif asked and self._left > 0:
                self._left -= 1
                yield group

    def learn(self, step: int, found: Sequence[Audited]) -> None:
        """What the audits of a step found."""
        if self._setting.waiting != "suspicion":
            return
        self._found += found
        if below(self._found, self._setting.min_agreement).evidence >= SUSPICION:
            self._suspected.add(step + LAG)


@lru_cache(maxsize=64)
def chances(share: float, power: float, planned: int) -> tuple[float, ...]:
    """The probability with which each group is audited: c / (index + 1)^power, at most 1, with c such that they make the
    share of the groups in all."""
    if power == 0.5:
        return tuple(probability(share, index, planned) for index in range(planned))
    falling = np.arange(1, planned + 1) ** -power
    low, high = 0.0, float(planned)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(1, middle * falling).mean() < share else (low, middle)
    return tuple(float(x) for x in np.minimum(1, high * falling))


def moved_at(run: Run) -> int | None:
    """The first step at which a sign that costs nothing has moved, a mean of two steps, away from the first ones."""
    for step in range(CALM + 2, run.steps + 1):
        for name in SIGNS:
            column = [v for v in run.columns[name][:step] if v is not None]
            calm = np.array(column[:CALM])
            if abs(np.mean(column[-2:]) - calm.mean()) > MOVED * max(float(calm.std(ddof=1)), 1e-3):
                return step
    return None


@lru_cache(maxsize=256)
def lots_of(seed: int, draw: int, count: int) -> tuple[float, ...]:
    """The lots of a run's groups; those of its own audit at draw 0."""
    own = seed if draw == 0 else seed_for(f"audits {draw}", seed)
    return tuple(drawn(own, index) for index in range(count))


def said(group: Group, setting: Setting, noise: float, seed: int, draw: int) -> list[float | None]:
    """What the auditor says of the attempts and, as the last, of the anchor.

    The checker gives the truth itself. One that errs sees it through normal noise, one for each attempt or, where it ties
    equal attempts, for each truth; and it ranks.
    """
    truths = [*group.truth, group.anchor]
    if setting.auditor >= 1 and not setting.ranking:
        return truths
    rng = np.random.default_rng([seed, draw, group.index])
    known = {i: t for i, t in enumerate(truths) if t is not None}
    levels = {t: t + noise * float(rng.standard_normal()) for t in sorted(set(known.values()))}
    seen = {
        i: levels[t] if setting.equals or not noise else t + noise * float(rng.standard_normal())
        for i, t in known.items()
    }
    order = sorted(seen, key=seen.__getitem__, reverse=True)
    tiers = tuple(tuple(same) for _, same in itertools.groupby(order, key=seen.__getitem__))
    places = {i: k for k, i in enumerate(seen)}
    values = rank_rewards(tuple(tuple(places[i] for i in tier) for tier in tiers), len(seen))
    return [values[places[i]] if i in places else None for i in range(len(truths))]


def noise_for(runs: Sequence[Run], accuracy: float) -> float:
    """The noise under which an auditor orders this share of the pairs right, on the untrained policy's groups: those of the
    first step of all runs."""
    gaps = [
        abs(a - b)
        for run in runs
        for group in run.groups
        if group.version == 0
        for a, b in itertools.combinations([t for t in group.truth if t is not None], 2)
        if a != b
    ]
    return calibrate(np.array(gaps), accuracy)


def by_step(run: Run) -> Iterator[tuple[int, list[Group]]]:
    for step, groups in itertools.groupby(run.groups, key=lambda g: g.step):
        yield step, list(groups)


@dataclass(frozen=True, slots=True)
class Held:
    """Whether the intervals of the agreement since the start held the true one of all groups so far, at every step with an
    audit: each group counting alike, and each by the probability with which it is audited."""

    alike: bool
    by_chance: bool


def held(run: Run, setting: Setting, draw: int) -> Held:
    """Check the checker's audits of a run. That an interval holds a value is asked of the bets themselves."""
    of_each = chances(
        setting.share, setting.power, len(run.groups)
    )  # groups come in the order of their numbers
    every_N3 = np.array(
        [
            (*compared(g.judge, g.truth), chance)
            for g, chance in zip(run.groups, of_each, strict=True)
            if not g.failed
        ]
    )
    steps_N = np.array([g.step for g in run.groups if not g.failed])
    so_far: list[Audited] = []
    good = [True, True]
    for step, found in audits(run, setting, draw, 0.0):
        so_far += found
        values_N, weights_N = columns(so_far)
        if not weights_N.sum() > 0:
            continue
        known_N3 = every_N3[steps_N <= step]
        for k, counts_N in enumerate((known_N3[:, 1], known_N3[:, 1] * known_N3[:, 2])):
            true = float(known_N3[:, 0] @ counts_N / counts_N.sum())
            good[k] &= not (
                lies_below(values_N, weights_N, true, ALPHA / 2)
                or lies_below(1 - values_N, weights_N, 1 - true, ALPHA / 2)
            )
    return Held(*good)
