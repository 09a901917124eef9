"""What a judge's name and options only point to: variables, judge files, models, templates. Where any of it has changed,
the name is another judge."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ranker.judges.headers import identity_of

# What judges are read from; a folder may also hold logs that grow while its judge is used.
_READ = {".json", ".safetensors", ".bin", ".gguf", ".model", ".txt", ".jinja"}
_JUDGE = "judge.json"
_NO_MATTER = {"measured", "wanted", "timeout"}  # of a judge file: no verdict hangs on them
_WHOLE, _PARTS = 64 << 20, 64  # bytes of a file that are read; of a larger one as many, in so many parts

Said = Mapping[str, Any] | None


def sources_of(judge: str, options: Mapping[str, Any]) -> list[Any]:
    """What can be compared with what it was later: digests of variables, times and sizes of files."""
    sources: list[Any] = [*_variables(options.get("headers"))]
    for file, said in _pointed(judge, options):
        sources += [_stamp(file), said, *_variables((said or {}).get("headers"))]
    return sources


def contents_of(judge: str, options: Mapping[str, Any]) -> str | None:
    """A digest of what the files say, wherever they lie and whenever they were written; None where there are none. Of a judge
    file counts what its verdicts hang on, not what was measured, nor the value of a key; of weights beyond 64 MiB
    their size and 64 parts, which differ after any training."""
    found = [
        _content(file) if said is None else [_asked(said), identity_of(_sent(said.get("headers")))]
        for file, said in _pointed(judge, options)
    ]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:20] if found else None


def _pointed(judge: str, options: Mapping[str, Any]) -> Iterator[tuple[Path, Said]]:
    """Files, each with what it says where it is a judge file."""
    if options.get("prompt_folder") is not None:
        for template in sorted(Path(str(options["prompt_folder"])).glob("*.j2")):
            yield template, None
    if judge.endswith(".json") or judge.startswith("local:"):
        yield from _files(judge.removeprefix("local:"), Path(), set())


def _files(name: str, home: Path, seen: set[Path]) -> Iterator[tuple[Path, Said]]:
    """Those of a judge, model or adapter, and of all that a judge file among them names; none for what is no path."""
    paths = [home / os.path.expanduser(part) for part in (name, name.rpartition("@")[0]) if part]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None or path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        inside = sorted(path.iterdir()) if path.is_dir() else [path]
    except OSError:  # told where the judge is made, as all below
        return
    files = [file for file in inside if file.suffix in _READ and file.is_file()]
    described = path / _JUDGE if path.is_dir() else path
    said = _read(described) if described.suffix == ".json" else None
    if said is None:
        yield from ((file, None) for file in files)
        return
    yield described, said
    yield from _named(said, described.parent, seen)


def _read(file: Path) -> Said:
    """What a judge file says; None for what is none."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, Mapping) else None


def _named(content: Mapping[str, Any], home: Path, seen: set[Path]) -> Iterator[tuple[Path, Said]]:
    """What a judge file's settings point to; paths begin in its folder, or in the working folder."""
    for key in ("base", "adapter", "small", "strong"):
        part = content.get(key)
        if isinstance(part, str):
            for folder in (home, Path()):
                yield from _files(part.removeprefix("local:"), folder, seen)
        elif isinstance(part, Mapping):
            yield from _named(part, home, seen)


def _variables(headers: Any) -> Iterator[str]:
    for value in headers.values() if isinstance(headers, Mapping) else ():
        if isinstance(value, str) and re.fullmatch(r"\$\w+", value):
            yield hashlib.sha256(os.environ.get(value[1:], "").encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(file: Path) -> tuple[str, int, int]:
    try:
        status = file.stat()
    except OSError:  # gone in between
        return str(file), 0, 0
    return str(file), status.st_mtime_ns, status.st_size


def _asked(content: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a judge file that verdicts hang on."""
    kept = {key: value for key, value in content.items() if key not in _NO_MATTER}
    inner = {key: _asked(kept[key]) for key in ("small", "strong") if isinstance(kept.get(key), Mapping)}
    return {**kept, **inner}


def _sent(headers: Any) -> dict[str, str]:
    """Headers of a judge file with the values of their variables."""
    named = headers.items() if isinstance(headers, Mapping) else ()
    return {key: os.environ.get(str(value).removeprefix("$"), "") for key, value in named}


def _content(file: Path) -> list[Any]:
    """Name, size and digest of a file."""
    try:
        size = file.stat().st_size
        with file.open("rb") as data:
            if size <= _WHOLE:
                return [file.name, size, hashlib.file_digest(data, "sha256").hexdigest()]
            digest, part = hashlib.sha256(), _WHOLE // _PARTS
            for k in range(_PARTS):
                data.seek((size - part) * k // (_PARTS - 1))
                digest.update(data.read(part))
            return [file.name, size, digest.hexdigest()]
    except OSError:
        return [file.name]
