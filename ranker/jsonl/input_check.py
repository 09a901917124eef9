"""The first reading of a group file, before anything is paid for."""

from __future__ import annotations

from array import array
from dataclasses import dataclass, field
from pathlib import Path

from ranker.errors import ConfigurationError, GroupError
from ranker.jsonl.group_file import Line, Part, read_lines
from ranker.jsonl.id_index import IdIndex

_SHOWN = 5  # bad lines that a message quotes


@dataclass(slots=True)
class InputCheck:
    """Attributes:
    groups: number of groups to rank, bad lines included.
    repeats: line numbers of groups whose id an earlier line has, in order.
    firsts: for each of them the earlier line.
    """

    groups: int = 0
    repeats: array[int] = field(default_factory=lambda: array("Q"))
    firsts: array[int] = field(default_factory=lambda: array("Q"))


def check_file(path: Path) -> None:
    """Refuse what can be read only once, or not at all.

    Raises:
        ConfigurationError: it is a folder, a pipe or a device; whatever is missing is left to whoever reads it.
    """
    if path.exists() and not path.is_file():
        raise ConfigurationError(
            f"{path} is read more than once, so it must be a file, not a folder or a pipe."
        )


def check_input(path: Path, part: Part | None = None, *, strict: bool = True) -> InputCheck | None:
    """Read a whole group file; None if it holds no groups.

    Args:
        part: count only these groups; ids are checked in all.
        strict: refuse a file with bad lines.

    Raises:
        ConfigurationError: the file cannot be read again, or at all; with `strict`, bad lines or repeated ids.
    """
    check_file(path)
    check = InputCheck()
    lines = bad = 0
    faults: list[str] = []
    ids = IdIndex()
    try:
        for line in read_lines(path, part, others=True):
            lines += 1
            first = ids.setdefault(line.id, line.number)
            error = line.error
            if line.group is not None or line.error is not None:  # else of another part
                check.groups += 1
                if first != line.number:
                    check.repeats.append(line.number)
                    check.firsts.append(first)
                    error = error or repeated(line, first)
            if error is not None:
                bad += 1
                faults += [str(error)] if bad <= _SHOWN else []
    finally:
        ids.close()
    if bad and strict:
        more = f" (and {bad - len(faults)} more lines)" if bad > len(faults) else ""
        raise ConfigurationError(
            f"{path} has bad lines: {' '.join(faults)}{more} Nothing was sent to the judge. Correct them, or use "
            "--on-error skip to record them as failed and rank the rest."
        )
    return check if lines else None


def repeated(line: Line, first: int) -> GroupError:
    return GroupError(f"Line {line.number}: the id {line.id!r} stands on line {first} already.")
