"""Ranker's exceptions. Each message says what happened and what to do about it."""

from __future__ import annotations

import os
import re

from ranker.usage import Usage

_KEY_SHAPES = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|AIza)[-_]?[A-Za-z0-9_\-]{12,}|Bearer\s+[^\s\"']{8,}")


_hidden: set[str] = set()


def hide(*secrets: str) -> None:
    """Have `scrub` remove these from every text from now on."""
    _hidden.update(secrets)


def scrub(text: str, *secrets: str | None) -> str:
    """Remove credentials from a text that may be displayed, logged or written.

    Removes the `secrets`, those named to `hide`, the value of every environment variable whose name ends in
    ``_KEY``, ``_TOKEN`` or ``_SECRET``, and anything that looks like a common API key.
    """
    from_environment = (v for k, v in os.environ.items() if k.upper().endswith(("_KEY", "_TOKEN", "_SECRET")))
    for secret in (*secrets, *sorted(_hidden, key=len, reverse=True), *from_environment):
        if secret and len(secret) >= 6:
            text = text.replace(secret, "[key removed]")
    return _KEY_SHAPES.sub("[key removed]", text)


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
