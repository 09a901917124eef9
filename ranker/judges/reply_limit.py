"""How long a reply may be: the user's `max_tokens`, or a bound of ours where a server would write on without end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ranker.errors import ContextLengthError, JudgeCallError, RankerError

MOST_REPLY = 16_000
"""Tokens of a reply, reasoning included, where no `max_tokens` is set. A verdict takes a few hundred."""
_NAMES = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
_LIMITS = (*_NAMES, "max_new_tokens", "n_predict")
_ABOUT_LIMIT = re.compile(r"max_\w*tokens|(?:completion|output|new) tokens", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Limited:
    """The options of one request.

    Attributes:
        options: with the limit by the name that the server takes.
        own: the limit, where it is ours.
        swapped: whether its name is the other one.
    """

    options: dict[str, Any]
    own: int | None
    swapped: bool

    @property
    def chosen(self) -> dict[str, Any]:
        """The options without a limit of ours."""
        return {k: v for k, v in self.options.items() if self.own is None or k not in _NAMES}


class ReplyLimit:
    """Puts the limit of a reply into requests, and adapts it to what the server takes.

    Args:
        options: the user's; one that limits replies goes before ours.
        bounded: whether there is one of ours.
    """

    def __init__(self, options: Mapping[str, Any], bounded: bool):
        self._options = dict(options)
        self.own = MOST_REPLY if bounded and not any(name in options for name in _LIMITS) else None
        self._swapped = False

    def limited(self, left: int, more: Mapping[str, Any]) -> Limited:
        """The options of a request, and `more`, after whose prompt the window has `left` tokens: where it has fewer than
        our limit, it is the limit, and many servers refuse one that reaches beyond it."""
        own = self.own if self.own is not None and left > self.own else None
        options = self._options | ({} if own is None else {"max_tokens": own})
        names = _NAMES if self._swapped else {}
        return Limited({names.get(k, k): v for k, v in options.items()} | dict(more), own, self._swapped)

    def adapted(self, error: RankerError, request: Limited) -> bool:
        """Whether the server refused the limit, so that the request may be sent with another name for it, or without ours."""
        by_name = isinstance(error, JudgeCallError) and error.reason == "max_tokens"
        if by_name and not request.swapped and any(name in request.options for name in _NAMES):
            self._swapped = True
            return True
        if request.own is None or not (by_name or _refuses(error, request.own)):
            return False
        self.own = None
        return True


def _refuses(error: RankerError, limit: int) -> bool:
    """Whether a server's words blame the length of the reply that it was allowed."""
    if isinstance(error, ContextLengthError):
        return re.search(rf"\b{limit}\b", str(error)) is not None
    return (
        isinstance(error, JudgeCallError)
        and error.status_code in (400, 422)
        and not error.reason
        and _ABOUT_LIMIT.search(str(error)) is not None
    )
