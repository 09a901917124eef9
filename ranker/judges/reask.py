"""Asking again after an unusable reply: the prompt, what the judge wrote, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ranker.errors import VerdictError
from ranker.prompting.escaping import neutral
from ranker.prompting.prompt import Message, Prompt
from ranker.prompting.template import Template

_QUOTED = 4_000  # characters of a reply that are sent back
_MARKERS = 32  # tokens that mark the two further turns
_LEFT_OUT = "(too long to repeat)"


def reask(
    prompt: Prompt,
    template: Template,
    text: str,
    fault: VerdictError,
    *,
    room: int | None,
    count: Callable[[str], int],
) -> tuple[Message, ...]:
    """The messages that ask again.

    Args:
        text: the unusable reply.
        fault: what is wrong with it.
        room: tokens that the two further turns may take, as counted by `count`; None where that is not known. The reply is
            cut to them: its beginning says what went wrong.
    """
    retry = template.block("retry", fault=neutral(str(fault)), ids=prompt.ids).strip()
    quoted = neutral(text.strip()[:_QUOTED]) or "(nothing)"
    if room is not None:
        left = room - count(retry) - _MARKERS
        size = count(quoted)
        if size > left:
            keep = (left - count(_LEFT_OUT)) * len(quoted) // size
            quoted = f"{quoted[:keep]}… {_LEFT_OUT}" if keep > 0 else _LEFT_OUT
    return (*prompt.messages, {"role": "assistant", "content": quoted}, {"role": "user", "content": retry})


def is_reask(messages: Sequence[Message]) -> bool:
    """Whether these messages hold a reply of the judge."""
    return any(message["role"] == "assistant" for message in messages)
