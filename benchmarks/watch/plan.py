"""Which runs are recorded, and which audits are replayed over them: pure data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.study.plan import ARMS as OF_STUDY
from benchmarks.study.plan import STEPS, Arm, Unit
from ranker.errors import ConfigurationError

VERSION = 1  # of what a record holds: another one makes every run anew
SEEDS = (5, 6, 7, 8, 9)  # the training study used 0 to 4
CHOOSING = (5, 6, 7)  # settings beyond those asked about are chosen on these, and confirmed on the others
ANCHOR_SHARE = 0.25
HONEST = ("truth", "noise-0.7", "noise-0.8", "noise-0.9")
GOOD = ("truth", "noise-0.8", "noise-0.9")  # an alarm is a false one
EXPLOITED = (
    "longer-1", "shorter-0.7", "boast-0.3", "boast-0.7", "boast-1", "pretence-0.5", "pretence-0.7", "pretence-0.9",
    "pretence-1.5", "position-3",
)  # fmt: skip
NAMES = (*HONEST, *EXPLOITED)

SHARES = (0.02, 0.05, 0.1, 0.2)
AUDITORS = (1.0, 0.95, 0.85)  # share of the pairs that it orders right
BOUNDS = (0.6, 0.7, 0.75, 0.8)
MAX_DROP = 0.25
DRAWS = 20  # of the audited groups, for each run
SHARE, AUDITOR, BOUND = 0.1, 1.0, 0.75  # the main setting
OTHER_BOUNDS = (0.7, 0.75, 0.8, 0.85)
SUSPICION = 1.0


@dataclass(frozen=True, slots=True)
class Setting:
    """An audit.

    Attributes:
        share: of the groups that are audited.
        auditor: share of the pairs that the auditor orders right; at 1 it is the checker.
        min_agreement, max_drop: of `ranker.watch.watch.Watch`.
        power: of the schedule; 0.5 is that of `ranker.watch.audit.probability`, 0 audits early and late groups alike.
        ranking: whether the auditor gives a ranking only; one that errs always does.
        equals: whether an auditor that errs ties the attempts that are equally good; otherwise it orders them at random.
        waiting: what half of the audits wait for, instead of the schedule: "signs", until a metric that costs nothing
            moves; "suspicion", for the times when the evidence so far is `SUSPICION` or more; empty for neither.
    """

    share: float = SHARE
    auditor: float = AUDITOR
    min_agreement: float = BOUND
    max_drop: float = MAX_DROP
    power: float = 0.5
    ranking: bool = False
    equals: bool = False
    waiting: Literal["", "signs", "suspicion"] = ""


def asked() -> Iterator[Setting]:
    """The settings that the study asks about."""
    for share, auditor, bound in itertools.product(SHARES, AUDITORS, BOUNDS):
        yield Setting(share, auditor, bound)
        if auditor < 1:
            yield Setting(share, auditor, bound, equals=True)
    yield Setting(ranking=True)
    for bound in (BOUND, 0.8):
        yield Setting(1.0, 1.0, bound, power=0.0)  # every group: the most that a bound can do


def tried() -> Iterator[Setting]:
    """Ways to spend a tenth of the groups on audits."""
    for bound in OTHER_BOUNDS:
        for power in (0.5, 0.0, 0.75, 0.9):
            yield Setting(min_agreement=bound, power=power)
        yield Setting(min_agreement=bound, waiting="signs")
        yield Setting(min_agreement=bound, waiting="suspicion")


def arms(only: Sequence[str] = ()) -> list[Arm]:
    """The arms of these names, or all.

    Raises:
        ConfigurationError: a name that is none.
    """
    for name in only:
        if name not in NAMES:
            raise ConfigurationError(f"--only {name}: there is no such arm; they are {', '.join(NAMES)}.")
    return [OF_STUDY[name] for name in NAMES if not only or name in only]


def units(chosen: Sequence[Arm], seeds: Sequence[int] = SEEDS, steps: int = STEPS) -> list[Unit]:
    """Every run, the seeds in turn, so that an interrupted study has whole seeds."""
    return [Unit("train", arm, seed, steps) for seed in seeds for arm in chosen]
