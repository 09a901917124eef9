"""Where weights, gradients and optimizer state live: whole in every process, or a part of them in each (FSDP2).

torch's own `fully_shard` is used rather than accelerate's plugin for it: that one prepares a model to be called
as a whole, with an optimizer made anew; here the trunk and the output embedding are called one by one.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, TypeVar

import torch
from torch.distributed.tensor import DTensor, distribute_tensor

from grpo.model.distributed import Processes
from ranker import ConfigurationError
from ranker.judges.local.read import trunk

Tensor = Any
T = TypeVar("T")


class Weights(Protocol):
    """The weights of a model over all processes.

    Attributes:
        trained: what the optimizer steps.
    """

    trained: list[Tensor]

    def forward(self, work: Callable[[], T]) -> T:
        """Do `work`, which runs the model and returns tensors."""

    def forwards(self, mine: Sequence[int]) -> list[int]:
        """How many forwards each micro-batch is to have, given how many it has work for here."""

    def sum_gradients(self) -> None:
        """After the last backward: make the gradients those of all processes."""

    def updating(self) -> contextlib.AbstractContextManager[None]:
        """The time of an update; outside of it every process holds all weights, to sample with."""

    def spread(self) -> None:
        """After the weights were set from outside: have them where `updating` leaves them."""


class Whole:
    """Every process holds all weights, gradients and optimizer state."""

    def __init__(self, model: Any, processes: Processes):
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self._processes = processes

    def forward(self, work: Callable[[], T]) -> T:
        return work()

    def forwards(self, mine: Sequence[int]) -> list[int]:
        return list(mine)

    def sum_gradients(self) -> None:
        self._processes.sum_gradients(self.trained)

    def updating(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def spread(self) -> None:
        pass


class Sharded:
    """Each process keeps its part of every weight, gradient and optimizer state.

    In an update a layer's weights are gathered for its forward and its backward and let go of after each,
    and gradients are summed part by part. So all processes run as many forwards. Between updates all
    weights are gathered: processes sample different numbers of tokens, and none may wait for another there.

    Args:
        model: whole, on its device, the same in every process; changed in place.
        samples: all of its weights are gathered between updates; otherwise it is asked in `forward` only.

    Raises:
        ConfigurationError: the model cannot be sharded.
    """

    def __init__(self, model: Any, processes: Processes, samples: bool = True):
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import FSDPModule, fully_shard

        if not hasattr(FSDPModule, "reset_iter_state"):
            raise ConfigurationError(
                f"fsdp needs a newer torch than {torch.__version__}: pip install -U torch, or leave fsdp out."
            )
        self._model, self._processes, self._samples = model, processes, samples
        mesh = init_device_mesh(processes.device.type, (processes.world,))
        self._root: Any = _Root(model)
        try:
            for layer in _layers(model):
                fully_shard(layer, mesh=mesh)
            fully_shard(self._root, mesh=mesh, reshard_after_forward=not samples)
        except (ValueError, NotImplementedError, AssertionError) as error:
            raise ConfigurationError(
                f"{type(model).__name__} cannot be sharded: {error} Set fsdp = false."
            ) from error
        self._parts: list[Any] = [m for m in self._root.modules() if isinstance(m, FSDPModule)]
        for part in self._parts:
            part.set_gradient_divide_factor(1.0)  # a sum: the loss is divided by the tokens of all processes
            part.set_force_sum_reduction_for_comms(True)  # gloo knows no other
            # An expert that no token of this process went to brings zeros, as all must bring the same.
            part.set_reduce_scatter_unused_params(True)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self._root(lambda: None)  # tells FSDP which module is the root; layers will also be called without it
        self.spread()

    def forward(self, work: Callable[[], T]) -> T:
        made: T = self._root(work)
        return made

    def forwards(self, mine: Sequence[int]) -> list[int]:
        """Those of the process with most: a forward is the work of all processes."""
        every = [list(counts) for counts in self._processes.gather([tuple(mine)])]
        longest = max(len(counts) for counts in every)
        return [max(c[k] if k < len(c) else 0 for c in every) for k in range(longest)]

    def sum_gradients(self) -> None:
        """They were summed in each backward."""

    @contextlib.contextmanager
    def updating(self) -> Iterator[None]:
        # Shards again, and forgets the order of the forwards that sampling took, by which FSDP would gather layers
        # ahead in the backward: it is another in every process, and they would wait for each other for ever.
        self._root.reset_iter_state()
        for part in self._parts[1:]:
            part.set_reshard_after_forward(True, recurse=False)
        yield
        self.spread()

    def spread(self) -> None:
        if not self._samples:
            return
        for part in self._parts:
            part.reshard()
        for part in self._parts:
            part.set_reshard_after_forward(False, recurse=False)
            part.unshard()


def place(model: Any, processes: Processes, fsdp: bool, samples: bool = True) -> Weights:
    """Shard a model where that is wanted and there is more than one process."""
    return Sharded(model, processes, samples) if fsdp and processes.world > 1 else Whole(model, processes)


def whole(value: Any) -> Any:
    """A tensor with the parts of all processes, which all ask for it; anything else as it is."""
    return value.full_tensor() if isinstance(value, DTensor) else value


def collected(value: Any, main: bool) -> Any:
    """Like `whole`, kept by `main` only, and on the CPU: of many tensors no more than one is whole on a device."""
    if not isinstance(value, DTensor):
        return value
    full = value.full_tensor()
    return full.cpu() if main else None


def part_of(value: Any, like: Any) -> Any:
    """This process's part of a tensor that every process has whole, divided as `like` is."""
    if not isinstance(like, DTensor) or value.shape != like.shape:
        return value
    return distribute_tensor(
        value.to(like.device), like.device_mesh, like.placements, src_data_rank=None
    )  # without asking the others


def held(model: Any) -> dict[str, Tensor] | None:
    """The state of a model whose weights are sharded, but all here at the moment; None where they are not
    sharded. (Asked for its `state_dict`, such a model would let go of them and show parts.)"""
    from torch.distributed.fsdp import FSDPModule

    if not any(isinstance(module, FSDPModule) for module in model.modules()):
        return None
    state = {name: weight.detach() for name, weight in model.named_parameters(remove_duplicate=False)}
    for place, module in model.named_modules():
        kept = [n for n, b in module._buffers.items() if b is not None]
        for name in set(kept) - module._non_persistent_buffers_set:
            state[f"{place}.{name}" if place else name] = module._buffers[name].detach()
    return state


class _Root(torch.nn.Module):  # type: ignore[misc]
    """Weights outside of the layers (embeddings, the last norm) are here while something is done in its forward."""

    def __init__(self, model: Any):
        super().__init__()
        self.model = model

    def forward(self, work: Callable[[], T]) -> T:
        return work()


def _layers(model: Any) -> list[Any]:
    """The decoder layers: the list of modules that holds most of the trunk."""

    def size(layers: Any) -> int:
        return sum(weight.numel() for weight in layers.parameters())

    lists = [m for m in trunk(model).modules() if isinstance(m, torch.nn.ModuleList)]
    return list(max(lists, key=size)) if lists else []
