"""Many input files, one output file each, shared out among processes."""

from __future__ import annotations

import glob
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.files import Part

_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class Shard:
    """An input file and where its ranked groups go; `out` None for standard output."""

    groups: Path
    out: Path | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process is to rank.

    Attributes:
        shards: in the order in which they are tried.
        part: which groups of the one file; None for all.
        folder: whether every shard has an output file of its own in a folder.
    """

    shards: tuple[Shard, ...]
    part: Part | None
    folder: bool


def plan_of(given: Sequence[str | Path], out: Path | None, part: Part | None = None) -> Plan:
    """Make the plan for what a user names: a file, several, a folder of them, or a pattern.

    One file goes to the file `out`, and `part` takes every N-th of its groups. Anything else goes to the folder
    `out`, each shard to a file of its own name (without ``.gz``), and `part` takes every N-th shard.

    Raises:
        ConfigurationError: no shards, two of one name, or an `out` that does not fit.
    """
    found: list[Path] = []
    several = len(given) > 1
    for name in map(str, given):
        path = Path(name)
        if path.is_dir():
            several = True
            inside = sorted(
                p for p in path.iterdir() if p.name.endswith(_ENDINGS) and not p.name.startswith(".")
            )
            if not inside:
                raise ConfigurationError(f"The directory {path} holds no {' or '.join(_ENDINGS)} file.")
            found += inside
        elif glob.has_magic(name) and not path.exists():
            several = True
            inside = sorted(p for p in map(Path, glob.glob(name, recursive=True)) if p.is_file())
            if not inside:
                raise ConfigurationError(f"No file matches {name}.")
            found += inside
        else:
            found.append(path)
    if not several:
        return Plan((Shard(found[0], out),), part, False)
    if out is None:
        raise ConfigurationError(
            "Several files or a directory need --out FOLDER: one output file for each goes there."
        )
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"--out {out} is a file; several input files need a folder.")
    shards = tuple(Shard(path, out / path.name.removesuffix(".gz")) for path in found)
    _check_names(shards)
    return Plan(shards if part is None else shards[part.index :: part.of], None, True)


def _check_names(shards: Sequence[Shard]) -> None:
    taken: dict[Path, Path] = {}
    for shard in shards:
        assert shard.out is not None
        other = taken.setdefault(shard.out, shard.groups)
        if other is not shard.groups:
            raise ConfigurationError(
                f"{other} and {shard.groups} would both be written to {shard.out}; rename one, or rank them into two "
                "folders."
            )
        if shard.out.exists() and shard.groups.exists() and shard.out.samefile(shard.groups):
            raise ConfigurationError(
                f"--out {shard.out.parent} is where the input lies; name another folder."
            )


def part_of(given: str) -> Part:
    """Read ``I/N``, I from 0 to N - 1.

    Raises:
        ConfigurationError: anything else.
    """
    read = re.fullmatch(r"(\d+)/(\d+)", given.strip())
    index, of = (int(read[1]), int(read[2])) if read else (0, 0)
    if index >= of:
        raise ConfigurationError(f"--shard {given!r}: give I/N with I from 0 to N - 1, e.g. 0/16.")
    return Part(index, of)


@dataclass(frozen=True, slots=True)
class Mark:
    """What is noted of a finished shard, so that nobody reads it again while its files are as they were.

    Attributes:
        read: size and time of change (nanoseconds) of the input.
        wrote: size of the output.
        groups: how many groups the input holds.
        failed: how many of them failed.
    """

    read: tuple[int, int]
    wrote: int
    groups: int
    failed: int


def mark_path(shard: Shard) -> Path:
    assert shard.out is not None
    return shard.out.parent / ".ranker" / f"{shard.out.name}.done"


def mark_of(shard: Shard) -> Mark | None:
    """The mark of a shard that is finished and unchanged since; else None."""
    assert shard.out is not None
    try:
        fields = json.loads(mark_path(shard).read_bytes())
        mark = Mark(tuple(fields["read"]), fields["wrote"], int(fields["groups"]), int(fields["failed"]))
        same = mark.read == _state(shard.groups) and mark.wrote == shard.out.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return mark if same else None


def set_mark(shard: Shard, read: tuple[int, int], groups: int, failed: int) -> None:
    """Note that a shard is finished; `read` is what `state_of` said before its input was read.

    Raises:
        ConfigurationError: it cannot be written.
    """
    assert shard.out is not None
    path = mark_path(shard)
    mark = Mark(read, shard.out.stat().st_size, groups, failed)
    beside = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(exist_ok=True)
        beside.write_text(json.dumps(asdict(mark)))
        os.replace(beside, path)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Make room and run it again."
        ) from None


def state_of(shard: Shard) -> tuple[int, int]:
    """Size and time of change of the input.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return _state(shard.groups)
    except OSError as error:
        raise ConfigurationError(f"{shard.groups} cannot be read: {error.strerror}.") from None


def _state(path: Path) -> tuple[int, int]:
    told = path.stat()
    return told.st_size, told.st_mtime_ns
