"""Scores of a local model asked in several ways; each reading is made once and cached."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, ContextLengthError, JudgeError
from ranker.jsonl.group_file import read_lines
from ranker.judges.base import Lineup
from ranker.judges.local.judge_file import Setup
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.ways import JOINT, LOGPROB_WAYS, WAYS, Shown, Way, fit, framing, way_named
from ranker.prompting.orders import balanced_orders
from ranker.runtime.budget import Budget
from ranker.runtime.cache import cache_key
from ranker.tuning.examples import Example


@dataclass(frozen=True, slots=True)
class Reading:
    """Attributes:
    scores: one per attempt.
    seconds, tokens: cost of the reading; None if no longer known.
    """

    scores: list[float]
    seconds: float | None
    tokens: int | None


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
    """The ways of a comma-separated list.

    Raises:
        ConfigurationError: an unknown way, or none.
    """
    chosen = {way_named(name.strip()) for name in text.split(",") if name.strip()}
    if not chosen:
        raise ConfigurationError(f"No way is named; choose from {', '.join(WAYS)}.")
    return tuple(way for way in WAYS if way in chosen)


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
        lineups: the groups by id, for the way `generated`.
        options: LogprobJudge's, e.g. ``cache``, ``context_window``.
    """

    def __init__(
        self, base: Setup, *, seed: int = 0, lineups: Mapping[str, Lineup] | None = None, **options: Any
    ):
        self._base, self._seed, self._options = base, seed, options
        self._lineups = lineups or {}
        self._judges: dict[str, Any] = {}
        self._read: dict[str, Reading] = {}

    def read(self, example: Example, setup: Setup) -> Reading:
        """Scores in the order of the group's attempts, in the unit of the way.

        Raises:
            ContextLengthError: the group does not fit.
            JudgeError: the model failed.
        """
        unique = list(dict.fromkeys(example.shown.attempts))
        if len(unique) == 1:
            return Reading([0.0] * len(example.shown.attempts), None, None)
        if setup.way == "generated":
            return self._generated(example)
        order: Sequence[int] = range(len(unique))
        if setup.way in JOINT:
            if len(unique) > self._judge(setup.way).max_group:
                raise ContextLengthError(
                    f"Group {example.id!r} has {len(unique)} attempts, more than letters."
                )
            rng = random.Random(f"{self._seed}:{example.id}")  # noqa: S311 - an order, not a secret
            order = balanced_orders(len(unique), 1, rng)[0]
        ordered = tuple(unique[i] for i in order)
        reading = self._one(setup.way, replace(example.shown, attempts=ordered, cut=(0,) * len(ordered)))
        by_text = dict(zip(ordered, reading.scores, strict=True))
        return replace(reading, scores=[by_text[text] for text in example.shown.attempts])

    def _judge(self, way: Way) -> LogprobJudge:
        if way not in self._judges:
            plain = replace(self._base, way=way, tolerance=0.0)
            judge = LogprobJudge(plain, **self._options)
            others = [other for other in self._judges.values() if isinstance(other, LogprobJudge)]
            if others:
                judge.local = others[0].local  # one model in memory for all ways
            self._judges[way] = judge
        return self._judges[way]  # type: ignore[no-any-return]

    def _one(self, way: Way, shown: Shown) -> Reading:
        """One reading in the given order, from memory or the cache if possible."""
        from ranker.judges.local.forward import shares

        judge = self._judge(way)
        loaded = judge.local.load()
        shares(loaded)  # determined once, outside the measured time
        room = min(loaded.window, self._options.get("context_window") or loaded.window)
        spent = framing(shown, way, judge.template, loaded.frame, loaded.encode)
        texts = fit(shown, way, room, loaded.count, spent)
        key = cache_key(**judge.identity(), seed=0, shown=repr(texts))
        if key in self._read:
            return self._read[key]
        cached = judge.cache.get(key) if judge.cache else None
        if cached is not None and len(cached.get("scores", ())) == len(texts.attempts):
            reading = Reading(list(map(float, cached["scores"])), cached.get("seconds"), cached.get("tokens"))
        else:
            reading = _timed(judge, loaded, texts)
            if judge.cache is not None:
                judge.cache.put(
                    key,
                    judge.name,
                    {"scores": reading.scores, "seconds": reading.seconds, "tokens": reading.tokens},
                )
        self._read[key] = reading
        return reading

    def _generated(self, example: Example) -> Reading:
        from ranker.judges.local.judge import LocalJudge

        if self._base.adapter is not None:
            raise ConfigurationError("A tuned judge cannot write its verdict: omit `generated`.")
        if "generated" not in self._judges:
            self._judges["generated"] = LocalJudge(self._base.base, **self._options)
        judge = self._judges["generated"]
        judge._local.load()
        started = time.perf_counter()
        lineup = self._lineups[example.id]
        order = random.Random(f"{self._seed}:{example.id}").sample(range(len(lineup.trajectories)), len(lineup.trajectories))  # noqa: S311 - not secret  # fmt: skip
        shuffled = replace(lineup, trajectories=tuple(lineup.trajectories[i] for i in order))
        verdict = asyncio.run(judge.verdict(shuffled, Budget()))
        scores = [0.0] * len(order)
        for place, tier in enumerate(verdict.tiers):
            for i in tier:
                scores[order[i]] = float(-place)
        fresh = verdict.usage.calls > 0
        tokens = verdict.usage.prompt_tokens + verdict.usage.completion_tokens
        return Reading(scores, time.perf_counter() - started if fresh else None, tokens if fresh else None)


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


def _timed(judge: LogprobJudge, loaded: Any, texts: Shown) -> Reading:
    started = time.perf_counter()
    try:
        scores, tokens = judge.read(loaded, texts)
    except RuntimeError as error:  # out of memory, mostly
        raise JudgeError(f"{judge.name} failed on {len(texts.attempts)} attempts: {error}") from error
    return Reading([float(s) for s in scores], time.perf_counter() - started, tokens)


def _mean(values: Sequence[float | None]) -> float | None:
    known = [v for v in values if v is not None]
    return sum(known) / len(known) if known else None


def lineups_of(path: Path) -> dict[str, Lineup]:
    """The groups of a file as a judge sees them, by id.

    Raises:
        ConfigurationError: two groups have one id.
    """
    lineups: dict[str, Lineup] = {}
    for line in read_lines(path):
        if line.group is None:
            continue
        if line.id in lineups:
            raise ConfigurationError(
                f"{path}, line {line.number}: the id {line.id!r} stands on an earlier line already."
            )
        bare = tuple(t.bare() for t in line.group.trajectories)
        lineups[line.id] = Lineup(bare, line.group.task, line.group.rubric)
    return lineups
