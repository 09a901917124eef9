"""Scores of a local model asked in several ways; each reading is made once and cached."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.errors import ConfigurationError, ContextLengthError, JudgeError
from ranker.judges.local.judge_file import Setup
from ranker.judges.local.logprob_judge import LogprobJudge, Reading
from ranker.judges.local.ways import JOINT, LOGPROB_WAYS, Way, way_named
from ranker.prompting.orders import balanced_orders
from ranker.tuning.examples import Example


@dataclass
class Readings:
    """The scores of all ways on the same groups.

    Attributes:
        examples: the groups that every way could read.
        scores: by way, for each of these groups one score per attempt.
        costs: by way, (seconds, tokens) per group; None if unknown.
        left_out: number of groups that could not be read; `why` says why the first of them could not.
        dropped: ways that failed, and why.
    """

    examples: list[Example] = field(default_factory=list)
    scores: dict[str, list[list[float]]] = field(default_factory=dict)
    costs: dict[str, tuple[float | None, float | None]] = field(default_factory=dict)
    left_out: int = 0
    why: str = ""
    dropped: dict[str, str] = field(default_factory=dict)


def ways_of(text: str) -> tuple[Way, ...]:
    """The ways of a comma-separated list; `generated`, which is no longer calibrated, is left out with a warning.

    Raises:
        ConfigurationError: an unknown way, or none.
    """
    chosen = {way_named(name.strip()) for name in text.split(",") if name.strip()}
    if "generated" in chosen:
        warnings.warn(
            "The way 'generated' is no longer calibrated: leave it out.", FutureWarning, stacklevel=2
        )
    ways = tuple(way for way in LOGPROB_WAYS if way in chosen)
    if not ways:
        raise ConfigurationError(f"No way is named; choose from {', '.join(LOGPROB_WAYS)}.")
    return ways


def setups(base: Setup, ways: Iterable[Way]) -> dict[str, Setup]:
    """The setups to try, by way."""
    return {way: replace(base, way=way, tolerance=0.0, measured={}) for way in ways}


def askable(examples: Sequence[Example], ways: Sequence[Way] | None) -> tuple[Way, ...]:
    """The ways to try if none are named: all that read probabilities; `reference_likelihood` only if every group has one.

    Raises:
        ConfigurationError: `reference_likelihood` is named, and a group has none.
    """
    known = all(e.shown.reference for e in examples)
    if ways is None:
        return tuple(way for way in LOGPROB_WAYS if way != "reference_likelihood" or known)
    if "reference_likelihood" in ways and not known:
        raise ConfigurationError(
            "The way `reference_likelihood` needs a right answer, and not every group has one in its field `reference`: omit "
            "that way."
        )
    return tuple(ways)


class Reader:
    """One model that reads groups in any way.

    The order of attempts is drawn for each group by the seed, as in `ranker rank`, so that nothing depends on their
    order in the file. Identical attempts are read once.

    Args:
        base: model and adapter; its way is ignored.
        options: LogprobJudge's, e.g. ``cache``, ``context_window``.
    """

    def __init__(self, base: Setup, *, seed: int = 0, **options: Any):
        self._base, self._seed, self._options = base, seed, options
        self._judges: dict[Way, LogprobJudge] = {}

    def read(self, example: Example, setup: Setup) -> Reading:
        """Scores in the order of the group's attempts, in the unit of the way.

        Raises:
            ContextLengthError: the group does not fit.
            JudgeError: the model failed.
        """
        from ranker.judges.local.forward import shares

        unique = list(dict.fromkeys(example.shown.attempts))
        if len(unique) == 1:
            return Reading([0.0] * len(example.shown.attempts))
        judge = self._judge(setup.way)
        order: Sequence[int] = range(len(unique))
        if setup.way in JOINT:
            if len(unique) > judge.max_group:
                raise ContextLengthError(
                    f"Group {example.id!r} has {len(unique)} attempts, more than letters."
                )
            rng = random.Random(f"{self._seed}:{example.id}")  # noqa: S311 - an order, not a secret
            order = balanced_orders(len(unique), 1, rng)[0]
        ordered = tuple(unique[i] for i in order)
        loaded = judge.local.load()
        shares(loaded)  # determined once, outside the measured time
        texts = judge.fitted(loaded, replace(example.shown, attempts=ordered, cut=(0,) * len(ordered)))
        reading = judge.reading(loaded, texts)
        by_text = dict(zip(ordered, reading.scores, strict=True))
        return replace(reading, scores=[by_text[text] for text in example.shown.attempts])

    def _judge(self, way: Way) -> LogprobJudge:
        if way not in self._judges:
            judge = LogprobJudge(replace(self._base, way=way, tolerance=0.0), **self._options)
            for other in self._judges.values():
                judge.local = other.local  # one model in memory for all ways
            self._judges[way] = judge
        return self._judges[way]


def read_all(
    reader: Reader,
    examples: Sequence[Example],
    tried: Mapping[str, Setup],
    report: Callable[[str], None] = lambda _: None,
) -> Readings:
    """Read every group in every way. A group that does not fit the context window is left out for all ways; a way in
    which the model fails is dropped; `report` is called with the id of each group read.

    Raises:
        JudgeError: no way is left.
    """
    readings = Readings()
    rows: dict[str, list[Reading]] = {name: [] for name in tried}
    for example in examples:
        results: dict[str, Reading] = {}
        try:
            for name, setup in tried.items():
                if name in readings.dropped:
                    continue
                try:
                    results[name] = reader.read(example, setup)
                except JudgeError as error:
                    readings.dropped[name] = str(error)
        except ContextLengthError as error:
            readings.left_out += 1
            readings.why = readings.why or str(error)
        else:
            readings.examples.append(example)
            for name, reading in results.items():
                rows[name].append(reading)
        report(example.id)
    left = [name for name in tried if name not in readings.dropped]
    if not left:
        raise JudgeError(f"Every way failed: {next(iter(readings.dropped.values()))}")
    readings.scores = {name: [r.scores for r in rows[name]] for name in left}
    readings.costs = {
        name: (_mean([r.seconds for r in rows[name]]), _mean([r.tokens for r in rows[name]])) for name in left
    }
    return readings


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None
