"""The trail of audits beside a reward function: the watch, what it cost, the file, and what follows an alarm."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ranker.errors import JudgeAlarm
from ranker.usage import Usage
from ranker.watch.agreement import Audited
from ranker.watch.audit import Answer, Audit, name_of
from ranker.watch.records import AuditFile, Record
from ranker.watch.watch import Alarm, Watch

log = logging.getLogger("ranker")


class Trail:
    """Takes records of audits in. The same records give the same watch, so it goes on from a file of them.

    Args:
        audit: the settings.
        out: the file; None for none.
        records: those that it goes on from, of another process's file, in the place of `out`.

    Attributes:
        watch: what the audits have found.
        known: the auditor's values that the file held, by the digest of the group.
        scale: the largest difference between two of the auditor's values so far.
        start: the records that it went on from.
        stopped: the error with which training stops; None while it goes on.

    Raises:
        ConfigurationError: the file cannot be used.
    """

    def __init__(
        self, audit: Audit, out: str | Path | None = None, records: Sequence[Record] | None = None
    ) -> None:
        self.watch = Watch(audit.min_agreement, audit.max_drop)
        self.known: dict[str, Answer] = {}
        self.scale = 0.0
        self.stopped: JudgeAlarm | None = None
        self._action = audit.on_alarm
        self._usage = Usage()
        self._failed = 0
        self._times: dict[int, str] = {}  # when the first audit of each step was
        self._file: AuditFile | None = None
        if records is None and out is not None:
            self._file = AuditFile(out, name_of(audit.auditor))
            records = self._file.records
        self.start: Sequence[Record] = records or ()
        for record in self.start:
            self._add(record)
            if "error" not in record:
                self.known[record["id"]] = Answer(record["auditor"])
        if self.watch.alarm is not None:
            self._act(self.watch.alarm)

    @property
    def escalated(self) -> bool:
        """Whether rewards come from the auditor."""
        return self._action == "escalate" and self.watch.alarm is not None

    def check(self) -> None:
        """Raises JudgeAlarm: training has stopped."""
        if self.stopped is not None:
            raise JudgeAlarm(str(self.stopped))

    def take(self, records: Sequence[Record]) -> None:
        """Write records, take them into the watch in their order, and act on alarms.

        Raises:
            ConfigurationError: the file cannot be written.
        """
        if self._file is not None:
            for record in records:
                self._file.write(record)
        for record in records:
            before = self.watch.alarm
            alarm = self._add(record)
            if alarm is not None:
                self._act(alarm)
            elif before is not None and self.watch.alarm is None:
                log.warning("The judge agrees with its auditor again, as of step %d.", record["step"])

    def close(self) -> None:
        """Close the file; nothing is written any more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def metrics(self) -> dict[str, float | None]:
        """Those of the watch, and what was spent on it."""
        return {
            **self.watch.metrics(),
            "audits_failed": self._failed,
            "audit_calls": self._usage.calls,
            "audit_cost_usd": self._usage.cost_usd,
        }

    def _add(self, record: Mapping[str, Any]) -> Alarm | None:
        self._usage += Usage(**record["usage"])
        self._failed += "error" in record
        self.scale = max(self.scale, record["spread"])
        step = record["step"]
        self._times.setdefault(step, record["time"])
        if record["agreement"] is None:
            return None
        number = len(self.watch.audited)
        return self.watch.add(step, [Audited(step, number, record["agreement"], record["weight"])])

    def _act(self, alarm: Alarm) -> None:
        reason = alarm.reason.replace(
            f"since step {alarm.began}", f"since step {alarm.began} ({self._times[alarm.began]})"
        )
        if self._action == "stop":
            self.stopped = JudgeAlarm(
                f"Training stops, for {reason}. Go on from a checkpoint from before that, with a stronger judge and a new "
                "file of audits; or, where the auditor may be the one that is wrong, with a larger share audited."
            )
            self.close()
        after = " Rewards come from the auditor until the two agree again." if self.escalated else ""
        log.warning("Judge alarm: %s.%s", reason, after)
