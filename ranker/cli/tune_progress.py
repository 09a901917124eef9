"""The progress of tuning, on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ranker.runtime.terminal import bars

if TYPE_CHECKING:
    from rich.progress import TaskID

    from ranker.tuning.config import TuningProgress

PHASES = {"before": "the base", "after": "the judge", "checking": "validation", "training": "training"}


class Bar:
    """Bars on a terminal; elsewhere a line every half minute, one per validation, and one before each measurement."""

    def __init__(self, shown: bool):
        self._shown = shown
        self._bars = bars(shown)
        self._tasks: dict[str, TaskID] = {}
        self._validation_loss: float | None = None

    def __enter__(self) -> Bar:
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()

    def report(self, now: TuningProgress) -> None:
        training = now.phase == "training"
        if self._bars.disable:
            if self._shown and training and now.validation_loss != self._validation_loss:
                self._validation_loss = now.validation_loss
                print(f"ranker: step {now.step} of {now.steps}: {figures(now)}", file=sys.stderr)
            elif self._shown and now.phase in ("before", "after") and now.done == 1:
                print(f"ranker: measuring {PHASES[now.phase]} on {now.of} groups …", file=sys.stderr)
        done, total = (now.step, now.steps) if training else (now.done, now.of)
        if now.phase not in self._tasks:
            self._tasks[now.phase] = self._bars.add_task(PHASES[now.phase], completed=done, note="")
        note = figures(now) if training else ""
        self._bars.update(self._tasks[now.phase], completed=done, total=total, note=note)
        if now.phase == "checking" and done == total:
            self._bars.remove_task(self._tasks.pop(now.phase))


def figures(now: TuningProgress) -> str:
    validation = "–" if now.validation_loss is None else f"{now.validation_loss:.3f}"
    return f"loss {now.loss:.3f}, accuracy {now.accuracy:.3f}, validation {validation}"
