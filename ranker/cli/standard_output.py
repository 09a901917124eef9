"""Ranked groups on standard output, where `ranker rank` has no --out."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from ranker.errors import ConfigurationError
from ranker.jsonl.appender import RANKED
from ranker.jsonl.group_file import dump_line
from ranker.jsonl.id_index import IdIndex
from ranker.jsonl.torn_line import opening_first
from ranker.runtime.outputs import drop_stdout


class StandardOutput:
    """Takes records as an `Appender` does.

    Raises:
        ConfigurationError: it is closed.
    """

    def __init__(self) -> None:
        if sys.stdout is None:
            raise ConfigurationError(
                "Standard output is closed: name a file for the ranked groups with --out."
            )
        self.done = IdIndex()
        self._fault: ConfigurationError | None = None  # what ended it, perhaps within a line

    def write(self, record: Mapping[str, Any]) -> None:
        if self._fault is not None:
            raise self._fault
        try:
            sys.stdout.buffer.write(dump_line(opening_first(record, RANKED)))
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            drop_stdout()
            self._fault = ConfigurationError(
                f"Standard output cannot be written ({error.strerror}), and may end within a line. Free some space and run "
                "the same command again, or name a file with --out, which a later run continues."
            )
            raise self._fault from None

    def close(self) -> None:
        self.done.close()
