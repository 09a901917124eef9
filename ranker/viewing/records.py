"""What a line of a file says of a group, in whichever form: a group file's, a run's samples, a benchmark's observations,
an audit's.

Nothing is checked here beyond what the index needs; `card` builds the group itself and names its faults.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ranker.aggregate.agreement import agreeing
from ranker.aggregate.rewards import rank_rewards
from ranker.bench.observation import PLAIN

Form = Literal["group", "sample", "observation", "audit"]
State = Literal["unranked", "ranked", "tied", "failed", "bad"]
STATES: tuple[State, ...] = ("unranked", "ranked", "tied", "failed", "bad")
_SAME = 1e-9  # rewards that are no further apart are equal


@dataclass(frozen=True, slots=True)
class Judged:
    """A group with what a judge said of it, as a line has it.

    Attributes:
        id: of the group; several lines have the same where several judges ranked it.
        members: what stands for each attempt; empty where the line has no texts.
        names: ids of the attempts.
        values: the rewards, one for each attempt; None without a verdict.
        truths: one for each attempt, None where unknown.
        agreement: with the truth, where the line itself says so.
        error: why there is no verdict; None where nobody asked for one.
        fields: the line's object.
    """

    form: Form
    id: str
    judge: str | None
    step: int | None
    members: Sequence[Any]
    names: Sequence[str]
    values: Sequence[float | None] | None
    truths: Sequence[float | None]
    agreement: float | None
    error: str | None
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def spread(self) -> float | None:
        """The largest reward less the smallest."""
        known = [v for v in self.values or () if v is not None]
        return max(known) - min(known) if known else None

    @property
    def right(self) -> tuple[float, int]:
        """How many pairs of different truth the rewards order as the truth does, and how many there are."""
        return agreeing(self.truths, self.values or ()) if self.values else (0.0, 0)

    @property
    def state(self) -> State:
        if self.error is not None:
            return "failed"
        spread = self.spread
        if spread is None:
            return "unranked"
        return "tied" if spread <= _SAME else "ranked"


def parsed(raw: bytes) -> Mapping[str, Any]:
    """The object of a line.

    Raises:
        ValueError: it is none; the message follows the line's number.
    """
    try:
        value = json.loads(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8: {error.reason}.") from None
    except (ValueError, RecursionError) as error:
        raise ValueError(f"is not JSON: {error}.") from None
    if not isinstance(value, dict):
        raise ValueError(f"is a {type(value).__name__}, not an object.")
    return value


def judged(fields: Mapping[str, Any], line: int) -> Judged | None:
    """The group of a line; None for an observation of a benchmark in another condition than the plain one.

    Raises:
        ValueError: the line is about no group; the message follows its number.
    """
    try:
        if "rollouts" in fields:
            return _sample(fields)
        if "asking" in fields and "truths" in fields:
            return _observation(fields) if fields["asking"] == PLAIN else None
        if ("agreement" in fields and "auditor" in fields) or "waiting" in fields:
            return _audit(fields)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ValueError(f"cannot be read: {error!r}.") from None
    if isinstance(fields.get("trajectories"), list):
        return _group(fields, line)
    if fields.get("error") is not None and fields.get("id") is not None:  # what `rank` writes of a bad line
        return _group({**fields, "trajectories": []}, line)
    raise ValueError('has no list "trajectories".')


def _group(fields: Mapping[str, Any], line: int) -> Judged:
    members = fields["trajectories"]
    ids = [m.get("id") if isinstance(m, Mapping) else None for m in members]
    names = [str(i) if name is None else str(name) for i, name in enumerate(ids)]
    truths = [number(m.get("ground_truth")) if isinstance(m, Mapping) else None for m in members]
    error = fields.get("error")
    return Judged(
        "group",
        _name(fields, line),
        _text(fields.get("judge")),
        _step(fields),
        members,
        names,
        None if error is not None else _rewards(fields, members, names),
        truths,
        None,
        None if error is None else _error(error),
        fields,
    )


def _rewards(
    fields: Mapping[str, Any], members: Sequence[Any], names: Sequence[str]
) -> list[float | None] | None:
    """Rewards by id; beside the attempts; or those of a ranking alone, as people give it."""
    by_id, ranking = fields.get("rewards"), fields.get("ranking")
    if isinstance(by_id, Mapping):
        return [number(by_id.get(name)) for name in names]
    beside = [number(m.get("reward")) if isinstance(m, Mapping) else None for m in members]
    if any(value is not None for value in beside):
        return beside
    if not isinstance(ranking, list):
        return None
    try:
        tiers = tuple(tuple(names.index(str(name)) for name in tier) for tier in ranking)
        if sorted(i for tier in tiers for i in tier) == list(range(len(names))):
            return list(rank_rewards(tiers, len(names)))
    except (ValueError, TypeError):
        pass
    return None


def _sample(fields: Mapping[str, Any]) -> Judged:
    """A line of a run's samples.jsonl."""
    rollouts = fields["rollouts"]
    values = [number(r.get("reward")) for r in rollouts]
    known, error = any(v is not None for v in values), fields.get("error")
    judges = fields.get("judges") or {}
    return Judged(
        "sample",
        f"{fields['step']}/{fields.get('group')}",
        _text(next(iter(judges.values()), None)),
        int(fields["step"]),
        rollouts,
        [str(i) for i in range(len(rollouts))],
        values if known and error is None else None,
        [number(r.get("ground_truth")) for r in rollouts],
        None,
        None if error is None else _error(error),
        fields,
    )


def _observation(fields: Mapping[str, Any]) -> Judged:
    """A line of a benchmark's observations.jsonl: what a judge said, without the attempts."""
    truths = [number(t) for t in fields["truths"]]
    values, error = fields.get("rewards"), fields.get("error")
    return Judged(
        "observation",
        f"{fields['suite']}/{fields['group']}",
        str(fields["judge"]),
        None,
        (),
        [str(i) for i in range(len(truths))],
        None if error is not None or values is None else [number(v) for v in values],
        truths,
        None,
        None if error is None else _error(error),
        fields,
    )


def _audit(fields: Mapping[str, Any]) -> Judged:
    """A line of audits.jsonl: the judge's rewards, and the auditor's values in the place of a truth."""
    judge = [number(v) for v in fields.get("judge") or ()]
    auditor = [number(v) for v in fields.get("auditor") or ()]
    size = max(len(judge), len(auditor))
    error, group = fields.get("error"), fields.get("group")
    return Judged(
        "audit",
        str(fields.get("id", "")) if group is None else str(group),
        None,
        _step(fields),
        (),
        [str(i) for i in range(size)],
        judge if judge and error is None else None,
        auditor or [None] * size,
        number(fields.get("agreement")),
        None if error is None else _error(error),
        fields,
    )


def _name(fields: Mapping[str, Any], line: int) -> str:
    value = fields.get("id")
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) and value else f"line:{line}"


def number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _step(fields: Mapping[str, Any]) -> int | None:
    value = fields.get("step")
    return value if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 1 << 62 else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _error(value: Any) -> str:
    if isinstance(value, Mapping):
        return ": ".join(str(value[key]) for key in ("type", "message") if value.get(key)) or "failed"
    return str(value)
