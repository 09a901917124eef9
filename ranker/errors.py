"""Ranker's exceptions. Each message says what happened and what to do about it."""

from __future__ import annotations

from ranker.secrets import scrub
from ranker.usage import Usage

__all__ = ["BudgetExceeded", "ConfigurationError", "ContextLengthError", "GroupError", "JudgeCallError", "JudgeError",
           "RankerError", "VerdictError", "scrub"]  # fmt: skip


class RankerError(Exception):
    """Base class of Ranker's exceptions.

    Attributes:
        usage: usage up to this error.
    """

    usage: Usage = Usage()

    def spent(self, usage: Usage) -> RankerError:
        """Attach the usage up to this error, so that the cost of a failed group is counted; returns self."""
        self.usage = usage
        return self


class ConfigurationError(RankerError):
    """A setting, file, path or name from the user is invalid."""


class GroupError(RankerError):
    """A group or trajectory is malformed."""


class ContextLengthError(RankerError):
    """A group does not fit the judge's context window, even when truncated and split.

    Attributes:
        needed: minimum tokens for two trajectories of the group.
        window: tokens available in the judge's context window.
    """

    def __init__(self, message: str, *, needed: int | None = None, window: int | None = None):
        super().__init__(message)
        self.needed = needed
        self.window = window


class BudgetExceeded(RankerError):
    """The next judge call would exceed ``max_calls`` or ``max_cost_usd`` and was not sent."""


class JudgeError(RankerError):
    """A judge returned no usable verdict."""


class JudgeCallError(JudgeError):
    """A call to a judge failed.

    Attributes:
        status_code: HTTP status; None if no reply arrived.
        retryable: whether the same call may succeed later.
        retry_after: seconds to wait as requested by the server, or None.
        may_be_billed: whether the provider may bill the call although no reply arrived.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        may_be_billed: bool = False,
    ):
        super().__init__(message)
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.may_be_billed = may_be_billed


class VerdictError(JudgeError):
    """A judge's reply is not an exact ranking of the trajectories it was shown.

    Attributes:
        raw_text: the raw reply.
    """

    def __init__(self, message: str, *, raw_text: str = ""):
        super().__init__(message)
        self.raw_text = raw_text
