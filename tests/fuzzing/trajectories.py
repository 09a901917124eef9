"""Pairs of attempts that differ in one field, in eleven dialects: does the difference ever vanish?

    python -m tests.fuzzing.trajectories --count 100000 --json FILE

For each pair a judge must be shown two different texts, or a warning must name the field, or the attempt must be
refused by a GroupError. A tie without a word, an error of another kind and forged structure are faults. The oracle
knows what was changed and nothing of the renderer; only a consistent renaming of call ids may go unsaid.
"""

from __future__ import annotations

import copy
import json
import os
import random
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ranker import RankerError, Trajectory, rank_group
from ranker.judges.base import Lineup
from ranker.prompting.escaping import neutral, restore
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.testing.simulated import blocks
from tests.fuzzing.dialects import DIALECTS, attempt, scalar, text, value
from tests.fuzzing.record import main_of

_KEYS = (
    "id", "name", "type", "text", "content", "error", "status", "args", "input", "index", "refusal", "metadata", "usage",
    "reasoning", "signature", "transcript", "note", "score", "annotations", "created", "x y", "<user>", "tool_plan", "parts",
)  # fmt: skip
_CALL_IDS = {"id", "tool_call_id", "tool_use_id", "toolUseId", "call_id"}
_TAG = re.compile(r"</?trajectory(?![a-z])", re.IGNORECASE)


@dataclass(frozen=True)
class Change:
    """Two attempts, and the path to the field in which they differ."""

    one: dict[str, Any]
    other: dict[str, Any]
    path: tuple[Any, ...]
    kind: str

    @property
    def field(self) -> str:
        """The name of the field, without places in lists."""
        return str([key for key in self.path if isinstance(key, str)][-1])

    @property
    def renamed(self) -> bool:
        """Whether nothing but the id of a call differs, consistently."""
        if self.kind == "rename":
            return True
        old = _at(self.one, self.path) if self.kind in {"change", "space", "retype"} else None
        if not isinstance(old, str) or not old.startswith("call-") or self.path[-1] not in _CALL_IDS:
            return False
        new = _at(self.other, self.path)
        whole = json.dumps(self.one)
        written = json.dumps(new)
        return (
            isinstance(new, str)
            and written not in whole
            and whole.replace(f'"{old}"', written) == json.dumps(self.other)
        )


def changed(one: dict[str, Any], rng: random.Random) -> Change:
    """The attempt with one field changed, added, taken away, split, retyped or repeated, at any depth."""
    while True:
        other = copy.deepcopy(one)
        path = rng.choice(list(_paths(one)))
        if path[-1] == "role" and rng.random() < 0.9:  # most other roles are refused
            continue
        holder, key = _at(other, path[:-1]), path[-1]
        kind = rng.choice(
            ("change", "change", "change", "add", "take", "retype", "space", "repeat", "rename")
        )
        if kind == "change":
            holder[key] = _changed(holder[key], rng)
        elif kind == "add":
            field = rng.choice(_KEYS)
            if not isinstance(holder[key], dict) or field in holder[key]:
                continue
            holder[key][field] = value(rng)
            path = (*path, field)
        elif kind == "take":
            if len(path) == 1:
                continue
            del holder[key]
        elif kind == "retype":
            holder[key] = rng.choice(
                (json.dumps(holder[key]), [holder[key]], {"text": holder[key]}, None, "")
            )
        elif kind == "space" and isinstance(holder[key], str):
            holder[key] = rng.choice(
                (f"{holder[key]} ", holder[key].replace(": ", ":"), holder[key].replace(" ", "\n", 1))
            )
        elif kind == "repeat" and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        elif kind == "rename":
            whole = json.dumps(one)
            ids = sorted(set(re.findall(r"call-[0-9a-f]{12}", whole)))
            if not ids:
                continue
            other = json.loads(whole.replace(rng.choice(ids), f"call-{rng.getrandbits(48):012x}"))
        if json.dumps(other, sort_keys=True) != json.dumps(one, sort_keys=True):
            return Change(one, other, path, kind)


def _changed(old: Any, rng: random.Random) -> Any:
    if isinstance(old, bool):
        return not old
    if isinstance(old, (int, float)):
        return old + rng.choice((1, 0.5, 1_000))
    if isinstance(old, str):
        at = rng.randint(0, len(old))
        return rng.choice((old + text(rng), old[:at] + "x" + old[at:], scalar(rng), old.swapcase()))
    return value(rng)


def _paths(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    members = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, member in members:
        yield from _paths(member, (*path, key))


def _at(node: Any, path: Sequence[Any]) -> Any:
    for key in path:
        node = node[key]
    return node


def outcome(change: Change) -> str:
    """`shown`, `warned`, `refused` or `renamed`; anything else is a fault, and says which."""
    seen: list[str] = []

    def judge(trajectories: Sequence[Trajectory]) -> list[int]:
        seen.extend(_faults(trajectories))
        return list(range(len(trajectories)))

    try:
        ranked = rank_group([Trajectory(**change.one), Trajectory(**change.other)], judge)
    except RankerError as error:
        return (
            "refused" if type(error).__name__ == "GroupError" else f"fault: {type(error).__name__}: {error}"
        )
    except Exception as error:
        return f"fault: {type(error).__name__}: {error}"
    if seen:
        return f"fault: {seen[0]}"
    if ranked.usage.calls:
        return "shown"
    named = re.compile(rf"(?:only in |, |\.){re.escape(change.field)}(?:[.,]|$)")
    if any(named.search(warning) for warning in ranked.warnings):
        return "warned"
    return (
        "renamed"
        if change.renamed
        else f"fault: a silent tie, {change.field} is named nowhere: {ranked.warnings}"
    )


def _faults(trajectories: Sequence[Trajectory]) -> Iterator[str]:
    """What is wrong with the prompt in which attempts are shown."""
    prompt = build_prompt(Lineup(tuple(trajectories), "task", None), load_template(), room=None, count=len)
    user = prompt.messages[1]["content"]
    texts = [transcript_of(trajectory).text for trajectory in trajectories]
    if len(set(texts)) != len(texts):
        yield "two attempts of one text"
    if len(_TAG.findall(user)) != 2 * len(texts):
        yield "a forged trajectory"
    if [body.strip() for _, body in blocks(user)] != [t.strip() for t in texts]:
        yield "a block that does not hold its attempt"
    for words in texts:
        if restore(neutral(words)) != words:
            yield "a text that neutral changes for good"


def pair(seed: int, number: int) -> tuple[str, Change]:
    """Pair `number` of a run, and its dialect."""
    rng = random.Random(f"{seed}/{number}")
    dialect = list(DIALECTS)[number % len(DIALECTS)]
    return dialect, changed(attempt(dialect, rng), rng)


def run(count: int, seed: int) -> dict[str, Any]:
    """Try `count` pairs; the record says how many came out how, and lists the first faults."""
    outcomes: dict[str, Counter[str]] = {dialect: Counter() for dialect in DIALECTS}
    faults: list[dict[str, Any]] = []
    for number in range(count):
        dialect, change = pair(seed, number)
        result = outcome(change)
        outcomes[dialect][result.partition(":")[0]] += 1
        if result.startswith("fault"):
            faults.append(
                {
                    "number": number,
                    "dialect": dialect,
                    "kind": change.kind,
                    "path": change.path,
                    "fault": result,
                }
            )
    total = sum(outcomes.values(), Counter())
    return {
        "pairs": count,
        "faults": total["fault"],
        "outcomes": {dialect: dict(sorted(counts.items())) for dialect, counts in outcomes.items()},
        "total": dict(sorted(total.items())),
        "examples": faults[:20],
    }


if __name__ == "__main__":
    os.environ["RANKER_CACHE"] = "off"
    main_of(run, __doc__)
