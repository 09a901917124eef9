"""The progress bar: groups done, rate, failures, cost."""

from __future__ import annotations

from ranker.ranked import RankedGroup
from ranker.usage import Usage


class Progress:
    """A progress bar on standard error; silent unless that is a terminal."""

    def __init__(self, total: int | None, shown: bool = True):
        from ranker.runtime.terminal import bars

        self._failed = 0
        self._usage = Usage()
        self._bar = bars(shown)
        self._task = self._bar.add_task("ranking", total=total, note="")

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self, ranked: RankedGroup) -> None:
        if self._bar.disable:
            return
        self._usage += ranked.usage
        self._failed += ranked.error is not None
        speed = self._bar.tasks[0].speed or 0.0
        status = f"{speed:.1f}/s"
        if self._usage.cost_usd:
            status += f" ${self._usage.cost_usd:.4f}"
        if self._failed:
            status += f" [red]{self._failed} failed[/red]"
        self._bar.update(self._task, advance=1, note=status)
