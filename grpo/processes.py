"""The processes of a run, started by torchrun; alone where there is one."""

from __future__ import annotations

import atexit
from collections.abc import Sequence
from typing import Any

import torch


class Processes:
    """Sums and gathers over all processes, with accelerate underneath.

    Attributes:
        rank: this process, from 0.
        world: how many there are.
        device: where this one computes.
    """

    def __init__(self) -> None:
        from accelerate import Accelerator

        self._accelerator = Accelerator(cpu=not torch.accelerator.is_available())
        self.rank: int = self._accelerator.process_index
        self.world: int = self._accelerator.num_processes
        self.device = self._accelerator.device
        if self.world > 1:
            atexit.register(_leave)

    @property
    def is_main(self) -> bool:
        """Whether this is the process that writes the run folder."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes."""
        mine = torch.tensor(values, dtype=torch.float64, device=self.device)
        total: list[float] = self._accelerator.reduce(mine, "sum").tolist()
        return total

    def sum_gradients(self, weights: Sequence[Any]) -> None:
        """Give every process the sum of all gradients; a process without one brings zeros."""
        if self.world == 1:
            return
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)
            weight.grad = self._accelerator.reduce(weight.grad, "sum")

    def gather(self, mine: Sequence[Any]) -> list[Any]:
        """The items of all processes, in every one."""
        if self.world == 1:
            return list(mine)
        from accelerate.utils import gather_object

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
        self._accelerator.wait_for_everyone()


def _leave() -> None:
    """Leave the process group; a process that just ends may take the others down with it."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
