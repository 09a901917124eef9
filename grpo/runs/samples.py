"""Samples as rows of a table for trackers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranker import GroupError, Trajectory
from ranker.pages import visible
from ranker.prompting.transcript import transcribe

COLUMNS = (
    "step", "group", "attempt", "prompt", "reply", "reward", "advantage", "ground_truth", "reason", "error",
)  # fmt: skip
EVERY = 10  # steps
GROUPS = 4  # of a step
TEXT = 4_000  # characters of a cell; samples.jsonl has all


def due(step: int) -> bool:
    """Whether this step's samples are shown: the first and every tenth."""
    return step == 1 or step % EVERY == 0


def rows(records: Sequence[Mapping[str, Any]]) -> list[list[Any]]:
    """A row of `COLUMNS` for each attempt of the first groups of a step, as `sample_record` wrote them."""
    return [row for record in records[:GROUPS] for row in _rows(record)]


def markdown(table: Sequence[Sequence[Any]]) -> str:
    """Rows for TensorBoard: what an attempt says stands indented, so that nothing in it is markup."""
    parts = []
    for row in table:
        cell = dict(zip(COLUMNS, row, strict=True))
        facts = [f"group {cell['group']}, attempt {cell['attempt']}"]
        facts += [
            f"{name} {cell[name]:.3g}"
            for name in ("reward", "advantage", "ground_truth")
            if cell[name] is not None
        ]
        parts.append(f"**{' · '.join(facts)}**")
        parts += [_indented(cell[name]) for name in ("prompt", "reply", "reason", "error") if cell[name]]
    return "\n\n".join(parts)


def unmarked(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>!#|~$&])", r"\\\1", text)


def _rows(record: Mapping[str, Any]) -> Iterator[list[Any]]:
    prompt = _text(record["prompt"])
    for i, attempt in enumerate(record["rollouts"]):
        yield [
            record["step"],
            record["group"],
            i,
            prompt,
            _text(attempt["messages"]),
            attempt["reward"],
            attempt["advantage"],
            attempt["ground_truth"],
            _clipped(attempt.get("reason", "")),
            _clipped(attempt.get("error") or record.get("error") or ""),
        ]


def _text(messages: Sequence[Any] | None) -> str:
    if not messages:
        return ""
    try:
        return _clipped(transcribe(Trajectory(messages)).text)
    except GroupError as error:
        return _clipped(str(error))


def _clipped(text: str) -> str:
    told = str(visible(text.strip()))
    return told if len(told) <= TEXT else f"{told[:TEXT]}… ({len(told) - TEXT:,} more characters)"


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in text.split("\n"))
