"""An environment of its own for TRL, the peer of our trainer, with the torch and transformers of this one."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import platformdirs

VERSION = "1.16"
NAMED = "RANKER_TRL_PYTHON"


def _installed(name: str) -> str | None:
    """A distribution's version without its local part, or None where it is not installed."""
    try:
        return importlib.metadata.version(name).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return None


def _same(name: str) -> str:
    """A requirement for the version installed here."""
    found = _installed(name)
    return name if found is None else f"{name}=={found}"


def trl_python(folder: Path | None = None) -> Path:
    """The Python that has TRL.

    In this order: the one named by the variable `RANKER_TRL_PYTHON`; this one, where it has TRL; one in
    the user's cache folder, made on first use.
    """
    named = os.environ.get(NAMED)
    if named:
        return Path(named)
    if (_installed("trl") or "").startswith(f"{VERSION}."):
        return Path(sys.executable)
    folder = folder or Path(platformdirs.user_cache_dir("ranker")) / f"trl-{VERSION}"
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    done = folder / "complete"
    needs = [_same("torch"), _same("transformers"), f"trl=={VERSION}.*"]
    if done.exists() and done.read_text(encoding="utf-8").split() == needs:
        return python
    shutil.rmtree(folder, ignore_errors=True)
    venv.create(folder, with_pip=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", *needs], check=True)
    done.write_text("\n".join(needs) + "\n", encoding="utf-8")
    return python
