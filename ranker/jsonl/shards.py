"""Many input files, one output file each, shared among processes."""

from __future__ import annotations

import glob
import json
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import Part
from ranker.runtime.outputs import check_outputs, replace_file

_ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True, slots=True)
class Shard:
    """An input file and the file for its ranked groups; `out` None for standard output."""

    groups: Path
    out: Path | None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one process ranks.

    Attributes:
        shards: in the order in which they are tried.
        part: the part of a single file; None for all of it.
        folder: whether every shard has its own output file in a folder.
        inputs: all input files, including those that other processes rank.
    """

    shards: tuple[Shard, ...]
    part: Part | None
    folder: bool
    inputs: tuple[Path, ...]


def plan_of(inputs: Sequence[str | Path], out: Path | None, part: Part | None = None) -> Plan:
    """The plan for a file, several, a folder of them, or a pattern.

    A single file goes to the file `out`, and `part` selects every N-th of its groups. Anything else goes to the folder
    `out`, each shard to a file of the same name (without ``.gz``), and `part` selects every N-th shard.

    Raises:
        ConfigurationError: no shards, two of one name, an `out` that is an input, or one that does not fit.
    """
    files: list[Path] = []
    several = len(inputs) > 1
    for name in map(str, inputs):
        path = Path(name)
        if path.is_dir():
            every = (p for p in path.iterdir() if p.name.endswith(_ENDINGS) and not p.name.startswith("."))
            missing = f"The directory {path} holds no {' or '.join(_ENDINGS)} file."
        elif glob.has_magic(name) and not path.exists():
            every = (p for p in map(Path, glob.glob(name, recursive=True)) if p.is_file())
            missing = f"No file matches {name}."
        else:
            files.append(path)
            continue
        several = True
        matches = sorted(every)
        if not matches:
            raise ConfigurationError(missing)
        files += matches
    if not several:
        check_outputs({"--out": out}, files)
        return Plan((Shard(files[0], out),), part, False, tuple(files))
    if out is None:
        raise ConfigurationError("Several files or a directory need --out FOLDER, for one output file each.")
    if out.exists() and not out.is_dir():
        raise ConfigurationError(f"--out {out} is a file; several input files need a folder.")
    shards = tuple(Shard(path, out / path.name.removesuffix(".gz")) for path in files)
    by_output: dict[Path | None, Path] = {}
    for shard in shards:
        other = by_output.setdefault(shard.out, shard.groups)
        if other is not shard.groups:
            raise ConfigurationError(
                f"{other} and {shard.groups} would both be written to {shard.out}; rename one, or rank them into two "
                "folders."
            )
    check_outputs({"--out": [shard.out for shard in shards]}, files)
    return Plan(shards if part is None else shards[part.index :: part.of], None, True, tuple(files))


def part_of(text: str) -> Part:
    """Read ``I/N``, I from 0 to N - 1.

    Raises:
        ConfigurationError: anything else.
    """
    match = re.fullmatch(r"(\d+)/(\d+)", text.strip())
    index, of = (int(match[1]), int(match[2])) if match else (0, 0)
    if index >= of:
        raise ConfigurationError(f"--shard {text!r}: give I/N with I from 0 to N - 1, e.g. 0/16.")
    return Part(index, of)


@dataclass(frozen=True, slots=True)
class Completion:
    """What is recorded about a finished shard, so that it is not read again while its files are unchanged.

    Attributes:
        read: size and modification time (nanoseconds) of the input.
        wrote: size of the output.
        groups: groups in the input.
        failed: how many of them failed.
    """

    read: tuple[int, int]
    wrote: int
    groups: int
    failed: int


def completion_path(shard: Shard) -> Path:
    assert shard.out is not None
    return shard.out.parent / ".ranker" / f"{shard.out.name}.done"


def finished(shard: Shard) -> Completion | None:
    """The record of a shard that is finished and unchanged since; else None."""
    assert shard.out is not None
    try:
        fields = json.loads(completion_path(shard).read_bytes())
        record = Completion(
            tuple(fields["read"]), fields["wrote"], int(fields["groups"]), int(fields["failed"])
        )
        unchanged = record.read == _state(shard.groups) and record.wrote == shard.out.stat().st_size
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return record if unchanged else None


def mark_finished(shard: Shard, read: tuple[int, int], groups: int, failed: int) -> None:
    """Record that a shard is finished; `read` is the `state_of` it before its input was read.

    Raises:
        ConfigurationError: it cannot be written.
    """
    assert shard.out is not None
    path = completion_path(shard)
    record = Completion(read, shard.out.stat().st_size, groups, failed)
    try:
        path.parent.mkdir(exist_ok=True)
        replace_file(path, json.dumps(asdict(record)).encode())
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}. Free some space and run it again."
        ) from None


def state_of(shard: Shard) -> tuple[int, int]:
    """Size and modification time of the input.

    Raises:
        ConfigurationError: it cannot be read.
    """
    try:
        return _state(shard.groups)
    except OSError as error:
        raise ConfigurationError(f"{shard.groups} cannot be read: {error.strerror}.") from None


def _state(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_size, state.st_mtime_ns
