"""pyproject.toml names everything that an installation needs; the built wheel itself is tests/test_wheel.py's."""

from __future__ import annotations

import fnmatch
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
SETUPTOOLS = PROJECT["tool"]["setuptools"]


def packages() -> dict[str, Path]:
    """Every package of the repository that is installed, with its folder."""
    folders = [p.parent for top in ("ranker", "grpo") for p in (ROOT / top).rglob("__init__.py")]
    return {".".join(p.relative_to(ROOT).parts): p for p in folders} | {"ranker.prompts": ROOT / "prompts"}


def test_every_package_is_installed():
    assert sorted(SETUPTOOLS["packages"]) == sorted(packages())


def test_every_file_of_a_package_is_installed():
    data = SETUPTOOLS["package-data"]
    for package, folder in packages().items():
        inner = [p for p in packages().values() if p != folder and p.is_relative_to(folder)]
        for path in folder.rglob("*"):
            if path.is_dir() or "__pycache__" in path.parts or any(path.is_relative_to(p) for p in inner):
                continue
            name = str(path.relative_to(folder))
            wanted = ["*.py", *data.get(package, [])]
            assert any(fnmatch.fnmatch(name, pattern) for pattern in wanted), f"{package}: {name}"
