"""One judge with fixed settings, used for every group of a training run."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.aggregate.rewards import RULES
from ranker.errors import ConfigurationError, GroupError, RankerError
from ranker.integrations.process_group import ProcessGroup, bare
from ranker.prompting.rubric import read_rubric
from ranker.rank import judge_for, rank_group_async
from ranker.ranked import RankedGroup
from ranker.runtime.budget import Budget
from ranker.trajectory import TrajectoryGroup
from ranker.watch.audit import CHECKER, Audit

if TYPE_CHECKING:  # numpy is imported with the model
    from ranker.debias.debiaser import Debiaser
    from ranker.watch.records import Record
    from ranker.watch.reward import AuditedReward, Heard


@dataclass(frozen=True, slots=True)
class Judged:
    """A group that has been judged, and what the auditor said of it where it was audited."""

    ranked: RankedGroup
    heard: Heard | None = None


class GroupRewarder:
    """Ranks groups for an adapter.

    Args:
        judge, rubric, passes: as `rank_group` takes them.
        options: `rank_group`'s other arguments; ``max_calls`` and ``max_cost_usd`` apply to all groups together. And
            ``audit``, an `Audit` of the judge, with ``audit_out``, the file of audits.

    Attributes:
        audited: the audit's state; None without one.

    Raises:
        ConfigurationError: a setting cannot work; raised on construction, before any rollout.
    """

    def __init__(self, judge: Any, rubric: str | Path | None, passes: int, options: Mapping[str, Any]):
        options = dict(options)
        if not isinstance(passes, int) or passes < 1:
            raise ConfigurationError(f"passes={passes!r}; use 1 or more.")
        rule = options.get("reward", "rank")
        if rule not in RULES:
            raise ConfigurationError(f"reward={rule!r}; choose one of {', '.join(RULES)}.")
        self._debiaser: Debiaser | None = options.pop("debiaser", None)
        if rule == "debiased" and self._debiaser is None:
            from ranker.debias.debiaser import Debiaser

            self._debiaser = Debiaser(options.pop("covariates", ("length",)), seed=options.get("seed", 0))
        audit, out = options.pop("audit", None), options.pop("audit_out", None)
        _check(audit, out)
        limits = [options.pop(limit, None) for limit in ("max_calls", "max_cost_usd")]
        asked = {**options, "budget": options.get("budget") or Budget(*limits)}
        self._judged = partial(
            _judged,
            judge=judge,
            rubric=read_rubric(rubric),
            passes=passes,
            options=asked,
            debiaser=self._debiaser,
        )
        own = inspect.signature(rank_group_async).parameters
        judge_options = {name: value for name, value in options.items() if name not in own}
        reach = options.get("base_url"), options.get("api_key")
        judge_for(judge, rule, *reach, judge_options, credit=options.get("credit"))
        self.audited: AuditedReward | None = None
        self._shares = False  # whether its watch is that of all processes
        if audit is not None:
            from ranker.watch.reward import AuditedReward

            self.audited = AuditedReward(self._judged, audit, seed=options.get("seed", 0), out=out)

    async def rank(self, group: TrajectoryGroup) -> RankedGroup:
        """Rank one group of at least two trajectories.

        Raises:
            RankerError: the group could not be ranked.
        """
        if self.audited is None:
            return self.weighed(await self.judged(group))
        try:
            ranked = self.weighed(await self.judged(group))
        except Exception:
            self.audited.take(self.audited.ready())
            raise
        self.audited.take(self.audited.ready())
        return ranked

    async def judged(self, group: TrajectoryGroup) -> Judged:
        """`rank` for groups that are judged at once; each is `weighed` afterwards, and then `take` closes the batch.

        Raises:
            RankerError: the group could not be ranked.
        """
        if len(group) < 2:
            raise GroupError("A group of one attempt cannot be ranked; sample at least two.")
        if self.audited is None:
            return Judged(await self._judged(group))
        return Judged(*await self.audited.beside(group))

    def weighed(self, judged: Judged) -> RankedGroup:
        """Its rewards: in the light of the groups weighed before, and under an alarm with ``on_alarm="escalate"`` the
        auditor's. Call it in an order that no judge's speed decides.

        Raises:
            ConfigurationError: the debiaser's state is of another judge, or of other covariates.
            JudgeError: the rewards are the auditor's, and it failed.
        """
        ranked = judged.ranked if self._debiaser is None else self._debiaser.reward(judged.ranked)
        if self.audited is None or judged.heard is None:
            return ranked
        rewarded: RankedGroup = self.audited.settle(judged.heard, ranked)
        return rewarded

    async def begin_batch(self, processes: ProcessGroup | None, trainer_state: Any = None) -> None:
        """What an audit needs before a batch is judged: the trainer's step, and, in several processes, one watch for all,
        from the file of the first. Collective.

        Args:
            trainer_state: has the `global_step`.

        Raises:
            ConfigurationError: the file cannot be used.
        """
        if self.audited is None:
            return
        self.audited.step = getattr(trainer_state, "global_step", None)
        if processes is None or self._shares:
            return
        own: Sequence[Record] | RankerError = ()
        if not processes.rank:
            try:
                own = self.audited.resume()
            except RankerError as error:
                own = bare(error)
        first, *_ = await processes.all_gather(own)
        if isinstance(own, RankerError):
            raise own
        if processes.rank:
            self.audited.resume(first)
        self._shares = True

    def batch_audits(self) -> list[Record]:
        """The audits of the batch whose groups have been judged and weighed."""
        return [] if self.audited is None else self.audited.ready(all_ended=True)

    def take(self, audits: Sequence[Record]) -> None:
        """Take a batch's audits in, of all processes that share a watch.

        Raises:
            JudgeAlarm: there is an alarm, and ``on_alarm="stop"``.
        """
        if self.audited is not None:
            self.audited.take(audits)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_shares": False}

    def audit_metrics(self) -> dict[str, float]:
        """Metrics of the audit; unknown values are omitted."""
        found = {} if self.audited is None else self.audited.metrics()
        return {name: value for name, value in found.items() if value is not None}


async def _judged(
    group: TrajectoryGroup,
    *,
    judge: Any,
    rubric: Any,
    passes: int,
    options: dict[str, Any],
    debiaser: Debiaser | None,
) -> RankedGroup:
    if debiaser is not None:  # until it is weighed, a group's rewards are those of the group alone
        options = {**options, "debiaser": replace(debiaser, evidence=type(debiaser.evidence)())}
    return await rank_group_async(group, judge, rubric, passes, **options)


def _check(audit: Any, out: Any) -> None:
    if audit is None:
        if out is not None:
            raise ConfigurationError(
                "audit_out names the file of an audit, and there is none: give audit=Audit(…)."
            )
        return
    if not isinstance(audit, Audit):
        raise ConfigurationError(f"audit is a {type(audit).__name__}; give an Audit, e.g. Audit(auditor=…).")
    if audit.auditor == CHECKER:
        raise ConfigurationError(
            'The auditor "checker" is the ground truth of the attempts, which trainers do not hand over: give a function of a '
            "group that returns a number for each attempt, or a stronger judge."
        )


def group_metrics(ranked: RankedGroup) -> dict[str, float]:
    """Metrics of one ranked group; unknown values are omitted."""
    metrics: dict[str, float] = {
        "judge_calls": float(ranked.usage.calls),
        "tied_groups": float(len(ranked.ranking) == 1),
    }
    if ranked.usage.cost_usd is not None:
        metrics["judge_cost_usd"] = ranked.usage.cost_usd
    if ranked.consistency is not None:
        metrics["consistency"] = ranked.consistency
    return metrics
