"""Opaque names for the trajectories of one call."""

from __future__ import annotations

import random
from collections.abc import Sequence

_LETTERS = "BCDFGHJKLMNPQRSTVWXZ"  # no vowels: no words, and none of the ids in the templates' example
_LENGTH = 3


def fresh_ids(rng: random.Random, n: int, texts: Sequence[str]) -> tuple[str, ...]:
    """Draw `n` different ids that occur in none of `texts`, in upper or lower case.

    Ids are drawn without regard to what they will name, so they say nothing of a trajectory or of
    its place in the input. Texts that hold every short id make them longer, never absent.
    """
    lowered = "\n".join(texts).lower()
    ids: list[str] = []
    misses = 0
    length = _LENGTH
    while len(ids) < n:
        candidate = "".join(rng.choices(_LETTERS, k=length))
        if candidate in ids or candidate.lower() in lowered:
            misses += 1
            if misses >= 50:
                misses, length, ids = 0, length + 1, []
            continue
        ids.append(candidate)
    return tuple(ids)
