"""What an attempt at the returns desk is worth, by reading its block in a judge's prompt."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ranker.prompting.escaping import TAGS, restore
from ranker.suites.desk_world import Turn, actions_named, grade, right_action, turn_worths

# A tag of the transcript at the start of a line: look-alikes in the agent's own text are neutralised.
_TAG = re.compile(rf"^<({'|'.join(TAGS)})(?: [^>\n]*)?>\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attributes:
    turns: what the agent said and did, message by message.
    letter: of the customer.
    results: what the tools returned, in order.
    said: everything the agent wrote.
    reply: its last words to the customer; empty where it ended otherwise.
    """

    letter: str
    results: tuple[dict[str, Any], ...]
    said: tuple[str, ...]
    reply: str
    turns: tuple[Turn, ...] = ()

    @property
    def done(self) -> set[str]:
        """The actions taken."""
        return {result["done"] for result in self.results if "done" in result}

    @property
    def named(self) -> set[str]:
        """The actions that the customer was told of."""
        return set(actions_named(self.reply))


def read(block: str) -> Attempt:
    """Read a block, shared parts put back."""
    head, *parts = _TAG.split(block.strip())
    pieces = [(tag, restore(body).strip()) for tag, body in zip(parts[::2], parts[1::2], strict=True)]
    return Attempt(
        letter=next((body for tag, body in pieces if tag == "user"), head),
        results=tuple(json.loads(body) for tag, body in pieces if tag == "tool"),
        said=tuple(body for tag, body in pieces if tag == "assistant"),
        reply=pieces[-1][1] if pieces and pieces[-1][0] == "assistant" else "",
        turns=_turns(pieces),
    )


def _turns(pieces: list[tuple[str, str]]) -> tuple[Turn, ...]:
    """The agent's messages: each says something, calls tools, or both, and ends with what they return."""
    turns: list[tuple[str, bool, list[dict[str, Any]]]] = []
    before = ""
    for tag, body in pieces:
        if tag == "assistant":
            turns.append((body, False, []))
        elif tag == "call":
            if before not in ("assistant", "call"):
                turns.append(("", True, []))
            turns[-1] = (turns[-1][0], True, turns[-1][2])
        elif tag == "tool" and turns:
            turns[-1][2].append(json.loads(body))
        before = tag
    return tuple(turns)


def worth(block: str) -> float:
    """The same truth as the checker's.

    The right order is the one that the customer calls so; the right action follows from its record,
    where the attempt looked it up.
    """
    seen = read(block)
    return float(grade(seen.results, seen.said, seen.reply, *_right(seen)))


def turn_worth(block: str) -> list[float]:
    """What each turn is worth, as `desk_world.turn_truths` has it."""
    seen = read(block)
    return turn_worths(seen.turns, *_right(seen))


def _right(seen: Attempt) -> tuple[int, str | None]:
    """The right order, and the right action where it can be known."""
    named = re.search(r"\border (\d+)", seen.letter)
    order = int(named[1]) if named else -1
    record = next((r for r in seen.results if r.get("order") == order and "state" in r), None)
    return order, right_action(record) if record else None
