"""The folder of a tuning run: what it needs to resume, each file written whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from filelock import FileLock, Timeout

from ranker.errors import ConfigurationError
from ranker.judges.local.judge_file import FILE
from ranker.judges.local.model import first_line
from ranker.runtime.outputs import check_absent

STATE, BEST, BEFORE, AFTER = "state.pt", "best.pt", "before.pt", "after.pt"
ADAPTER = "adapter"


class Folder:
    """Files that belong to one run, identified by its digest.

    Args:
        digest: of the settings and groups; files of another one are refused.
    """

    def __init__(self, path: Path, digest: str):
        self.path, self.digest = path, digest

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Create the folder, and keep other processes out of it.

        Raises:
            ConfigurationError: it cannot be created, is in use, or holds a judge or files of the same names that no
                tuning run wrote.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.path / ".lock").acquire(timeout=0)
        except Timeout:
            raise ConfigurationError(f"Another process is tuning into {self.path}; wait for it.") from None
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be made a folder for the judge: {error.strerror or error}. Name another."
            ) from None
        with lock:
            if not (self.path / BEFORE).exists():  # the first file that a tuning run writes
                if (self.path / FILE).exists():
                    raise ConfigurationError(
                        f"{self.path} holds another judge already; choose another folder."
                    )
                check_absent(self.path, (ADAPTER, STATE, BEST, AFTER), "a folder of `ranker tune-judge`")
            yield

    def read(self, name: str) -> dict[str, Any] | None:
        """The contents of a file; None if it does not exist.

        Raises:
            ConfigurationError: it cannot be read, or belongs to another run.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            content = torch.load(path, weights_only=True, map_location="cpu")
            digest = content.pop("digest")
        except Exception as error:  # torch raises what pickle and zip raise
            raise ConfigurationError(
                f"{path} cannot be read ({first_line(error)}). Delete {self.path} and start again, or choose another "
                "folder."
            ) from None
        if digest != self.digest:
            raise ConfigurationError(
                f"{self.path} holds a tuning run with other groups, settings or another base. Choose another folder, or "
                "delete it."
            )
        return dict(content)

    def write(self, name: str, content: Mapping[str, Any]) -> None:
        """Write a file, whole or not at all.

        Raises:
            ConfigurationError: it cannot be written; its previous contents stay.
        """
        path = self.path / name
        scratch = self.path / f".{name}.new"
        try:
            torch.save({**content, "digest": self.digest}, scratch)
            os.replace(scratch, path)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a full disk
            scratch.unlink(missing_ok=True)
            raise ConfigurationError(
                f"{path} cannot be written ({first_line(error)}). Its previous contents are unchanged; free some space "
                "and run the same command again to continue."
            ) from None

    def cached(self, name: str, compute: Callable[[], Any]) -> Any:
        """The value that an earlier run computed, or the one computed and written now."""
        content = self.read(name)
        if content is None:
            content = {"made": compute()}
            self.write(name, content)
        return content["made"]
