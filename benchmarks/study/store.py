"""The file of results: one whole line a unit, whatever moment the study is killed at."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranker.errors import ConfigurationError


class Results:
    """Appends records, and knows those that are there. The last record of an id counts.

    A line cut off by a kill is removed on opening.

    Raises:
        ConfigurationError: the file cannot be written or read, or another process writes it.
    """

    def __init__(self, path: Path):
        self.path = path
        self.records: dict[str, dict[str, Any]] = {}
        try:
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._file)
            raise ConfigurationError(
                f"Another study is writing {path}; wait for it, or name another folder."
            ) from None
        self._read()

    def _read(self) -> None:
        whole = 0
        with open(self.path, "rb") as file:
            for number, raw in enumerate(file, start=1):
                if not raw.endswith(b"\n"):
                    break
                try:
                    record = json.loads(raw)
                    self.records[record["id"]] = record
                except (ValueError, KeyError, TypeError):
                    raise ConfigurationError(
                        f"{self.path}, line {number}, is no result of a study; move the file away."
                    ) from None
                whole += len(raw)
        os.ftruncate(self._file, whole)

    def has(self, name: str) -> bool:
        """Whether this unit was done; one that failed was not."""
        return name in self.records and "error" not in self.records[name]

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record.

        Raises:
            ConfigurationError: it could not be written whole; the file is as it was.
        """
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        size = os.fstat(self._file).st_size
        written = 0
        try:
            while written < len(line):
                written += os.write(self._file, line[written:])
        except OSError as error:
            os.ftruncate(self._file, size)
            raise ConfigurationError(
                f"{self.path} cannot be written ({error.strerror}). What it holds is complete; make room and run "
                "the same command again."
            ) from None
        self.records[record["id"]] = dict(record)

    def close(self) -> None:
        os.close(self._file)
