"""The provenance of a record: command, commit and machine, without local paths."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent
_CODE = (":/ranker", ":/grpo", ":/prompts", ":/benchmarks", ":(exclude,top)benchmarks/results")


def commit(folder: Path = _HERE) -> str | None:
    """The commit of the checkout that `folder` lies in, with `-dirty` if its code has changed since;
    None if there is no checkout, as in an installed package."""
    if shutil.which("git") is None:
        return None
    head = _git(folder, "rev-parse", "HEAD").stdout.strip()
    if not head or _git(folder, "check-ignore", "-q", ".").returncode == 0:
        return None
    changed = _git(folder, "status", "--porcelain", "--", *_CODE).stdout.strip()
    return f"{head}-dirty" if changed else head


def bare(argument: str) -> str:
    """An argument without local folders."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    return option + equals + (Path(value).name if "/" in value else value)


def command(module: str) -> str:
    """The command that started this process; `module` is its name."""
    return shlex.join(["python", "-m", module, *map(bare, sys.argv[1:])])


def machine(*, torch: bool = False) -> dict[str, Any]:
    """System, architecture, cores and Python, and the version of torch if asked for."""
    facts: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    return facts | ({"torch": importlib.metadata.version("torch")} if torch else {})


def record(argument: str) -> Path:
    """The file that an option names for a record, as argparse reads it.

    Raises:
        ArgumentTypeError: the file exists and is not a record: it would be replaced.
    """
    path = Path(argument)
    try:
        existing = path.read_bytes() if path.is_file() else b""
        if not existing or "commit" in dict(json.loads(existing)):
            return path
    except (OSError, ValueError, TypeError):
        pass
    raise argparse.ArgumentTypeError(f"{path} is no record that could be replaced; name another file")


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
