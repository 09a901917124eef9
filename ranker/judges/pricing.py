"""What a judge call costs: before it is made, after it, and where it failed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ranker.errors import JudgeCallError, RankerError
from ranker.prompting.images import IMAGE_TOKENS, count_images, words_of
from ranker.prompting.prompt import Message
from ranker.prompting.truncation import most_tokens
from ranker.usage import Usage

Price = tuple[float, float]
"""Dollars for a million tokens read and written."""


def cost_of(read: int, wrote: int, price: Price) -> float:
    """Dollars for so many tokens."""
    return (read * price[0] + wrote * price[1]) / 1e6


def most_it_costs(
    messages: Sequence[Message], options: Mapping[str, Any], limit: int | None, longest: int, price: Price
) -> float:
    """Dollars that a call should not exceed: a token for every byte sent, and a reply as long as its limit.

    Args:
        limit: tokens of a reply; None for what `options` say.
        longest: tokens of a reply where neither says.
    """
    read = sum(most_tokens(words_of(m["content"])) + 16 for m in messages)
    read += most_tokens(json.dumps(options)) + count_images(messages) * IMAGE_TOKENS
    stated = limit or options.get("max_completion_tokens") or options.get("max_tokens")
    write = stated if isinstance(stated, int) else longest
    choices = options.get("n")
    return cost_of(read, write * (choices if isinstance(choices, int) else 1), price)


def usage_of_failed(error: RankerError, price: Price | None, estimate: float | None) -> Usage:
    """What a failed call used: the tokens its reply told, else what a lost reply may have cost."""
    read, wrote = error.usage.prompt_tokens, error.usage.completion_tokens
    if price is not None and (read or wrote):
        return Usage(1, 0, 1, read, wrote, cost_of(read, wrote, price))
    lost = isinstance(error, JudgeCallError) and error.may_be_billed
    return Usage(calls=1, failed_calls=1, unconfirmed_usd=(estimate or 0.0) if lost else 0.0)
