"""A simulated judge: parses the prompt and ranks by a hidden truth, with configurable errors."""

from __future__ import annotations

import hashlib
import json
import random
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.aggregate.dedupe import distinct_of
from ranker.judges.verdict import tiers_of
from ranker.prompting.images import words_of
from ranker.prompting.sharing import expand
from ranker.prompting.transcript import transcript_of
from ranker.prompting.turns import TURN, unnumbered
from ranker.trajectory import TrajectoryGroup

_BLOCK = re.compile(r'<trajectory id="(\w+)">\n(.*?)\n?</trajectory>', re.DOTALL)
_PART = re.compile(r"<p(\d+)>(.*?)</p\1>\n", re.DOTALL)
_CUT = re.compile(r"<cut \d+/>\n")


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a simulated judge deviates from the truth. It perceives a trajectory's quality as
    truth + noise·N(0, 1) + position_bias·position + length_bias·length, with position from 1 (shown
    first) to 0 (last) and length from 0 (shortest shown) to 1 (longest).

    Attributes:
        tie_below: qualities that differ by less are tied.
        turn_accuracy: where the prompt asks for turns, the probability that a mark is right. A turn that is worth
            something is named, as helped above 0 and as hurt below, or else the other way round; one that is worth
            nothing is not named, or else as either. At 0.5 the marks of turns that are worth something say nothing.
        seed: seed of the noise, together with the prompt: the same prompt gets the same answer.
    """

    noise: float = 0.0
    position_bias: float = 0.0
    length_bias: float = 0.0
    tie_below: float = 1e-9
    seed: int = 0
    turn_accuracy: float = 1.0


class Truth:
    """The hidden truth of a trajectory, looked up by the text of its block.

    Built from groups with `ground_truth`, or from a function of the text of a block. What each turn is worth comes from
    ``metadata["turn_truths"]`` of the trajectories, or from a second function of the text.
    """

    def __init__(
        self,
        source: Iterable[TrajectoryGroup] | Callable[[str], float],
        turns: Callable[[str], Sequence[float]] | None = None,
    ):
        self._function: Callable[[str], float] | None = None
        self._turn_function = turns
        self._truths: dict[str, float] = {}
        self._turn_truths: dict[str, Sequence[float]] = {}
        if callable(source):
            self._function = source
            return
        for group in source:
            distinct = distinct_of(group)
            for trajectory, member in zip(group.trajectories, distinct.member, strict=True):
                if trajectory.ground_truth is not None:
                    text = transcript_of(distinct.trajectories[member]).text.strip()
                    self._truths[text] = trajectory.ground_truth
                    self._turn_truths[text] = trajectory.metadata.get("turn_truths") or ()

    def of(self, block: str) -> float:
        """The truth of a block with its shared parts expanded.

        Raises:
            KeyError: no trajectory of the groups has this text.
        """
        if self._function is not None:
            return self._function(block)
        return self._truths[self._key(block)]

    def of_turns(self, block: str) -> Sequence[float]:
        """What each turn of a block is worth; none where nothing is known.

        Raises:
            KeyError: no trajectory of the groups has this text.
        """
        if self._function is not None:
            return () if self._turn_function is None else self._turn_function(block)
        return self._turn_truths[self._key(block)]

    def _key(self, block: str) -> str:
        """The text of the trajectory that a block shows."""
        text = block.strip()
        if text in self._truths:
            return text
        head, *between = _CUT.split(text)
        if not between:
            raise KeyError(f"no trajectory of the groups has the text {text[:80]!r}")
        tail = between[-1]
        tail = tail.partition("\n")[2] if tail.startswith("<") else tail
        matches = {
            v: k for k, v in self._truths.items() if k.startswith(head.strip()) and k.endswith(tail.strip())
        }
        if len(matches) != 1:
            raise KeyError(f"no trajectory of the groups has the text {text[:80]!r}")
        return next(iter(matches.values()))


def blocks(prompt: str) -> list[tuple[str, str]]:
    """The (id, text) of every trajectory in a prompt, in the order shown, with shared parts expanded."""
    shared, _, rest = prompt.partition("</shared>\n")
    if not rest:
        shared, rest = "", prompt
    shared = shared.rpartition("<shared>\n")[2]  # what comes before may name such tags
    parts = [text for _, text in sorted((int(n), text) for n, text in _PART.findall(shared))]
    return [(name, expand(text, parts)) for name, text in _BLOCK.findall(rest)]


def shows_attempts(messages: list[dict[str, Any]]) -> bool:
    """Whether there is anything to rank, as there is not in a request that only tries the key."""
    return any("<trajectory " in words_of(m["content"]) for m in messages if m["role"] == "user")


def answer(messages: list[dict[str, Any]], truth: Truth, behaviour: Behaviour) -> tuple[list[str], str]:
    """The ids shown, and the reply: a verdict in JSON, in the form the prompt asks for."""
    user = next(words_of(m["content"]) for m in messages if m["role"] == "user")
    numbered = blocks(user)
    shown = [(name, unnumbered(text)) for name, text in numbered]
    seed = hashlib.sha256(f"{behaviour.seed}\0{user}".encode("utf-8", "replace")).digest()
    rng = random.Random(seed)  # noqa: S311 - simulation
    n = len(shown)
    lengths = [len(text) for _, text in shown]
    span = max(lengths) - min(lengths) or 1
    quality = {
        name: truth.of(text)
        + behaviour.noise * rng.gauss(0, 1)
        + behaviour.position_bias * (1 - place / max(1, n - 1))
        + behaviour.length_bias * (length - min(lengths)) / span
        for place, ((name, text), length) in enumerate(zip(shown, lengths, strict=True))
    }
    names = list(quality)
    reasons = [{"id": name, "reason": f"quality {quality[name]:.3f}"} for name in names]
    asked = words_of(messages[0]["content"])  # the system's, which may open the user's turn
    if '"scores"' in asked:
        low, high = min(quality.values()), max(quality.values())
        scaled = [{"id": k, "score": (q - low) / (high - low or 1)} for k, q in quality.items()]
        return names, json.dumps({"reasons": reasons, "scores": scaled})
    ranking = _ranking(quality, behaviour.tie_below)
    if '"turns"' not in asked:
        return names, json.dumps({"reasons": reasons, "ranking": ranking})
    turns = [
        {"id": name, **_marks(text, truth.of_turns(unnumbered(text)), behaviour.turn_accuracy, rng)}
        for name, text in numbered
    ]
    return names, json.dumps({"reasons": reasons, "turns": turns, "ranking": ranking})


def _marks(text: str, truths: Sequence[float], accuracy: float, rng: random.Random) -> dict[str, list[int]]:
    """The turns of a block that a judge names, of those that are shown."""
    shown = sorted({int(number) for number in TURN.findall(text)})
    marks: dict[str, list[int]] = {"helped": [], "hurt": []}
    for number, worth in enumerate(truths, start=1):
        right, side = rng.random() < accuracy, rng.choice(("helped", "hurt"))
        if worth:
            side = "helped" if (worth > 0) == right else "hurt"
        if number in shown and (worth or not right):
            marks[side].append(number)
    return marks


def _ranking(quality: dict[str, float], tie_below: float) -> list[list[str]]:
    names = list(quality)
    ranking: list[list[str]] = []
    last = None
    for tier in tiers_of([quality[name] for name in names]):
        value = quality[names[tier[0]]]
        if last is not None and last - value < tie_below:
            ranking[-1] += [names[i] for i in tier]
        else:
            ranking.append([names[i] for i in tier])
        last = value
    return ranking
