"""A JSONL file of groups that another process writes, read while it grows."""

from __future__ import annotations

from codecs import BOM_UTF8
from collections.abc import Iterator
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import Line, line_of
from ranker.jsonl.objects import GZIP, check_text, record_of


def follow_lines(path: Path) -> Iterator[Line | None]:
    """The lines of a file, and None each time that no further whole line is there yet; without end. The file may begin
    to exist later. A last line without its newline is still being written.

    Raises:
        ConfigurationError: the file cannot be read, is no text, or became shorter.
    """
    offset = number = 0
    while True:
        try:
            with open(path, "rb") as file:
                if file.seek(0, 2) < offset:
                    raise ConfigurationError(f"{path} became shorter while it was read; start again.")
                file.seek(offset)
                for raw in file:
                    if not offset:
                        _check(raw, path)
                    if not raw.endswith(b"\n"):
                        break
                    text = raw if offset else raw.removeprefix(BOM_UTF8)
                    offset += len(raw)
                    number += 1
                    if text.strip():
                        yield line_of(record_of(text, number))
        except FileNotFoundError:
            if offset:
                raise ConfigurationError(f"{path} is gone; start again when it is back.") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
        yield None


def _check(first: bytes, path: Path) -> None:
    if first.startswith(GZIP):
        raise ConfigurationError(f"{path} is packed, and cannot be followed while it grows: unpack it.")
    check_text(first, path)
