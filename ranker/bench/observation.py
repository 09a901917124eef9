"""What came of showing one group to one judge in one way."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ranker.usage import Usage

PLAIN, REVERSED, AGAIN, ATTACKED = "plain", "reversed", "again", "attacked"
ASKINGS = (PLAIN, REVERSED, AGAIN, ATTACKED)
"""In a drawn order; in the reverse of it; in the same order once more, under fresh ids; in the same order with an
attack planted in the worst trajectory."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One asking, in the order of the group's trajectories (n of them).

    Attributes:
        id: digest of everything that shapes the verdict; a resumed run skips it.
        judge, suite, group: names, as given.
        index: the group's place in its suite.
        asking: one of `ASKINGS`.
        settings: digest of seed, passes, rubric and template.
        truths: ground truths.
        lengths: characters of each transcript.
        same: for each trajectory the index of the first that reads the same.
        places: mean place at which each was shown, 0 the first.
        rewards: by rank, in [0, 1]; None where no verdict came.
        reasons: of the judge, for the report.
        attack: its kind, where `asking` is ATTACKED.
        error: type and message, where no verdict came.
        seconds: from the first call until the verdict.
    """

    id: str
    judge: str
    suite: str
    group: str
    index: int
    asking: str
    settings: str
    truths: tuple[float, ...]
    lengths: tuple[int, ...]
    same: tuple[int, ...]
    places: tuple[float, ...]
    rewards: tuple[float, ...] | None
    usage: Usage
    seconds: float
    reasons: tuple[str, ...] = ()
    attack: str | None = None
    error: Mapping[str, Any] | None = None

    def to_record(self) -> dict[str, Any]:
        """A line of the observations file; it has `rewards` or `error`, as ranked files do."""
        made = {name: getattr(self, name) for name in self.__slots__ if getattr(self, name) not in (None, ())}
        return {**made, "usage": self.usage.to_dict()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Observation:
        """Raises KeyError or TypeError where the record is none."""
        made: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        return cls(**{"rewards": None, **made, "usage": Usage(**record["usage"])})


def digest(**shapes: Any) -> str:
    """A short name for everything in `shapes`."""
    text = json.dumps(shapes, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Answers:
    """Everything one judge said about one group: observations by asking."""

    by_asking: Mapping[str, Observation] = field(default_factory=dict)

    @property
    def any(self) -> Observation:
        return next(iter(self.by_asking.values()))

    def rewards(self, asking: str) -> tuple[float, ...] | None:
        found = self.by_asking.get(asking)
        return None if found is None else found.rewards
