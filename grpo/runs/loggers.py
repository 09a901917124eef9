"""Trackers beside metrics.jsonl: TensorBoard, W&B, trackio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from grpo.runs import samples
from ranker import ConfigurationError
from ranker.extras import install


@dataclass(frozen=True, slots=True)
class Logger:
    """A tracker.

    Attributes:
        write: takes the numbers of a step, and the step.
        show: takes rows of `samples.COLUMNS`, and the step.
        close: writes out what is buffered.
    """

    write: Callable[[dict[str, float], int], None]
    show: Callable[[list[list[Any]], int], None]
    close: Callable[[], None]

    def log(self, step: int, metrics: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> None:
        """Take a step's line of metrics, of which what is no number is left out, and now and then its groups, as
        `sample_record` writes them."""
        if samples.due(step):
            self.show(samples.rows(groups), step)
        numbers = {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float)) and k != "step"}
        self.write(numbers, step)


def loggers(names: Sequence[str], out: Path | None, config: Mapping[str, Any]) -> list[Logger]:
    """The trackers of `report_to`.

    Raises:
        ConfigurationError: one is not installed.
    """
    trackers: list[Logger] = []
    for name in names:
        try:
            trackers.append(_tensorboard(out) if name == "tensorboard" else _hosted(name, out, config))
        except ImportError:
            raise ConfigurationError(
                f"report_to names {name}, which is not installed: {install(name)}."
            ) from None
    return trackers


def _tensorboard(out: Path | None) -> Logger:
    """Event files under `<run folder>/tensorboard`."""
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str((out or Path("run")) / "tensorboard"))

    def write(numbers: dict[str, float], step: int) -> None:
        for name, value in numbers.items():
            writer.add_scalar(name, value, step)

    def show(rows: list[list[Any]], step: int) -> None:
        writer.add_text("samples", samples.markdown(rows), step)

    return Logger(write, show, writer.close)


def _hosted(name: str, out: Path | None, config: Mapping[str, Any]) -> Logger:
    """W&B, and trackio, which has the same calls."""
    library = import_module(name)
    library.init(project="ranker", name=out.name if out else None, config=dict(config))

    def show(rows: list[list[Any]], step: int) -> None:
        if name == "trackio":  # whose page shows text as Markdown
            rows = [
                [samples.unmarked(cell) if isinstance(cell, str) else cell for cell in row] for row in rows
            ]
        table = library.Table(columns=list(samples.COLUMNS), data=rows, allow_mixed_types=True)
        library.log({"samples": table}, step=step)

    return Logger(lambda numbers, step: library.log(numbers, step=step), show, library.finish)
