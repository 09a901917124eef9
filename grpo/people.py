"""People as the auditor: groups wait in a file of the run folder, `ranker label` answers in another."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo.errors import RunFolderError
from grpo.runs.folder import append, whole_lines
from grpo.types import RolloutGroup
from ranker.jsonl.follow import follow_lines
from ranker.jsonl.group_file import dump_line

QUEUE, LABELS = "queue.jsonl", "labels.jsonl"


@dataclass(slots=True)
class People:
    """The queue of a run and what people said so far. Only the process that writes the run folder has one.

    Attributes:
        folder: of the run.
    """

    folder: Path
    _queued: set[str] = field(default_factory=set)
    _state: tuple[int, int] | None = None  # of the file of labels when it was last read
    _answers: dict[int, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._queued = {str(record.get("id")) for _, record in whole_lines(self.folder / QUEUE)}

    @property
    def command(self) -> str:
        """How people answer."""
        return f"ranker label {self.folder / QUEUE} --out {self.folder / LABELS} --follow"

    def put(self, group: RolloutGroup) -> None:
        """Let a group wait; one that waits already (the run was resumed) does so once."""
        if str(group.index) in self._queued:
            return
        shown = group.for_judge()
        record: dict[str, Any] = {
            "id": str(group.index),
            "trajectories": [_shown(t) for t in shown.trajectories],
        }
        if shown.rubric is not None:
            record["rubric"] = shown.rubric
        append(self.folder / QUEUE, dump_line(record))
        self._queued.add(str(group.index))

    def answers(self) -> dict[int, list[float]]:
        """All that people say: by the number of the group, a value for each attempt, and for the anchor. They may take back
        what they said.

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
        found: dict[int, list[float]] = {}
        for line in follow_lines(file):
            if line is None:
                break
            truths = [] if line.group is None else [t.ground_truth for t in line.group.trajectories]
            known = [t for t in truths if t is not None]
            if not str(line.id).isdigit() or not truths or len(known) != len(truths):
                raise RunFolderError(
                    f"{file}, line {line.number}: no label of a group of this run; write the file with {self.command}."
                )
            found[int(str(line.id))] = known
        self._state, self._answers = state, found
        return found


def _shown(trajectory: Any) -> dict[str, Any]:
    """What people see of an attempt: no id or number that tells which policy wrote it."""
    shown: dict[str, Any] = {"messages": list(trajectory.messages)}
    if trajectory.tools:
        shown["tools"] = list(trajectory.tools)
    return shown
