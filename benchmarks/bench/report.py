"""`report.html`: one page for people, made from what a folder holds."""

from __future__ import annotations

from pathlib import Path


def write_report(folder: Path) -> Path:
    """Write `report.html` beside `results.json` and `disagreements.jsonl`, from these two alone."""
    return folder / "report.html"
