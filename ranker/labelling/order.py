"""Orders as people write them: ``B > A = D > C``, or ``BADC``."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from itertools import combinations
from string import ascii_uppercase

from ranker.aggregate.ranking import Tiers, average_ranks
from ranker.errors import RankerError

MOST = len(ascii_uppercase) ** 2  # attempts for which names suffice
_PIECE = re.compile(r"[A-Z]+|[>=,]|\s+|.", re.DOTALL)


class OrderError(RankerError):
    """What was written does not name every attempt once."""


def names_of(n: int) -> list[str]:
    """A letter for each of n attempts; two letters for each where 26 are too few.

    Raises:
        ValueError: more than 676.
    """
    if n > MOST:
        raise ValueError(f"{n} attempts; letters suffice for {MOST}")
    if n <= len(ascii_uppercase):
        return list(ascii_uppercase[:n])
    return [a + b for a in ascii_uppercase for b in ascii_uppercase][:n]


def parse_order(text: str, names: Sequence[str]) -> Tiers:
    """Tiers of positions in `names`, best first; each tier ascending.

    ``>``, commas, spaces and nothing separate places; ``=`` ties. Upper and lower case are the same.

    Raises:
        OrderError: anything but an order of all names, each once.
    """
    width = len(names[0])
    tiers: list[list[str]] = []
    joins = ""  # the sign since the last letter
    for piece in _PIECE.findall(_upper(text)):
        if piece.isspace():
            continue
        if piece in (">", "=", ","):
            if joins or not tiers:
                raise OrderError(f"There is no letter before {piece!r}. {_help(names)}")
            joins = piece
            continue
        for at in range(0, len(piece), width):
            name = piece[at : at + width]
            if name not in names:
                raise OrderError(f"There is no attempt {name!r}. {_help(names)}")
            if joins == "=":
                tiers[-1].append(name)
            else:
                tiers.append([name])
            joins = ""
    if joins:
        raise OrderError(f"There is no letter after {joins!r}. {_help(names)}")
    named = [name for tier in tiers for name in tier]
    twice = [name for name in names if named.count(name) > 1]
    missing = [name for name in names if name not in named]
    if twice or missing:
        faults = [
            f"{what}: {', '.join(some)}" for what, some in (("missing", missing), ("twice", twice)) if some
        ]
        raise OrderError(f"Not every attempt stands once; {'; '.join(faults)}.")
    return tuple(tuple(sorted(map(names.index, tier))) for tier in tiers)


def render_order(tiers: Tiers, names: Sequence[str]) -> str:
    """The order as `parse_order` reads it."""
    return " > ".join(" = ".join(names[i] for i in tier) for tier in tiers)


def _upper(text: str) -> str:
    """ASCII letters in upper case; others, some of which become ASCII letters, unchanged."""
    return "".join(c.upper() if c.isascii() else c for c in text)


def _help(names: Sequence[str]) -> str:
    last = f" to {names[-1]}" if len(names) > 1 else ""
    return f"Write the letters {names[0]}{last}, best first, with = between equals: {' > '.join(names[:2])}."


def shuffled(n: int, seed: int, group: str, *, again: bool = False) -> tuple[int, ...]:
    """The order in which a group's n attempts are shown: drawn by the seed and the group's id; another one where it is
    shown again."""
    order = random.Random(f"label/{seed}/{group}").sample(range(n), n)  # noqa: S311 - not secret
    if again and n > 1:
        first, rng = list(order), random.Random(f"label/{seed}/{group}/again")  # noqa: S311 - not secret
        while order == first:
            rng.shuffle(order)
    return tuple(order)


def unshuffled(tiers: Tiers, shown: Sequence[int]) -> Tiers:
    """Tiers of the places in which attempts were shown, as tiers of the attempts."""
    return tuple(tuple(sorted(shown[i] for i in tier)) for tier in tiers)


def equal_pairs(a: Tiers, b: Tiers, n: int) -> tuple[int, int]:
    """In how many of n attempts' pairs two orders say the same (better, worse or tied), and the number of pairs."""
    ranks = [average_ranks(tiers, n) for tiers in (a, b)]
    signs = [[(r[i] > r[j]) - (r[i] < r[j]) for i, j in combinations(range(n), 2)] for r in ranks]
    return sum(x == y for x, y in zip(*signs, strict=True)), len(signs[0])


def chosen(number: int, share: float, seed: int) -> bool:
    """Whether the group that was labelled as the number-th, from 0, is shown again: a share of them, spread evenly,
    beginning at a place that the seed draws."""
    start = random.Random(f"label/{seed}/again").random()  # noqa: S311 - not secret
    return int((number + 1) * share + start) > int(number * share + start)
