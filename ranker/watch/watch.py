"""The watch: what audits of a run have found so far, and whether the judge has stopped being right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

from ranker.statistics import NOTHING, Estimate
from ranker.watch import agreement
from ranker.watch.agreement import ALPHA, Audited
from ranker.watch.betting import stretch_below


@dataclass(frozen=True, slots=True)
class Alarm:
    """The judge has stopped being right.

    Attributes:
        step: whose audits showed it.
        began: the step at which the stretch of low agreement began, as far as the audits tell.
        bound: what agreement fell below.
        agreement: on that stretch, with its interval.
        reason: in words.
    """

    step: int
    began: int
    bound: float
    agreement: Estimate
    reason: str

    def to_dict(self) -> dict[str, Any]:
        return {**asdict(self), "agreement": self.agreement.to_dict(4)}


@dataclass(slots=True)
class Watch:
    """Audited groups in order, and the alarm while there is one. The same audits give the same watch, so a run that
    resumes makes it again from its file of audits.

    An alarm comes when the evidence that agreement lies below a bound, on some latest stretch of the audits, reaches
    1 / 0.05: with a judge that stays at the bound or above it ever comes with probability 0.05 at most. It ends when the
    evidence that agreement lies above the bound does.

    Attributes:
        min_agreement: the bound.
        max_drop: the bound is also the low end of the interval of the first audits less this, where that is higher.
        audited: every group audited so far, by step.
        alarm: the alarm that has not ended; None where all is well.
        alarms: every alarm so far.
    """

    min_agreement: float = 0.0
    max_drop: float = 1.0
    audited: list[Audited] = field(default_factory=list)
    alarm: Alarm | None = None
    alarms: list[Alarm] = field(default_factory=list)
    _start: float | None = None  # low end of the interval of the first audits, once there are enough
    _since: int = 0  # the audits that count for the next alarm, or for its end, begin here

    def add(self, step: int, found: Iterable[Audited]) -> Alarm | None:
        """Take a step's audits in; an alarm where they raise one."""
        self.audited += sorted(found, key=lambda a: a.group)
        bound = self.bound()
        latest = self.audited[self._since :]
        if self.alarm is not None:
            if _above(latest, bound):
                self.alarm, self._since = None, len(self.audited)
            return None
        stretch = agreement.below(latest, bound)
        if stretch.evidence < 1 / ALPHA:
            return None
        low = latest[stretch.start :]
        self.alarm = _alarm(step, low, bound)
        self.alarms.append(self.alarm)
        self._since = len(self.audited)
        return self.alarm

    def bound(self) -> float:
        """What agreement must not fall below."""
        if self._start is None:
            self._start = agreement.first(self.audited).low
        return (
            self.min_agreement
            if self._start is None
            else max(self.min_agreement, self._start - self.max_drop)
        )

    def metrics(self) -> dict[str, float | None]:
        """Agreement now and since the start with intervals, how much was audited, and whether there is an alarm."""
        record: dict[str, float | None] = {}
        for name, estimate in (
            ("judge_agreement", agreement.now(self.audited)),
            ("judge_agreement_since_start", agreement.since_start(self.audited)),
        ):
            record |= {name: estimate.value, f"{name}_low": estimate.low, f"{name}_high": estimate.high}
        record["audited_groups"] = len(self.audited)
        record["judge_alarm"] = float(self.alarm is not None)
        return record


def _alarm(step: int, low: list[Audited], bound: float) -> Alarm:
    found = agreement.since_start(low)
    value = "–" if found.value is None else f"{found.value:.2f}"
    began = low[0].step if low else step
    reason = (
        f"the judge agrees with its auditor on {value} of what the auditor tells apart (95 % interval {_interval(found)}), in "
        f"{len(low)} groups audited since step {began}; the bound is {bound:.2f}"
    )
    return Alarm(step, began, bound, found, reason)


def _interval(estimate: Estimate) -> str:
    if estimate == NOTHING or estimate.low is None or estimate.high is None:
        return "unknown"
    return f"{estimate.low:.2f} to {estimate.high:.2f}"


def _above(latest: list[Audited], bound: float) -> bool:
    """Whether some latest stretch is shown to lie above the bound."""
    values_N, weights_N = agreement.columns([a for a in latest if a.weight > 0])
    return stretch_below(1 - values_N, weights_N, 1 - bound).evidence >= 1 / ALPHA
