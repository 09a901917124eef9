"""What `ranker init` writes: an agent with a tool to start from. The files lie beside this module."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.runtime.outputs import check_absent

FILES = ("config.toml", "rollout.py", "tasks.jsonl", "groups.jsonl", "README.md")


def write_starter(folder: Path) -> None:
    """Write the files into a folder, which is made where it is missing.

    Raises:
        ConfigurationError: one of them is there already, or the folder cannot be written; what was there still is.
    """
    try:
        check_absent(folder, FILES, "an empty folder")
        folder.mkdir(parents=True, exist_ok=True)
        for name in FILES:
            with open(folder / name, "xb") as file:  # made by another process meanwhile: refused, too
                file.write((resources.files(__package__) / name).read_bytes())
    except OSError as error:
        raise ConfigurationError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}. Name another folder."
        ) from None
