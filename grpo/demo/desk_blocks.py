"""What an attempt at the returns desk is worth, by reading its block in a judge's prompt."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from ranker.prompting.escaping import TAGS, restore
from ranker.suites.desk_world import actions_named, grade, right_action

# A tag of the transcript at the start of a line: look-alikes in the agent's own text are neutralised.
_TAG = re.compile(rf"^<({'|'.join(TAGS)})(?: [^>\n]*)?>\n?", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attributes:
    letter: of the customer.
    results: what the tools returned, in order.
    said: everything the agent wrote.
    reply: its last words to the customer; empty where it ended otherwise.
    """

    letter: str
    results: tuple[dict[str, Any], ...]
    said: tuple[str, ...]
    reply: str

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
    head, *found = _TAG.split(block.strip())
    pieces = [(tag, restore(body).strip()) for tag, body in zip(found[::2], found[1::2], strict=True)]
    return Attempt(
        letter=next((body for tag, body in pieces if tag == "user"), head),
        results=tuple(json.loads(body) for tag, body in pieces if tag == "tool"),
        said=tuple(body for tag, body in pieces if tag == "assistant"),
        reply=pieces[-1][1] if pieces and pieces[-1][0] == "assistant" else "",
    )


def worth(block: str) -> float:
    """The same truth as the checker's.

    The right order is the one that the customer calls so; the right action follows from its record,
    where the attempt looked it up.
    """
    seen = read(block)
    named = re.search(r"\border (\d+)", seen.letter)
    order = int(named[1]) if named else -1
    record = next((r for r in seen.results if r.get("order") == order and "state" in r), None)
    action = right_action(record) if record else None
    return float(grade(seen.results, seen.said, seen.reply, order, action))
