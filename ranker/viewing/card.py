"""A group as it is shown: its attempts in the judge's order, with everything that is known of each.

All text is harmless here: what a reader would not see, and what could act on a terminal, is written as its code points.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar

from ranker.aggregate.ranking import Tiers
from ranker.labelling.view import Block, blocks_of, common_messages, tools_of
from ranker.pages import places, visible
from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.viewing.attempts import Lost, trajectories_of
from ranker.viewing.details import mark_of, marks_of, notes_of, of_name, reason_of, text_or_none, verdict_of
from ranker.viewing.records import Judged, number
from ranker.viewing.rows import summary_of

_EPSILON = 1e-4  # added to the deviation, as the trainer does
_SAME = 1e-9
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Turn:
    """A message, or several results, as blocks.

    Attributes:
        mark: what the turn was given by itself; None where turns were not judged.
    """

    blocks: tuple[Block, ...]
    mark: str | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attributes:
    place: by the rewards, e.g. "1" or "2–3"; None without a verdict.
    deviation: of the reward, where it was estimated.
    true_place: by the ground truth.
    steps: what comes before the last message of the assistant.
    last: that message and what follows; both are empty where the line has no text.
    notes: more that is known, by name.
    """

    name: str
    place: str | None
    reward: float | None
    deviation: float | None
    advantage: float | None
    truth: float | None
    true_place: str | None
    reason: str
    steps: tuple[Turn, ...]
    last: tuple[Turn, ...]
    notes: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Opinion:
    """What a judge said of a group, in the order of the card's attempts.

    Attributes:
        line: where it stands; None where it is not a line of its own.
        right, pairs: pairs of different truth, and how many it orders as the truth does.
        alike, both: pairs that this and the card's judge tell apart, and how many they order alike.
    """

    judge: str
    line: int | None
    places: tuple[str | None, ...]
    values: tuple[float | None, ...]
    reasons: tuple[str, ...]
    right: float
    pairs: int
    alike: float = 0.0
    both: int = 0


@dataclass(frozen=True, slots=True)
class Card:
    """A group.

    Attributes:
        attempts: best first, or as they come where there is no verdict.
        right, pairs: of the pairs of different truth those that the rewards order as the truth does, and all.
        notes: more that is known of the verdict, by name.
        opinions: of this judge, then of others on the same group.
        fault: why the attempts cannot be shown.
    """

    line: int
    id: str
    title: str
    judge: str | None
    step: int | None
    state: str
    error: str | None
    task: str | None
    rubric: str | None
    shared: tuple[Block, ...]
    attempts: tuple[Attempt, ...]
    right: float
    pairs: int
    notes: tuple[tuple[str, str], ...]
    opinions: tuple[Opinion, ...] = ()
    fault: str | None = None


def card_of(line: int, judged: Judged, texts: TrajectoryGroup | Lost | None = None) -> Card:
    """The card of a line.

    Args:
        texts: the attempts, where the line itself does not have them.
    """
    values = list(judged.values or [None] * len(judged.truths))
    names, truths = list(judged.names), list(judged.truths)
    if judged.form == "audit":  # they are the auditor's
        truths = [None] * len(truths)
    trajectories, fault = trajectories_of(judged, line, texts)
    if isinstance(texts, TrajectoryGroup):
        names = texts.ids
    if "anchor" in judged.fields and isinstance(judged.fields["anchor"], Mapping):
        anchor = judged.fields["anchor"]
        values.append(number(anchor.get("reward")))
        truths.append(number(anchor.get("ground_truth")))
        names.append("anchor: the policy at the start")
    order, place = _order(judged, values)
    levels = sorted({t for t in truths if t is not None}, reverse=True)
    true_place = places([[i for i, t in enumerate(truths) if t == level] for level in levels])
    present = [t for t in trajectories if t is not None]
    common = common_messages([t.messages for t in present]) if present else 0
    alike = bool(present) and all(t.tools == present[0].tools for t in present)
    shared = (
        [*(tools_of(present[0].tools) if alike else ()), *blocks_of(present[0].messages[:common])]
        if present
        else []
    )
    advantages = _advantages(judged, values)
    attempts = []
    for i in order:
        steps, last = _turns(trajectories[i], common, marks_of(judged, i, names[i]), tools=not alike)
        attempts.append(
            Attempt(
                name=names[i],
                place=place.get(i),
                reward=values[i],
                deviation=number(of_name(judged.fields.get("reward_deviation"), names[i])),
                advantage=advantages[i],
                truth=truths[i],
                true_place=true_place.get(i),
                reason=reason_of(judged, i, names[i]),
                steps=steps,
                last=last,
                notes=notes_of(judged, i, names[i]),
            )
        )
    right, pairs = (0.0, 0) if judged.form == "audit" else judged.right
    card = Card(
        line=line,
        id=judged.id,
        title=title_of(judged, present),
        judge=judged.judge,
        step=judged.step,
        state="bad" if fault and judged.form == "group" and judged.error is None else judged.state,
        error=judged.error,
        task=text_or_none(judged.fields.get("task"))
        or (texts.task if isinstance(texts, TrajectoryGroup) else None),
        rubric=text_or_none(judged.fields.get("rubric"))
        or (texts.rubric if isinstance(texts, TrajectoryGroup) else None),
        shared=tuple(shared),
        attempts=tuple(attempts),
        right=right,
        pairs=pairs,
        notes=verdict_of(judged),
        fault=fault,
    )
    return harmless(card)


def title_of(judged: Judged, present: Sequence[Trajectory]) -> str:
    """A line that tells the group from others."""
    if not judged.members and present:
        judged = replace(judged, members=[{"messages": list(present[0].messages)}])
    return summary_of(judged) or judged.id


def harmless(value: _T) -> _T:
    """The same with every text in it made visible."""
    found: Any = value
    if isinstance(value, str):
        found = str(visible(value))
    elif isinstance(value, tuple):
        found = tuple(map(harmless, value))
    elif is_dataclass(value) and not isinstance(value, type):
        found = replace(value, **{f.name: harmless(getattr(value, f.name)) for f in fields(value)})
    return found  # type: ignore[no-any-return]


def advantages_of(values: Sequence[float | None]) -> list[float | None]:
    """(reward - mean) / (deviation + 1e-4) over the rewards that are there, as the trainer reckons them without other
    groups; None where no two differ (grpo.advantages, which would bring numpy)."""
    known = [v for v in values if v is not None]
    if len(known) < 2 or max(known) - min(known) <= _SAME:
        return [None] * len(values)
    mean, deviation = statistics.fmean(known), statistics.stdev(known)
    return [None if v is None else (v - mean) / (deviation + _EPSILON) for v in values]


def _order(judged: Judged, values: Sequence[float | None]) -> tuple[list[int], dict[int, str]]:
    """The attempts best first, those without a reward last; and the place of each."""
    tiers = _ranking(judged) or levels_of(values)
    ranked = [i for tier in tiers for i in tier]
    rest = [i for i in range(len(values)) if i not in ranked]
    return [*ranked, *rest], places(tiers)


def _ranking(judged: Judged) -> Tiers | None:
    """The tiers that a ranked line has beside its rewards: those of debiased ones may have another order."""
    ranking, names = judged.fields.get("ranking"), {name: i for i, name in enumerate(judged.names)}
    if judged.form != "group" or judged.error is not None or not isinstance(ranking, list):
        return None
    try:
        tiers = tuple(tuple(names[str(name)] for name in tier) for tier in ranking)
    except (KeyError, TypeError):
        return None
    return tiers if sorted(i for tier in tiers for i in tier) == list(range(len(names))) else None


def levels_of(values: Sequence[float | None]) -> Tiers:
    """Tiers of equal values, the highest first; those that are None are left out."""
    levels: list[list[int]] = []
    for i in sorted((i for i, v in enumerate(values) if v is not None), key=lambda i: -(values[i] or 0.0)):
        if levels and abs((values[levels[-1][0]] or 0.0) - (values[i] or 0.0)) <= _SAME:
            levels[-1].append(i)
        else:
            levels.append([i])
    return tuple(map(tuple, levels))


def _turns(
    trajectory: Trajectory | None, common: int, marks: Sequence[Any], *, tools: bool
) -> tuple[tuple[Turn, ...], tuple[Turn, ...]]:
    """An attempt's own messages: those before the assistant's last one, and that with the rest."""
    if trajectory is None:
        return (), ()
    messages = trajectory.messages
    spoken = [i for i, m in enumerate(messages) if m["role"] == "assistant"]
    last = next((i for i in reversed(spoken) if i >= common), common)
    found: list[Turn] = [Turn((block,)) for block in (tools_of(trajectory.tools) if tools else ())]
    before = len(found)
    for i in range(common, len(messages)):
        mark = None
        if messages[i]["role"] == "assistant":
            turn = spoken.index(i)
            mark = mark_of(marks[turn]) if turn < len(marks) else None
        found.append(Turn(tuple(blocks_of(messages[i : i + 1], messages[:i])), mark))
    for count, history in enumerate(trajectory.histories, start=1):
        heading = Block("field", f"further conversation {count} of this attempt", "")
        found.insert(before + last - common, Turn((heading, *blocks_of(history))))
        last += 1
    cut = before + last - common
    return tuple(found[:cut]), tuple(found[cut:])


def _advantages(judged: Judged, values: Sequence[float | None]) -> list[float | None]:
    if judged.form == "sample":
        own = [number(rollout.get("advantage")) for rollout in judged.members]
        return [*own, *[None] * (len(values) - len(own))]
    return advantages_of(values)
