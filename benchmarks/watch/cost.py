"""What an audit costs in dollars with a real judge: tokens by litellm's counter, prices by its table."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks.harness import Json
from benchmarks.watch.recording import Run
from ranker import TrajectoryGroup
from ranker.judges.base import Lineup
from ranker.judges.pricing import Price, cost_of
from ranker.prompting.prompt import build_prompt, reply_room
from ranker.prompting.template import RANK, load_template
from ranker.prompting.truncation import estimate_tokens
from ranker.suites import load

MODELS = ("gpt-5", "claude-opus-4-5")  # names that litellm's table has
DESK, AGENT = "desk", "tau-airline"


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


def tokens(runs: Sequence[Run]) -> dict[str, Json]:
    """Mean tokens of the prompts of the recorded runs, with an anchor and without, and of the published runs of an agent;
    those are left out where the file of the suite is not there.

    Raises:
        RankerError: the file is damaged.
    """
    counted = [t for run in runs for several in run.prompt_tokens.values() for t in several]
    found = {DESK: {"prompt": mean_of(counted), "attempts": 8, "groups": len(counted)}}
    if os.environ.get("RANKER_DATA"):
        groups = load(AGENT).groups
        sizes = [prompt_tokens(group, None, MODELS[0]) for group in groups]
        found[AGENT] = {"prompt": mean_of(sizes), "attempts": len(groups[0]), "groups": len(groups)}
    return found


def table(audited: Mapping[float, float], counted: Mapping[str, Json]) -> list[Json]:
    """Dollars of a run's audits, for each share, kind of group and judge.

    Args:
        audited: groups of a run, by share.
        counted: tokens as `tokens` gives them.
    """
    return [
        {
            "share": share,
            "groups": round(groups, 1),
            "of": kind,
            "model": model,
            "usd": round(dollars(groups, its["prompt"], reply_room(its["attempts"]), price(model)), 4),
        }
        for kind, its in counted.items()
        for model in MODELS
        for share, groups in audited.items()
    ]


def mean_of(counts: Sequence[int]) -> float | None:
    return sum(counts) / len(counts) if counts else None
