"""ART (openpipe-art): a group reward with the signature of RULER's.

from ranker.integrations.art import ruler_score_group

groups = await art.gather_trajectory_groups(
    (art.TrajectoryGroup(rollout(model, task) for _ in range(8)) for task in tasks),
    after_each=lambda group: ruler_score_group(group, "openai/gpt-5-mini", swallow_exceptions=True),
)
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import RankerError
from ranker.integrations.judged import Asker, is_hopeless
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.usage import Usage

if TYPE_CHECKING:
    import art

__all__ = ["after_each", "ruler_score_group"]

log = logging.getLogger("ranker")

# What LiteLLM calls differently from Ranker. Fields that Ranker has no argument for are sent as they are.
_NAMES = {"api_base": "base_url", "num_retries": "max_retries"}
_ARGUMENTS = {"base_url", "api_key", "temperature", "max_tokens", "timeout", "max_retries"}


async def ruler_score_group(
    group: art.TrajectoryGroup,
    judge_model: Any = "openai/o3",
    extra_litellm_params: dict[str, object] | None = None,
    rubric: str | Path | None = None,
    *,
    swallow_exceptions: bool = False,
    debug: bool = False,
    **options: Any,
) -> art.TrajectoryGroup | None:
    """`art.rewards.ruler_score_group` with Ranker behind it: arguments and result are the same.

    Args:
        group: G attempts at the same task; not modified. Additional histories are judged too.
        judge_model: what `rank_group` takes as `judge`; None for its default.
        extra_litellm_params: request fields, as `litellm.acompletion` takes them.
        rubric: what to prefer; None for Ranker's own.
        swallow_exceptions: return None for a group that could not be ranked, and log why, instead of
            raising. A setting that cannot work, a refused key and an unknown model raise in either case:
            they fail every group alike.
        debug: print ranking and reasons.
        options: more of `rank_group`'s, e.g. ``passes``, ``budget``.

    Returns:
        A new TrajectoryGroup. Each trajectory is a copy with ``reward`` in [0, 1], its old one in
        ``metrics["independent_reward"]``, the new in ``metrics["ruler_score"]``, and the judge's
        reason in ``logs``. None where the group failed and exceptions are swallowed.

    Raises:
        ConfigurationError: a setting cannot work.
        RankerError: the group could not be ranked.
    """
    settings = {**_settings(extra_litellm_params or {}), **options}
    asker = Asker(judge_model, rubric, settings.pop("passes", 1), settings)
    return await _scored(group, asker, swallow_exceptions, debug)


def after_each(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    swallow_exceptions: bool = True,
    **options: Any,
) -> Callable[[art.TrajectoryGroup], Awaitable[art.TrajectoryGroup | None]]:
    """The argument of the same name of `art.gather_trajectory_groups`.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` limit all
            groups that this function ranks.
        swallow_exceptions: False stops gathering at the first group that cannot be ranked; True
            leaves the group out, and ART goes on with the others. A setting that cannot work, a refused
            key and an unknown model raise in either case.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    asker = Asker(judge, rubric, passes, options)

    async def rank(group: art.TrajectoryGroup) -> art.TrajectoryGroup | None:
        return await _scored(group, asker, swallow_exceptions, debug=False)

    return rank


async def _scored(
    group: art.TrajectoryGroup, asker: Asker, swallow_exceptions: bool, debug: bool
) -> art.TrajectoryGroup | None:
    try:
        ranked = await asker.rank(_group(group))
    except RankerError as error:
        _count_cost(error.usage)
        if not swallow_exceptions or is_hopeless(error):
            raise
        log.warning(
            "A group of %d was left out: %s: %s", len(group.trajectories), type(error).__name__, error
        )
        return None
    _count_cost(ranked.usage)
    if debug:
        _show(ranked)
    return _rewarded(group, ranked)


def _settings(litellm: dict[str, object]) -> dict[str, Any]:
    named = {_NAMES.get(name, name): value for name, value in litellm.items()}
    settings: dict[str, Any] = {name: value for name, value in named.items() if name in _ARGUMENTS}
    extra = {name: value for name, value in named.items() if name not in _ARGUMENTS}
    return {**settings, "extra": extra} if extra else settings


def _group(group: art.TrajectoryGroup) -> TrajectoryGroup:
    return TrajectoryGroup(
        [
            Trajectory(
                _messages(t.messages_and_choices),
                tools=t.tools or None,
                histories=[_messages(h.messages_and_choices) for h in t.additional_histories],
            )
            for t in group.trajectories
        ]
    )


def _messages(given: Any) -> list[Any]:
    """Choices as their messages, reasoning and refusals included; messages as they are."""
    return [item.message if hasattr(item, "finish_reason") else item for item in given]


def _rewarded(group: art.TrajectoryGroup, ranked: RankedGroup) -> art.TrajectoryGroup:
    made = copy.copy(group)
    made.trajectories = [
        trajectory.model_copy(
            update={
                "messages_and_choices": list(trajectory.messages_and_choices),
                "metadata": dict(trajectory.metadata),
                "reward": reward,
                "metrics": {
                    **trajectory.metrics,
                    "independent_reward": trajectory.reward,
                    "ruler_score": reward,
                },
                "logs": [*trajectory.logs, f"RULER explanation: {reason}"],
            }
        )
        for trajectory, reward, reason in zip(group.trajectories, ranked.rewards, ranked.reasons, strict=True)
    ]
    return made


def _count_cost(usage: Usage) -> None:
    """Into ART's own account of what judges cost, where a run has one open."""
    if not usage.cost_usd:
        return
    from art.metrics import MetricsBuilder

    try:
        builder = MetricsBuilder.get_active()
    except LookupError:
        return
    builder.add_cost(f"{builder.cost_context}/judge/ruler", usage.cost_usd)


def _show(ranked: RankedGroup) -> None:
    from rich import print as show

    show({"ranking": ranked.ranking, "rewards": ranked.rewards, "reasons": ranked.reasons})
