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

# What judges are read from; a folder may also hold logs that grow while its judge is used.
_READ = {".json", ".safetensors", ".bin", ".gguf", ".model", ".txt", ".jinja"}


def sources_of(judge: str, options: Mapping[str, Any]) -> list[Any]:
    """What can be compared with what it was later: digests of variables, times and sizes of files."""
    sources: list[Any] = [*_variables(options.get("headers"))]
    if options.get("prompt_folder") is not None:
        sources += map(_stamp, sorted(Path(str(options["prompt_folder"])).glob("*.j2")))
    if judge.endswith(".json") or judge.startswith("local:"):
        sources += _files(judge.removeprefix("local:"), Path())
    return sources


def _variables(headers: Any) -> Iterator[str]:
    for value in headers.values() if isinstance(headers, Mapping) else ():
        if isinstance(value, str) and re.fullmatch(r"\$\w+", value):
            yield hashlib.sha256(os.environ.get(value[1:], "").encode("utf-8", "surrogateescape")).hexdigest()


def _files(name: str, home: Path) -> Iterator[Any]:
    """Those of a judge, model or adapter, and of all that a judge file among them names; none for what is no path."""
    paths = [home / os.path.expanduser(part) for part in (name, name.rpartition("@")[0]) if part]
    path = next((path for path in paths if os.path.exists(path)), None)
    if path is None:
        return
    try:
        files = [file for file in path.iterdir() if file.suffix in _READ] if path.is_dir() else [path]
        yield from map(_stamp, sorted(files))
        file = path / "judge.json" if path.is_dir() else path
        content = json.loads(file.read_text(encoding="utf-8")) if file.suffix == ".json" else None
    except (OSError, ValueError, RecursionError):  # told where the judge is made
        return
    yield content
    yield from _named(content, file.parent)


def _stamp(file: Path) -> tuple[str, int, int]:
    status = file.stat()
    return str(file), status.st_mtime_ns, status.st_size


def _named(content: Any, home: Path) -> Iterator[Any]:
    """What a judge file's settings point to; paths begin in its folder, or in the working folder."""
    if not isinstance(content, Mapping):
        return
    yield from _variables(content.get("headers"))
    for key in ("base", "adapter", "small", "strong"):
        part = content.get(key)
        if isinstance(part, str):
            for folder in (home, Path()):
                yield from _files(part.removeprefix("local:"), folder)
        else:
            yield from _named(part, home)
