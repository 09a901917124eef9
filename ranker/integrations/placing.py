"""Which completions of a batch are a group, and which process holds them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ranker.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Placed:
    """The groups of a batch over all processes, by positions in the whole batch, and this process's part of it.

    Attributes:
        starts: where each process's part starts, and at the end where the last one stops.
        rank: this process.
    """

    groups: list[list[int]]
    starts: tuple[int, ...]
    rank: int

    @property
    def start(self) -> int:
        return self.starts[self.rank]

    @property
    def stop(self) -> int:
        return self.starts[self.rank + 1]

    def is_local(self, i: int) -> bool:
        return self.start <= i < self.stop

    @property
    def mine(self) -> list[list[int]]:
        """The groups to be judged here: those whose first completion is here."""
        return [members for members in self.groups if self.is_local(members[0])]

    @property
    def scattered(self) -> set[int]:
        """Completions of groups that lie in more than one process."""
        owner = [
            rank
            for rank in range(len(self.starts) - 1)
            for _ in range(self.starts[rank], self.starts[rank + 1])
        ]
        return {i for members in self.groups if len({owner[m] for m in members}) > 1 for i in members}


def groups_of(keys: Sequence[str], size: int | None, mixed: bool = False) -> list[list[int]]:
    """The groups of a batch as positions in it, each in rising order.

    Args:
        keys: what each completion answers, over all processes in order.
        size: completions of a group, which then stand next to each other; None where it is not known: then
            completions with the same key are a group.
        mixed: with `size`, whether one group may hold several keys.

    Raises:
        ConfigurationError: with `size`, a group would be incomplete, or hold completions of different prompts.
    """
    if size is None:
        found: dict[str, list[int]] = {}
        for i, key in enumerate(keys):
            found.setdefault(key, []).append(i)
        return list(found.values())
    if len(keys) % size:
        raise ConfigurationError(
            f"{len(keys)} completions are no whole groups of num_generations={size}; let the global batch be a "
            "multiple of it."
        )
    groups = [list(range(i, i + size)) for i in range(0, len(keys), size)]
    if not mixed and any(keys[members[0]] != keys[i] for members in groups for i in members):
        raise ConfigurationError(
            f"Completions {size} by {size} do not share a prompt, so they are not the groups that TRL normalises "
            "rewards in; use its own sampler, which repeats each row num_generations times."
        )
    return groups
