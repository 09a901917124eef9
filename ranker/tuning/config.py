"""The settings, progress and result of tuning a judge."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from ranker.judges.local.ways import Way
from ranker.statistics import Estimate
from ranker.tuning.lora import Lora
from ranker.validation import check

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Number = Annotated[int | float, Field(gt=0, lt=1e6)]
Phase = Literal["before", "training", "checking", "after"]
# Names in judge files and run folders, which outlive those in this code.
_RECORDED = {"learning_rate": "rate", "validation_share": "held", "test_share": "test"}


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a judge is tuned; invalid values raise ConfigurationError.

    Attributes:
        base: the model, as `local:` takes it.
        way: how the judge is asked, in training and afterwards.
        loss: "pairwise", "listwise" or "both".
        epochs: passes over the training groups, unless training ends early.
        batch: groups per step.
        learning_rate: its peak, after ten steps of linear warm-up; cosine decay follows.
        minutes: limit on training time, validation included; the learning rate then decays with the clock, so that no
            two runs are equal. None: no limit.
        validation_share, test_share: shares of the groups that select the best checkpoint, and that only measure; at
            most about 64 and 150 groups.
        checks: validations per epoch.
        patience: validations without a lower loss after which training ends.
        keep: "best", the checkpoint with the lowest validation loss, or "last", for long training with too few
            validation groups to tell checkpoints apart.
        seed: for the split, the order of groups and of attempts within them, and the adapter's initialisation.
        lora: see `Lora`.
        most_tokens: per sequence; see `Learner`.
        template: of the questions; None for `ask.v1`.
    """

    base: str | None = None
    way: Way = "pointwise"
    loss: Literal["pairwise", "listwise", "both"] = "pairwise"
    epochs: Count = 2
    batch: Count = 8
    learning_rate: Number = 1e-3
    minutes: Number | None = 12.0
    validation_share: Share = 0.08
    test_share: Share = 0.15
    checks: Count = 4
    patience: Count = 4
    keep: Literal["best", "last"] = "best"
    seed: int = 0
    lora: Lora = field(default_factory=Lora)
    most_tokens: Annotated[int, Field(ge=256)] | None = None
    template: str | None = None

    def __post_init__(self) -> None:
        check(Tuning, {field.name: getattr(self, field.name) for field in fields(self)}, "Tuning")

    def to_dict(self) -> dict[str, Any]:
        """The settings as judge files record them."""
        return {_RECORDED.get(name, name): value for name, value in asdict(self).items()}


@dataclass(frozen=True, slots=True)
class TuningProgress:
    """Progress, reported after every step and after every group that is measured.

    Attributes:
        step, steps: of training.
        loss: of the last step; NaN outside training.
        accuracy: mean over the last 25 steps, measured before each update; NaN before the first.
        validation_loss: at the last validation.
        seconds: of training so far, earlier runs included.
        done, of: groups of a measurement; both 0 in training.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    validation_loss: float | None
    seconds: float
    phase: Phase = "training"
    done: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class TuningResult:
    """What tuning achieved.

    Attributes:
        before, after: pairwise accuracy on the test groups, of the base model and of the tuned judge.
        gain: their paired difference.
        learned: whether the interval of the gain lies above 0 and that of `after` above 0.5.
        groups: numbers of groups by "train", "validation", "test", and "left_out" (longer than the context window).
        stopped: "done" (all epochs), "early" (validation loss no longer fell), or "time".
        judge: path of the judge file.
    """

    before: Estimate
    after: Estimate
    gain: Estimate
    learned: bool
    groups: Mapping[str, int]
    steps: int
    seconds: float
    stopped: str
    judge: Path


@dataclass(frozen=True, slots=True)
class State:
    """What a resumed run needs besides the learner's own state."""

    step: int = 0
    checked: int = -1  # the step of the last validation
    best: float = math.inf
    bad: int = 0  # validations since the best
    validation_loss: float | None = None
    stopped: str = ""
    seconds: float = 0.0
    accuracies: tuple[float, ...] = ()
