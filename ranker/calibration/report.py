"""The results of a calibration: for a judge file, and on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ranker.aggregate.agreement import agreeing
from ranker.calibration.choosing import Choice, choose, pick, right_pairs, rights
from ranker.calibration.reading import Readings
from ranker.calibration.threshold import Fitted, fit_threshold, least_groups, most_claimed
from ranker.errors import RankerError
from ranker.judges.cascade import confidence
from ranker.judges.local.judge_file import SCHEMA, Setup
from ranker.judges.local.ways import NOISE
from ranker.runtime.terminal import facts, figures
from ranker.tuning.examples import Source

NO_BETTER = (
    "It is not significantly better than chance: the interval of its accuracy includes 0.5. Do not train on its rankings "
    "alone."
)


def chosen(
    tried: Mapping[str, Setup], choice: Choice, readings: Readings, source: Source, seed: int
) -> Setup:
    """The chosen setup, with what was measured."""
    seconds, tokens = readings.costs[choice.way]
    ways = {
        name: {
            "pairwise_accuracy": value.to_dict(),
            "seconds_per_group": readings.costs[name][0],
            "tokens_per_group": readings.costs[name][1],
            "chosen_by_folds": choice.chosen.get(name, 0),
        }
        for name, value in choice.ways.items()
    }
    measured: dict[str, Any] = {
        "by": "calibrate",
        "groups": choice.groups,
        "pairs": choice.pairs,
        "pairwise_accuracy": choice.accuracy.to_dict(),
        "beats_chance": choice.beats_chance,
        "over_first_token": None if choice.over_baseline is None else choice.over_baseline.to_dict(),
        "seconds_per_group": seconds,
        "tokens_per_group": tokens,
        "truth": source.truth,
        "truth_judge": source.judge,
        "ways": ways,
        "dropped": dict(readings.dropped),
        "left_out": source.left_out + readings.left_out,
        "seed": seed,
    }
    if not choice.beats_chance:
        measured["note"] = NO_BETTER
    return replace(tried[choice.way], tolerance=choice.tolerance, measured=measured)


def choice_of(readings: Readings, seed: int) -> Choice:
    """The way and the tolerance that the readings choose; the tolerance is at least what a judge ties in any case."""
    truths = [e.truths_G for e in readings.examples]
    openings = [e.opening for e in readings.examples]
    return choose(readings.scores, truths, openings=openings, seed=seed, least=NOISE)


def fit(
    readings: Readings,
    choice: Choice,
    tried: Mapping[str, Setup],
    *,
    wanted: float,
    seed: int,
) -> Fitted:
    """The threshold of a cascade with the chosen small judge. Way, tolerance and threshold are chosen anew in each fold to
    measure it."""
    from ranker.judges.local.scores import probabilities

    truths = [e.truths_G for e in readings.examples]
    openings = [e.opening for e in readings.examples]
    sure = {
        name: [confidence(probabilities(tried[name].way, s)) for s in scores]
        for name, scores in readings.scores.items()
    }
    right = rights(readings.scores, truths)

    def judged(way: str, tolerance: float) -> tuple[list[float], list[float]]:
        scores = readings.scores[way]
        return sure[way], [right_pairs(t, s, tolerance) for t, s in zip(truths, scores, strict=True)]

    def refit(groups: np.ndarray) -> tuple[list[float], list[float]]:
        return judged(*pick(readings.scores, truths, right, groups, NOISE))

    pairs = [agreeing(t, t)[1] for t in truths]
    confidences, right_N = judged(choice.way, choice.tolerance)
    return fit_threshold(confidences, right_N, pairs, wanted, openings=openings, seed=seed, refit=refit)


def cascade_dict(fitted: Fitted, small: Mapping[str, Any], strong: str, source: Source) -> dict[str, Any]:
    """A cascade's file.

    Raises:
        RankerError: no threshold keeps the wanted agreement.
    """
    if fitted.threshold is None:
        least = least_groups(fitted.wanted)
        more = (
            f"{fitted.groups} groups can show an agreement of {most_claimed(fitted.groups):.3f} at most: give at least "
            f"{least}."
            if fitted.groups < least
            else "Give more groups, request less agreement, or use a better small judge."
        )
        raise RankerError(
            f"No cascade is written: the agreement of {fitted.wanted:g} needs {strong} to judge every group. {more}"
        )
    return {
        "schema_version": SCHEMA,
        "judge": "cascade",
        "small": dict(small),
        "strong": strong,
        "threshold": fitted.threshold,
        "wanted": fitted.wanted,
        "measured": {**fitted.to_dict(), "ranked_by": source.judge},
    }


class Console:
    """Tables on standard output; silent with `quiet`."""

    def __init__(self, quiet: bool):
        from rich.console import Console as Rich

        self._rich = Rich(quiet=quiet, highlight=False, emoji=False)

    def say(self, text: str) -> None:
        self._rich.print(text, markup=False, soft_wrap=True)

    def ways(self, choice: Choice, readings: Readings, source: Source) -> None:
        """The table of ways, the choice, and the reason for it."""
        from rich.markup import escape

        table = figures("way", "accuracy (95 %)", "seconds", "tokens", "folds", box=None)
        for name, value in choice.ways.items():
            seconds, tokens = readings.costs[name]
            row = (
                escape(name),
                f"{value}",
                "–" if seconds is None else f"{seconds:.2f}",
                "–" if tokens is None else f"{tokens:,.0f}",
                f"{choice.chosen.get(name, 0.0):.0%}",
            )
            table.add_row(*row, style="bold" if name == choice.way else "")
        self._rich.print(table)
        truth = "their ground truth" if source.truth == "ground_truth" else f"the ranking of {source.judge}"
        self.say(
            f"Accuracy: share of pairs ordered as in {truth}; {choice.groups} groups, {choice.pairs} pairs; 0.5 is chance. "
            "Seconds and tokens: per group. Folds: how often the other folds chose this way."
        )
        left_out = source.left_out + readings.left_out
        if left_out:
            why = (
                f" ({readings.left_out} exceed the context window: {readings.why})"
                if readings.left_out
                else ""
            )
            self.say(f"{left_out} groups are left out: failed, or all attempts tied{why}.")
        for name, why in readings.dropped.items():
            self.say(f"{name} failed: {why}")
        many = len(choice.ways) > 1
        why = " The best of several looks better than it is, hence:" if many else ""
        self.say(f"\nChosen: {choice.way}, tie tolerance {choice.tolerance:.4g}.{why}")
        self.say(f"Accuracy to expect, on groups not used for the choice: {choice.accuracy}.")
        if choice.over_baseline is not None and many:
            self.say(f"Compared with plain `first_token` on the same groups: {choice.over_baseline:+.3f}.")
        if not choice.beats_chance:
            self.say(NO_BETTER)

    def cascade(self, fitted: Fitted, strong: str, source: Source) -> None:
        """How many calls a cascade saves, and how well it agrees."""
        if source.judge not in (strong, strong.removeprefix("openai/")):
            self.say(
                f"\nThe file was ranked by {source.judge}, not by {strong}: what follows is about {source.judge}."
            )
        threshold = "–" if fitted.threshold is None else f"confidence {fitted.threshold:.3f}"
        rows = [
            ("agreement wanted", f"{fitted.wanted:g} (lower bound, 90 % one-sided)"),
            ("threshold", threshold),
            ("strong calls saved", f"{fitted.saved}"),
            ("agreement, all groups", f"{fitted.agreement}"),
            ("agreement, decided groups", f"{fitted.decided_agreement}"),
        ]
        self.say("\nCascade, measured on groups not used to fit it:")
        self._rich.print(facts(rows))
        if fitted.threshold is None:
            return
        value = fitted.agreement.value
        if value is not None and value < fitted.wanted:
            self.say(
                "On these it agreed less than requested: do not rely on the threshold. Give more groups."
            )
        if not fitted.decided_agreement.above(0.5):
            self.say(
                "Where the small judge decides, it is not significantly better than chance: the calls saved are only those "
                "that the requested agreement leaves to chance."
            )

    def next(self, choice: Choice, out: Path | None, strong: str | None) -> None:
        """What to do next."""
        if out is None:
            self.say("\nNothing was written; --out judge.json saves it as a judge.")
            return
        server = "" if strong is None else " [--base-url URL]"
        self.say(
            f"\nWritten to {out}. Next: ranker rank groups.jsonl --judge {out}{server} --out ranked.jsonl"
        )
        if not choice.beats_chance and strong is None:
            self.say("Before that, try a larger model (ranker models), or tune one (ranker tune-judge).")
