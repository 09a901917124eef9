"""What an audit costs in dollars with a real judge: tokens by litellm's counter, prices by its table."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from ranker import TrajectoryGroup
from ranker.judges.base import Lineup
from ranker.judges.pricing import Price, cost_of
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import RANK, load_template
from ranker.prompting.truncation import estimate_tokens


def _litellm() -> Any:
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # its prices, not those of the network
    import litellm

    return litellm


def prompt_tokens(group: TrajectoryGroup, rubric: str | None, model: str) -> int:
    """Tokens of the prompt that a judge would get, nothing of it truncated."""
    lineup = Lineup(tuple(t.bare() for t in group.trajectories), group.task, rubric or group.rubric)
    prompt = build_prompt(lineup, load_template(RANK, None), room=None, count=estimate_tokens)
    return int(_litellm().token_counter(model, text="\n".join(str(m["content"]) for m in prompt.messages)))


def price(model: str) -> Price:
    """Dollars for a million tokens read and written."""
    info = _litellm().get_model_info(model)
    return 1e6 * info["input_cost_per_token"], 1e6 * info["output_cost_per_token"]


def dollars(groups: float, read: float, wrote: float, of: Price) -> float:
    """Of so many audited groups whose prompts and replies have so many tokens."""
    return groups * cost_of(round(read), round(wrote), of)


def mean_of(counts: Sequence[int]) -> float | None:
    return sum(counts) / len(counts) if counts else None
