"""What a rollout leaves behind: the conversation for the judge, the policy's own tokens for the loss."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ranker import Trajectory, TrajectoryGroup


@dataclass(frozen=True, slots=True)
class TokenSequence:
    """One run of tokens that the policy read and wrote, in the order in which it did; T tokens.

    Nothing in it was ever text and tokenised again: what the policy sampled stands as sampled.

    Attributes:
        tokens_T: token ids.
        sampled_T: True where the policy sampled the token; only these are trained on.
        logps_T: log-prob under the distribution really sampled from; 0 elsewhere.
        support: for each sampled token in order, the ids that truncated sampling left to choose from;
            empty tuple where sampling was not truncated.
        turns_N: for each sampled token in order, the assistant turn of the trajectory that it is part of, counted from 0; -1
            where that turn is not to be found in the trajectory. Empty where nobody looked.
    """

    tokens_T: np.ndarray
    sampled_T: np.ndarray
    logps_T: np.ndarray
    support: tuple[np.ndarray, ...] = ()
    turns_N: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))

    @property
    def starts(self) -> np.ndarray:
        """For each sampled token in order, where the run of sampled tokens that it stands in (one reply) begins."""
        at_N = np.flatnonzero(self.sampled_T)
        first_N = np.diff(at_N, prepend=-2) > 1
        return np.asarray(at_N[first_N][np.cumsum(first_N) - 1], dtype=np.int64)

    @classmethod
    def of_reply(
        cls,
        prompt: np.ndarray,
        tokens: Sequence[int],
        logps: Sequence[float],
        support: Sequence[np.ndarray] = (),
    ) -> TokenSequence:
        """A prompt and the reply to it."""
        tokens_T = np.concatenate([prompt, tokens]).astype(np.int64)
        logps_T = np.concatenate([np.zeros(len(prompt)), logps]).astype(np.float32)
        return cls(tokens_T, np.arange(len(tokens_T)) >= len(prompt), logps_T, tuple(support))

    def to_dict(self) -> dict[str, Any]:
        """JSON that gives back the same sequence, to the bit."""
        return {
            "tokens": self.tokens_T.tolist(),
            "sampled": np.flatnonzero(self.sampled_T).tolist(),
            "logps": self.logps_T[self.sampled_T].tolist(),
            "kept": [ids.tolist() for ids in self.support],
            "turns": _runs(self.turns_N),
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, Any]) -> TokenSequence:
        tokens_T = np.array(fields["tokens"], dtype=np.int64)
        sampled_T = np.zeros(len(tokens_T), dtype=bool)
        sampled_T[fields["sampled"]] = True
        logps_T = np.zeros(len(tokens_T), dtype=np.float32)
        logps_T[sampled_T] = fields["logps"]
        turns = [turn for turn, count in fields.get("turns", ()) for _ in range(count)]
        return cls(
            tokens_T,
            sampled_T,
            logps_T,
            tuple(np.array(k, dtype=np.int32) for k in fields["kept"]),
            np.array(turns, dtype=np.int64),
        )


def _runs(values_N: np.ndarray) -> list[list[int]]:
    """Equal neighbours as one value and their number."""
    return [[value, len(list(run))] for value, run in itertools.groupby(values_N.tolist())]


@dataclass(frozen=True, slots=True)
class Rollout:
    """One attempt of the policy.

    Attributes:
        trajectory: what judge and reward functions see; None where the attempt broke off.
        sequences: its tokens. One, unless the conversation was rewritten on the way (a context cut
            down, a sub-agent): each rewriting starts another.
        truncated: a reply ended at `max_completion_length` or at the end of the context.
        error: why it broke off; None where it did not.
        turns: the assistant turns of the trajectory that the policy wrote, counted from 0, in the order in which it was asked
            for them.
    """

    trajectory: Trajectory | None
    sequences: tuple[TokenSequence, ...]
    truncated: bool = False
    error: str | None = None
    turns: tuple[int, ...] = ()

    @property
    def sampled_tokens(self) -> int:
        return sum(int(s.sampled_T.sum()) for s in self.sequences)


@dataclass(frozen=True, slots=True)
class RolloutGroup:
    """The attempts at one example of the dataset.

    Attributes:
        index: counted from 0 over the whole run, on all ranks together; seeds the sampling.
        example: of the dataset.
        rollouts: one for each attempt, broken ones included.
        version: optimizer steps the policy had taken when it was sampled.
        ground_truths: of the attempts.
        anchor: an attempt of the policy as it was at the start, for the judge to compare with; None for most groups. It is
            never trained on.
        anchor_truth: its ground truth.
    """

    index: int
    example: Mapping[str, Any]
    rollouts: tuple[Rollout, ...]
    version: int = 0
    ground_truths: tuple[float | None, ...] = field(default=())
    anchor: Trajectory | None = None
    anchor_truth: float | None = None

    @property
    def alive(self) -> list[int]:
        """Which attempts came to an end."""
        return [i for i, r in enumerate(self.rollouts) if r.trajectory is not None]

    def for_judge(self) -> TrajectoryGroup:
        """The attempts that came to an end, as a reward function gets them; the anchor, if there is one, is the last.

        The example is the group's `metadata`, for reward functions that compare with it; a judge is never
        shown metadata.
        """
        attempts = [r.trajectory for r in self.rollouts if r.trajectory is not None]
        return TrajectoryGroup(
            attempts if self.anchor is None else [*attempts, self.anchor],
            id=str(self.example.get("id") or self.index),
            rubric=self.example.get("rubric"),
            metadata=self.example,
        )
