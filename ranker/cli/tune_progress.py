"""How far a tuning is, on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ranker.tuning.told import Progress


class Bar:
    """How far it is: a bar on a terminal's standard error, a line a check elsewhere."""

    def __init__(self, shown: bool):
        self._shown = shown
        self._bar: Any = None
        self._phase = ""
        self._held: float | None = None

    def __enter__(self) -> Bar:
        if self._shown and sys.stderr.isatty():
            from rich import progress as rich
            from rich.console import Console

            self._bar = rich.Progress(
                rich.TextColumn("{task.description}"),
                rich.BarColumn(10),
                rich.MofNCompleteColumn(),
                rich.TextColumn("{task.fields[figures]}"),
                rich.TimeRemainingColumn(),
                console=Console(stderr=True),
            )
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def report(self, now: Progress) -> None:
        what = {"before": "the base", "after": "the judge", "checking": "held out"}
        if self._bar is None:
            if self._shown and now.phase == "training" and now.held_loss != self._held:
                self._held = now.held_loss
                print(f"ranker: step {now.step} of {now.steps}: {figures(now)}", file=sys.stderr)
            elif self._shown and now.phase in ("before", "after") and now.done == 1:
                print(f"ranker: measuring {what[now.phase]} on {now.of} groups …", file=sys.stderr)
            return
        name = what.get(now.phase, "training")
        at, of = (now.step, now.steps) if now.phase == "training" else (now.done, now.of)
        ids = {task.description: task.id for task in self._bar.tasks}
        if name not in ids:
            ids[name] = self._bar.add_task(name, total=of, figures="", start=now.phase != "training")
            if now.phase == "training":
                self._bar.start_task(ids[name])
        self._bar.update(
            ids[name], completed=at, total=of, figures=figures(now) if now.phase == "training" else ""
        )
        if now.phase == "checking" and at == of:
            self._bar.remove_task(ids[name])


def figures(now: Progress) -> str:
    held = "–" if now.held_loss is None else f"{now.held_loss:.3f}"
    return f"loss {now.loss:.3f}, accuracy {now.accuracy:.3f}, held-out {held}"
