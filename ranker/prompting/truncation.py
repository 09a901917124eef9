"""Making a group fit a context window: shorten the longest texts evenly, from the middle."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from ranker.prompting.sharing import REFERENCE, Shared, expand

FLOOR = 512  # tokens; no text is shortened below this, windows of fewer trajectories come first
_HEADER = re.compile(
    r"^<(?:system|developer|user|assistant|tool|function|call|reasoning|refusal|tools|history)(?: [^>\n]*)?>",
    re.MULTILINE,
)
# A bracket whose name is still open: cut off here it might become a tag that it was not.
_OPENED = re.compile(r"(?:<|\uff1c|\ufe64|&)[^<>\uff1c\ufe64\uff1e]*\Z")
_TAG = re.compile(r"</?[a-z]+\d*(?: [^<>\n]*)?/?>")


def estimate_tokens(text: str) -> int:
    """Tokens of a text for a tokenizer we do not have: a third of its UTF-8 bytes.

    On the safe side for prose and JSON (about 4 bytes a token) and near it for dense scripts.
    """
    return (len(text) if text.isascii() else len(text.encode("utf-8", "replace"))) // 3 + 1


def shorten(shared: Shared, room: int, count: Callable[[str], int]) -> tuple[Shared, tuple[int, ...]] | None:
    """Cut the longest texts so that all together take at most `room` tokens.

    The cap is one length for all (water-filling), so the longest lose most and short ones nothing.

    Returns:
        The shortened texts and, for each stream, the characters it lost, those of the shared parts it
        refers to among them; or None where they do not fit with FLOOR tokens each.
    """
    texts = [*shared.parts, *shared.streams]
    sizes = [count(text) for text in texts]
    if sum(sizes) <= room:
        return shared, (0,) * len(shared.streams)
    cap = _level(sizes, room)
    while cap >= FLOOR:
        cut = [
            text if size <= cap else cut_middle(text, int(len(text) * cap / size), shared.parts)
            for text, size in zip(texts, sizes, strict=True)
        ]
        over = sum(map(count, cut)) - room
        if over <= 0:
            done = Shared(tuple(cut[: len(shared.parts)]), tuple(cut[len(shared.parts) :]))
            return done, _losses(shared, done)
        cap = min(cap - 1, cap - over // sum(size > cap for size in sizes))
    return None


def _losses(before: Shared, after: Shared) -> tuple[int, ...]:
    """Characters each stream lost, in itself and in the shared parts it refers to."""
    parts = [max(0, len(a) - len(b)) for a, b in zip(before.parts, after.parts, strict=True)]
    lost = []
    for whole, cut in zip(before.streams, after.streams, strict=True):
        shown = {int(n) for n in REFERENCE.findall(cut)}
        lost.append(max(0, len(whole) - len(cut)) + sum(parts[n - 1] for n in shown))
    return tuple(lost)


def least(shared: Shared, count: Callable[[str], int]) -> tuple[int, list[int]]:
    """The fewest tokens of the shared parts, and of each stream, however much is cut."""
    return (
        sum(min(FLOOR, count(part)) for part in shared.parts),
        [min(FLOOR, count(stream)) for stream in shared.streams],
    )


def _level(sizes: Sequence[int], room: int) -> int:
    """The largest cap with sum(min(size, cap)) <= room."""
    left = room
    for i, size in enumerate(sorted(sizes)):
        share = left // (len(sizes) - i)
        if size > share:
            return share
        left -= size
    return max(sizes)


def cut_middle(text: str, keep: int, parts: Sequence[str]) -> str:
    """Keep about `keep` characters of `text`, half from each end, with `<cut N/>` between.

    Cuts fall outside tags. Where the tail starts inside a message, that message's opening tag is
    repeated after the mark, so that nobody's words pass for another's.
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
    headers = list(_HEADER.finditer(expand(text[start:stop], parts)))
    first = REFERENCE.match(tail)
    opens = _HEADER.match(expand(first.group(), parts) if first else tail)
    again = headers[-1].group() + "\n" if headers and not opens else ""
    head = text[:start] if not start or text[start - 1] == "\n" else text[:start] + "\n"
    return f"{head}<cut {stop - start}/>\n{again}{tail}"
