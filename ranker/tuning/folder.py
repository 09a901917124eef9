"""The folder of a tuning: what a run needs to go on, each file whole or not there."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from ranker.errors import ConfigurationError
from ranker.judges.local.setup import FILE

STATE, BEST, BEFORE, AFTER = "state.pt", "best.pt", "before.pt", "after.pt"


class Folder:
    """Files that belong to one run, told by its digest.

    Args:
        digest: of the settings and groups; files of another one are refused.
    """

    def __init__(self, path: Path, digest: str):
        self.path, self.digest = path, digest

    @contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder, and keep other processes out of it.

        Raises:
            ConfigurationError: it cannot be made, is in use, or holds a judge that no tuning wrote.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.path / ".lock", os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be made a folder for the judge: {error.strerror or error}. Name another."
            ) from None
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ConfigurationError(
                    f"Another process is tuning into {self.path}; wait for it."
                ) from None
            if (self.path / FILE).exists() and not (self.path / BEFORE).exists():
                raise ConfigurationError(f"{self.path} holds another judge already; choose another folder.")
            yield
        finally:
            os.close(lock)

    def read(self, name: str) -> dict[str, Any] | None:
        """What stands in a file, None where there is none.

        Raises:
            ConfigurationError: it cannot be read, or belongs to another run.
        """
        path = self.path / name
        if not path.exists():
            return None
        try:
            kept = torch.load(path, weights_only=True, map_location="cpu")
            digest = kept.pop("digest")
        except Exception as error:  # torch raises what pickle and zip raise
            told = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigurationError(
                f"{path} cannot be read ({told}). Delete {self.path} and start again, or choose another folder."
            ) from None
        if digest != self.digest:
            raise ConfigurationError(
                f"{self.path} holds a tuning of other groups, settings or another base. Choose another folder, or "
                "delete it."
            )
        return dict(kept)

    def write(self, name: str, told: Mapping[str, Any]) -> None:
        """Write a file, whole or not at all.

        Raises:
            ConfigurationError: it cannot be written; what stood there before stays.
        """
        path = self.path / name
        scratch = path.with_suffix(".new")
        try:
            torch.save({**told, "digest": self.digest}, scratch)
            os.replace(scratch, path)
        except (OSError, RuntimeError) as error:  # torch raises the latter for a full disk
            scratch.unlink(missing_ok=True)
            told_error = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise ConfigurationError(
                f"{path} cannot be written ({told_error}). What it held is kept; make room and run the same command "
                "again to go on."
            ) from None

    def kept(self, name: str, make: Callable[[], Any]) -> Any:
        """What an earlier call made, or what is made now and kept."""
        kept = self.read(name)
        if kept is None:
            kept = {"made": make()}
            self.write(name, kept)
        return kept["made"]
