"""Groups as a few lines of text and as rows of a table: what `repr`, `print`, `to_dicts` and `to_pandas` give."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError

if TYPE_CHECKING:
    from ranker.ranked import RankedGroup
    from ranker.trajectory import Trajectory, TrajectoryGroup

WIDTH = 100  # columns of a printed table
ROWS = 14  # attempts that are printed
COLUMNS = (
    "group", "trajectory", "place", "reward", "reason", "ground_truth", "consistency", "judge", "error",
)  # fmt: skip


def of_trajectory(trajectory: Trajectory) -> str:
    """Its id, the number of its messages, its truth, and how its last message begins."""
    told = _head("Trajectory", trajectory.id) + _count(len(trajectory.messages), "message")
    if trajectory.histories:
        told += f", {_count(len(trajectory.histories), 'further conversation')}"
    if trajectory.tools:
        told += f", {_count(len(trajectory.tools), 'tool')}"
    if trajectory.ground_truth is not None:
        told += f", ground_truth={trajectory.ground_truth:g}"
    return f'{told}, "{clipped(says(trajectory), 60)}">'


def of_group(group: TrajectoryGroup) -> str:
    """Its id, the number of its attempts, and how its task begins."""
    told = _head("TrajectoryGroup", group.id) + _count(len(group), "trajectory", "trajectories")
    return told + (f', task "{clipped(group.task, 60)}">' if group.task else ">")


def of_ranked(ranked: RankedGroup) -> str:
    """One line: what was ranked, by whom, and the rewards."""
    told = _head("RankedGroup", ranked.group.id) + _count(len(ranked), "trajectory", "trajectories")
    if ranked.judge:
        told += f", judge {clipped(ranked.judge, 40)}"
    if ranked.error is not None:
        return f"{told}, failed: {type(ranked.error).__name__}>"
    shown = ", ".join(_number(reward) for reward in ranked.rewards[:8])
    return f"{told}, rewards [{shown}{', …' if len(ranked) > 8 else ''}]>"


def table(ranked: RankedGroup) -> str:
    """The attempts in the judge's order, a line each: place, reward, truth where it is known, id, and the reason, or how
    the attempt ends where the judge gave none."""
    usage = ranked.usage
    head = f"{_count(len(ranked), 'attempt')}, judge {clipped(ranked.judge, 40) or 'unknown'}, {_count(usage.calls, 'call')}"
    head += "" if not usage.cost_usd else f", ${usage.cost_usd:.2g}"
    head += "" if ranked.consistency is None else f", consistency {ranked.consistency:.2f}"
    if ranked.group.id is not None:
        head = f"Group {clipped(ranked.group.id, 40)}: {head}"
    if ranked.error is not None:
        return f"{head}\nFailed: {type(ranked.error).__name__}: {clipped(str(ranked.error), 300)}"
    rows = sorted(rows_of(ranked), key=lambda row: row["place"])
    wordless = not any(row["reason"] for row in rows)
    truth = any(row["ground_truth"] is not None for row in rows)
    heads = ["place", "reward", *(["truth"] if truth else []), "id", "attempt" if wordless else "reason"]
    ends = dict(zip(ranked.group.ids, map(says, ranked.group.trajectories), strict=True))
    cells = [
        [str(row["place"]), _number(row["reward"]), *([_number(row["ground_truth"])] if truth else []),
         clipped(row["trajectory"], 24), ends[row["trajectory"]] if wordless else row["reason"]]
        for row in rows[:ROWS]
    ]  # fmt: skip
    lines = [head, *_aligned([heads, *cells])]
    if len(rows) > ROWS:
        lines.append(f"… and {len(rows) - ROWS} more; to_dicts() has all.")
    return "\n".join([*lines, *(clipped(warning, WIDTH) for warning in ranked.warnings[:2])])


def rows_of(ranked: RankedGroup, group: Any = None) -> list[dict[str, Any]]:
    """A row for each trajectory, in input order, with the same columns whatever the group.

    Args:
        group: stands in for the id of a group that has none.
    """
    places = places_of(ranked.ranking)
    fault = None if ranked.error is None else f"{type(ranked.error).__name__}: {ranked.error}"
    return [
        {
            "group": group if ranked.group.id is None else ranked.group.id,
            "trajectory": name,
            "place": places.get(i),
            "reward": ranked.rewards[i],
            "reason": ranked.reasons[i] if i < len(ranked.reasons) else "",
            "ground_truth": trajectory.ground_truth,
            "consistency": ranked.consistency,
            "judge": ranked.judge,
            "error": fault,
        }
        for i, (name, trajectory) in enumerate(zip(ranked.group.ids, ranked.group, strict=True))
    ]


def places_of(ranking: Iterable[Sequence[int]]) -> dict[int, int]:
    """The place of each index, from 1; those of a tier share the first place of it."""
    places: dict[int, int] = {}
    for tier in ranking:
        first = len(places) + 1
        places.update(dict.fromkeys(tier, first))
    return places


def to_pandas(groups: Iterable[RankedGroup]) -> Any:
    """Ranked groups as one `pandas.DataFrame`, a row for each trajectory.

    A group without an id is named by its position.

    Raises:
        ConfigurationError: pandas is not installed.
    """
    try:
        import pandas
    except ImportError:
        raise ConfigurationError(
            "A table needs pandas, which is not installed: pip install pandas. to_dicts() gives the same rows without it."
        ) from None
    rows = [row for at, ranked in enumerate(groups) for row in rows_of(ranked, at)]
    return pandas.DataFrame(rows, columns=list(COLUMNS))


def says(trajectory: Trajectory) -> str:
    """The text of the last message that has any."""
    for message in reversed(trajectory.messages):
        content = message.get("content")
        parts = (
            [content] if isinstance(content, str) else content if isinstance(content, (list, tuple)) else []
        )
        texts = (part if isinstance(part, str) else part.get("text") for part in parts)
        text = " ".join(text for text in texts if isinstance(text, str)).strip()
        if text:
            return text
    return "no text"


def clipped(text: str, width: int) -> str:
    """Text on one line, harmless to a terminal, of at most `width` characters."""
    from ranker.pages import visible

    line = " ".join(str(visible(text[: 4 * width])).split())
    return line if len(line) <= width and len(text) <= 4 * width else f"{line[: width - 1].rstrip()}…"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as they must be; the last one takes what is left of the width."""
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]) - 1)]
    left = WIDTH - sum(widths) - 2 * len(widths)
    numbers = len(widths) - 1  # the column before the last holds names
    lines = []
    for row in rows:
        cells = [
            cell.rjust(w) if k < numbers else cell.ljust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=False))
        ]
        lines.append("  ".join([*cells, clipped(row[-1], left)]).rstrip())
    return lines


def _head(kind: str, name: str | None) -> str:
    return f"<{kind}: " if name is None else f"<{kind} {clipped(name, 40)}: "


def _count(n: int, one: str, many: str | None = None) -> str:
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
