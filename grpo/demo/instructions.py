"""Short writing tasks with constraints that a program can check: rows, and the checker."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from ranker import Trajectory

_SUBJECTS = (
    "rain", "a bicycle", "the sea at night", "bread", "a library", "winter", "a train journey", "an old clock",
    "honey", "a lighthouse", "football", "a garden", "the moon", "coffee", "a market", "mountains",
)  # fmt: skip
_WORDS = ("river", "stone", "quiet", "seven", "green", "paper", "early", "bright")


def _limits(rng: random.Random) -> list[tuple[str, str, int | str]]:
    most = rng.choice((8, 12, 16, 20))
    word = rng.choice(_WORDS)
    return [
        (f"Use at most {most} words.", "most_words", most),
        (f'Use the word "{word}".', "word", word),
        ("Write one sentence only.", "sentences", 1),
        ("Use lower-case letters only.", "lower", 1),
        ("Do not use a comma.", "without", ","),
        ("End with an exclamation mark.", "end", "!"),
    ]


def rows(count: int = 200, seed: int = 0, constraints: int = 2) -> list[dict[str, Any]]:
    """Tasks, the same for the same seed; each with its constraints as [kind, value] pairs."""
    rng = random.Random(seed)
    result: list[dict[str, Any]] = []
    for i in range(count):
        chosen = rng.sample(_limits(rng), constraints)
        text = f"Write about {rng.choice(_SUBJECTS)}. " + " ".join(limit for limit, _, _ in chosen)
        result.append(
            {
                "id": f"instructions-{seed}-{i}",
                "prompt": [{"role": "user", "content": text}],
                "constraints": [[kind, value] for _, kind, value in chosen],
            }
        )
    return result


held_out = partial(rows, 32, seed=1)  # tasks that `rows` with its defaults does not hold


def checker(trajectory: Trajectory, row: Mapping[str, Any]) -> float:
    """The share of the row's constraints that the reply meets; 0 for an empty reply."""
    text = str(trajectory.messages[-1].get("content") or "").strip()
    if not text:
        return 0.0
    met = [_met(text, kind, value) for kind, value in row["constraints"]]
    return sum(met) / len(met)


def _met(text: str, kind: str, value: Any) -> bool:
    words = re.findall(r"[\w'-]+", text)
    checks: dict[str, Callable[[], bool]] = {
        "most_words": lambda: len(words) <= value,
        "word": lambda: value in (w.lower() for w in words),
        "sentences": lambda: len(re.findall(r"[.!?]+(?=\s|$)", text)) == value,
        "lower": lambda: text == text.lower(),
        "without": lambda: value not in text,
        "end": lambda: text.endswith(value),
    }
    return checks[kind]()
