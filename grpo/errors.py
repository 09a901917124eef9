"""Errors of the trainer. Each message says what happened and what to do next."""

from __future__ import annotations

from ranker import RankerError


class TrainingError(RankerError):
    """Training cannot go on."""


class RewardError(RankerError):
    """A reward function raised, hung, or returned something that is no list of rewards."""


class ContextError(RankerError):
    """A prompt does not fit the model's context, or is empty."""


class ReplyError(RankerError):
    """A rollout server failed at a reply, or gave one that cannot be trained on; its attempt breaks off."""


class RunFolderError(RankerError):
    """A run folder or checkpoint cannot be used as it is."""
