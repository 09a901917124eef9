"""Attempts that are one reply each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranker import Trajectory


def replies(
    task: str, texts: Sequence[str], truths: Sequence[float], marks: Sequence[dict[str, Any]] = ()
) -> list[Trajectory]:
    """A trajectory for each reply to the same user message, named a, b, c in the order given.

    Args:
        marks: for each what its points and passages are worth (see `ranker.tuning.marks`).
    """
    opening = {"role": "user", "content": task}
    return [
        Trajectory(
            [opening, {"role": "assistant", "content": text}],
            id=chr(97 + k) if len(texts) <= 26 else f"t{k}",
            ground_truth=truth,
            metadata={"marks": marks[k]} if marks else {},
        )
        for k, (text, truth) in enumerate(zip(texts, truths, strict=True))
    ]
