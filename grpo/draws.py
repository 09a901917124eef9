"""Lots drawn by number: the same in every process, in a resumed run, and whatever else was drawn before."""

from __future__ import annotations

import hashlib


def drawn(seed: int, index: int) -> float:
    """The lot of group `index`, evenly distributed in [0, 1).

    ``drawn(seed, k) < share`` picks a share of the groups, and a smaller share picks some of the same ones.
    """
    return (_digest("lot", seed, index) >> 11) / (1 << 53)


def seed_for(what: str, seed: int) -> int:
    """A seed of 64 bits for something else than the attempts of the run with this seed."""
    return _digest(what, seed)


def _digest(*parts: str | int) -> int:
    return int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8], "big")
