"""Packages brought along for a machine that can fetch none: `make gpu-wheels` fills the folder."""

from __future__ import annotations

import sys

from benchmarks.harness import ROOT

FOLDER = ROOT / "build" / "gpu" / "site"


def add_carried() -> None:
    """Let Python find them, after what is installed: a package that the machine has is taken from there."""
    if FOLDER.is_dir() and str(FOLDER) not in sys.path:
        sys.path.append(str(FOLDER))
