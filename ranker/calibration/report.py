"""What a calibration found: for a judge file, and on the screen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ranker.calibration.choosing import Choice, pick, right_pairs, rights
from ranker.calibration.reading import Readings
from ranker.calibration.threshold import Fitted, fit_threshold, least_groups, most_claimed
from ranker.errors import RankerError
from ranker.judges.cascade import confidence
from ranker.judges.local.setup import SCHEMA, Setup
from ranker.tuning.examples import Source, agreeing

NO_BETTER = "It is not shown to beat a coin: the interval of its accuracy includes 0.5. Do not train on its word alone."


def chosen(tried: Mapping[str, Setup], choice: Choice, found: Readings, source: Source, seed: int) -> Setup:
    """The setup that was chosen, with what was measured."""
    seconds, tokens = found.costs[choice.way]
    ways = {
        name: {
            "pairwise_accuracy": value.to_dict(),
            "seconds_per_group": found.costs[name][0],
            "tokens_per_group": found.costs[name][1],
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
        "over_letter": None if choice.over_baseline is None else choice.over_baseline.to_dict(),
        "seconds_per_group": seconds,
        "tokens_per_group": tokens,
        "truth": source.truth,
        "truth_judge": source.judge,
        "ways": ways,
        "dropped": dict(found.dropped),
        "left_out": source.left_out + found.left_out,
        "seed": seed,
    }
    if not choice.beats_chance:
        measured["note"] = NO_BETTER
    return replace(tried[choice.way], tolerance=choice.tolerance, measured=measured)


def fit(
    found: Readings,
    choice: Choice,
    tried: Mapping[str, Setup],
    *,
    wanted: float,
    seed: int,
) -> Fitted:
    """The threshold of a cascade whose small judge is the one chosen. Measured with way, tolerance and threshold chosen
    anew in each fold."""
    from ranker.judges.local.scores import probabilities

    truths = [e.truths_G for e in found.examples]
    openings = [e.opening for e in found.examples]
    sure = {
        name: [confidence(probabilities(tried[name].way, s)) for s in scores]
        for name, scores in found.scores.items()
    }
    right = rights(found.scores, truths)

    def judged(way: str, tolerance: float) -> tuple[list[float], list[float]]:
        scores = found.scores[way]
        return sure[way], [right_pairs(t, s, tolerance) for t, s in zip(truths, scores, strict=True)]

    def refit(groups: np.ndarray) -> tuple[list[float], list[float]]:
        return judged(*pick(found.scores, truths, right, groups))

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
            else "Give more groups, ask for less agreement, or take a better small judge."
        )
        raise RankerError(
            f"No cascade is written: only if {strong} judged every group would the agreement of {fitted.wanted:g} be "
            f"kept. {more}"
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

        self._rich = Rich(quiet=quiet, highlight=False)

    def say(self, text: str) -> None:
        self._rich.print(text, markup=False, soft_wrap=True)

    def ways(self, choice: Choice, found: Readings, source: Source) -> None:
        """The table of ways, what was chosen, and why."""
        from rich.markup import escape
        from rich.table import Table

        table = Table("way", "accuracy (95 %)", "seconds", "tokens", "folds", box=None, padding=(0, 2, 0, 0))
        for name, value in choice.ways.items():
            seconds, tokens = found.costs[name]
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
            f"Accuracy: share of pairs ordered as {truth} says, {choice.groups} groups, {choice.pairs} pairs; 0.5 is a "
            "coin. Seconds and tokens: for a group. Folds: the share of draws in which the other groups choose this way."
        )
        left_out = source.left_out + found.left_out
        if left_out:
            why = f" ({found.left_out} do not fit the model: {found.why})" if found.left_out else ""
            self.say(
                f"{left_out} groups are left out: failed, or nothing in them is better than anything{why}."
            )
        for name, why in found.dropped.items():
            self.say(f"{name} could not be asked: {why}")
        many = len(choice.ways) > 1
        why = " It orders most pairs right. The best of many looks better than it is, so:" if many else ""
        self.say(f"\nChosen: {choice.way}, tie tolerance {choice.tolerance:.4g}.{why}")
        self.say(f"Accuracy to expect, on groups that had no part in the choice: {choice.accuracy}.")
        if choice.over_baseline is not None and many:
            self.say(f"Beside plain `letter` on the same groups: {choice.over_baseline:+.3f}.")
        if not choice.beats_chance:
            self.say(NO_BETTER)

    def cascade(self, fitted: Fitted, strong: str, source: Source) -> None:
        """What a cascade saves, and how far it agrees."""
        from rich.table import Table

        if source.judge not in (strong, strong.removeprefix("openai/")):
            self.say(
                f"\nThe file was ranked by {source.judge}, not by {strong}: what follows is about {source.judge}."
            )
        none = fitted.threshold is None
        rows = [
            ("agreement wanted", f"{fitted.wanted:g} (lower bound, 90 % one-sided)"),
            ("threshold", "–" if fitted.threshold is None else f"confidence {fitted.threshold:.3f}"),
            ("strong calls saved", f"{fitted.saved}"),
            ("agreement, all groups", f"{fitted.agreement}"),
            ("agreement, decided groups", f"{fitted.decided_agreement}"),
        ]
        table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
        for name, value in rows:
            table.add_row(f"[dim]{name}[/dim]", value)
        self.say("\nCascade, measured on groups that had no part in fitting it:")
        self._rich.print(table)
        value = fitted.agreement.value
        if not none and value is not None and value < fitted.wanted:
            self.say(
                "There it agreed less than was wanted: the threshold is not to be relied on. Give more groups."
            )

        low = fitted.decided_agreement.low
        if not none and (low is None or low <= 0.5):
            self.say(
                "Where the small judge decides it is not shown to beat a coin: what is saved is what the wanted agreement "
                "leaves to chance."
            )

    def next(self, choice: Choice, out: Path | None, strong: str | None) -> None:
        """What to do now."""
        if out is None:
            self.say("\nNothing was written; --out judge.json keeps it as a judge.")
            return
        server = "" if strong is None else " [--base-url URL]"
        self.say(
            f"\nWritten to {out}. Next: ranker rank groups.jsonl --judge {out}{server} --out ranked.jsonl"
        )
        if not choice.beats_chance and strong is None:
            self.say("Before that: a larger model (ranker models), or a tuned one (ranker tune-judge).")
