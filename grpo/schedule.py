"""Which groups a step learns from: sampled ahead, taken in order, refilled where they say nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from grpo.advantages import Advantages, corrected
from grpo.config import GRPOConfig
from grpo.credit import Credit, Judged
from grpo.debiasing import Debiasing
from grpo.errors import TrainingError
from grpo.model.distributed import Processes
from grpo.rollouts.collect import Collector
from grpo.runs.metrics import Clock, ScoredGroup

Values = Sequence[float | None]
_RECENT = 20  # groups over which the share of failures is taken
_ENOUGH = 4  # failures before it can stop a run


@dataclass(slots=True)
class RunState:
    """Where a run stands.

    Attributes:
        step: steps taken.
        taken: groups learned from or dropped; the next has this index.
        sampled: groups rolled out, those still at the judge included.
        recent: for the latest groups, whether each failed.
    """

    step: int = 0
    taken: int = 0
    sampled: int = 0
    recent: tuple[bool, ...] = ()


class Schedule:
    """The groups of one step after the other. Group k is the business of process k modulo their number.

    Which groups are sampled before which update follows from the settings and from which groups had
    signal, never from how long a judge took: a run is the same every time.

    Attributes:
        place: where the run stands; a resume sets it.
    """

    def __init__(self, collector: Collector, processes: Processes, config: GRPOConfig, debiasing: Debiasing):
        self._collector, self._processes, self._config = collector, processes, config
        self._debiasing = debiasing
        self._credit = Credit(config.credit, config.weight_of_turns, config.scale_rewards)
        self.state = RunState()

    def next(self, clock: Clock) -> list[ScoredGroup]:
        """This process's share of the next step's groups; others are sampled while they are judged."""
        state, processes = self.state, self._processes
        taken: list[ScoredGroup] = []
        lacking = self._config.groups_per_step
        for _ in range(1 + self._config.dynamic_sampling_rounds):
            upto = state.taken + lacking
            with clock.time("generate"):
                self._sample_to(upto + self._config.ahead)
            mine = [k for k in range(state.taken, upto) if k % processes.world == processes.rank]
            fresh = []
            for k in mine:
                group, pending = self._collector.pending[k]
                with clock.time("judge_wait"):
                    fresh.append(ScoredGroup(group, pending.result()))
                del self._collector.pending[k]
            fresh = self._debiased(fresh)
            taken += fresh
            state.taken = upto
            useful = [not j.advantages.tied and j.reward.error is None for j in self._advised(fresh)]
            lacking -= sum(processes.gather([sum(useful)]))
            if lacking <= 0:
                break
        return self._advised(taken)

    def watch(self, everyone: Sequence[ScoredGroup]) -> None:
        """Stop a run whose judge fails too often.

        Raises:
            TrainingError: more than `max_failed_share` of the latest groups got no rewards, or turns were to have rewards,
                and nothing was said of any.
        """
        state, most = self.state, self._config.max_failed_share
        failures = [j.reward.error is not None for j in everyone]
        state.recent = recent = (*state.recent, *failures)[-_RECENT:]
        enough = sum(recent) >= _ENOUGH or state.step == self._config.max_steps
        if enough and sum(recent) > most * len(recent):
            last = next((j.reward.error for j in reversed(everyone) if j.reward.error), "earlier.")
            raise TrainingError(
                f"{sum(recent)} of the latest {len(recent)} groups got no rewards, more than max_failed_share = "
                f"{most:g}. The last: {last} Mend it, then go on with --resume."
            )
        whole = [j.reward for j in everyone if j.reward.error is None and j.reward.audit is None]
        if self._config.credit == "process" and whole and not any(r.turn_parts for r in whole):
            raise TrainingError(
                'credit = "process" learns from rewards of turns, and no reward function returned any in this step: ask the '
                'judge for them (credit="turns" of rank_group), return them (grpo.ProcessRewards), or set credit = "branch" '
                'or "trajectory".'
            )

    def _sample_to(self, end: int) -> None:
        state, processes = self.state, self._processes
        last = state.taken + (self._config.max_steps - state.step) * self._config.groups_per_step
        end = min(end, last)  # no group that no step learns from
        if self._collector.anchors is not None:
            self._collector.anchors.prepare(state.sampled, end, last)
        wanted = [k for k in range(state.sampled, end) if k % processes.world == processes.rank]
        self._collector.sample(wanted, state.step)
        state.sampled = max(state.sampled, end)

    def _debiased(self, groups: list[ScoredGroup]) -> list[ScoredGroup]:
        rewards = self._debiasing.weigh([(j.group, j.reward) for j in groups])
        return [replace(j, reward=reward) for j, reward in zip(groups, rewards, strict=True)]

    def _advised(self, groups: list[ScoredGroup]) -> list[ScoredGroup]:
        """Add advantages; with scale_rewards "batch" the deviation is that of all processes' rewards, the judge's and the
        auditor's each by themselves: they may be on different scales."""
        # Audited groups that are trained on have the auditor's values; what the judge said of them stands beside.
        told = self._processes.gather(
            [(self._credit.judged(j.group, j.reward), _has_auditors(j), _by_judge(j)) for j in groups]
        )
        told.sort(key=lambda one: one[0].index)
        every = [judged for judged, _, _ in told]
        auditor = {judged.index: judged.values for judged, audited, _ in told if audited}
        judge = {judged.index: values for judged, _, values in told if values is not None}
        by_judge, by_auditor = (self._by(values, every, groups) for values in (judge, auditor))
        return [
            replace(j, advantages=_both(j, by_judge.get(j.group.index), by_auditor.get(j.group.index)))
            for j in groups
        ]

    def _by(
        self, values: Mapping[int, Values], every: Sequence[Judged], groups: Sequence[ScoredGroup]
    ) -> dict[int, Advantages]:
        """The advantages by these values, those of groups by their number; turns have the same rewards by whichever values."""
        told = [replace(j, values=values.get(j.index, [None] * len(j.values))) for j in every]
        mine = [j.group for j in groups if j.group.index in values]
        return {g.index: a for g, a in zip(mine, self._credit.advantages(told, mine), strict=True)}


def _has_auditors(scored: ScoredGroup) -> bool:
    """Whether the auditor's values stand in the rewards' place."""
    return scored.reward.audit is not None and "judge" in scored.reward.audit


def _by_judge(scored: ScoredGroup) -> Values | None:
    """What the judge said of a group; None where the auditor's values alone count."""
    audit = scored.reward.audit or {}
    values: Values | None = audit.get("judge", scored.reward.values)
    return None if audit.get("correction") == 1 else values


def _both(scored: ScoredGroup, by_judge: Advantages | None, by_auditor: Advantages | None) -> Advantages:
    """The advantages by the judge's rewards, those by the auditor's, or the judge's corrected by the auditor's."""
    if by_judge is None or by_auditor is None:
        return by_judge or by_auditor or Advantages([None] * len(scored.group.rollouts), tied=True)
    return corrected(by_judge, by_auditor, (scored.reward.audit or {}).get("correction", 1.0))
