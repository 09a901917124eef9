"""Lines of a JSONL file and what the index keeps of them, a batch at a time."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from ranker.viewing.records import judged, parsed
from ranker.viewing.rows import Row, row_of

BATCH, BYTES = 1_000, 4_000_000  # lines and bytes that are taken together
LONGEST = 64_000_000  # bytes of a line


class Stale(Exception):
    """The file is no longer the one that was indexed."""


@dataclass(slots=True)
class Taken:
    """Lines read from a file: numbers, places and rows or faults; where they end."""

    rows: list[tuple[int, int, int, int, Row]]
    faults: list[tuple[int, int, int, int, str]]
    end: int
    line: int
    open: bool = False
    torn: bool = False


def take(file: BinaryIO, end: int, line: int, *, open_line: bool) -> Taken:
    """Read on after `end`, the end of line number `line`.

    Args:
        open_line: that line had no newline yet.
    """
    took = Taken([], [], end, line)
    file.seek(end)
    if open_line:
        first = file.read(1)
        if first != b"\n":
            if first:
                raise Stale  # the line went on: what was taken was not all of it
            return took
        took.end = end + 1
    elif end == 0 and file.read(3) != b"\xef\xbb\xbf":
        file.seek(0)
    elif end == 0:
        took.end = 3
    for raw, length in _lines(file):
        whole = raw.endswith(b"\n")
        if not whole and not _is_object(raw):
            took.torn = True
            break
        start, took.end, took.line, took.open = took.end, took.end + length, took.line + 1, not whole
        if raw.strip():
            _note(took, raw, start, length)
        if took.end - end >= BYTES or took.line - line >= BATCH:
            break
    return took


def _note(took: Taken, raw: bytes, start: int, length: int) -> None:
    place = (took.line, start, length, zlib.crc32(raw))
    try:
        if length > LONGEST:
            raise ValueError(f"is longer than {LONGEST:,} bytes.")
        group = judged(parsed(raw), took.line)
        if group is not None:
            took.rows.append((*place, row_of(group)))
    except (ValueError, RecursionError) as error:
        took.faults.append((*place, str(error)[:500]))


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Lines and their lengths; of one that is too long only the end."""
    while raw := file.readline(LONGEST + 1):
        length = len(raw)
        while len(raw) > LONGEST and not raw.endswith(b"\n"):
            raw = file.readline(LONGEST + 1)
            length += len(raw)
            if not raw:
                return
        yield raw, length


def _is_object(raw: bytes) -> bool:
    try:
        parsed(raw)
    except ValueError:
        return False
    return True
