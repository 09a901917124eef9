"""Truncation to a context window: the longest texts are cut evenly, in the middle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ranker.prompting.sharing import PART_REFERENCE, Shared, expand
from ranker.prompting.turns import TURN

FLOOR = 512  # tokens; no text is cut below this, larger groups are split into windows instead
PART_FLOOR = 128  # tokens; where two attempts do not fit else, no shared part is cut below this
_HEADER = re.compile(
    r"^<(?:system|developer|user|assistant|tool|function|call|reasoning|refusal|tools|history)(?: [^>\n]*)?>",
    re.MULTILINE,
)
# What ends an assistant's turn.
_OTHERS = re.compile(r"^<(?:system|developer|user|tool|function|tools|history)(?: [^>\n]*)?>", re.MULTILINE)
# An unfinished tag: cut here, it could merge with what follows into a different tag.
_OPENED = re.compile(r"(?:<|\uff1c|\ufe64|&)[^<>\uff1c\ufe64\uff1e]*\Z")
_TAG = re.compile(r"</?[a-z]+\d*(?: [^<>\n]*)?/?>")


def estimate_tokens(text: str) -> int:
    """Estimated tokens of a text for an unknown tokenizer: a third of its UTF-8 bytes.

    Conservative for prose and JSON (about 4 bytes per token), close for dense scripts.
    """
    return most_tokens(text) // 3 + 1


def most_tokens(text: str) -> int:
    """Upper bound on the tokens of a text for any tokenizer: one per UTF-8 byte."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def truncate(
    shared: Shared, room: int, count: Callable[[str], int], *, part_floor: int = FLOOR
) -> tuple[Shared, tuple[int, ...]] | None:
    """Cut the longest texts so that together they take at most `room` tokens.

    One cap applies to all texts (water-filling): the longest lose most and short ones nothing. Below FLOOR, it applies to
    the shared parts alone.

    Args:
        part_floor: tokens below which no shared part is cut.

    Returns:
        The truncated texts and, for each stream, the characters it lost, including those lost in the
        shared parts it refers to; None if they do not fit with FLOOR tokens each.
    """
    texts = [*shared.parts, *shared.streams]
    sizes = [count(text) for text in texts]
    if sum(sizes) <= room:
        return shared, (0,) * len(shared.streams)
    n = len(shared.parts)
    cap = _largest_cap(sizes, room)
    if cap < FLOOR:
        cap = _largest_cap(sizes[:n], room - sum(min(FLOOR, size) for size in sizes[n:]))
    while cap >= part_floor:
        caps = [cap] * n + [max(cap, FLOOR)] * len(shared.streams)
        cut = [
            text if size <= most else cut_middle(text, int(len(text) * most / size), shared.parts)
            for text, size, most in zip(texts, sizes, caps, strict=True)
        ]
        over = sum(map(count, cut)) - room
        if over <= 0:
            done = Shared(tuple(cut[:n]), tuple(cut[n:]))
            return done, _losses(shared, done)
        lower = sum(size > most for size, most in zip(sizes, caps, strict=True))
        cap = min(cap - 1, cap - over // lower)
    return None


def _losses(before: Shared, after: Shared) -> tuple[int, ...]:
    """Characters each stream lost, in itself and in the shared parts it refers to."""
    parts = [max(0, len(a) - len(b)) for a, b in zip(before.parts, after.parts, strict=True)]
    lost = []
    for whole, cut in zip(before.streams, after.streams, strict=True):
        shown = {int(n) for n in PART_REFERENCE.findall(cut)}
        lost.append(max(0, len(whole) - len(cut)) + sum(parts[n - 1] for n in shown))
    return tuple(lost)


def minimum_tokens(shared: Shared, count: Callable[[str], int]) -> tuple[int, list[int]]:
    """Tokens of the shared parts together and of each stream when cut as far as allowed."""
    return (
        sum(min(FLOOR, count(part)) for part in shared.parts),
        [min(FLOOR, count(stream)) for stream in shared.streams],
    )


def _largest_cap(sizes: Sequence[int], room: int) -> int:
    """The largest cap with sum(min(size, cap)) <= room."""
    left = room
    for i, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - i)
        if size > share:
            return share
        left -= size
    return max(sizes, default=0)


def cut_middle(text: str, keep: int, parts: Sequence[str]) -> str:
    """Keep about `keep` characters of `text`, half from each end, with `<cut N/>` between.

    Cuts fall outside tags. If the tail starts inside a message, its opening tag is repeated after the
    marker, so that its text is not attributed to another role; so is the tag of a numbered turn.
    """
    marker = 40
    half = max(0, (keep - marker) // 2)
    start, stop = half, len(text) - half
    for tag in _TAG.finditer(text):
        if tag.start() < start < tag.end():
            start = tag.start()
        if tag.start() < stop < tag.end():
            stop = tag.end()
    line = text.rfind("\n", max(0, start - 120), start)
    start = line + 1 if line >= 0 else start
    opened = _OPENED.search(text, max(0, start - 80), start)
    start = opened.start() if opened else start
    line = text.find("\n", stop, stop + 120)
    stop = line + 1 if 0 <= line < len(text) - 1 else stop
    if stop <= start:
        return text
    tail = text[stop:]
    lost = expand(text[start:stop], parts)
    first = PART_REFERENCE.match(tail)
    opening = expand(first.group(), parts) if first else tail
    again = ""
    if not TURN.match(opening):
        turns = list(TURN.finditer(lost))
        if turns and not _OTHERS.search(lost, turns[-1].end()) and not _OTHERS.match(opening):
            again = turns[-1].group() + "\n"
        headers = list(_HEADER.finditer(lost))
        said = bool(turns) and (not headers or headers[-1].start() < turns[-1].start())
        again += headers[-1].group() + "\n" if headers and not said and not _HEADER.match(opening) else ""
    head = text[:start] if not start or text[start - 1] == "\n" else text[:start] + "\n"
    return f"{head}<cut {stop - start}/>\n{again}{tail}"
