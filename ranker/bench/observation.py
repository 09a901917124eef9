"""The outcome of one trial: one group, one judge, one condition."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ranker.usage import Usage

PLAIN, REVERSED, AGAIN, ATTACKED, CONTROL = "plain", "reversed", "again", "attacked", "control"
CONDITIONS = (PLAIN, REVERSED, AGAIN, ATTACKED, CONTROL)
"""In a random order; in the reverse of it; in the same order again, under fresh ids; in the same order with an attack
inserted into the worst trajectory; and with innocent words, as long, in its place."""


@dataclass(frozen=True, slots=True)
class Observation:
    """One trial; sequences are in the order of the group's trajectories.

    Attributes:
        id: digest of everything that affects the verdict; a resumed run skips known ids.
        judge, suite, group: names, as given.
        index: of the group in its suite.
        condition: one of `CONDITIONS`; "asking" in the file.
        settings: digest of seed, passes, rubric and template.
        truths: ground truths.
        lengths: characters of each transcript.
        same: for each trajectory the index of the first that reads the same.
        places: mean position at which each was shown, 0 the first.
        rewards: by rank, in [0, 1]; None if there is no verdict.
        reasons: the judge's, for the report.
        attack: its kind, under the condition ATTACKED.
        error: type and message, if there is no verdict.
        seconds: from the first call to the verdict.
    """

    id: str
    judge: str
    suite: str
    group: str
    index: int
    condition: str
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
        fields = {"asking" if name == "condition" else name: getattr(self, name) for name in self.__slots__}
        return {k: v for k, v in fields.items() if v not in (None, ())} | {"usage": self.usage.to_dict()}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Observation:
        """Raises KeyError, TypeError or ValueError if the record is not an observation."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in record.items()}
        fields |= {"condition": fields.pop("asking"), "usage": Usage(**record["usage"])}
        seen = cls(**{"rewards": None, **fields})
        if seen.error is not None:
            return replace(seen, rewards=None)
        if seen.rewards is None or len(seen.rewards) != len(seen.truths):
            raise ValueError("its rewards are not one for each trajectory")
        return seen


def digest(**shapes: Any) -> str:
    """A short name for everything in `shapes`."""
    text = json.dumps(shapes, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@dataclass(frozen=True, slots=True)
class Answers:
    """One judge's observations of one group, by condition."""

    by_condition: Mapping[str, Observation] = field(default_factory=dict)

    @property
    def any(self) -> Observation:
        return next(iter(self.by_condition.values()))

    def rewards(self, condition: str) -> tuple[float, ...] | None:
        seen = self.by_condition.get(condition)
        return None if seen is None else seen.rewards
