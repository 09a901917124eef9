"""Rank a group of attempts: one judge call gives each attempt a reward and a reason.

    python examples/rank_a_group.py
    RANKER_JUDGE=openai/gpt-5-mini python examples/rank_a_group.py

Without $RANKER_JUDGE the judge is the local one: no key, 98 MB on first use, `pip install '.[local]'`.
An attempt is a list of messages in OpenAI's format; calls of tools and their results are part of it.
"""

from __future__ import annotations

import json

from ranker import Trajectory, TrajectoryGroup, rank_group

ASKED = {"role": "user", "content": "When does the last train to Ulm leave?"}


def look_up(line: str, result: str) -> list[dict]:
    """A call of a timetable, and what it returned."""
    function = {"name": "timetable", "arguments": json.dumps({"line": line})}
    call = {"id": "call-1", "type": "function", "function": function}
    return [
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call-1", "content": result},
    ]


def say(text: str) -> dict:
    return {"role": "assistant", "content": text}


group = TrajectoryGroup(
    [
        Trajectory([ASKED, say("Usually around eleven, I think.")], id="guess"),
        Trajectory([ASKED, *look_up("Ulm", "last departure 23:12"), say("At 23:12.")], id="looked up"),
        Trajectory([ASKED, *look_up("Bonn", "last departure 22:40"), say("At 22:40.")], id="wrong line"),
    ],
    rubric="Prefer the attempt whose answer is what the right look-up returned.",
)
ranked = rank_group(group)

print(f"{ranked.judge}: {ranked.usage.calls} call, ${ranked.usage.cost_usd or 0:.4f}")
for tier in ranked.ranking:  # best first; ties share a tier
    for i in tier:
        print(f"{ranked.rewards[i]:.2f}  {group.ids[i]:<12}{ranked.reasons[i]}")
