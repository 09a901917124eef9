"""What a tuning is told, and what it tells."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ranker.bench.intervals import Estimate
from ranker.judges.local.ways import Way
from ranker.tuning.lora import Lora

Phase = Literal["before", "training", "checking", "after"]


@dataclass(frozen=True, slots=True)
class Tuning:
    """How a judge is tuned.

    Attributes:
        base: what `local:` takes.
        way: how groups are asked about, in training and after.
        loss: "pairwise", "listwise" or "both".
        epochs: how often each training group is seen, unless the training ends before.
        batch: groups of one step.
        rate: peak learning rate; it rises over the first ten steps and falls as a cosine.
        minutes: of training, checks included; the rate then falls with the clock, so that two runs differ. None: no
            limit.
        held, test: shares of the groups that choose the best state, and that only measure; about 64 and 150 groups at
            most.
        checks: how often in an epoch the held groups are looked at.
        patience: checks without a lower loss that end the training.
        keep: "best", the state with the lowest loss on the held groups, or "last", for a long training with too few
            of them to tell its states apart.
        seed: draws the split, the order of the groups and of attempts in them, and the adapter.
        lora: see `Lora`.
        most_tokens: of one sequence; see `Learner`.
        template: of the questions; None for `ask.v1`.
    """

    base: str | None = None
    way: Way = "alone"
    loss: str = "pairwise"
    epochs: int = 2
    batch: int = 8
    rate: float = 1e-3
    minutes: float | None = 12.0
    held: float = 0.08
    test: float = 0.15
    checks: int = 4
    patience: int = 4
    keep: Literal["best", "last"] = "best"
    seed: int = 0
    lora: Lora = field(default_factory=Lora)
    most_tokens: int | None = None
    template: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a tuning is; told to `report` after every step, and after every group that is measured.

    Attributes:
        step, steps: of training.
        loss, accuracy: of the last step, and over the last 25, on groups before they are learned from; NaN before the
            first.
        held_loss: at the last check.
        seconds: of training so far, earlier runs included.
        phase: what is being done.
        done, of: groups of a measurement; both 0 in training.
    """

    step: int
    steps: int
    loss: float
    accuracy: float
    held_loss: float | None
    seconds: float
    phase: Phase = "training"
    done: int = 0
    of: int = 0


@dataclass(frozen=True, slots=True)
class Tuned:
    """What came of it.

    Attributes:
        before, after: pairwise accuracy on the test groups, of the base asked in the same way and of the tuned one.
        gain: their difference on the same groups.
        learned: whether the gain's interval lies above 0 and that of `after` above one half.
        groups: how many were trained on, held, tested, and left out because they do not fit the window.
        stopped: "done" (all epochs), "early" (no lower loss on held groups), or "time".
        judge: the judge file.
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
    """What a resumed run needs, beside the learner's own."""

    step: int = 0
    checked: int = -1  # the step of the last check
    best: float = math.inf
    bad: int = 0  # checks since
    held_loss: float | None = None
    stopped: str = ""
    seconds: float = 0.0
    accuracies: tuple[float, ...] = ()
