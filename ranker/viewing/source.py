"""What a path holds that can be looked at."""

from __future__ import annotations

import json
import shutil
import tempfile
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from ranker.errors import ConfigurationError
from ranker.jsonl.group_file import dump_line
from ranker.jsonl.input_check import check_file
from ranker.jsonl.objects import read_objects
from ranker.viewing.records import judged, parsed

Kind = Literal["groups", "run", "bench", "audit"]
_ASKED = 50  # lines among which there must be one that holds a group
_CHUNK = 1 << 20
_WHAT = (
    "Name a group file, ranked or not, the --out folder of `ranker bench`, `ranker train` or `ranker audit`, or one of "
    "their files."
)


@dataclass(frozen=True, slots=True)
class Source:
    """Attributes:
    path: as the user gave it, or the folder that it belongs to.
    kind: what it is.
    file: the JSONL file of its groups, which may be still to come; None where it has none.
    """

    path: Path
    kind: Kind
    file: Path | None

    @property
    def name(self) -> str:
        return self.path.resolve().name or str(self.path)

    def beside(self, name: str) -> Path:
        """Another file of the folder."""
        return self.path / name


def source_of(path: Path) -> Source:
    """What a path holds.

    Raises:
        ConfigurationError: nothing that can be looked at, or it cannot be read.
    """
    if path.is_dir():
        return _folder(path)
    check_file(path)
    if not path.is_file():
        raise ConfigurationError(f"{path} does not exist. {_WHAT}")
    for name, kind in (("metrics.jsonl", "run"), ("results.json", "bench"), ("audit.json", "audit")):
        if path.name == name:
            source = _folder(path.parent)
            if source.kind == kind:
                return source
    file = _plain(path)
    _check(path, file)
    return Source(path, "groups", file)


def _folder(path: Path) -> Source:
    there = {child.name for child in path.iterdir()}
    if "observations.jsonl" in there:
        return Source(path, "bench", path / "observations.jsonl")
    if there & {"metrics.jsonl", "samples.jsonl"} or _is_run(path / "config.json"):
        return Source(path, "run", path / "samples.jsonl")
    if "audit.json" in there:
        return Source(path, "audit", None)
    files = sorted(name for name in there if name.endswith((".jsonl", ".jsonl.gz")))
    more = (
        f" It holds {', '.join(files[:5])}{' …' if len(files) > 5 else ''}: name one of them."
        if files
        else ""
    )
    raise ConfigurationError(f"{path} is no folder of a benchmark, a run or an audit.{more or ' ' + _WHAT}")


def _is_run(config: Path) -> bool:
    """Whether a run has begun that has not finished a step."""
    try:
        fields = json.loads(config.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and {"format", "ranker_version"} <= fields.keys()


def _plain(path: Path) -> Path:
    """The file with one object a line: itself, or a temporary copy where it is packed, or JSON over several lines."""
    first = next(read_objects(path), None)  # refuses what is no text
    with open(path, "rb") as file:
        head = file.read(_CHUNK).removeprefix(b"\xef\xbb\xbf").lstrip()
    packed = head.startswith(b"\x1f\x8b")
    several = head.startswith(b"[") or (head.startswith(b"{") and head[1:].lstrip(b" \t\r").startswith(b"\n"))
    if first is None or not (packed or several):
        return path
    folder = Path(tempfile.mkdtemp(prefix="ranker-view-"))
    weakref.finalize(_Kept, shutil.rmtree, folder, ignore_errors=True)
    copy = folder / f"{path.name.removesuffix('.gz')}"
    try:
        with open(copy, "wb") as out:
            for record in read_objects(path):
                out.write(dump_line(record.fields) if record.fault is None else b"null\n")
    except OSError as error:
        raise ConfigurationError(
            f"{path} must be unpacked, and {copy} cannot be written ({error.strerror}): set TMPDIR to a folder with room."
        ) from None
    return copy


class _Kept:
    """Lives as long as the process: temporary copies go with it."""


def _check(path: Path, file: Path) -> None:
    """Refuse a file in whose first lines there is no group."""
    faults, number = [], 0
    with open(file, "rb") as lines:
        for number, raw in enumerate(lines, start=1):
            if number > _ASKED:
                break
            if not raw.strip():
                continue
            try:
                judged(parsed(raw.removeprefix(b"\xef\xbb\xbf")), number)
                return
            except ValueError as error:
                faults.append(f"line {number} {error}")
    if faults:
        raise ConfigurationError(f"{path} holds no groups: {faults[0]} {_WHAT}")


def audit_of(source: Source) -> dict[str, Any]:
    """The figures of an audit's folder.

    Raises:
        ConfigurationError: its file cannot be read, or is none.
    """
    path = source.beside("audit.json")
    try:
        figures = json.loads(path.read_bytes())
        if not isinstance(figures["lifts"], list):
            raise TypeError("lifts")
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(
            f"{path} is no audit.json of `ranker audit` ({error!r}); run it again."
        ) from None
    return dict(figures)
