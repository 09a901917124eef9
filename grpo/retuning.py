"""A local judge learns from its audits: tuned on the audited groups, it proves itself on some of them, and goes on judging."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from grpo.config import GRPOConfig
from grpo.people import People, members_of
from grpo.rewards import Reward, Rewarder
from grpo.runs.folder import RunFolder, whole_lines
from grpo.runs.metrics import ScoredGroup
from ranker import ConfigurationError
from ranker.errors import scrub
from ranker.judges.registry import forget
from ranker.watch.audit import Audit

GROUPS, VERSIONS, RECORDS = "judge_groups.jsonl", "judges", "retunes.jsonl"
LEAST = 12  # audited groups that tell attempts apart, before there is a first time
EPOCHS, RATE = 4, 5e-4
HELD_OUT = 0.2  # of the audited groups; on them a new version is compared with the one before


@dataclass(slots=True)
class Retuning:
    """The versions of a run's judge. All processes have one; the first tunes.

    Attributes:
        folder: of the run.
        rewarder: whose judge it is.
        every: audited groups after which the judge is tuned again; 0 where only an alarm asks for it.
        judge: the present version, as `--judge` takes it.
        tries: how often it was tuned, with whatever success; the folders of versions are numbered so.
        version: how many versions were accepted.
        tunes: whether it is tuned further; False where the run goes on with another `on_alarm` than "retune".
    """

    folder: Path
    rewarder: Rewarder
    every: int
    seed: int
    judge: str = "local"
    tries: int = 0
    version: int = 0
    tunes: bool = True
    _seen: int = 0  # audited groups that tell something apart
    _used: int = 0  # of them, those that were there when the judge was last tuned
    _replaced: set[str] = field(default_factory=set)
    _rubric: Any = field(init=False)

    def __post_init__(self) -> None:
        if self.tunes:
            self.judge, self._rubric = judge_of(self.rewarder)

    def add(
        self,
        step: int,
        groups: Sequence[ScoredGroup],
        folder: RunFolder | None,
        audits: Sequence[Mapping[str, Any]] = (),
        people: People | None = None,
    ) -> None:
        """Keep the audited groups of a step, as the judge will learn from them.

        Args:
            folder: where they are written to; None in processes that do not write.
            audits: the step's records; among them are those of groups on which people said something by now.
            people: knows what these were shown; only asked by the process that writes.
        """
        if not self.tunes:
            return
        records = [r for j in groups if (r := self._record(step, j)) is not None]
        answered = [a for a in audits if "asked" in a and a["error"] is None and len(set(_said(a))) > 1]
        self._seen += len(records) + len(answered)
        if folder is not None and people is not None:
            records += [self._answered(step, a, people) for a in answered]
        if folder is not None and records:
            folder.add(GROUPS, *records)

    def due(self, alarm: bool) -> bool:
        """Whether the judge is to be tuned now: there are enough groups, some of them new, and an alarm or a full round."""
        fresh = self._seen - self._used
        return self.tunes and self._seen >= LEAST and fresh > 0 and (alarm or 0 < self.every <= fresh)

    def tune(self, step: int) -> dict[str, Any]:
        """Tune on all groups kept so far, starting from the present version; a record of what came of it.

        A version that orders the held-out groups worse than the one before is left aside.
        """
        from ranker.tuning.config import Tuning
        from ranker.tuning.examples import read_examples
        from ranker.tuning.run import Run

        version = self.tries + 1
        out = self.folder / VERSIONS / f"version-{version}"
        record: dict[str, Any] = {
            "step": step,
            "version": version,
            "groups": self._seen,
            "judge": f"local:{out}",
        }
        try:
            model, way, template, adapter = start_of(self.judge)
            tuning = Tuning(
                model, way, epochs=EPOCHS, learning_rate=RATE, minutes=None, seed=self.seed + version, template=template,
                validation_share=0.1, test_share=HELD_OUT, keep="last", checks=1, patience=EPOCHS + 1,
            )  # fmt: skip
            examples = read_examples(self.folder / GROUPS, "ground_truth").examples
            found = Run(tuning, examples, out, start=adapter, source={"file": GROUPS}).go()
        except (ConfigurationError, OSError) as error:
            return {**record, "accepted": False, "error": scrub(f"{type(error).__name__}: {error}")}
        before, after = found.before.value, found.after.value
        better = before is not None and after is not None and after >= before
        return {
            **record,
            "accepted": better,
            "before": found.before.to_dict(4),
            "after": found.after.to_dict(4),
            "held_out": found.groups["test"],
        }

    def take(self, record: Mapping[str, Any]) -> None:
        """Go on with what a record says: the new version where it was accepted."""
        self.tries, self._used = record["version"], record["groups"]
        if record["accepted"]:
            self.version += 1
            self.judge = record["judge"]
            self._replaced |= replace_judge(self.rewarder, self.judge)
            for name in self._replaced - {
                self.judge
            }:  # a group under way may have named an earlier one again
                forget(name)

    def resume(self, step: int) -> None:
        """Go on from the files of a run, at a step."""
        self._seen = sum(r["step"] <= step for _, r in whole_lines(self.folder / GROUPS))
        for _, record in whole_lines(self.folder / RECORDS):
            if record["step"] <= step:
                self.take(record)
        for path in (self.folder / VERSIONS).glob("version-*"):  # of steps that will be taken again
            if path.name[8:].isdigit() and int(path.name[8:]) > self.tries:
                shutil.rmtree(path, ignore_errors=True)

    def _record(self, step: int, scored: ScoredGroup) -> dict[str, Any] | None:
        said = scored.reward.audit
        if said is None or said["error"] is not None or said["values"] is None:
            return None
        shown = scored.group.for_judge()
        values = [said["values"][i] for i in scored.group.alive]
        if any(v is None for v in values) or len(set(values)) < 2:
            return None
        return self._group(step, scored.group.index, shown.rubric, members_of(shown), values)

    def _answered(self, step: int, audit: Mapping[str, Any], people: People) -> dict[str, Any]:
        """The same of a group that waited for people."""
        shown = people.shown(audit["group"], audit.get("attempts"))
        return self._group(step, audit["group"], shown.get("rubric"), shown["trajectories"], _said(audit))

    def _group(
        self, step: int, index: int, rubric: Any, members: Sequence[Mapping[str, Any]], values: Sequence[Any]
    ) -> dict[str, Any]:
        return {
            "id": str(index),
            "step": step,
            "rubric": self._rubric if isinstance(self._rubric, str) else rubric,
            "trajectories": [
                {**member, "ground_truth": value}
                for member, value in zip(members, values, strict=False)  # an anchor stands last
            ],
        }


def _said(audit: Mapping[str, Any]) -> list[float]:
    """What people said of the attempts that came to an end."""
    return [v for v in audit["auditor"] if v is not None]


def retuning_for(
    audit: Audit | None, rewarder: Rewarder, config: GRPOConfig, out: str | Path | None
) -> Retuning | None:
    """What retunes the judge of a run, or goes on with the version that an earlier part of the run made; None where there is
    nothing of either.

    Raises:
        ConfigurationError: there is no folder, or no judge that can be tuned.
    """
    if audit is None:
        return None
    if audit.on_alarm != "retune":
        tuned = out is not None and (Path(out) / RECORDS).is_file()
        return Retuning(Path(str(out)), rewarder, 0, config.seed, tunes=False) if tuned else None
    if out is None:
        raise ConfigurationError(
            'on_alarm = "retune" keeps the versions of the judge in the run folder: give out=….'
        )
    judge, _ = judge_of(rewarder)
    start_of(judge)
    return Retuning(Path(out), rewarder, audit.retune_every, config.seed)


def start_of(judge: str) -> tuple[str, Any, str | None, Path]:
    """Base, way, template and adapter of a judge.

    Raises:
        ConfigurationError: it was not tuned, so there is nothing to go on from.
    """
    from ranker.cli.tune import judge_to_continue

    named = judge.removeprefix("local").removeprefix(":")
    try:
        return judge_to_continue(Path(named or "local"), "local", "pointwise")
    except ConfigurationError as error:
        raise ConfigurationError(
            f'on_alarm = "retune" goes on with a judge that was tuned, and {judge} was not ({error}): take "local", or the folder of '
            "one that `ranker tune-judge` wrote."
        ) from None


def judge_of(rewarder: Rewarder) -> tuple[str, Any]:
    """The local judge among the reward functions, and its rubric.

    Raises:
        ConfigurationError: there is none, or there are several.
    """
    local = [r for r in rewarder.rewards if local_judge(r) is not None]
    if len(local) != 1:
        raise ConfigurationError(
            f'on_alarm = "retune" tunes a judge in this process, and {len(local)} of the rewards are one: take a single [judge] with '
            'model = "local" or one that `ranker tune-judge` wrote (local:FOLDER), or on_alarm = "stop".'
        )
    return str(local_judge(local[0])), getattr(local[0].function, "keywords", {}).get("rubric")


def local_judge(reward: Reward) -> str | None:
    """The name of the judge of a reward function, if it is `rank_group` with a judge in this process."""
    if not reward.ranks:
        return None
    named = getattr(reward.function, "keywords", {}).get("judge") or os.environ.get("RANKER_JUDGE") or "local"
    return named if isinstance(named, str) and named.partition(":")[0] == "local" else None


def replace_judge(rewarder: Rewarder, judge: str) -> set[str]:
    """Have groups from now on ranked by another local judge; those that wait already are not asked again. Returns the names of the
    judges that it replaces."""
    replaced = {named for r in rewarder.rewards if (named := local_judge(r)) is not None}
    rewarder.rewards = tuple(
        r if local_judge(r) is None else replace(r, function=partial(cast(Any, r.function), judge=judge))
        for r in rewarder.rewards
    )
    return replaced
