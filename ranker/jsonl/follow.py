"""A JSONL file of groups that another process writes, read while it grows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import Line, line_of
from ranker.jsonl.objects import record_of


def follow_lines(path: Path) -> Iterator[Line | None]:
    """The lines of a file, and None each time that no further whole line is there yet; without end. The file may begin
    to exist later. A last line without its newline is still being written.

    Raises:
        ConfigurationError: the file cannot be read, or became shorter.
    """
    offset = number = 0
    while True:
        try:
            with open(path, "rb") as file:
                if file.seek(0, 2) < offset:
                    raise ConfigurationError(f"{path} became shorter while it was read; start again.")
                file.seek(offset)
                for raw in file:
                    if not raw.endswith(b"\n"):
                        break
                    offset += len(raw)
                    number += 1
                    if raw.strip():
                        yield line_of(record_of(raw, number))
        except FileNotFoundError:
            if offset:
                raise ConfigurationError(f"{path} is gone; start again when it is back.") from None
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
        yield None
