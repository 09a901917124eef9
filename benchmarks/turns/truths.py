"""What each turn at the returns desk was worth: what it did to the best outcome that could still be had."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ranker.suites import desk_world as desk
from ranker.trajectory import Trajectory

Result = Mapping[str, Any]


def turn_truths(trajectory: Trajectory, row: Mapping[str, Any]) -> list[float]:
    """For each assistant turn the checker's grade of the best that could follow it, less that of the best that could have been
    done in its place. So a turn is worth 0 where nothing better was possible, and less where something was; the values of an
    attempt add up to its ground truth less 1.
    """
    truths: list[float] = []
    results: list[Result] = []
    said: list[str] = []
    before = 1.0
    turns = [i for i, m in enumerate(trajectory.messages) if m["role"] == "assistant"]
    ends = [*turns[1:], len(trajectory.messages)]
    for number, (start, end) in enumerate(zip(turns, ends, strict=True), 1):
        message, *answers = trajectory.messages[start:end]
        said.append(message.get("content") or "")
        results += [json.loads(m["content"]) for m in answers if m["role"] == "tool"]
        over = not message.get("tool_calls")
        after = best(results, said, row, 0 if over else desk.TURNS - number, said[-1] if over else "")
        truths.append(round(after - before, 9))
        before = after
    return truths


def best(
    results: Sequence[Result], said: Sequence[str], row: Mapping[str, Any], left: int, reply: str = ""
) -> float:
    """The best grade that is still to be had.

    Args:
        results: of the tools so far.
        said: by the agent so far.
        left: turns.
        reply: the last words, where nothing can follow.
    """
    ways = [way for way in _ways(results, row) if len(way) <= left]
    grades = []
    for way in ways:
        then = [step for step in way if isinstance(step, dict)]
        last = next((step for step in way if isinstance(step, str)), reply)
        words = [*said, *(step for step in way if isinstance(step, str))]
        grades.append(desk.grade([*results, *then], words, last, row["order"], row["action"]))
    return max(grades)


def _ways(results: Sequence[Result], row: Mapping[str, Any]) -> Iterator[list[Result | str]]:
    """Ways to go on, as what tools return and what is said last."""
    order, action = row["order"], row["action"]
    done = next((r["done"] for r in results if r.get("order") == order and "done" in r), None)
    look, resolve = {"order": order, "state": ""}, {"order": order, "done": action}
    yield []
    if done is not None:
        yield [desk.ACTIONS[done]]
        return
    for calls in ([resolve], [look, resolve]):
        yield [*calls]
        yield [*calls, desk.ACTIONS[action]]
    yield [look]
