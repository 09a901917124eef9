"""The processes of a run, started by torchrun; alone where there is one."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import Any

import torch

from grpo.errors import TrainingError

# How long a process waits for another that is alive: it may be waiting for its judge, or sampling longer. (NCCL's own
# ten minutes are one `reward_timeout`.)
PATIENCE = timedelta(hours=1)
_LOST = (
    "gloo",
    "nccl",
    "connection closed",
    "connection reset",
    "broken pipe",
)  # what lost connections are told by


class Processes:
    """Sums and gathers over all processes, with accelerate underneath.

    Attributes:
        rank: this process, from 0.
        world: how many there are.
        device: where this one computes.
    """

    def __init__(self) -> None:
        from accelerate import Accelerator, InitProcessGroupKwargs

        self._accelerator = Accelerator(
            cpu=not torch.accelerator.is_available(),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self.device = self._accelerator.device
        if self.world > 1:
            atexit.register(_leave)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return self.rank == 0

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """The time of something that all processes do together.

        Raises:
            TrainingError: another one is gone.
        """
        try:
            yield
        except RuntimeError as error:
            lost = isinstance(error, torch.distributed.DistError)
            if self.world == 1 or not (lost or any(word in str(error).lower() for word in _LOST)):
                raise
            raise TrainingError(
                f"Process {self.rank} of {self.world} has lost another one ({str(error)[:160]} …). Checkpoints and "
                "rewards are kept: see why that one ended, then start all of them again, with --resume."
            ) from error

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes."""
        mine = torch.tensor(values, dtype=torch.float64, device=self.device)
        with self.together():
            total: list[float] = self._accelerator.reduce(mine, "sum").tolist()
        return total

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """Give every process the sum of all gradients; a process without one brings zeros."""
        if self.world == 1:
            return
        with self.together():
            for weight in weights:
                if weight.grad is None:
                    weight.grad = torch.zeros_like(weight)
                weight.grad = self._accelerator.reduce(weight.grad, "sum")

    def gather(self, mine: Sequence[Any]) -> list[Any]:
        """The items of all processes, in every one."""
        if self.world == 1:
            return list(mine)
        from accelerate.utils import gather_object

        with self.together():
            return list(gather_object(list(mine)))

    def share(self, model: Any) -> None:
        """Give every process the weights of the first."""
        if self.world == 1:
            return
        from accelerate.utils import broadcast

        for weight in model.parameters():
            weight.data = broadcast(weight.data)

    def wait(self) -> None:
        """Until all processes are here."""
        with self.together():
            self._accelerator.wait_for_everyone()


def _leave() -> None:
    """Leave the process group; a process that just ends may take the others down with it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
