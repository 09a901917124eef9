"""Trackers beside metrics.jsonl: TensorBoard, W&B, trackio, or one of your own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from ranker import ConfigurationError


class Logger(Protocol):
    """What receives every step's metrics."""

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Take the numbers of a step; values may be None."""

    def close(self) -> None:
        """Write out what is buffered."""


class TensorBoard:
    """Event files under `<run folder>/tensorboard`."""

    def __init__(self, out: Path | None, config: Mapping[str, Any]):
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str((out or Path("run")) / "tensorboard"))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        for name, value in _numbers(metrics).items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        self._writer.close()


class _Hosted:
    """W&B, and trackio, which has the same calls."""

    def __init__(self, library: Any, out: Path | None, config: Mapping[str, Any]):
        self._library = library
        library.init(project="ranker", name=out.name if out else None, config=dict(config))

    def log(self, step: int, metrics: Mapping[str, Any]) -> None:
        self._library.log(_numbers(metrics), step=step)

    def close(self) -> None:
        self._library.finish()


def loggers(names: Sequence[str], out: Path | None, config: Mapping[str, Any]) -> list[Logger]:
    """The trackers of `report_to`.

    Raises:
        ConfigurationError: one is not installed.
    """
    made: list[Logger] = []
    for name in names:
        try:
            if name == "tensorboard":
                made.append(TensorBoard(out, config))
            else:
                made.append(_Hosted(__import__(name), out, config))
        except ImportError:
            raise ConfigurationError(
                f"report_to names {name}, which is not installed: pip install 'ranker-rl[{name}]'."
            ) from None
    return made


def _numbers(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {k: float(v) for k, v in metrics.items() if isinstance(v, (int, float)) and k != "step"}
