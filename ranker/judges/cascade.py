"""A small judge that passes on what it is unsure of to a strong one.

The idea is FrugalGPT's (arXiv 2305.05176): answer cheaply where the cheap judge is sure, and pay where it is not.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from ranker.errors import ConfigurationError, RankerError
from ranker.judges.base import Judge, Lineup, SizedJudge
from ranker.judges.verdict import Verdict
from ranker.runtime.budget import Budget
from ranker.validation import check

CLIP = 1e-6  # probabilities are kept this far from 0 and 1
_SMALL_ONLY = {"device", "dtype"}
_BOTH = {"cache", "form"}


def confidence(scores: Sequence[float]) -> float:
    """How sure a judge is of the order of its scores, from 0.5 (all alike) to 1.

    The mean over pairs of max(p, 1 - p), with p = sigmoid(logit(s_i) - logit(s_j)): the Bradley-Terry probability that
    i is better than j, the strengths being the judge's log-odds. It does not depend on the order of the scores.

    Args:
        scores: at least two, in [0, 1].
    """
    clipped = [min(1 - CLIP, max(CLIP, s)) for s in scores]
    odds = sorted(math.log(p / (1 - p)) for p in clipped)  # sorted: the same sum for every order
    sure = [1 / (1 + math.exp(a - b)) for j, b in enumerate(odds) for a in odds[:j]]
    return math.fsum(sure) / len(sure)


class CascadeJudge:
    """Asks the small judge, and where it is unsure the strong one.

    Where the strong judge fails its error is raised: the small judge's verdict never stands in for it. Both judges'
    usage is added up; the call of each is reserved in the budget by itself.

    Args:
        small: a judge whose verdicts carry scores in [0, 1].
        strong: asked where the small one's `confidence` is below `threshold`.
        threshold: from 0 (the small judge decides all) to above 1 (the strong one does).
        name: stands in results.

    Attributes:
        decided, deferred: verdicts that the small judge gave, and that it passed on.
    """

    def __init__(self, small: Judge, strong: Judge, threshold: float, name: str | None = None):
        if not math.isfinite(threshold):
            raise ConfigurationError(f"The threshold of a cascade must be a number, not {threshold!r}.")
        self.small, self.strong, self.threshold = small, strong, threshold
        self.name: str = name or f"cascade({small.name}, {strong.name})"
        self.decided = 0
        self.deferred = 0

    @property
    def max_group(self) -> int:
        """The fewer of what the two take in one call."""
        return min((judge.max_group for judge in self._sized()), default=1_000)

    async def capacity(self, lineup: Lineup) -> int:
        """How many of these attempts both can take."""
        most = [await judge.capacity(lineup) for judge in self._sized()]
        return min(most, default=len(lineup.trajectories))

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        """The verdict of one of the two, with what both spent.

        Raises:
            ConfigurationError: the small judge gives no scores.
            RankerError: what either raises, with what both spent.
        """
        first = await self.small.verdict(lineup, budget)
        if first.scores is None or not all(0 <= s <= 1 for s in first.scores):
            raise ConfigurationError(
                f"The small judge {self.small.name} of a cascade must give scores in [0, 1]: take a local model that is "
                "asked for probabilities, e.g. local:smollm2@pointwise, or a judge file that `ranker calibrate` wrote."
            ).spent(first.usage)
        if confidence(first.scores) >= self.threshold:
            self.decided += 1
            return first
        self.deferred += 1
        try:
            second = await self.strong.verdict(lineup, budget)
        except RankerError as error:
            error.spent(first.usage + error.usage)
            raise
        return replace(second, usage=first.usage + second.usage)

    def _sized(self) -> list[SizedJudge]:
        return [judge for judge in (self.small, self.strong) if isinstance(judge, SizedJudge)]


@dataclass(frozen=True, slots=True)
class CascadeFile:
    """What a cascade's file says.

    Attributes:
        small, strong, threshold: of `CascadeJudge`; `small` is a judge, or the settings of a local one.
        wanted, measured: what `ranker calibrate` was asked for, and what it measured.
    """

    small: Annotated[str, Field(min_length=1)] | Annotated[Mapping[str, Any], Field(min_length=1)]
    strong: Annotated[str, Field(min_length=1)]
    threshold: Annotated[float, Field(ge=0, le=2)]
    schema_version: int = 1
    judge: str = "cascade"
    wanted: Any = None
    measured: Any = None


def cascade_from(
    content: Mapping[str, Any], name: str, resolve: Callable[..., Judge], home: Path, **options: Any
) -> CascadeJudge:
    """The cascade that a judge file describes.

    `cache` and `form` go to both judges, `device` and `dtype` to the small one, all else to the strong one.

    Args:
        name: of the judge.
        resolve: makes a judge from its name and options; see `ranker.judges.registry`.
        home: the folder of the file, in which the paths of judge files and adapters begin.

    Raises:
        ConfigurationError: a setting that cannot be, or an option that a judge does not take.
    """
    from ranker.judges.local import open_logprob_judge
    from ranker.judges.local.judge_file import setup_from

    cascade = CascadeFile(**check(CascadeFile, content, "The cascade's file"))
    options = {k: v for k, v in options.items() if v is not None}
    below = {k: v for k, v in options.items() if k in _BOTH | _SMALL_ONLY}
    above = {k: v for k, v in options.items() if k not in _SMALL_ONLY}
    small = cascade.small
    if isinstance(small, str):
        path = home / Path(os.path.expanduser(small))
        first = resolve(str(path) if small.endswith(".json") else small, **below)
    else:
        setup = setup_from(small, home)
        first = open_logprob_judge(setup, name=f"local:{setup.base}@{setup.way}", **below)
    strong = cascade.strong
    if strong.endswith(".json") and (home / Path(os.path.expanduser(strong))).is_file():
        strong = str(home / Path(os.path.expanduser(strong)))
    return CascadeJudge(first, resolve(strong, **above), cascade.threshold, name)
