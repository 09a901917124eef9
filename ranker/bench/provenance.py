"""Where a record comes from: the command, the commit and the machine, without the folders of this machine."""

from __future__ import annotations

import importlib.metadata
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
    """The commit of the checkout that `folder` lies in, with `-dirty` where its code has changed since;
    None where there is no checkout, as in an installed package."""
    if shutil.which("git") is None:
        return None
    head = _git(folder, "rev-parse", "HEAD").stdout.strip()
    if not head or _git(folder, "check-ignore", "-q", ".").returncode == 0:
        return None
    changed = _git(folder, "status", "--porcelain", "--", *_CODE).stdout.strip()
    return f"{head}-dirty" if changed else head


def bare(argument: str) -> str:
    """An argument without the folders of this machine."""
    option, equals, value = argument.partition("=") if argument.startswith("-") else ("", "", argument)
    return option + equals + (Path(value).name if "/" in value else value)


def command(module: str) -> str:
    """How this process was started, `module` being one of `ranker.benchmarks`."""
    return shlex.join(["python", "-m", f"ranker.benchmarks.{module}", *map(bare, sys.argv[1:])])


def machine(*, torch: bool = False) -> dict[str, Any]:
    """System, architecture, cores and Python, and the version of torch if asked for."""
    told: dict[str, Any] = {
        "system": platform.system(),
        "architecture": platform.machine(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
    }
    return told | ({"torch": importlib.metadata.version("torch")} if torch else {})


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
