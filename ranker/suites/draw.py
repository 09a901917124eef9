"""Randomness that depends on nothing but what names it."""

from __future__ import annotations

import random


def rng(*names: object) -> random.Random:
    """A generator of its own for `names`: the same names, the same draws, on every machine."""
    return random.Random("/".join(map(str, names)))
