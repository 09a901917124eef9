"""The groups of the tests of audits, as a file."""

from __future__ import annotations

from pathlib import Path

from ranker.jsonl.group_file import dump_line
from tests.debias.test_debiased import groups


def write_groups(folder: Path, n: int) -> Path:
    """A file of n groups with ground truth."""
    path = folder / "groups.jsonl"
    lines = [
        {
            "id": g.id,
            "task": g.task,
            "trajectories": [
                {"messages": list(t.messages), "ground_truth": t.ground_truth} for t in g.trajectories
            ],
        }
        for g in groups(n)
    ]
    path.write_bytes(b"".join(map(dump_line, lines)))
    return path
