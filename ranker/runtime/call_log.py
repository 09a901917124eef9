"""A JSONL log of judge calls."""

from __future__ import annotations

import json
import logging
import os
import threading
import weakref
from io import BytesIO
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError
from ranker.secrets import scrub, scrubbed

log = logging.getLogger("ranker")


class CallLog:
    """Appends one JSON line per judge call; safe with several threads and processes.

    Raises:
        ConfigurationError: the file cannot be opened for writing, or holds something else.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            weakref.finalize(self, os.close, self._file)  # also of one that is refused below
            with open(self.path, "rb") if self.path.is_file() else BytesIO() as lines:
                first = lines.readline()
        except OSError as error:
            raise ConfigurationError(f"The record {path} cannot be written: {error.strerror}.") from None
        if first and not _is_call(first):
            raise ConfigurationError(f"{path} is no record of judge calls; name another file.")
        self._lock = threading.Lock()
        self._failed = False

    def write(self, record: dict[str, Any]) -> None:
        line = json.dumps(scrubbed(record), default=lambda value: scrub(str(value))).encode() + b"\n"
        try:
            with self._lock:
                os.write(self._file, line)
        except OSError as error:
            if not self._failed:
                log.warning("The record %s cannot be written (%s); continuing without it.", self.path, error)
            self._failed = True


def _is_call(line: bytes) -> bool:
    try:
        return {"time", "judge", "raw", "usage"} <= dict(json.loads(line)).keys()
    except (ValueError, TypeError):
        return False
