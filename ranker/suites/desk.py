"""Attempts at the returns desk (`ranker.suites.desk_world`): short runs of an agent with two tools, graded by its checker.

Held-out letters have wordings that the training letters have not; rules and tools are those of the desk.
"""

from __future__ import annotations

from ranker import TrajectoryGroup
from ranker.prompting.transcript import transcript_of
from ranker.suites import desk_world as desk
from ranker.suites.draw import rng
from ranker.trajectory import Trajectory

RUBRIC = (
    "Better is the clerk who looked the right order up before anything else, did with it what the rules ask for, and told "
    "the customer truly what was done; wasted calls and long-windedness cost a little."
)
_TRIES = 60


def groups(
    n: int, seed: int = 0, *, size: int = 4, difficulty: float = 0.5, held_out: bool = True
) -> list[TrajectoryGroup]:
    """Groups of attempts by clerks of different competence: of all kinds at difficulty 0, alike at 1."""
    return [_group(i, seed, size, difficulty, held_out) for i in range(n)]


def _group(i: int, seed: int, size: int, difficulty: float, held_out: bool) -> TrajectoryGroup:
    if size < 2:
        raise ValueError(f"A group needs at least two trajectories, not {size}.")
    draw = rng("desk", seed, i, size, float(difficulty), held_out)
    row = desk.rows(1, draw.randrange(1 << 30), held_out)[0]
    spread = 1 - 0.7 * difficulty
    while True:
        made: list[tuple[Trajectory, float]] = []
        seen: set[str] = set()
        for k in range(size):
            competence = 0.5 + spread * ((k + draw.random()) / size - 0.5)
            for _ in range(_TRIES):
                attempt = desk.clerk(row, competence, draw)
                text = transcript_of(attempt).text
                if text not in seen:
                    break
            seen.add(text)
            made.append((attempt, desk.checker(attempt, row)))
        if len({truth for _, truth in made}) > 1:
            break
    draw.shuffle(made)
    members = [
        Trajectory(
            attempt.messages,
            attempt.tools,
            id=chr(97 + k) if size <= 26 else f"t{k}",
            ground_truth=truth,
        )
        for k, (attempt, truth) in enumerate(made)
    ]
    return TrajectoryGroup(
        members, id=f"desk-{seed}-{i}", rubric=RUBRIC, metadata={"template": row["action"]}
    )
