"""What a command may write to: no file that it reads, no file twice, nothing that Ranker did not write."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Hashable, Iterable, Mapping
from pathlib import Path

from ranker.errors import ConfigurationError

File = Path | int  # an open file by its number


def check_outputs(
    outputs: Mapping[str, File | Iterable[Path | None] | None], inputs: Iterable[Path | None]
) -> None:
    """Refuse an output that is an input, and two outputs that are one file, however they are spelled or linked.

    Devices, pipes and folders are nobody's to erase and may be named as often as wanted.

    Args:
        outputs: by the option that names them: a file, several, or None for none.
        inputs: files that are read; None for none.

    Raises:
        ConfigurationError: one of them is.
    """
    read = {_identity(path): path for path in inputs if path is not None and os.path.exists(path)}
    written: dict[Hashable, str] = {}
    for option, named in outputs.items():
        for file in named if isinstance(named, Iterable) else [named]:
            same = None if file is None else _identity(file)
            if same is None:
                continue
            name = f"{option} {file}" if isinstance(file, Path) else "standard output"
            if same in read:
                raise ConfigurationError(
                    f"{name} is the same file as the input {read[same]}, which would be lost: name another."
                )
            if same in written:
                raise ConfigurationError(f"{name} and {written[same]} are one file: name two.")
            written[same] = name


def _identity(file: File) -> Hashable:
    """What every name of a file has in common; None for what is no regular file."""
    try:
        state = os.stat(file)
    except OSError:
        return os.path.realpath(file) if isinstance(file, Path) else None
    return (state.st_dev, state.st_ino) if stat.S_ISREG(state.st_mode) else None


def check_absent(folder: Path, names: Iterable[str], whose: str) -> None:
    """Refuse a folder in which files that would be replaced are somebody else's. Devices are nobody's.

    Args:
        names: of files and folders that would be replaced, as patterns.
        whose: what `folder` is not, e.g. "a run folder".

    Raises:
        ConfigurationError: one of them is there.
    """
    every = (path for name in names for path in folder.glob(name))
    there = sorted(path.name for path in every if path.is_file() or path.is_dir())
    if there:
        raise ConfigurationError(
            f"{folder} is not {whose}, and its {', '.join(there)} would be replaced: name another folder, or move "
            f"{'them' if len(there) > 1 else 'it'} away."
        )


def make_folder(folder: Path) -> None:
    """Make a folder, and those that it lies in, where they are missing.

    Raises:
        ConfigurationError: it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(f"{folder} cannot be created: {error.strerror or error}.") from None


def drop_stdout() -> None:
    """Send what standard output still holds nowhere: it cannot be written, and Python would say so again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def replace_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all. What a link leads to is replaced, not the link; a device or a pipe is written into.

    Raises:
        OSError: it cannot be written; what stood there before still does.
    """
    if path.exists() and not path.is_file() and not path.is_dir():
        path.write_bytes(data)
        return
    path = Path(os.path.realpath(path))
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
