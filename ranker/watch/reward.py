"""`AuditedReward`: a reward function of any trainer, with an auditor beside it for a share of the groups."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, JudgeError, RankerError, scrub
from ranker.ranked import RankedGroup
from ranker.runtime.event_loop import run_sync
from ranker.trajectory import TrajectoryGroup, as_group
from ranker.usage import Usage
from ranker.watch.audit import PEOPLE, Answer, Audit, ask, called, checked, name_of
from ranker.watch.records import Record, digest_of, in_the_form_of, lot, record_of
from ranker.watch.trail import Trail
from ranker.watch.watch import Alarm, Watch

log = logging.getLogger("ranker")


@dataclass(slots=True)
class Heard:
    """A group under audit.

    Attributes:
        turn: its place in the order in which groups were asked about.
        escalated: whether its rewards come from the auditor.
        known: the answer, where the file held it.
        answer: the auditor's.
    """

    digest: str
    group: TrajectoryGroup
    step: int
    turn: int
    escalated: bool
    known: Answer | None
    answer: Answer = field(default_factory=lambda: Answer([], error="no answer"))


def _check(audit: Audit) -> None:
    """Refuse what only the built-in trainer does.

    Raises:
        ConfigurationError: it is asked for.
    """
    if audit.auditor == PEOPLE:
        raise ConfigurationError(
            'The auditor "people" answers in the run folder of `ranker train`, and there is none here: name a stronger '
            'judge as the auditor, e.g. partial(rank_group, judge="openai/gpt-5"), or take "checker".'
        )
    if audit.on_alarm == "retune":
        raise ConfigurationError(
            'on_alarm="retune" tunes the judge of the built-in trainer between its steps: here take "warn", "stop" or "escalate".'
        )
    if audit.auditor is None or audit.lift_share:
        raise ConfigurationError(
            "Lifts of edited copies (lift_share, alone with auditor=None) are tried by the built-in trainer, "
            "GRPOTrainer(audit=Audit(…)): here leave lift_share at 0 and name an auditor, e.g. "
            'partial(rank_group, judge="openai/gpt-5").'
        )


class AuditedReward:
    """Asks a reward function and, for a share of the groups, an auditor at the same time, and watches how well they agree.

    What comes back is what the reward function returned, except under an alarm with ``on_alarm="escalate"``: then every
    group is audited, and gets the auditor's values in the same form, on the auditor's scale; a group that the auditor
    fails on then raises `JudgeError`, for it has no reward. Apart from that no failure of the auditor reaches the
    rewards; it is counted and logged.

    Which groups are audited is drawn from `seed` and what the attempts say: the same ones in every process and run.
    Audits enter the watch in the order in which the groups were asked about, whoever answered first. A step is one
    group, unless `step` is set. Each process has a watch of its own. Threads may share one object.

    Args:
        reward_fn: from a TrajectoryGroup to a RankedGroup, or to a number or None for each trajectory; sync (it runs in a
            thread) or async.
        audit: the settings. The auditor ``"checker"`` is the `ground_truth` of the trajectories.
        out: a JSONL file; every audit is appended, and a run that is started again goes on from it.

    Attributes:
        step: the trainer's step, for records and alarms; set it where you know it.

    Raises:
        ConfigurationError: the auditor is ``"people"`` or None, `on_alarm` ``"retune"``, or `lift_share` above 0: they are of the
            built-in trainer.
    """

    def __init__(
        self,
        reward_fn: Callable[[TrajectoryGroup], Any],
        audit: Audit,
        *,
        seed: int = 0,
        out: str | Path | None = None,
    ):
        _check(audit)
        self.step: int | None = None
        self._reward_fn, self._audit, self._seed, self._out = reward_fn, audit, seed, out
        self._opened: Trail | None = None
        self._asked = 0  # groups so far
        self._turns: dict[int, Record | None] = {}  # groups under audit that have ended, by turn
        self._turn = self._next = 0
        self._warned = False
        self._lock = threading.RLock()

    async def __call__(self, group: Any) -> Any:
        """The rewards of a group, which may be given in any form that `rank_group` takes.

        Raises:
            JudgeAlarm: the judge has stopped being right, and ``on_alarm="stop"``; from then on every call raises it.
            JudgeError: under an alarm with ``on_alarm="escalate"``, the auditor failed.
            ConfigurationError: `out` cannot be used.
        """
        try:
            result, heard = await self.beside(as_group(group))
            rewards = result if heard is None else self.settle(heard, result)
        except Exception:
            self.take(self.ready())
            raise
        self.take(self.ready())
        return rewards

    def run(self, group: Any) -> Any:
        """The same for programs that are not async."""
        return run_sync(self(group))

    def close(self) -> None:
        """Close the file, so that another may go on from it."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()

    @property
    def watch(self) -> Watch:
        """What the audits have found so far."""
        return self._trail().watch

    @property
    def alarms(self) -> list[Alarm]:
        """Every alarm so far."""
        return self.watch.alarms

    def metrics(self) -> dict[str, float | None]:
        """Agreement now and since the start with 95 % intervals, how much was audited, what that cost, and whether there
        is an alarm."""
        with self._lock:
            return self._trail().metrics()

    def resume(self, records: Sequence[Record] | None = None) -> Sequence[Record]:
        """Go on from the audits of the file, which the first call for a group does by itself.

        Args:
            records: those of another process's file, in the place of one's own, which then is not written.

        Returns:
            the records.
        """
        with self._lock:
            return self._trail(records).start

    def _trail(self, records: Sequence[Record] | None = None) -> Trail:
        with self._lock:
            if self._opened is None:
                self._opened = Trail(self._audit, self._out, records)
                self._asked = max((r["step"] for r in self._opened.start), default=0)
            return self._opened

    async def beside(self, group: TrajectoryGroup) -> tuple[Any, Heard | None]:
        """What the reward function returns and, where the group is audited, what the auditor said; for `settle`."""
        heard = self._drawn(group)
        if heard is None:
            return await called(self._reward_fn, group), None
        asking = asyncio.create_task(self._answered(heard))
        try:
            try:
                result = await called(self._reward_fn, group)
            except Exception as error:
                if not (isinstance(error, RankerError) and error.fatal):
                    heard.answer = await asking
                    self._record(heard, None)
                raise
            heard.answer = await asking
        except BaseException:
            asking.cancel()
            with self._lock:
                self._turns.setdefault(heard.turn, None)
            raise
        return result, heard

    def settle(self, heard: Heard, result: Any) -> Any:
        """The rewards of an audited group, `result` being what the reward function says.

        Raises:
            JudgeError: they come from the auditor, which failed.
        """
        try:
            values = checked(result.rewards if isinstance(result, RankedGroup) else result, len(heard.group))
            judge = None if isinstance(result, RankedGroup) and result.error is not None else values
        except (TypeError, ValueError) as error:
            judge = None
            heard.answer = replace(heard.answer, error=f"nothing to compare: the reward function {error}")
        self._record(heard, judge)
        why = heard.answer.error
        if why is None and isinstance(result, RankedGroup) and None in heard.answer.values:
            why = "it has no value for some of the attempts"
        if not heard.escalated and (why or not self._audit.train_on_audits or None in heard.answer.values):
            return result
        if why is not None:
            spent = result.usage if isinstance(result, RankedGroup) else Usage()
            raise JudgeError(
                f"The group has no rewards: the judge is under an alarm, and the auditor failed: {why}"
            ).spent(spent)
        return in_the_form_of(result, heard.answer, name_of(self._audit.auditor))

    def ready(self, *, all_ended: bool = False) -> list[Record]:
        """The records of audits whose turn has come, each once.

        Args:
            all_ended: no group is waited for: those without an outcome were given up.
        """
        with self._lock:
            records = []
            while self._next in self._turns or (all_ended and self._next < self._turn):
                records.append(self._turns.pop(self._next, None))
                self._next += 1
            return [r for r in records if r is not None]

    def take(self, records: Sequence[Record]) -> None:
        """Take records into the watch and the file, and act on alarms.

        Raises:
            JudgeAlarm: there is one, and ``on_alarm="stop"``.
            ConfigurationError: the file cannot be written.
        """
        with self._lock:
            if records or self._opened is not None:
                self._trail().take(records)
                self._trail().check()

    def _drawn(self, group: TrajectoryGroup) -> Heard | None:
        digest = digest_of(group)
        with self._lock:
            trail = self._trail()
            trail.check()
            self._asked += 1
            if not trail.escalated and lot(self._seed, digest) >= self._audit.share:
                return None
            step = self._asked if self.step is None else self.step
            turn, self._turn = self._turn, self._turn + 1
            return Heard(digest, group, step, turn, trail.escalated, trail.known.get(digest))

    async def _answered(self, heard: Heard) -> Answer:
        if heard.known is not None:
            return heard.known
        if not callable(self._audit.auditor):
            truths = [t.ground_truth for t in heard.group.trajectories]
            known = sum(t is not None for t in truths)
            return Answer(truths, error=None if known > 1 else "fewer than two attempts have a ground_truth")
        try:
            return await ask(self._audit.auditor, heard.group, self._audit.timeout)
        except RankerError as error:  # no audit will succeed, and the rewards are none the worse
            return Answer([], error.usage, scrub(f"{type(error).__name__}: {error}"))

    def _record(self, heard: Heard, judge: list[float | None] | None) -> None:
        """Note how the audit ended; one that the file holds already counts once."""
        answer, record = heard.answer, None
        with self._lock:
            if heard.known is None:
                record = record_of(
                    judge,
                    answer,
                    self._trail().scale,
                    digest=heard.digest,
                    group=heard.group.id,
                    step=heard.step,
                    auditor=name_of(self._audit.auditor),
                )
            self._turns[heard.turn] = record
            warns = answer.error is not None and not self._warned
            self._warned |= warns
        if warns:
            log.warning("An audit failed, which is only counted from now on: %s", answer.error)

    def __getstate__(self) -> dict[str, Any]:
        """A copy goes on by itself, from the file where there is one."""
        with self._lock:
            kept = {"_opened": None} if self._out is not None else {}
            return {**self.__dict__, **kept, "_turns": {}, "_turn": 0, "_next": 0, "_lock": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state, _lock=threading.RLock())
