"""The command that installs an extra of this package, where it came from: a checkout, a file, a repository or an index."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from urllib.parse import unquote, urlsplit

NAME = "ranker-rl"
_TORCH = frozenset({"local", "train"})  # extras that bring torch, whose default build is several gigabytes


def install(extra: str) -> str:
    """What to type for `extra`, for the environment that runs this; names torch too where it matters."""
    command = f"{_pip()} install {_requirement(extra)}"
    if extra in _TORCH:
        command += f" (on a machine without a GPU, {_pip()} install torch==2.13.0 first)"
    return command


@contextmanager
def needing(what: str, extra: str, otherwise: str = "") -> Iterator[None]:
    """Around imports that `extra` brings: where a package of others is missing, the error says how to get it.

    Raises:
        ConfigurationError: it is missing.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] == "ranker":
            raise
        from ranker.errors import ConfigurationError

        raise ConfigurationError(
            f"{what} needs the package {error.name}, which is not installed: {install(extra)}.{otherwise}"
        ) from None


def _requirement(extra: str) -> str:
    home = Path(__file__).resolve().parents[1]
    if _is_checkout(home):
        return f"-e '{_from_here(home)}[{extra}]'"
    return _of_origin(_direct_url(), extra)


def _of_origin(direct_url: str | None, extra: str) -> str:
    """The requirement of a distribution with this `direct_url.json` (PEP 610); None is one from an index."""
    origin = json.loads(direct_url) if direct_url else {}
    url = str(origin.get("url", ""))
    if "vcs_info" in origin:
        vcs = origin["vcs_info"]
        revision = vcs.get("requested_revision") or vcs.get("commit_id", "")
        return shlex.quote(f"{NAME}[{extra}] @ {vcs['vcs']}+{url}@{revision}")
    path = Path(unquote(urlsplit(url).path)) if url.startswith("file:") else None
    if path is None or not path.exists():
        return f"'{NAME}[{extra}]'"
    if path.is_dir():
        return f"'{_from_here(path)}[{extra}]'"
    return shlex.quote(f"{NAME}[{extra}] @ {url}")


def _is_checkout(folder: Path) -> bool:
    project = folder / "pyproject.toml"
    return project.is_file() and f'name = "{NAME}"' in project.read_text(encoding="utf-8")


def _direct_url() -> str | None:
    try:
        return metadata.distribution(NAME).read_text("direct_url.json")
    except metadata.PackageNotFoundError:
        return None


def _from_here(folder: Path) -> str:
    """`.` in that folder itself, else the whole path."""
    return "." if folder == Path.cwd() else str(folder)


def _pip() -> str:
    """`pip` where that is this environment's, else this interpreter's."""
    found = shutil.which("pip")
    own = Path(sys.executable).parent
    if found is not None and Path(found).parent.resolve() == own.resolve():
        return "pip"
    here = Path.cwd()
    python = Path(sys.executable)
    return f"{shlex.quote(str(python.relative_to(here) if python.is_relative_to(here) else python))} -m pip"
