"""ART (openpipe-art): a drop-in replacement for `ruler_score_group`.

from ranker.integrations.art import ruler_score_group

groups = await art.gather_trajectory_groups(
    (art.TrajectoryGroup(rollout(model, task) for _ in range(8)) for task in tasks),
    after_each=lambda group: ruler_score_group(group, "openai/gpt-5-mini", swallow_exceptions=True),
)
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError, GroupError, RankerError
from ranker.integrations.group_rewarder import GroupRewarder
from ranker.ranked import RankedGroup
from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.usage import Usage

if TYPE_CHECKING:
    import art

__all__ = ["after_each", "ruler_score_group"]

log = logging.getLogger("ranker")

# LiteLLM's names for arguments of Ranker. Other fields are passed through to the request.
_RENAMED = {"api_base": "base_url", "num_retries": "max_retries"}
_ARGUMENTS = {"base_url", "api_key", "temperature", "max_tokens", "timeout", "max_retries"}
# Providers of LiteLLM that are any server with OpenAI's protocol, as `openai` is; and those with one of their own.
_OPENAI_LIKE = ("hosted_vllm", "litellm_proxy", "openai_like", "custom_openai", "lm_studio", "llamafile")
_OF_THEIR_OWN = ("anthropic", "azure", "bedrock", "cohere", "gemini", "huggingface", "ollama", "ollama_chat", "sagemaker",
                 "vertex_ai", "watsonx")  # fmt: skip


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
    """`art.rewards.ruler_score_group` backed by Ranker, with the same arguments and result.

    Args:
        group: G attempts at the same task; not modified. Additional histories are judged as well, and so are
            the exchanges with models that ART has recorded (0.5.20 and later).
        judge_model: as `judge` in `rank_group`; None for its default.
        extra_litellm_params: request fields, as `litellm.acompletion` takes them; a server of ``api_base`` must speak
            OpenAI's protocol.
        rubric: what to prefer; None for the default rubric.
        swallow_exceptions: if a group cannot be ranked, log why and return None instead of raising.
            Invalid settings, a rejected key and an unknown model always raise, because they affect
            every group.
        debug: print the ranking and the reasons.
        options: other arguments of `rank_group`, e.g. ``passes``, ``budget``.

    Returns:
        A new TrajectoryGroup. Each trajectory is a copy with the new ``reward`` in [0, 1], also
        in ``metrics["ruler_score"]``, the previous one in ``metrics["independent_reward"]``, and the
        judge's reason in ``logs``. None if the group failed and exceptions are swallowed.

    Raises:
        ConfigurationError: a setting cannot work.
        RankerError: the group could not be ranked.
    """
    if "audit" in options:
        raise ConfigurationError(
            "An audit watches all groups of a run, and each call of ruler_score_group stands alone; use "
            "after_each(…, audit=…), once for the run."
        )
    params = _rank_options(extra_litellm_params or {})
    for name in ("extra", "headers"):
        if name in params and options.get(name):
            options[name] = {**params[name], **options[name]}
    judge_model = _model_there(judge_model) if "base_url" in params else judge_model
    options = {**params, **options}
    rewarder = GroupRewarder(judge_model, rubric, options.pop("passes", 1), options)
    return await _score(group, rewarder, swallow_exceptions, debug)


def after_each(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    swallow_exceptions: bool = True,
    **options: Any,
) -> Callable[[art.TrajectoryGroup], Awaitable[art.TrajectoryGroup | None]]:
    """A callback for the argument `after_each` of `art.gather_trajectory_groups`.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` apply to all
            groups that this callback ranks together. And ``audit``, an `Audit` of the judge, with ``audit_out``,
            a file for what it finds.
        swallow_exceptions: True drops a group that cannot be ranked, and ART continues with the others;
            False stops gathering. Invalid settings, a rejected key and an unknown model always raise.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    rewarder = GroupRewarder(judge, rubric, passes, options)

    async def rank(group: art.TrajectoryGroup) -> art.TrajectoryGroup | None:
        return await _score(group, rewarder, swallow_exceptions, debug=False)

    return rank


async def _score(
    group: art.TrajectoryGroup, rewarder: GroupRewarder, swallow_exceptions: bool, debug: bool
) -> art.TrajectoryGroup | None:
    try:
        with _unrecorded():
            ranked = await rewarder.rank(_group(group))
    except RankerError as error:
        _add_cost(error.usage)
        if not swallow_exceptions or error.fatal:
            raise
        log.warning("A group of %d was dropped: %s: %s", len(group.trajectories), type(error).__name__, error)
        return None
    _add_cost(ranked.usage)
    if debug:
        from rich import print as rich_print

        rich_print({"ranking": ranked.ranking, "rewards": ranked.rewards, "reasons": ranked.reasons})
    return _with_rewards(group, ranked, rewarder.audit_metrics())


def _rank_options(params: dict[str, object]) -> dict[str, Any]:
    """Options of `rank_group` from LiteLLM's request fields."""
    renamed = {_RENAMED.get(name, name): value for name, value in params.items() if value is not None}
    headers = {**_table(renamed, "headers"), **_table(renamed, "extra_headers")}
    body = _table(renamed, "extra_body") if "base_url" in renamed else {}  # elsewhere LiteLLM reads it
    options: dict[str, Any] = {name: value for name, value in renamed.items() if name in _ARGUMENTS}
    extra = {name: value for name, value in renamed.items() if name not in _ARGUMENTS} | body
    return {**options, **({"extra": extra} if extra else {}), **({"headers": headers} if headers else {})}


def _table(params: dict[str, Any], name: str) -> dict[str, Any]:
    """Take a table out of the parameters; an empty one where there is none."""
    value = params.pop(name, {})
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"{name} of extra_litellm_params takes a table of names and values.")
    return dict(value)


def _model_there(model: Any) -> Any:
    """What LiteLLM's name of a model is on the server of `api_base`, which is asked in OpenAI's protocol.

    Raises:
        ConfigurationError: a name that LiteLLM would ask for in another one.
    """
    provider, slash, name = model.partition("/") if isinstance(model, str) else ("", "", "")
    if slash and provider in _OF_THEIR_OWN:
        raise ConfigurationError(
            f"With api_base Ranker speaks OpenAI's protocol, and {model} is asked in {provider}'s own: write openai/ and "
            f"the name that the server knows it by, e.g. openai/{name}, or leave api_base out and set LiteLLM's variable, e.g. "
            f"${provider.upper()}_API_BASE."
        )
    return f"openai/{name}" if slash and provider in _OPENAI_LIKE else model


def _group(group: art.TrajectoryGroup) -> TrajectoryGroup:
    return TrajectoryGroup([_trajectory(t) for t in group.trajectories])


def _trajectory(trajectory: art.Trajectory) -> Trajectory:
    if not getattr(trajectory, "exchanges", None):
        return Trajectory(
            _messages(trajectory.messages_and_choices),
            tools=trajectory.tools or None,
            histories=[_messages(h.messages_and_choices) for h in trajectory.additional_histories],
        )
    try:
        first, *others = [h.as_chat_completions_history() for h in trajectory.histories()]
    except ValueError as error:
        raise GroupError(f"ART cannot make chat messages of what it recorded of an attempt: {error}")
    return Trajectory(first.messages, tools=first.tools or None, histories=[h.messages for h in others])


def _unrecorded() -> AbstractContextManager[None]:
    """Where ART records the exchanges of an open trajectory (0.5.20 and later), the judge's are none of them."""
    import art

    return art.no_capture() if hasattr(art, "no_capture") else nullcontext()


def _messages(messages_and_choices: Any) -> list[Any]:
    """Chat messages: each choice replaced by its message, including reasoning and refusal."""
    return [item.message if hasattr(item, "finish_reason") else item for item in messages_and_choices]


def _with_rewards(
    group: art.TrajectoryGroup, ranked: RankedGroup, metrics: dict[str, float]
) -> art.TrajectoryGroup:
    result = copy.copy(group)
    result.trajectories = [
        trajectory.model_copy(
            update={
                "messages_and_choices": list(trajectory.messages_and_choices),
                "metadata": dict(trajectory.metadata),
                "reward": reward,
                "metrics": {
                    **trajectory.metrics,
                    "independent_reward": trajectory.reward,
                    "ruler_score": reward,
                    **metrics,
                },
                "logs": [*trajectory.logs, *([f"RULER explanation: {reason}"] if reason else [])],
            }
        )
        for trajectory, reward, reason in zip(group.trajectories, ranked.rewards, ranked.reasons, strict=True)
    ]
    return result


def _add_cost(usage: Usage) -> None:
    """Report the judge's cost to ART's metrics, if a run is active."""
    if not usage.cost_usd:
        return
    from art.metrics import MetricsBuilder

    try:
        builder = MetricsBuilder.get_active()
    except LookupError:
        return
    builder.add_cost(f"{builder.cost_context}/judge/ruler", usage.cost_usd)
