"""A group as a card in a notebook: one piece of HTML that loads nothing and takes the colours of the page around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from ranker.labelling.view import Attempt, Block, view_of
from ranker.outline import clipped, rows_of, says
from ranker.pages import environment

if TYPE_CHECKING:
    from ranker.ranked import RankedGroup
    from ranker.trajectory import TrajectoryGroup

ATTEMPTS, BLOCKS, TEXT = 16, 20, 2_000  # what a card holds: a notebook keeps it in its file


def card(group: TrajectoryGroup, ranked: RankedGroup | None = None) -> str:
    """The group, its attempts folded; with `ranked` in the judge's order, with place, reward and reason.

    Beyond 16 attempts, 20 messages of one or 2,000 characters of a message it says how much was left out.
    """
    plain: Sequence[Mapping[str, Any]] = [{"trajectory": name} for name in group.ids]
    rows = plain if ranked is None else rows_of(ranked)
    order = sorted(range(len(group)), key=lambda i: rows[i].get("place") or 0)[:ATTEMPTS]
    view = view_of(group, order)
    attempts = [
        {
            **rows[i],
            "ground_truth": group.trajectories[i].ground_truth,
            "line": rows[i].get("reason") or clipped(says(group.trajectories[i]), 160),
            "blocks": _blocks(seen),
            "left_out": max(0, len(seen.steps) + len(seen.last) - BLOCKS),
        }
        for i, seen in zip(order, view.attempts, strict=True)
    ]
    return _template().render(
        group=group,
        ranked=ranked,
        task=view.task,
        rubric=view.rubric,
        shared=[_clip(block) for block in view.shared[:BLOCKS]],
        shared_left_out=max(0, len(view.shared) - BLOCKS),
        attempts=attempts,
        left_out=len(group) - len(order),
    )


def _blocks(seen: Attempt) -> list[Block]:
    """The blocks of an attempt that fit, those at its end rather than those before."""
    return [_clip(block) for block in (*seen.steps, *seen.last)[-BLOCKS:]]


def _clip(block: Block) -> Block:
    if len(block.text) <= TEXT:
        return block
    return Block(block.kind, block.who, f"{block.text[:TEXT]}… ({len(block.text) - TEXT:,} more characters)")


@cache
def _template() -> jinja2.Template:
    return environment(Path(__file__).parent).get_template("card.html.j2")
