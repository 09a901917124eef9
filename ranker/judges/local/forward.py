"""One forward over a question's segments, and the scores read from it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch

from ranker.judges.local.hidden_states import CANNOT, hidden_tails, plain_tails
from ranker.judges.local.model import Loaded
from ranker.judges.local.scores import (
    NUMBERS,
    expected_digit,
    likelihood,
    log_odds,
    number_ids,
    number_scores,
    variants,
    word_logits,
    words_of,
)
from ranker.judges.local.tree_attention import Segment
from ranker.judges.local.ways import Way

log = logging.getLogger("ranker")
_CLOSE = {torch.float32: 1e-3, torch.bfloat16: 0.5, torch.float16: 0.1}  # log-odds
_SAMPLE = 96  # tokens of a text by which sharing is checked


def read_scores(loaded: Loaded, segments: Sequence[Segment], way: Way, n: int) -> list[float]:
    """One score for each attempt (for `first_token`, for each place): log-odds of Yes, log-probability of the letter,
    the expected digit over 9, or the mean log-probability of the reference's tokens."""
    with torch.inference_mode():
        tails = (hidden_tails if shares(loaded) else plain_tails)(loaded.model, segments)
        return scores_of(loaded, tails, segments, way, n).tolist()  # type: ignore[no-any-return]


def scores_of(loaded: Loaded, tails: Sequence[Any], segments: Sequence[Segment], way: Way, n: int) -> Any:
    """Scores from hidden states, shape (n,); with gradient where those have one."""
    if way == "reference_likelihood":
        wanted = [s for s in segments if s.tail]
        values = [
            likelihood(loaded.model, tail, torch.from_numpy(s.tokens_T[-s.tail :]).to(tail.device))
            for s, tail in zip(wanted, tails, strict=True)
        ]
        return torch.stack(values)
    numbers = None
    if way in ("number_likelihood", "pointwise_with_numbers"):
        wanted = [s for s in segments if s.tail]
        tokens = [torch.from_numpy(s.tokens_T).to(tail.device) for s, tail in zip(wanted, tails, strict=True)]
        marked_V = number_ids(loaded.tokenizer).to(tokens[0].device)
        numbers = number_scores(loaded.model, tails, tokens, marked_V)
        if way == "number_likelihood":
            return numbers
        tails = [tail[-1:] for tail in tails]
    words = [variants(loaded.tokenizer, word) for word in words_of(way, n)]
    logits = word_logits(loaded.model, torch.cat(list(tails)), words)
    if way == "first_token":
        return logits[0].log_softmax(0)
    if way == "expected_digit":
        return expected_digit(logits)
    return log_odds(logits) if numbers is None else log_odds(logits) + NUMBERS * numbers


_shares: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()


def shares(loaded: Loaded) -> bool:
    """Whether this model reads shared openings as if each sequence stood alone; found out once, on a short
    text. Models with windows or states of their own may not."""
    model = loaded.model
    known = _shares.get(model)
    if known is None:
        with torch.inference_mode():
            known = _shares[model] = _check(loaded)
        if not known:
            log.info("%s reads every sequence by itself", type(model).__name__)
    return known


def _check(loaded: Loaded) -> bool:
    config = getattr(loaded.model.config, "text_config", loaded.model.config)
    window = getattr(config, "sliding_window", None)
    if window and getattr(config, "use_sliding_window", True):
        return False
    ids = np.array(loaded.encode("Is it right? One is less than two. " * 12)[:_SAMPLE])
    third = len(ids) // 3
    parts = [Segment(ids[:third]), Segment(ids[third:], third, (0,), 1), Segment(ids[:third], third, (0,), 1)]
    words = [variants(loaded.tokenizer, word) for word in ("Yes", "No")]
    try:
        shared, expected = (
            log_odds(word_logits(loaded.model, torch.cat(read(loaded.model, parts)), words))
            for read in (hidden_tails, plain_tails)
        )
    except CANNOT as error:
        log.info("no shared reading: %s", error)
        return False
    return bool((shared - expected).abs().max() <= _CLOSE.get(loaded.model.dtype, 0.5))
