"""The audit of a training run: which groups an auditor sees, what it found, and whether its rankings are trained on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from grpo.config import GRPOConfig
from grpo.draws import drawn
from grpo.group_reward import GroupReward, failed, placed, wins_over
from grpo.people import Waiting, digest_of
from grpo.runs.metrics import ScoredGroup
from grpo.runs.win_rate import WinRate
from grpo.types import RolloutGroup
from ranker import ConfigurationError
from ranker.runtime.event_loop import run_sync
from ranker.usage import Usage
from ranker.watch.agreement import Audited, compared, spread
from ranker.watch.audit import CHECKER, PEOPLE, Answer, Audit, ask, probability
from ranker.watch.watch import Alarm, Watch

CORRECTION = 4.0  # the most that an audited group's correction counts; see `grpo.advantages.corrected`

Corrected = Callable[[GroupReward, list[float | None]], GroupReward | None]


def in_all_places(reward: GroupReward, values: list[float | None]) -> GroupReward:
    """The rewards of a single function with an auditor's values in their place."""
    parts = {**reward.parts, "auditor": values}
    return replace(reward, values=values, parts=parts, error=None, comparisons={}, turns=[], turn_parts={})


@dataclass(slots=True)
class Auditing:
    """Asks the auditor in the background, as the rewards are asked for, and keeps the watch.

    Attributes:
        audit: the settings.
        seed: of the run; it draws which groups are audited.
        planned: groups of the whole run.
        watch: what the audits found so far.
        escalated: whether rewards come from the auditor.
    """

    audit: Audit
    seed: int
    planned: int
    watch: Watch = field(init=False)
    escalated: bool = False
    _scale: float = 0.0  # the largest difference between two of the auditor's values so far
    _wins: WinRate = field(default_factory=WinRate)
    _usage: Usage = field(default_factory=Usage)
    _failed: int = 0
    _waiting: dict[int, Mapping[str, Any]] = field(default_factory=dict)  # for people, by group

    def __post_init__(self) -> None:
        self.watch = Watch(self.audit.min_agreement, self.audit.max_drop)

    def wants(self, index: int) -> bool:
        """Whether group `index` is audited: the same in every process and after a resume."""
        if self.escalated:
            return True
        planned = None if self.audit.train_on_audits else self.planned
        share = probability(self.audit.share, index, planned)
        return drawn(self.seed, index) < share

    def answer(self, group: RolloutGroup) -> Answer:
        """What the auditor says of the attempts that came to an end and the anchor.

        Raises:
            RankerError: a fatal one: no audit would succeed.
        """
        if self.audit.auditor == PEOPLE:
            return Answer([])
        if not callable(self.audit.auditor):
            truths = [group.ground_truths[i] for i in group.alive]
            values = truths if group.anchor is None else [*truths, group.anchor_truth]
            known = sum(v is not None for v in truths)
            return Answer(values, error=None if known > 1 else "the checker knows of fewer than two attempts")
        return run_sync(ask(self.audit.auditor, group.for_judge(), self.audit.timeout))

    def added(
        self,
        group: RolloutGroup,
        reward: GroupReward,
        answer: Answer,
        escalated: bool,
        corrected: Corrected = in_all_places,
    ) -> GroupReward:
        """The rewards with what the auditor said beside them or, where that is trained on, in the judge's place; the judge's are
        then kept beside them, and how much the correction counts.

        Args:
            corrected: puts the auditor's values in the judge's place; None where it cannot.
        """
        count = len(group.rollouts)
        fields: dict[str, Any] = {
            "usage": answer.usage.to_dict(),
            "error": answer.error,
            "consistency": answer.consistency,
        }
        if answer.error is not None:
            if escalated:
                why = f"the judge is under an alarm, and the auditor failed: {answer.error}"
                return replace(failed(count, why, reward.usage), audit=fields)
            return replace(reward, audit=fields)
        if self.audit.auditor == PEOPLE:
            alive = [*group.alive, *([] if group.anchor is None else [count])]
            return replace(reward, audit={**fields, "values": None, "anchor": None, "shown": [count, *alive]})
        shown, anchor = answer.values, None
        if group.anchor is not None:
            *shown, anchor = answer.values
        values = placed(count, group.alive, shown)
        fields |= {"values": values, "anchor": anchor}
        taught = self.audit.train_on_audits and None not in shown
        if not (escalated or taught):
            return replace(reward, audit=fields)
        trained = corrected(reward, values)
        if trained is None:
            return replace(reward, audit=fields)
        fields["judge"] = None if reward.error else reward.values
        # Debiased rewards are weighed by the trainer, later on: until then there is nothing to correct.
        whole = escalated or reward.error is not None or bool(reward.comparisons)
        fields["correction"] = 1.0 if whole else min(1 / self.audit.share, CORRECTION)
        return replace(trained, audit=fields)

    def take(
        self,
        step: int,
        groups: Sequence[ScoredGroup],
        answers: Mapping[Waiting, Sequence[float]] | None = None,
    ) -> tuple[dict[str, float | None], list[dict[str, Any]], Alarm | None]:
        """Take a step's audits in.

        Args:
            answers: all that people have said so far, see `People.answers`; what is no news is passed over, and so is what they
                said of groups that are still to come, or of other attempts (the run was resumed).

        Returns:
            the metrics, a record of each audit for the run folder, and the alarm where there is a new one.
        """
        records = [self._record(step, j, j.reward.audit) for j in groups if j.reward.audit is not None]
        records += [
            self._answered(step, k, said)
            for (k, attempts), said in (answers or {}).items()
            if k in self._waiting and self._waiting[k].get("attempts", attempts) == attempts
        ]
        alarm = self._take(step, records)
        return self._metrics(records), records, alarm

    def resume(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Go on from the records of a run, in their order."""
        for step in sorted({r["step"] for r in records}):
            self._take(step, [r for r in records if r["step"] == step])

    def _take(self, step: int, records: Sequence[Mapping[str, Any]]) -> Alarm | None:
        found = []
        for r in records:
            if r.get("waiting") is not None:
                self._waiting[r["group"]] = r
                continue
            self._waiting.pop(r["group"], None)
            self._usage += Usage(**r["usage"])
            self._failed += r["error"] is not None
            self._scale = max(self._scale, r["spread"])
            if r["agreement"] is not None:
                found.append(Audited(r.get("asked", step), r["group"], r["agreement"], r["weight"]))
            self._wins.add(r["wins"])
        alarm = self.watch.add(step, found)
        if self.audit.on_alarm == "escalate":
            self.escalated = self.watch.alarm is not None
        return alarm

    def _record(self, step: int, scored: ScoredGroup, said: Mapping[str, Any]) -> dict[str, Any]:
        record: dict[str, Any] = {
            "step": step,
            "group": scored.group.index,
            "version": scored.group.version,
            "agreement": None,
            "weight": None,
            "spread": 0.0,
            "wins": [],
            **{name: said[name] for name in ("error", "consistency", "usage")},
        }
        if said["error"] is not None:
            return record
        judge = scored.reward.by_judge
        if said["values"] is None:
            attempts = digest_of(scored.group)
            return {**record, "judge": judge, "waiting": said["shown"], "attempts": attempts}
        return self._compared(record, judge, said["values"], said["anchor"])

    def _answered(self, step: int, group: int, said: Sequence[float]) -> dict[str, Any]:
        """The record of a group on which people said something; it was sampled some steps ago."""
        waiting = self._waiting[group]
        record = {
            **{k: v for k, v in waiting.items() if k != "waiting"},
            "step": step,
            "asked": waiting["step"],
        }
        count, *shown = waiting["waiting"]
        if len(said) != len(shown):
            return {**record, "error": f"{len(said)} values for {len(shown)} attempts"}
        *values, anchor = placed(count + 1, shown, said)
        return self._compared(record, waiting["judge"], values, anchor)

    def _compared(
        self,
        record: dict[str, Any],
        judge: Sequence[float | None] | None,
        auditor: list[float | None],
        anchor: float | None,
    ) -> dict[str, Any]:
        record |= {"judge": judge, "auditor": auditor, "spread": spread([*auditor, anchor])}
        record["wins"] = wins_over(anchor, auditor)
        if judge is not None:
            self._scale = max(self._scale, record["spread"])
            record["agreement"], record["weight"] = compared(judge, auditor, self._scale or 1.0)
        return record

    def _metrics(self, records: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
        wins = self._wins.estimate()
        return {
            **self.watch.metrics(),
            "auditor_win_rate": wins.value,
            "auditor_win_rate_low": wins.low,
            "auditor_win_rate_high": wins.high,
            "audits_failed": self._failed,
            "audits_waiting": len(self._waiting),
            "audit_calls": self._usage.calls,
            "audit_cost_usd": self._usage.cost_usd,
        }


def auditing_for(
    audit: Audit | None, config: GRPOConfig, checker: bool, out: str | Path | None
) -> Auditing | None:
    """The audit of a run; None where nobody asked for one.

    Raises:
        ConfigurationError: there is no checker to be the auditor, or nothing to hand back.
    """
    if audit is None or audit.auditor is None:
        return None
    if audit.auditor == CHECKER and not checker:
        raise ConfigurationError(
            'The auditor is "checker", and the run has none: give checker=…, or name a stronger judge as the auditor.'
        )
    if audit.auditor == PEOPLE and out is None:
        raise ConfigurationError(
            'The auditor "people" needs a folder in which groups wait for them: give out=….'
        )
    if audit.on_alarm == "stop" and (out is None or not config.save_steps):
        raise ConfigurationError(
            'on_alarm = "stop" hands back a checkpoint from before the fall: give out=… and save_steps above 0 (e.g. 5).'
        )
    return Auditing(audit, config.seed, config.max_steps * config.groups_per_step)
