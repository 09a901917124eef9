"""Ranker's exceptions. Each message says what happened and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from ranker.secrets import scrub
from ranker.usage import Usage

__all__ = ["BudgetExceeded", "ConfigurationError", "ContextLengthError", "GroupError", "JudgeAlarm", "JudgeCallError",
           "JudgeError", "RankerError", "Reason", "VerdictError", "errors_as", "scrub"]  # fmt: skip

Reason = Literal[
    "", "key", "credit", "model", "address", "content", "format", "unfit", "max_tokens", "system_role"
]
_REASONS: dict[int | None, Reason] = {401: "key", 402: "credit", 403: "key", 404: "model", 405: "address"}


class RankerError(Exception):
    """Base class of Ranker's exceptions.

    Attributes:
        usage: usage up to this error.
        fatal: whether every other group would fail of it too, so that it ends a run.
    """

    usage: Usage = Usage()

    @property
    def fatal(self) -> bool:
        return False

    def spent(self, usage: Usage) -> RankerError:
        """Attach the usage up to this error, so that the cost of a failed group is counted; returns self."""
        self.usage = usage
        return self


class ConfigurationError(RankerError):
    """A setting, file, path or name from the user is invalid."""

    @property
    def fatal(self) -> bool:
        return True


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


class JudgeAlarm(RankerError):
    """A judge has stopped being right, as an audit with ``on_alarm="stop"`` found: rewards from it train the wrong thing."""

    @property
    def fatal(self) -> bool:
        return True


class JudgeError(RankerError):
    """A judge returned no usable verdict."""


class JudgeCallError(JudgeError):
    """A call to a judge failed.

    Attributes:
        status_code: HTTP status; None if no reply arrived.
        retryable: whether the same call may succeed later.
        retry_after: seconds to wait as requested by the server, or None.
        may_be_billed: whether the provider may bill the call although no reply arrived.
        reason: what the provider refused: the ``"key"``, the ``"model"`` (its name), the ``"address"``, the
            ``"content"`` of this prompt, the ``"format"`` of the reply, ``"max_tokens"`` or the ``"system_role"``; or that
            there is no ``"credit"``, or that the model wrote JSON that the provider finds ``"unfit"``. Where it is not
            given it is what the status says; empty for anything else.
        raw_text: what the model wrote, where that was unfit.
    """

    def __init__(
        self,
        message: str,
        *,
        status_code: int | None = None,
        retryable: bool = False,
        retry_after: float | None = None,
        may_be_billed: bool = False,
        reason: Reason = "",
        raw_text: str = "",
    ):
        super().__init__(message)
        self.status_code = status_code
        self.retryable = retryable
        self.retry_after = retry_after
        self.may_be_billed = may_be_billed
        self.reason: Reason = reason or _REASONS.get(status_code, "")
        self.raw_text = raw_text

    @property
    def fatal(self) -> bool:
        return self.reason in ("key", "credit", "model", "address")


class VerdictError(JudgeError):
    """A judge's reply is not an exact ranking of the trajectories it was shown.

    Attributes:
        raw_text: the raw reply.
    """

    def __init__(self, message: str, *, raw_text: str = ""):
        super().__init__(message)
        self.raw_text = raw_text


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from, each once: one may come from itself (``raise error from error``)."""
    seen: list[BaseException] = []
    while error is not None and not any(error is one for one in seen):
        seen.append(error)
        yield error
        error = error.__cause__ or error.__context__


@contextmanager
def errors_as(kind: type[RankerError], what: str) -> Iterator[None]:
    """Raise every Exception that is no RankerError as a `kind` that begins with `what`, its cause without credentials."""
    try:
        yield
    except RankerError:
        raise
    except Exception as error:
        for cause in causes(error):  # a traceback shows them all
            cause.args = tuple(scrub(arg) if isinstance(arg, str) else arg for arg in cause.args)
        raise kind(f"{what}: {type(error).__name__}: {scrub(str(error))[:500]}") from error
