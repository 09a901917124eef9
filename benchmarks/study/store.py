"""The file of results: one whole line a unit, whatever moment the study is killed at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ranker.jsonl.appender import Appender, read_records


class Results:
    """Appends records, and knows those that are there. The last record of an id counts.

    Raises:
        ConfigurationError: the file cannot be written or read, or another process writes it.
    """

    def __init__(self, path: Path):
        self._file = Appender(path, holds=("arm",), what="result of a study")
        self.records: dict[str, dict[str, Any]] = {record["id"]: record for record in read_records(path)}

    def has(self, name: str) -> bool:
        """Whether this unit was done; one that failed was not."""
        return name in self.records and "error" not in self.records[name]

    def add(self, record: Mapping[str, Any]) -> None:
        """Append a record.

        Raises:
            ConfigurationError: it could not be written whole; the file is as it was.
        """
        self._file.write(record)
        self.records[record["id"]] = dict(record)

    def close(self) -> None:
        self._file.close()
