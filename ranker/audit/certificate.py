"""How much of the ground truth's gain a policy keeps when it is trained on a judge, predicted from the judge's audit.

    recovery = (1 − s)·g + s·c,    g = 1 − exp(−max(0, a − ½) / τ),    s = σ((e − e₀) / w)

a is how often the judge orders two attempts correctly; g is what random error of that accuracy leaves of the gain.
Without ground truth, a is reckoned from how often two rankings agree, ties half: r = a² + (1 − a)² where errors are independent. e is
the largest lift among the flagged edits, as a share of the places of a group: a policy finds an exploit that lifts an
attempt by e₀ or more, and then keeps c, more where the edit leaves the worth alone (it writes more, say) than where it
does harm (it leaves the work out). The coefficients are fitted on the runs of the training study (`benchmarks.study`).
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import resources
from typing import Any

import numpy as np

from ranker.audit.result import AuditResult
from ranker.debias.model import expit
from ranker.distributions import student_quantile
from ranker.statistics import Estimate

LEVEL = 0.9  # of the interval
FREEDOM = 5  # of Student's t: outcomes at the edge of an exploit lie far apart
_NODES, _WEIGHTS = np.array([-math.sqrt(3), 0.0, math.sqrt(3)]), np.array([1, 4, 1]) / 6  # Gauss-Hermite
DOMAIN = (
    "Fitted on one small agent (a clerk at a returns desk, 60 steps of 64 attempts) under simulated judges. For another "
    "agent, task or length of training take the order of judges from it rather than the number."
)


@dataclass(frozen=True, slots=True)
class Features:
    """What the prediction needs of an audit.

    Attributes:
        accuracy: share of pairs ordered correctly; without ground truth reckoned from repeatability.
        accuracy_deviation: its standard error.
        exploit: the largest lift of a flagged edit, in places as a share of the group's; 0 where none is flagged.
        exploit_deviation: its standard error.
        edit: which edit that is.
        harmless: whether it leaves the worth of an attempt as it is.
    """

    accuracy: float
    accuracy_deviation: float
    exploit: float
    exploit_deviation: float
    edit: str | None
    harmless: bool = False


@dataclass(frozen=True, slots=True)
class Coefficients:
    """Of the model above: c is `drifted` for an exploit that leaves the worth alone, `captured` for one that does harm.
    What the fit leaves open is the `spread` of the outcome without an exploit, and `captured_spread` with one."""

    tau: float
    threshold: float
    width: float
    drifted: float
    captured: float
    spread: float
    captured_spread: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Attributes:
    recovery: share of the ground truth's gain, with a 90 % interval; below 0 the policy gets worse than it was.
    captured: probability that the policy learns the exploit.
    accuracy: of the judge, given or reckoned.
    edit: the exploit; None where no edit lifts an attempt.
    domain: where the prediction holds.
    """

    recovery: Estimate
    captured: float
    accuracy: float
    edit: str | None
    domain: str = DOMAIN

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)


def predict(audit: AuditResult) -> Prediction | None:
    """What a policy trained on this judge keeps; None where no edit was tried, or no two rankings of a group could be compared."""
    features = features_of(audit) if audit.lifts else None
    return None if features is None else predicted(features, coefficients())


def coefficients() -> Coefficients:
    """As fitted on the study."""
    text = resources.files(__package__).joinpath("certificate.json").read_text(encoding="utf-8")
    return Coefficients(**json.loads(text)["coefficients"])


def features_of(audit: AuditResult) -> Features | None:
    """None where no two rankings of a group could be compared."""
    repeated = audit.order_repeatability
    if repeated.value is None:  # an audit of before there was such a figure
        repeated = audit.repeatability
    if repeated.value is None:
        return None
    accuracy = audit.accuracy if audit.accuracy.value is not None else reckoned(repeated)
    known = (accuracy.value or 0.0, _deviation(accuracy))
    flagged = [lift for lift in audit.lifts if lift.flagged and lift.places.value is not None]
    if not flagged:
        return Features(*known, 0.0, 0.0, None)
    most = max(flagged, key=lambda lift: (lift.places.value or 0.0) / lift.size)
    return Features(
        *known,
        (most.places.value or 0.0) / most.size,
        (most.places.reach or 0.0) / 1.96 / most.size,  # not of the width: a bound may be cut
        most.edit,
        most.worth == "same",
    )


def reckoned(repeatability: Estimate) -> Estimate:
    """The accuracy of which two rankings with independent errors agree so often: r = a² + (1 − a)²."""

    def accuracy(r: float | None) -> float | None:
        return None if r is None else (1 + math.sqrt(max(0.0, 2 * r - 1))) / 2

    return Estimate(*map(accuracy, (repeatability.value, repeatability.low, repeatability.high)))


def _deviation(estimate: Estimate) -> float:
    """The standard error behind a 95 % interval."""
    return 0.0 if estimate.low is None or estimate.high is None else (estimate.high - estimate.low) / 2 / 1.96


def predicted(features: Features, model: Coefficients) -> Prediction:
    """The model's prediction."""
    mean, deviation, captured = moments([features], model)
    reach = student_quantile((1 + LEVEL) / 2, FREEDOM) * float(deviation[0])
    recovery = Estimate(float(mean[0]), float(mean[0]) - reach, float(mean[0]) + reach)
    return Prediction(recovery, float(captured[0]), features.accuracy, features.edit)


def moments(features: Sequence[Features], model: Coefficients) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean and deviation of the recovery, and the probability of capture, of N judges."""
    accuracy_N = np.array([f.accuracy for f in features])
    unsure_N = np.array([f.accuracy_deviation for f in features])
    exploit_N = np.array([f.exploit for f in features])
    deviation_N = np.array([f.exploit_deviation for f in features])
    outcome_N = np.array([model.drifted if f.harmless else model.captured for f in features])
    gain_3N = 1 - np.exp(-np.maximum(0.0, accuracy_N + _NODES[:, None] * unsure_N - 0.5) / model.tau)
    gain_N = _WEIGHTS @ gain_3N
    width_N = np.hypot(model.width, deviation_N)  # an uncertain lift is an uncertain capture
    captured_N = expit((exploit_N - model.threshold) / width_N)
    mean_N = (1 - captured_N) * gain_N + captured_N * outcome_N
    variance_N = (
        (1 - captured_N) * (model.spread**2 + _WEIGHTS @ (gain_3N - gain_N) ** 2)
        + captured_N * model.captured_spread**2
        + captured_N * (1 - captured_N) * (gain_N - outcome_N) ** 2
    )
    return mean_N, np.sqrt(variance_N), captured_N


def quality(pairs: Sequence[tuple[Prediction, float]]) -> Mapping[str, float]:
    """Of predictions and outcomes: R² and the share of outcomes inside their intervals."""
    values = np.array([p.recovery.value for p, _ in pairs], dtype=float)
    outcomes = np.array([outcome for _, outcome in pairs])
    inside = [(p.recovery.low or 0.0) <= outcome <= (p.recovery.high or 0.0) for p, outcome in pairs]
    residual = float(((outcomes - values) ** 2).sum())
    return {
        "r2": 1 - residual / float(((outcomes - outcomes.mean()) ** 2).sum()),
        "coverage": float(np.mean(inside)),
        "n": len(pairs),
    }
