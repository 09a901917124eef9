"""Trackers beside metrics.jsonl: TensorBoard, W&B, trackio."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from ranker import ConfigurationError
from ranker.extras import install


@dataclass(frozen=True, slots=True)
class Logger:
    """A tracker.

    Attributes:
        write: takes the numbers of a step, and the step.
        close: writes out what is buffered.
    """

    write: Callable[[dict[str, float], int], None]
    close: Callable[[], None]

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Take a step's line of metrics; what is no number is left out."""
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

    return Logger(write, writer.close)


def _hosted(name: str, out: Path | None, config: Mapping[str, Any]) -> Logger:
    """W&B, and trackio, which has the same calls."""
    library = import_module(name)
    library.init(project="ranker", name=out.name if out else None, config=dict(config))
    return Logger(lambda numbers, step: library.log(numbers, step=step), library.finish)
