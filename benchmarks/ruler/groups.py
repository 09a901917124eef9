"""Groups for the comparison with RULER, their hidden truth, and what is wrong with rewards.

A trajectory's worth is drawn by hash from a case number in its last message. The judge servers read
the number and know the worth; it stands nowhere in the text, so no side can see it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import random
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

Fields = dict[str, Any]  # a group as an object of a group file

_CASE = re.compile(r"case ([0-9a-f]{16})")
_WORDS = [
    "the",
    "order",
    "was",
    "found",
    "and",
    "its",
    "state",
    "checked",
    "against",
    "what",
    "the",
    "customer",
    "said",
    "before",
    "any",
    "step",
    "was",
    "taken",
    "then",
    "a",
    "refund",
    "went",
    "out",
    "by",
    "the",
    "way",
    "it",
    "was",
    "paid",
    "while",
    "the",
    "stock",
    "list",
    "and",
    "the",
    "ledger",
    "were",
    "brought",
    "up",
    "to",
    "date",
]


def worth(text: str) -> float:
    """The hidden truth of a text that holds a case number; of any other text, a number of its own."""
    case = _CASE.search(text)
    digest = hashlib.sha256((case.group(1) if case else text).encode("utf-8", "replace")).digest()
    return int.from_bytes(digest[:6], "big") / (1 << 48)


def worths(fields: Fields) -> list[float]:
    """The hidden truth of each trajectory of a group."""
    return [worth(str(member["messages"][-1]["content"])) for member in fields["trajectories"]]


def small_groups(count: int, size: int = 8, seed: int = 0) -> list[Fields]:
    """Groups of `size` trajectories, two messages of about 300 characters each."""
    return [_group(random.Random(f"{seed}:{i}"), f"{seed}-{i}", size) for i in range(count)]


def _group(rng: random.Random, name: str, size: int) -> Fields:
    asked = {"role": "user", "content": f"Task {name}: {_prose(rng)}"}
    return {
        "id": f"small-{name}",
        "trajectories": [{"messages": [asked, _attempt(rng)]} for _ in range(size)],
    }


def _attempt(rng: random.Random) -> dict[str, str]:
    return {"role": "assistant", "content": f"{_prose(rng)} This closes case {rng.getrandbits(64):016x}."}


def _prose(rng: random.Random, length: int = 270) -> str:
    words: list[str] = []
    while sum(map(len, words)) + len(words) < length:
        words.append(rng.choice(_WORDS))
    return " ".join(words).capitalize() + "."


def marked(groups: Iterable[Fields], seed: int = 0) -> list[Fields]:
    """The groups with ids, ground truth and metadata that could be found again in a prompt. A
    trajectory with a case number has its worth as ground truth, any other a number of its own."""
    rng = random.Random(seed)
    made = []
    for fields in groups:
        members = []
        for member in fields["trajectories"]:
            last = str(member["messages"][-1].get("content"))
            truth = worth(last) if _CASE.search(last) else rng.random()
            told = {"checker": _sentinel(rng), "passed": rng.getrandbits(60)}
            members.append({**member, "id": _sentinel(rng), "ground_truth": truth, "metadata": told})
        made.append({"id": _sentinel(rng), "trajectories": members, "metadata": {"split": _sentinel(rng)}})
    return made


def _sentinel(rng: random.Random) -> str:
    return f"hidden-{rng.getrandbits(64):016x}"


def secrets(groups: Iterable[Fields]) -> set[str]:
    """What stands in marked groups and must stand in no prompt. Of a ground truth the first nine
    digits are looked for, so that a rounded one is found too."""
    found: set[str] = set()
    for fields in groups:
        found |= {fields["id"], fields["metadata"]["split"]}
        for member in fields["trajectories"]:
            told = member["metadata"]
            found |= {member["id"], told["checker"], str(told["passed"])}
            found.add(f"{member['ground_truth']:.15f}"[2:11])
    return found


def leaks(bodies: Sequence[str], hidden: set[str]) -> int:
    """How many request bodies hold any of the `hidden` texts."""
    return sum(any(secret in body for secret in hidden) for body in bodies)


def judged(groups: Sequence[Fields], rewards: Sequence[Sequence[float] | None]) -> Counter[str]:
    """Groups by what became of them: right, failed, or wrong in one of three ways."""
    found: Counter[str] = Counter()
    for fields, given in zip(groups, rewards, strict=True):
        found["failed" if given is None else _verdict(worths(fields), given)] += 1
    return found


def _verdict(truth: Sequence[float], rewards: Sequence[float]) -> str:
    if not all(math.isfinite(reward) for reward in rewards):
        return "not a number"
    pairs = itertools.combinations(zip(truth, rewards, strict=True), 2)
    if any((a > b) != (x > y) or (a < b) != (x < y) for (a, x), (b, y) in pairs):
        return "wrong order"
    return "right" if all(0 <= reward <= 1 for reward in rewards) else "not in [0, 1]"


def write_groups(path: Path, groups: Iterable[Fields]) -> Path:
    path.write_text("".join(json.dumps(fields) + "\n" for fields in groups), encoding="utf-8")
    return path


def load_groups(path: Path) -> list[Fields]:
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]
