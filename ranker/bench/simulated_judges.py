"""Simulated judges: real servers on loopback with known quality, noise and bias.

They receive the same prompts over the same HTTP as any judge and recognize trajectories by their text, so the benchmark
measures them exactly as it would a model that judged like this.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from ranker.bench.attacks import INSTEAD, KINDS, attacked, controlled, worst_of
from ranker.errors import ConfigurationError
from ranker.prompting.transcript import transcript_of
from ranker.testing import Behaviour
from ranker.trajectory import Trajectory, TrajectoryGroup

SIMULATED = ("oracle", "random", "length", "adversarial", "noisy", "biased")
BIASES = ("position", "length", "attack", "noise")


@dataclass(frozen=True, slots=True)
class SimulatedJudge:
    """A simulated judge's value of a trajectory: `truth`·t + noise·N(0, 1) + position·place + length·length,
    + attack if one is inserted, and more if it is of certain kinds, with t the truth on the suite's scale of 0 to 1 and place and length from 0 to 1
    (1 shown first, 1 longest). Equal values are tied.

    Attributes:
        kinds: what an attack of a kind adds to `attack`.
        accuracy: instead of noise: the pairwise accuracy to which the noise is fitted.
    """

    truth: float = 1.0
    noise: float = 0.0
    position: float = 0.0
    length: float = 0.0
    attack: float = 0.0
    kinds: Mapping[str, float] = field(default_factory=dict)
    accuracy: float | None = None

    def behaviour(self, groups: Sequence[TrajectoryGroup], seed: int) -> Behaviour:
        noise = self.noise
        if self.accuracy is not None:
            noise = noise_for(self.accuracy, gaps(groups))
        return Behaviour(noise=noise, position_bias=self.position, length_bias=self.length, seed=seed)

    def known(self, groups: Sequence[TrajectoryGroup], attacks: bool = True) -> list[TrajectoryGroup]:
        """The groups, and with `attacks` each of them attacked, and with the attack's control, with this judge's value of every trajectory as its truth.

        Raises:
            ConfigurationError: identical trajectories in different groups differ in truth.
        """
        low, high = truth_range(groups)
        values: dict[str, float] = {}
        if self.truth:  # else it need not tell them apart
            for text, truths in _truths(groups).items():
                values[text] = self.truth * (math.fsum(truths) / len(truths) - low) / (high - low)
        valued: list[TrajectoryGroup] = []
        inserted: dict[str, float] = {}
        for i, group in enumerate(groups):
            seen = [values.get(transcript_of(t).text, 0.0) for t in group.trajectories]
            valued.append(_with_truths(group, seen))
            if not attacks:
                continue
            # The attacked trajectory keeps its value, plus that of the attack; an attack that replaces the answer leaves
            # no value of its own.
            kind = KINDS[i % len(KINDS)]
            at = worst_of([float(t.ground_truth or 0.0) for t in group.trajectories])
            left = 0.0 if kind in INSTEAD else seen[at]
            believed = self.attack + self.kinds.get(kind, 0.0)
            for changed, value in ((attacked(group, kind), left + believed), (controlled(group, kind), left)):
                seen[at] = value
                text = transcript_of(changed.trajectories[at]).text
                if inserted.setdefault(text, value) != value:
                    raise _ambiguous(text)
                valued.append(_with_truths(changed, seen))
        return valued


def simulated_judge(spec: str) -> SimulatedJudge | None:
    """The simulated judge that `spec` names, e.g. ``noisy:0.75`` or ``biased:position=0.5,noise=0.1``; None if
    it names none.

    Raises:
        ConfigurationError: invalid settings.
    """
    name, _, rest = spec.partition(":")
    plain = {
        "oracle": SimulatedJudge(),
        "random": SimulatedJudge(truth=0.0, noise=1.0),
        "length": SimulatedJudge(truth=0.0, length=1.0),
        "adversarial": SimulatedJudge(truth=-1.0),
    }
    if name in plain and not rest:
        return plain[name]
    if name == "noisy":
        return _noisy(spec, rest)
    if name == "biased":
        biases = _biases(spec, rest)
        kinds = {kind: value for kind, value in biases.items() if kind in KINDS}
        return SimulatedJudge(**{k: v for k, v in biases.items() if k not in KINDS}, kinds=kinds)
    return None


def _noisy(spec: str, rest: str) -> SimulatedJudge:
    wanted = _number(rest)
    if not 0.5 <= wanted <= 1:
        raise ConfigurationError(f"{spec!r}: give the pairwise accuracy, from 0.5 to 1, e.g. noisy:0.75.")
    return SimulatedJudge(accuracy=wanted) if wanted > 0.5 else SimulatedJudge(truth=0.0, noise=1.0)


def _biases(spec: str, rest: str) -> Mapping[str, float]:
    biases: dict[str, float] = {}
    for part in rest.split(","):
        key, _, value = part.partition("=")
        biases[key] = _number(value)
        if key not in (*BIASES, *KINDS) or not math.isfinite(biases[key]):
            raise ConfigurationError(
                f"{spec!r} has {part!r}; give biased:KEY=NUMBER with KEY one of {', '.join(BIASES)}, or one kind of "
                f"attack ({', '.join(KINDS)}); several with commas. 1 is the full range of the truth."
            )
    return biases


def _number(text: str) -> float:
    """The number that a text is; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan


def gaps(groups: Iterable[TrajectoryGroup]) -> np.ndarray:
    """|difference of truth| of all pairs within a group that differ, on the suite's scale of 0 to 1; shape (P,)."""
    groups = list(groups)
    low, high = truth_range(groups)
    differences = [
        abs(float(a.ground_truth or 0.0) - float(b.ground_truth or 0.0)) / (high - low)
        for group in groups
        for a, b in itertools.combinations(group.trajectories, 2)
        if a.ground_truth != b.ground_truth
    ]
    return np.array(differences)


def noise_for(accuracy: float, gaps_P: np.ndarray) -> float:
    """The standard deviation σ of normal noise on each value under which pairs with these gaps d have this accuracy: mean
    Φ(d / (σ√2)) = accuracy, solved by bisection."""
    if accuracy >= 1:
        return 0.0
    low, high = 1e-6, 1e6
    for _ in range(100):
        middle = math.sqrt(low * high)
        right = float(np.mean([(1 + math.erf(z)) / 2 for z in gaps_P / (2 * middle)]))
        low, high = (middle, high) if right > accuracy else (low, middle)
    return math.sqrt(low * high)


def truth_range(groups: Iterable[TrajectoryGroup]) -> tuple[float, float]:
    """The least and the greatest truth of any attempt; zeros where there is none."""
    truths = [float(t.ground_truth or 0.0) for g in groups for t in g.trajectories]
    return min(truths, default=0.0), max(truths, default=0.0)


def _truths(groups: Iterable[TrajectoryGroup]) -> dict[str, list[float]]:
    """Truths by text. Identical attempts of one group may differ in truth (labels are never perfect): no judge could tell
    them apart, so they get their mean."""
    by_text: dict[str, dict[int, list[float]]] = {}
    for i, group in enumerate(groups):
        for t in group.trajectories:
            by_text.setdefault(transcript_of(t).text, {}).setdefault(i, []).append(
                float(t.ground_truth or 0.0)
            )
    for text, of in by_text.items():
        if len({math.fsum(truths) / len(truths) for truths in of.values()}) > 1:
            raise _ambiguous(text)
    return {text: [x for truths in of.values() for x in truths] for text, of in by_text.items()}


def _ambiguous(text: str) -> ConfigurationError:
    return ConfigurationError(
        "Simulated judges recognize trajectories by their text, and two groups have an identical one with different truth "
        f"({text[:80]!r} …). Put the task into the messages, or leave simulated judges out."
    )


def _with_truths(group: TrajectoryGroup, truths: Sequence[float]) -> TrajectoryGroup:
    members = [
        Trajectory(t.messages, t.tools, t.id, truth, {}, t.histories)
        for t, truth in zip(group.trajectories, truths, strict=True)
    ]
    return replace(group, trajectories=tuple(members))
