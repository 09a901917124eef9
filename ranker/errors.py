"""Every error Ranker raises on purpose. Each message says what happened and what to do next."""

from __future__ import annotations

import os
import re

from ranker.usage import Usage

_KEY_SHAPES = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf|AIza)[-_]?[A-Za-z0-9_\-]{12,}|Bearer\s+[^\s\"']{8,}")


def scrub(text: str, *secrets: str | None) -> str:
    """Take credentials out of a text that may be shown, logged or written.

    Removes the given secrets, the value of every environment variable whose name ends in
    ``_KEY``, ``_TOKEN`` or ``_SECRET``, and anything that has the shape of a common API key.
    """
    named = (v for k, v in os.environ.items() if k.upper().endswith(("_KEY", "_TOKEN", "_SECRET")))
    for secret in (*secrets, *named):
        if secret and len(secret) >= 6:
            text = text.replace(secret, "[key removed]")
    return _KEY_SHAPES.sub("[key removed]", text)


class RankerError(Exception):
    """Base of every error raised by Ranker.

    Attributes:
        usage: what was spent on the way to this error.
    """

    usage: Usage = Usage()

    def spent(self, usage: Usage) -> RankerError:
        """Attach what was spent before the error, so that a failed group's cost is counted."""
        self.usage = usage
        return self


class ConfigurationError(RankerError):
    """A setting, file, path or name given by the user cannot work."""


class GroupError(RankerError):
    """A group or trajectory is malformed."""


class ContextLengthError(RankerError):
    """A group does not fit the judge's context window, however it is shortened or split.

    Attributes:
        needed: the smallest number of tokens that two trajectories of the group need.
        window: the tokens the judge offers.
    """

    def __init__(self, message: str, *, needed: int | None = None, window: int | None = None):
        super().__init__(message)
        self.needed = needed
        self.window = window


class BudgetExceeded(RankerError):
    """The next judge call would exceed ``max_calls`` or ``max_cost_usd``; it was not made."""


class JudgeError(RankerError):
    """A judge gave no usable verdict."""


class JudgeCallError(JudgeError):
    """A call to a judge failed.

    Attributes:
        status_code: HTTP status, or None where no reply arrived.
        retryable: whether the same call may work later.
        retry_after: seconds the server asked to wait, or None.
        may_be_billed: whether the provider may have done the work, and charge for it, although no reply came.
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
        raw_text: the reply as it came.
    """

    def __init__(self, message: str, *, raw_text: str = ""):
        super().__init__(message)
        self.raw_text = raw_text
