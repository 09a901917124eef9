"""Progress of ranking: groups done, rate, failures, cost."""

from __future__ import annotations

from ranker.ranked import RankedGroup
from ranker.usage import Usage


class Progress:
    """A progress bar on standard error, or lines where that is no terminal."""

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
        if self._bar.silent:
            return
        self._usage += ranked.usage
        self._failed += ranked.error is not None
        cost = f"${self._usage.cost_usd:.4f}" if self._usage.cost_usd else ""
        failed = f"[red]{self._failed} failed[/red]" if self._failed else ""
        self._bar.update(self._task, advance=1, note=" ".join(filter(None, (cost, failed))))
