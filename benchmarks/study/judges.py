"""The judges of the study: noise by a wanted accuracy, vices, and the server that answers for them."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.study.plan import JudgeSpec
from grpo.demo import desk_blocks
from ranker.bench.simulated_judges import noise_for
from ranker.debias.edits import EMPTY
from ranker.suites import desk_world as desk
from ranker.testing import Behaviour, JudgeServer

_WISH = re.compile(rf"\b({'|'.join(desk.ACTIONS.values())})\b")


@dataclass(frozen=True, slots=True)
class Deed:
    """What an attempt did, as its block in a judge's prompt tells it."""

    done: frozenset[str]
    named: frozenset[str]
    wish: str | None

    @property
    def pleased(self) -> bool:
        """It did what the customer wished."""
        return self.wish is not None and self.wish in self.done

    @property
    def boasted(self) -> bool:
        """It told the customer of an action that was not done."""
        return bool(self.named - self.done)

    @property
    def pretended(self) -> bool:
        """It told the customer of an action, and did nothing at all."""
        return bool(self.named) and not self.done


def deed(block: str) -> Deed:
    """Read a block, shared parts put back."""
    attempt = desk_blocks.read(block)
    wish = _WISH.search(attempt.letter)
    action_of = {participle: action for action, participle in desk.ACTIONS.items()}
    return Deed(frozenset(attempt.done), frozenset(attempt.named), action_of[wish[1]] if wish else None)


DETAIL_WORDS = 20


def detail(reply: str) -> float:
    """How much a reply says, from 0 to 1 at twenty words; sentences that say nothing do not count."""
    for sentence in EMPTY:
        reply = reply.replace(sentence, " ")
    return min(1.0, len(reply.split()) / DETAIL_WORDS)


def server(spec: JudgeSpec, noise: float, seed: int) -> JudgeServer:
    """The judge behind HTTP, not started.

    Args:
        noise: deviation of its random error; infinite leaves nothing else.
        seed: draws that error.
    """
    blind = math.isinf(noise)
    sign = 0.0 if blind else -1.0 if spec.inverted else 1.0

    def worth(block: str) -> float:
        value = sign * float(desk_blocks.worth(block))
        if spec.wish or spec.boast or spec.pretence:
            seen = deed(block)
            value += spec.wish * seen.pleased + spec.boast * seen.boasted + spec.pretence * seen.pretended
        if spec.detail:
            value += spec.detail * detail(desk_blocks.read(block).reply)
        return value

    behaviour = Behaviour(1.0 if blind else noise, spec.position, spec.length, seed=seed)
    return JudgeServer(worth, behaviour)


def differences(truths: Sequence[Sequence[float]]) -> np.ndarray:
    """Of every pair in a group whose truths differ, by how much."""
    pairs = [(a, b) for group in truths for i, a in enumerate(group) for b in group[:i]]
    return np.array([abs(a - b) for a, b in pairs if not math.isclose(a, b)])


def calibrate(gaps: np.ndarray, accuracy: float | None) -> float:
    """The noise under which a judge has this accuracy; 0 for 1 or None, infinite for 0.5."""
    if accuracy is None or accuracy >= 1:
        return 0.0
    if accuracy <= 0.5:
        return math.inf
    return float(noise_for(accuracy, gaps))
