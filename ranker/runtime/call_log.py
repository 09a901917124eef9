"""A JSONL file with one line for every judge call."""

from __future__ import annotations

import json
import logging
import os
import threading
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError, scrub

log = logging.getLogger("ranker")


class Recorder:
    """Appends records to a file, whole lines only, from any number of threads and processes.

    Raises:
        ConfigurationError: the file cannot be opened for writing.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            self._file = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigurationError(f"The record {path} cannot be written: {error.strerror}.") from None
        self._lock = threading.Lock()
        self._failed = False

    def write(self, record: dict[str, Any]) -> None:
        line = scrub(json.dumps(record, default=str)).encode() + b"\n"
        try:
            with self._lock:
                os.write(self._file, line)
        except OSError as error:
            if not self._failed:
                log.warning("The record %s cannot be written (%s); going on without it.", self.path, error)
            self._failed = True

    def close(self) -> None:
        os.close(self._file)
