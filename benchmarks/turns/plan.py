"""Which runs the study makes: pure data."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from ranker.errors import ConfigurationError

VERSION = 1  # of what a run's numbers mean: another one makes every run anew
SEEDS = 5
OUTCOME = "outcome"
TRUTH = "truth"
QUALITIES = (1.0, 0.8, 0.65, 0.5)
LIGHT = 0.3  # a lower weight of what turns add


@dataclass(frozen=True, slots=True)
class Arm:
    """One way of training.

    Attributes:
        credit: of `GRPOConfig`.
        marks: probability that a mark of the judge is right; None where it marks nothing.
        noise: deviation of what the judge sees around the truth; 0 is the truth itself.
        weight: `turn_weight`.
        outcome: whether the judge's ranking counts beside its marks.
    """

    name: str
    credit: Literal["trajectory", "process", "branch"] = "trajectory"
    marks: float | None = None
    noise: float = 0.25
    weight: float = 1.0
    outcome: bool = True


@dataclass(frozen=True, slots=True)
class Setting:
    """What is the same for all arms.

    Attributes:
        steps: of a run.
        window: steps over which a curve is smoothed.
        settings: of `GRPOConfig`, beyond those of the config quick.
    """

    name: str
    steps: int
    window: int
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Unit:
    """One run."""

    setting: Setting
    arm: Arm
    seed: int

    @property
    def id(self) -> str:
        """Holds a digest of all that determines its numbers, so a result is found again exactly when it is the same run."""
        text = json.dumps({"version": VERSION, **asdict(self)}, sort_keys=True)
        return f"{self.setting.name}/{self.arm.name}/{self.seed}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


SMALL = Setting("small", 100, 10, {"num_generations": 4, "groups_per_step": 2})
QUICK = Setting("quick", 40, 5)
SETTINGS = {s.name: s for s in (SMALL, QUICK)}
ARMS: dict[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(TRUTH, noise=0.0),
        Arm(OUTCOME),
        *(Arm(f"marks-{q:g}", "process", q) for q in QUALITIES),
        *(Arm(f"marks-{q:g}-light", "process", q, weight=LIGHT) for q in QUALITIES[1:]),
        Arm("branch", "branch"),
        Arm("marks-alone-0.8", "process", 0.8, outcome=False),
        Arm("truth-marks-0.8", "process", 0.8, noise=0.0),
    )
}
BESIDE = {"truth-marks-0.8": TRUTH}  # what an arm is compared with, where that is not `OUTCOME`
IN_QUICK = (TRUTH, OUTCOME, "marks-0.8")
TWICE = (
    TRUTH,
    OUTCOME,
    "marks-0.8",
    "marks-0.8-light",
    "marks-0.5-light",
    "branch",
)  # trained on twice the seeds


def chosen(only: Sequence[str] = (), settings: Sequence[str] = ()) -> list[tuple[Setting, Arm]]:
    """The arms of these names, in these settings as far as they are trained in them; without any, all.

    Raises:
        ConfigurationError: a name that is none.
    """
    for name in only:
        if name not in ARMS:
            raise ConfigurationError(f"--only {name}: there is no such arm; they are {', '.join(ARMS)}.")
    wanted = {TRUTH, OUTCOME, *only} if only else set(ARMS)
    return [
        (setting, arm)
        for setting in SETTINGS.values()
        for arm in ARMS.values()
        if arm.name in wanted
        and (setting is SMALL or arm.name in IN_QUICK)
        and setting.name in (settings or SETTINGS)
    ]


def units(arms: Sequence[tuple[Setting, Arm]], seeds: int, steps: int | None = None) -> list[Unit]:
    """Every run, setting by setting and the seeds in turn, so that an interrupted study has whole seeds.

    Args:
        seeds: of each arm; those of `TWICE` have as many again in the setting `SMALL`.
        steps: of every run; None for the setting's.
    """
    return [
        Unit(setting if steps is None else replace(setting, steps=steps), arm, seed)
        for of in SETTINGS.values()
        for seed in range(2 * seeds)
        for setting, arm in arms
        if setting is of and (seed < seeds or (of is SMALL and arm.name in TWICE))
    ]
