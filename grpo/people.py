"""People as the auditor: groups wait in a file of the run folder, `ranker label` answers in another."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo.errors import RunFolderError
from grpo.runs.folder import append, whole_lines
from grpo.types import RolloutGroup
from ranker.jsonl.follow import follow_lines
from ranker.jsonl.group_file import dump_line
from ranker.trajectory import TrajectoryGroup

QUEUE, LABELS = "queue.jsonl", "labels.jsonl"
_ID = re.compile(
    r"(\d+)(-[0-9a-f]+)?"
)  # of a group in the queue: its number, and which attempts where there were others
Waiting = tuple[int, str]  # the number of a group, and the digest of its attempts


@dataclass(slots=True)
class People:
    """The queue of a run and what people said so far. Only the process that writes the run folder has one.

    A resumed run may sample other attempts under the number of a group that is in the queue already (a server samples). They
    wait beside the earlier ones, and an answer is to the very attempts that were shown.

    Attributes:
        folder: of the run.
    """

    folder: Path
    _queued: dict[int, set[str]] = field(default_factory=dict)  # digests by number
    _state: tuple[int, int] | None = None  # of the file of labels when it was last read
    _answers: dict[Waiting, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for _, record in whole_lines(self.folder / QUEUE):
            if (number := _number_of(record.get("id"))) is not None:
                self._queued.setdefault(number, set()).add(_digest(record.get("trajectories")))

    @property
    def command(self) -> str:
        """How people answer."""
        return f"ranker label {self.folder / QUEUE} --out {self.folder / LABELS} --follow"

    def put(self, group: RolloutGroup) -> None:
        """Let a group wait; one that waits already (the run was resumed) does so once."""
        shown, digest = group.for_judge(), digest_of(group)
        known = self._queued.setdefault(group.index, set())
        if digest in known:
            return
        record: dict[str, Any] = {
            "id": f"{group.index}-{digest}" if known else str(group.index),
            "trajectories": members_of(shown),
        }
        if shown.rubric is not None:
            record["rubric"] = shown.rubric
        append(self.folder / QUEUE, dump_line(record))
        known.add(digest)

    def answers(self) -> dict[Waiting, list[float]]:
        """All that people say: by the number of the group and the digest of its attempts, a value for each attempt, and for the
        anchor. They may take back what they said.

        Raises:
            RunFolderError: the file of labels holds something else.
        """
        file = self.folder / LABELS
        try:
            now = file.stat()
        except FileNotFoundError:
            return {}
        if self._state == (state := (now.st_size, now.st_mtime_ns)):
            return self._answers
        found: dict[Waiting, list[float]] = {}
        for line in follow_lines(file):
            if line is None:
                break
            truths = [] if line.group is None else [t.ground_truth for t in line.group.trajectories]
            known = [t for t in truths if t is not None]
            number = _number_of(line.id)
            if number is None or not truths or len(known) != len(truths):
                raise RunFolderError(
                    f"{file}, line {line.number}: no label of a group of this run; write the file with {self.command}."
                )
            found[number, _digest(line.fields.get("trajectories"))] = known
        self._state, self._answers = state, found
        return found

    def shown(self, number: int, digest: str | None) -> Mapping[str, Any]:
        """What people were shown of a group: its line of the queue.

        Args:
            digest: of its attempts; None in records that have none, where the first of its number is meant.

        Raises:
            RunFolderError: it is not there.
        """
        for _, record in whole_lines(self.folder / QUEUE):
            same = digest is None or _digest(record.get("trajectories")) == digest
            if _number_of(record.get("id")) == number and same:
                return record
        raise RunFolderError(
            f"{self.folder / QUEUE} has no group {number}, of which {LABELS} holds an answer: restore the file, then go on with --resume."
        )


def digest_of(group: RolloutGroup) -> str:
    """What tells the attempts of a group, as people see them, from others under its number."""
    return _digest(members_of(group.for_judge()))


def _digest(attempts: Any) -> str:
    """The same for attempts of a file: of their messages and tools, whatever else is said of them."""
    told = [
        [attempt.get("messages"), attempt.get("tools")] if isinstance(attempt, Mapping) else attempt
        for attempt in (attempts if isinstance(attempts, Sequence) else [])
    ]
    return hashlib.sha256(json.dumps(told, default=str).encode()).hexdigest()[:16]


def _number_of(name: Any) -> int | None:
    named = _ID.fullmatch(str(name))
    return int(named[1]) if named else None


def members_of(group: TrajectoryGroup) -> list[dict[str, Any]]:
    """What people see of attempts: no id or number that tells which policy wrote one."""
    return [
        {"messages": list(t.messages), **({"tools": list(t.tools)} if t.tools else {})}
        for t in group.trajectories
    ]
