"""Deduplication of text that recurs in a group: shown once and referred to.

Attempts at a task repeat each other: opening messages, tool results, whole turns. Given the pieces
(messages) of every trajectory, `share` finds recurring stretches, names them `<p1>`, `<p2>`, … and
replaces them by references `<p1/>`. `expand` is its exact inverse.

Whole pieces are shared first, then, in long groups, lines and sentences of the remaining pieces.
Equal atoms (pieces, or lines and sentences in equal stretches) form a class; a run of classes that
always follow one another is one part, as a unitig is in a de Bruijn graph. Parts never nest or
overlap. The result does not depend on the order of the trajectories, so every pass over a group
shows the same parts, and a provider's prompt cache can reuse them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

MIN_PART = 48  # characters; sharing shorter stretches costs the reader more than it saves
FINE_FROM = 6_000  # characters of unshared text; below this, lines and sentences are not shared
FINE_UPTO = 4_000_000  # above this, comparing every line takes too long

# A line, a sentence or clause in it, or a member of a JSON object or list.
_ATOM = re.compile(r"[^\n]*?(?:[.!?:;,] +|,(?=[\w\"{\[])|\n+)|[^\n]+")
Sharing = Literal[
    "fine", "messages", "off"
]  # what is shown once: sentences too, whole messages only, nothing
PART_REFERENCE = re.compile(r"<p(\d+)/>")


@dataclass(frozen=True, slots=True)
class Shared:
    """Parts shown once, and each stream's text with references to them (`<p1/>` is ``parts[0]``)."""

    parts: tuple[str, ...]
    streams: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Use:
    """A use of a part in a stream."""

    part: str


def share(streams: Sequence[Sequence[str]], sharing: Sharing = "fine") -> Shared:
    """Share the stretches that recur within and across `streams`, each a list of pieces."""
    if sharing == "off":
        return Shared((), tuple("".join(pieces) for pieces in streams))
    distinct = sorted({tuple(pieces) for pieces in streams})
    replaced: list[list[str | _Use]] = _replace([list(pieces) for pieces in distinct], _equal_pieces)
    rest = sum(len(item) for items in replaced for item in items if isinstance(item, str))
    if sharing == "fine" and FINE_FROM <= rest <= FINE_UPTO:
        split = [
            [a for i in items for a in (_ATOM.findall(i) if isinstance(i, str) else [i])]
            for items in replaced
        ]
        replaced = _replace(split, _equal_stretches)
    return _write(streams, dict(zip(distinct, replaced, strict=True)))


def expand(text: str, parts: Sequence[str]) -> str:
    """Replace every reference in `text` by its part."""
    return PART_REFERENCE.sub(lambda m: parts[int(m.group(1)) - 1], text)


def _replace(
    streams: Sequence[Sequence[str | _Use]], classify: Callable[[Sequence[str | None]], list[int]]
) -> list[list[str | _Use]]:
    """Replace runs of atoms that recur together by uses of a part."""
    atoms: list[str | None] = []  # None: the end of a stream, or an existing use of a part
    uses: list[_Use | None] = []
    for items in streams:
        for item in items:
            atoms.append(item if isinstance(item, str) else None)
            uses.append(None if isinstance(item, str) else item)
        atoms.append(None)
        uses.append(None)
    spans = _chains(atoms, classify(atoms))
    result: list[list[str | _Use]] = []
    i = 0
    for items in streams:
        out: list[str | _Use] = []
        end = i + len(items)
        while i < end:
            n = spans.get(i, 0)
            atom, use = atoms[i], uses[i]
            if n:
                out.append(_Use("".join(a for a in atoms[i : i + n] if a is not None)))
            elif use is not None:
                out.append(use)
            elif atom is not None:
                out.append(atom)
            i += n or 1
        result.append(out)
        i += 1
    return result


def _equal_pieces(atoms: Sequence[str | None]) -> list[int]:
    """Class of each atom: equal atoms share one."""
    first: dict[str, int] = {}
    return [i if atom is None else first.setdefault(atom, i) for i, atom in enumerate(atoms)]


def _equal_stretches(atoms: Sequence[str | None]) -> list[int]:
    """Class of each atom: atoms at the same position of equal stretches of MIN_PART characters share one.

    Greedy longest match against earlier atoms, as in LZ77; matches merge classes (union-find).
    """
    parent = list(range(len(atoms)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = parent[i]
        return i

    seen: dict[str, list[int]] = {}
    i = indexed = 0
    while i < len(atoms):
        while indexed < i:  # only earlier atoms may be matched
            atom = atoms[indexed]
            if atom is not None:
                seen.setdefault(atom, []).append(indexed)
            indexed += 1
        best, source = 0, -1
        start = atoms[i]
        for j in seen.get(start, ())[:16] if start is not None else ():
            n = 1
            while i + n < len(atoms) and j + n < i and atoms[i + n] == atoms[j + n] is not None:
                n += 1
            if n > best:
                best, source = n, j
        if best and sum(len(a) for a in atoms[i : i + best] if a) >= MIN_PART:
            for k in range(best):
                parent[root(i + k)] = root(source + k)
            i += best
        else:
            i += 1
    return [root(i) for i in range(len(atoms))]


def _chains(atoms: Sequence[str | None], classes: Sequence[int]) -> dict[int, int]:
    """Maximal runs of classes that always follow one another and are long enough to share, as their
    lengths in atoms by start position."""
    count: dict[int, int] = {}
    for c in classes:
        count[c] = count.get(c, 0) + 1
    follows: dict[int, int] = {}
    leads: dict[int, int] = {}
    forked = -1
    for left, right in itertools.pairwise(classes):
        follows[left] = right if follows.get(left, right) == right else forked
        leads[right] = left if leads.get(right, left) == left else forked
    spans: dict[int, int] = {}
    i = 0
    while i < len(classes):
        if count[classes[i]] < 2:
            i += 1
            continue
        n = 1
        while (
            i + n < len(classes)
            and count[classes[i + n]] == count[classes[i]]
            and follows[classes[i + n - 1]] == classes[i + n]
            and leads[classes[i + n]] == classes[i + n - 1]
        ):
            n += 1
        if sum(len(a) for a in atoms[i : i + n] if a) >= MIN_PART:
            spans[i] = n
        i += n
    return spans


def _write(
    streams: Sequence[Sequence[str]], replaced: Mapping[tuple[str, ...], Sequence[str | _Use]]
) -> Shared:
    uses: dict[str, int] = {}
    for items in replaced.values():
        for item in items:
            if isinstance(item, _Use):
                uses[item.part] = uses.get(item.part, 0) + 1
    # Most used parts first; the order must not reveal which trajectories use a part.
    parts = sorted((p for p, n in uses.items() if n > 1), key=lambda p: (-uses[p], -len(p), p))
    label = {part: f"<p{rank}/>" for rank, part in enumerate(parts, start=1)}
    written = {
        pieces: "".join(item if isinstance(item, str) else label.get(item.part, item.part) for item in items)
        for pieces, items in replaced.items()
    }
    return Shared(tuple(parts), tuple(written[tuple(pieces)] for pieces in streams))
