"""What an audit of a group leaves: its record, the rewards in the auditor's place, and the file that a restarted run goes on from."""

from __future__ import annotations

import hashlib
import json
import weakref
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias, cast

from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender, read_records
from ranker.judges.verdict import tiers_of
from ranker.ranked import RankedGroup
from ranker.trajectory import TrajectoryGroup
from ranker.usage import Usage
from ranker.watch.agreement import compared, spread
from ranker.watch.audit import Answer

Record: TypeAlias = dict[str, Any]
_HOLDS = ("agreement",)
_NUMBERS = ("step", "weight", "spread")


def digest_of(group: TrajectoryGroup) -> str:
    """A name for what a judge may be shown of the group: the same in every process and run."""
    shown = [[t.messages, t.histories, t.tools] for t in group.trajectories]
    text = json.dumps([shown, group.task, group.rubric, group.reference], sort_keys=True, default=str)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def lot(seed: int, digest: str) -> float:
    """The lot of a group, evenly distributed in [0, 1): ``lot(seed, digest) < share`` picks a share of the groups, and a
    smaller share picks some of the same ones."""
    drawn = hashlib.sha256(f"{seed}/{digest}".encode()).digest()
    return (int.from_bytes(drawn[:8], "big") >> 11) / (1 << 53)


def record_of(
    judge: list[float | None] | None,
    answer: Answer,
    scale: float,
    *,
    digest: str,
    group: str | None,
    step: int,
    auditor: str,
) -> Record:
    """A line of the file.

    Args:
        judge: the rewards that the audit is of; None where there are none.
        scale: the largest difference between two of the auditor's values so far.
        group: its id.
        auditor: its name.
    """
    record: Record = {
        "id": digest,
        "agreement": None,
        "weight": 0.0,
        "group": group,
        "step": step,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "by": auditor,
        "spread": spread(answer.values),
        "judge": judge,
        "auditor": answer.values,
        "consistency": answer.consistency,
        "usage": answer.usage.to_dict(),
    }
    if answer.error is not None:
        return {**record, "error": answer.error}
    if judge is not None:
        scale = max(scale, record["spread"]) or 1.0
        record["agreement"], record["weight"] = compared(judge, answer.values, scale)
    return record


def in_the_form_of(result: Any, answer: Answer, auditor: str) -> Any:
    """The auditor's values in the form of what the reward function returned."""
    values = answer.values
    if isinstance(result, RankedGroup):
        return replace(
            result,
            rewards=cast("list[float]", list(values)),
            ranking=[list(tier) for tier in tiers_of(cast("list[float]", values))],
            reasons=answer.reasons or [""] * len(values),
            consistency=answer.consistency,
            judge=auditor,
            prompt_id=None,
            cut=(),
            warnings=(),
            error=None,
            reward_deviation=None,
            comparisons=None,
            turn_rewards=None,
        )
    numbers = [float("nan") if v is None else v for v in values]
    if hasattr(result, "new_tensor"):
        return result.new_tensor(numbers)
    if hasattr(result, "tolist"):
        import numpy as np

        return np.asarray(numbers)
    return tuple(values) if isinstance(result, tuple) else list(values)


class AuditFile:
    """The records of a run as JSONL; only one process writes it.

    Attributes:
        records: those that it held when it was opened.

    Raises:
        ConfigurationError: it cannot be written, holds something else, or was written with another auditor.
    """

    def __init__(self, path: str | Path, auditor: str):
        self._lines = Appender(path, holds=_HOLDS, what="audit of a judge")
        try:
            self.records = list(_checked(read_records(path), Path(path), auditor))
        except BaseException:
            self._lines.close()
            raise
        self._finish = weakref.finalize(self, self._lines.close)

    def write(self, record: Record) -> None:
        """Append a record as one whole line.

        Raises:
            ConfigurationError: it could not be written; the file is unchanged.
        """
        self._lines.write(record)

    def close(self) -> None:
        self._finish()


def _checked(records: Iterable[Record], path: Path, auditor: str) -> Iterable[Record]:
    for number, record in enumerate(records, start=1):
        try:
            Usage(**record["usage"])
            agreement = record["agreement"]
            whole = agreement is None or 0 <= agreement <= 1
            whole &= all(isinstance(record[name], (int, float)) for name in _NUMBERS)
            whole &= isinstance(record["auditor"], list) and isinstance(record["time"], str)
            by = record["by"]
        except (KeyError, TypeError):
            whole, by = False, auditor
        if not whole:
            raise ConfigurationError(
                f"{path}, line {number}, is no audit of a judge; move the file away, or name another."
            )
        if by != auditor:
            raise ConfigurationError(
                f"{path} holds audits by {by}, and the auditor is {auditor}: agreement with one says nothing of agreement "
                "with another. Name another file."
            )
        yield record
