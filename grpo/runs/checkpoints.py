"""When a run's state goes to its folder, and comes back from it."""

from __future__ import annotations

import logging
from dataclasses import asdict
from pathlib import Path
from typing import Any

from grpo.config import GRPOConfig
from grpo.errors import RunFolderError
from grpo.model.distributed import Processes
from grpo.rollouts.collect import Collector
from grpo.runs import checkpoint
from grpo.runs.records import group_from_dict, group_to_dict
from grpo.schedule import RunState, Schedule
from grpo.update import Updater
from grpo.watching import Watching
from ranker.watch.watch import Alarm

log = logging.getLogger("ranker")


class Checkpoints:
    """The checkpoints of a run, and its `final/`: policy, optimizer, the groups under way and what the audits found.

    All processes call each method; the main one writes.
    """

    def __init__(
        self, out: Path, model: Any, tokenizer: Any, config: GRPOConfig, processes: Processes, collector: Collector,
        schedule: Schedule, updater: Updater, watching: Watching,
    ):  # fmt: skip
        self._out, self._folder = out, out / "checkpoints"
        self._model, self._tokenizer = model, tokenizer
        self._config, self._processes, self._collector = config, processes, collector
        self._schedule, self._updater, self._watching = schedule, updater, watching

    def save(self) -> None:
        state = self._schedule.state
        everyone = self._processes.gather([group_to_dict(g) for g, _ in self._collector.pending.values()])
        learned = self._updater.snapshot()
        if not self._processes.is_main:
            return
        fields = {
            **asdict(state),
            "pending": sorted(everyone, key=lambda g: g["index"]),
            "watching": self._watching.to_dict(),
        }
        config = self._config
        checkpoint.save(self._folder / f"step-{state.step}", self._model, self._tokenizer, learned, fields)
        checkpoint.prune(
            self._folder, config.save_total_limit, config.save_steps if self._watching.stops else 0
        )

    def restore(self) -> None:
        """Go on from the newest checkpoint; from the start where there is none.

        Raises:
            RunFolderError: there are checkpoints, and none is whole.
        """
        saved = checkpoint.newest(self._folder)
        if saved is None:
            if checkpoint.any_at(self._folder):
                raise RunFolderError(
                    f"No checkpoint in {self._out} is whole. Begin anew in another folder; metrics and rewards are kept."
                )
            self._watching.resume({}, 0)
            return
        self._updater.restore(saved)
        state = dict(saved.state)
        pending = state.pop("pending")
        watched = state.pop("watching", {})
        self._schedule.state = RunState(**{**state, "recent": tuple(state["recent"])})
        self._watching.resume(watched, self._schedule.state.step)
        for fields in pending:
            if fields["index"] % self._processes.world == self._processes.rank:
                example = self._collector.example_of(fields["index"])
                self._collector.send(group_from_dict(fields, example))

    def end(self, alarm: Alarm | None) -> int | None:
        """Write the last checkpoint and `final/`; after an alarm `final/` is the policy from before the judge was wrong.

        Returns:
            The step whose policy was handed back; None without an alarm.
        """
        handed_back = None
        if alarm is None:
            self.save()
        else:
            handed_back = self._hand_back(alarm)
        if self._processes.is_main:
            checkpoint.save_whole(self._out / "final", self._model, self._tokenizer)
        return handed_back

    def _hand_back(self, alarm: Alarm) -> int:
        """Bring the policy back to the newest checkpoint from before a stretch in which the judge was wrong."""
        step = self._schedule.state.step
        saved = checkpoint.newest(self._folder, alarm.began)
        if saved is None:  # the run began with another `on_alarm`, which keeps fewer checkpoints
            log.warning(
                "Training stopped at step %d. No checkpoint from before step %d is left: final/ holds the policy as it is now.",
                step, alarm.began,
            )  # fmt: skip
            return step
        self._updater.restore(saved)
        handed_back = int(saved.state["step"])
        log.warning(
            "Training stopped at step %d; the policy handed back is that of step %d.", step, handed_back
        )
        return handed_back
