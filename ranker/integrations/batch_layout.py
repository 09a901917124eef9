"""How a batch splits into groups, and which process holds which completions."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from dataclasses import dataclass

from ranker.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class BatchLayout:
    """The groups of a global batch and this process's slice of it. All indices are positions in the global batch.

    Attributes:
        groups: members of each group, over all processes.
        starts: start of each process's slice, then the end of the last slice.
        rank: rank of this process.
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
    def local_groups(self) -> list[list[int]]:
        """The groups this process judges: those whose first completion it holds."""
        return [members for members in self.groups if self.is_local(members[0])]

    @property
    def scattered(self) -> set[int]:
        """Completions of groups that span several processes."""
        owners = [{bisect(self.starts, m) for m in members} for members in self.groups]
        return {i for members, own in zip(self.groups, owners, strict=True) if len(own) > 1 for i in members}


def groups_of(keys: Sequence[str], size: int | None, mixed: bool = False) -> list[list[int]]:
    """The groups of a batch as positions in it, each in ascending order.

    Args:
        keys: a key for the prompt of each completion, over all processes in rank order.
        size: completions per group; groups are then contiguous. None if unknown: completions with the same
            key form a group.
        mixed: with `size`, whether a group may contain several keys.

    Raises:
        ConfigurationError: with `size`, a group would be incomplete or mix completions of different prompts.
    """
    if size is None:
        groups_by_key: dict[str, list[int]] = {}
        for i, key in enumerate(keys):
            groups_by_key.setdefault(key, []).append(i)
        return list(groups_by_key.values())
    if len(keys) % size:
        raise ConfigurationError(
            f"{len(keys)} completions cannot be split into groups of num_generations={size}; make the global batch "
            "size a multiple of it."
        )
    groups = [list(range(i, i + size)) for i in range(0, len(keys), size)]
    if not mixed and any(keys[members[0]] != keys[i] for members in groups for i in members):
        raise ConfigurationError(
            f"Consecutive completions, {size} at a time, do not share a prompt, so they are not the groups within which "
            "TRL normalises rewards; use its own sampler, which repeats each row num_generations times."
        )
    return groups
