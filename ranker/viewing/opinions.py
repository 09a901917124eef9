"""Judges side by side on the same attempts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ranker.aggregate.agreement import agreeing
from ranker.pages import places
from ranker.viewing.card import Card, Opinion, levels_of
from ranker.viewing.records import Judged


def with_opinions(card: Card, others: Sequence[tuple[int | None, Card]]) -> Card:
    """The card with what other judges said of the same attempts, matched by their names."""
    if not others:
        return card
    return replace(
        card,
        opinions=(
            opinion_of(card, card, card.line),
            *(opinion_of(card, other, line) for line, other in others),
        ),
    )


def opinion_of(card: Card, other: Card, line: int | None) -> Opinion:
    """What another card's judge said of this card's attempts."""
    by_name = {a.name: a for a in other.attempts}
    theirs = [by_name.get(a.name) for a in card.attempts]
    values = [None if a is None else a.reward for a in theirs]
    truths, own = [a.truth for a in card.attempts], [a.reward for a in card.attempts]
    right, pairs = agreeing(truths, values)
    alike, both = agreeing(own, values)
    return Opinion(
        judge=other.judge or "judge",
        line=line,
        places=tuple(None if a is None else a.place for a in theirs),
        values=tuple(values),
        reasons=tuple("" if a is None else a.reason for a in theirs),
        right=right,
        pairs=pairs,
        alike=alike,
        both=both,
    )


def audited(card: Card, record: Judged) -> Card:
    """What an audit's record says of the same attempts, as a further judge's card: values in the order of the rollouts."""
    values = list(record.truths)
    place = places(levels_of(values))
    attempts = []
    for attempt in card.attempts:
        at = int(attempt.name) if attempt.name.isdigit() else len(values)
        value = values[at] if at < len(values) else None
        attempts.append(replace(attempt, reward=value, place=place.get(at), reason=""))
    judge = record.fields.get("by")
    return replace(
        card, judge=judge if isinstance(judge, str) else "auditor", attempts=tuple(attempts), opinions=()
    )
