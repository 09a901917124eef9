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
from ranker.suites import desk_world as desk
from ranker.testing import Behaviour, JudgeServer

_WISHED = re.compile(rf"\b({'|'.join(desk.ACTIONS.values())})\b")


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
    seen = desk_blocks.read(block)
    wished = _WISHED.search(seen.letter)
    past = {done: action for action, done in desk.ACTIONS.items()}
    return Deed(frozenset(seen.done), frozenset(seen.named), past[wished[1]] if wished else None)


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
        return value

    behaviour = Behaviour(1.0 if blind else noise, spec.position, spec.length, seed=seed)
    return JudgeServer(worth, behaviour)


def differences(truths: Sequence[Sequence[float]]) -> np.ndarray:
    """Of every pair in a group whose truths differ, by how much."""
    found = [
        abs(a - b)
        for group in truths
        for i, a in enumerate(group)
        for b in group[:i]
        if not math.isclose(a, b)
    ]
    return np.array(found)


def expected_accuracy(gaps: np.ndarray, noise: float) -> float:
    """Share of pairs that a judge orders right whose view of each attempt has a normal error of its own:
    the mean of Φ(gap / (noise·√2))."""
    from scipy.special import ndtr

    if noise == 0:
        return 1.0
    return float(ndtr(gaps / (noise * math.sqrt(2))).mean())


def calibrate(gaps: np.ndarray, accuracy: float | None) -> float:
    """The noise under which a judge has this accuracy; 0 for 1 or None, infinite for 0.5."""
    if accuracy is None or accuracy >= 1:
        return 0.0
    if accuracy <= 0.5:
        return math.inf
    return float(noise_for(accuracy, gaps))
