"""Attempts at the returns desk (`ranker.suites.desk_world`): short runs of an agent with two tools, graded by its checker.

Held-out letters have wordings that the training letters have not; rules and tools are those of the desk.
At difficulty 0 the clerks are of all kinds, at 1 alike.
"""

from __future__ import annotations

import random

from ranker.prompting.transcript import transcript_of
from ranker.suites import desk_world as desk
from ranker.suites.attempts import Generator, Members
from ranker.trajectory import Trajectory

RUBRIC = (
    "Better is the clerk who looked the right order up before anything else, did with it what the rules ask for, and told "
    "the customer truly what was done; wasted calls and long-windedness cost a little."
)
_TRIES = 60


def _members(draw: random.Random, size: int, difficulty: float, held_out: bool) -> Members:
    example = desk.rows(1, draw.randrange(1 << 30), held_out)[0]
    spread = 1 - 0.7 * difficulty
    graded: list[tuple[Trajectory, float]] = []
    while len({truth for _, truth in graded}) < 2:
        graded.clear()
        seen: set[str] = set()
        for k in range(size):
            competence = 0.5 + spread * ((k + draw.random()) / size - 0.5)
            for _ in range(_TRIES):
                attempt = desk.clerk(example, competence, draw)
                text = transcript_of(attempt).text
                if text not in seen:
                    break
            seen.add(text)
            graded.append((attempt, desk.checker(attempt, example)))
    draw.shuffle(graded)
    members = [
        Trajectory(
            attempt.messages, attempt.tools, id=chr(97 + k) if size <= 26 else f"t{k}", ground_truth=truth
        )
        for k, (attempt, truth) in enumerate(graded)
    ]
    return members, {"template": example["action"]}


groups = Generator("desk", RUBRIC, _members)
