"""What a run knows of its judge: signs, wins over the start policy, lifts, audits; and what an alarm does."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from grpo.auditing import Auditing
from grpo.debiasing import Debiasing
from grpo.lifting import Lifting
from grpo.model.distributed import Processes
from grpo.people import People
from grpo.retuning import RECORDS, Retuning
from grpo.runs.folder import RunFolder, whole_lines
from grpo.runs.metrics import ScoredGroup
from grpo.runs.signs import Signs
from grpo.runs.win_rate import WinRate
from ranker.watch.audit import PEOPLE
from ranker.watch.watch import Alarm

log = logging.getLogger("ranker")


@dataclass(slots=True)
class Watching:
    """Takes each step's groups in; the same in every process, the first of which writes.

    Attributes:
        wins: against anchors; None where there are none.
        auditing, lifting, retuning, people: None where nobody asked for them.
        stopped: the alarm that ended the run.
    """

    processes: Processes
    debiasing: Debiasing
    folder: RunFolder | None
    out: Path | None
    wins: WinRate | None = None
    auditing: Auditing | None = None
    lifting: Lifting | None = None
    retuning: Retuning | None = None
    people: People | None = field(init=False, default=None)
    stopped: Alarm | None = field(init=False, default=None)
    _signs: Signs = field(default_factory=Signs)

    def __post_init__(self) -> None:
        asks = self.auditing is not None and self.auditing.audit.auditor == PEOPLE
        if asks and self.out is not None and self.processes.is_main:
            self.people = People(self.out)
            log.warning("Audits wait for people: %s", self.people.command)

    @property
    def stops(self) -> bool:
        """Whether an earlier policy may have to be handed back."""
        return self.auditing is not None and self.auditing.audit.on_alarm == "stop"

    def metrics(self, step: int, groups: Sequence[ScoredGroup], line: Mapping[str, Any]) -> dict[str, Any]:
        """What the groups of a step show, written to the run folder too; acts on an alarm.

        Args:
            line: the metrics of the step so far.
        """
        found: dict[str, Any] = dict(self.debiasing.metrics())
        found |= self._signs.metrics(groups, line["words_mean"], line["entropy"])
        if self.wins is not None:
            found |= self.wins.metrics(groups)
        if self.auditing is not None:
            found |= self._audited(self.auditing, step, groups)
        if self.lifting is not None:
            lifts, warned = self.lifting.take(step, groups, self.debiasing, self.processes.is_main)
            found |= lifts
            self._write("warnings.jsonl", warned)
        return found

    def to_dict(self) -> dict[str, Any]:
        """As JSON, for a checkpoint; the rest is in the files of the run folder."""
        return {
            "debiasing": self.debiasing.to_dict(),
            "wins": [] if self.wins is None else self.wins.latest,
            "signs": self._signs.to_dict(),
            "lifts": {} if self.lifting is None else self.lifting.to_dict(),
        }

    def resume(self, state: Mapping[str, Any], step: int) -> None:
        """Go on from a checkpoint at a step, and from the files of the run folder."""
        assert self.out is not None
        self.debiasing.restore(state.get("debiasing", {}))
        self._signs = Signs.from_dict(state.get("signs", {}))
        if self.lifting is not None:
            self.lifting.restore(state.get("lifts", {}))
        if self.wins is not None:
            self.wins.latest = [(float(won), int(of)) for won, of in state.get("wins", [])]
        if self.auditing is not None:
            audits = (record for _, record in whole_lines(self.out / "audits.jsonl"))
            self.auditing.resume([record for record in audits if record["step"] <= step])
            if self.stops:  # the checkpoint is of the very step whose audits raised the alarm
                self.stopped = self.auditing.watch.alarm
        if self.retuning is not None:
            self.retuning.resume(step)

    def _audited(self, auditing: Auditing, step: int, groups: Sequence[ScoredGroup]) -> dict[str, Any]:
        answers = self.processes.gather([{} if self.people is None else self.people.answers()])[0]
        found, records, alarm = auditing.take(step, groups, answers)
        if self.people is not None:
            for j in groups:
                if j.reward.audit is not None:
                    self.people.put(j.group)
        self._write("audits.jsonl", records)
        if alarm is not None:
            action = auditing.audit.on_alarm
            log.warning("Step %d: %s (on_alarm = %s).", step, alarm.reason, action)
            self._write("alarms.jsonl", [{**alarm.to_dict(), "on_alarm": action}])
            if action == "stop":
                self.stopped = alarm
        if self.retuning is not None:
            self.retuning.add(step, groups, self.folder, records, self.people)
            found |= self._retuned(self.retuning, step, alarm is not None)
        return found

    def _retuned(self, retuning: Retuning, step: int, alarm: bool) -> dict[str, Any]:
        if retuning.due(alarm):
            (record,) = self.processes.gather([retuning.tune(step)] if self.processes.is_main else [])
            self._write(RECORDS, [record])
            retuning.take(record)
            if "error" in record and self.processes.is_main:
                log.warning(
                    "Step %d: the judge was not tuned, and goes on as it is: %s", step, record["error"]
                )
        return {"judge_version": retuning.version}

    def _write(self, name: str, records: Sequence[Mapping[str, Any]]) -> None:
        if self.folder is not None and records:
            self.folder.add(name, *records)
