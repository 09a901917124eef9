"""verifiers: a group reward function for a Rubric, and `finalize` for an Env of verifiers.v1.

rubric = vf.Rubric(funcs=[rank_reward("openai/gpt-5-mini")])   # verifiers up to 0.2; 0.3: verifiers.legacy

class MyEnv(BestOfNEnv):                                       # verifiers.v1
    finalize = rank_finalize("openai/gpt-5-mini")
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from ranker.errors import GroupError, RankerError
from ranker.integrations.completions import trajectory_of
from ranker.integrations.group_rewarder import GroupRewarder, group_metrics
from ranker.trajectory import Trajectory, TrajectoryGroup

__all__ = ["rank_finalize", "rank_reward"]

log = logging.getLogger("ranker")


def rank_reward(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    name: str = "rank_reward",
    **options: Any,
) -> Callable[..., Awaitable[list[float]]]:
    """A group reward function for `funcs` of `vf.Rubric`.

    verifiers has no missing rewards: if a reward function raises, it logs the exception and assigns 0.0
    to every rollout of the group. To tell those zeros from real rewards, the states of a failed group
    also get ``state["error"]``, a `vf.InfraError`, unless an error is already set. It appears as
    ``error`` in the outputs, and with ``max_retries`` verifiers runs the group again.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` apply to
            all groups of a run together. And ``audit``, an `Audit` of the judge, with ``audit_out``, a file for what
            it finds.
        name: name under which verifiers logs the rewards; must be unique if you use several.

    Returns:
        An async function of the prompts, completions and states of one group that returns one float
        in [0, 1] per rollout.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    rewarder = GroupRewarder(judge, rubric, passes, options)

    async def reward(
        prompts: Sequence[Any], completions: Sequence[Any], states: Sequence[Any]
    ) -> list[float]:
        try:
            members = [
                trajectory_of(
                    _with_chat_roles(prompt, "user"),
                    _with_chat_roles(completion, "assistant"),
                    _tools(state.get("tool_defs")),
                )
                for prompt, completion, state in zip(prompts, completions, states, strict=True)
            ]
            ranked = await rewarder.rank(TrajectoryGroup(members))
        except RankerError as error:
            _set_error(states, error)
            raise
        return [reward for reward in ranked.rewards if reward is not None]

    reward.__name__ = reward.__qualname__ = name
    return reward


def rank_finalize(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    agent: str | None = None,
    weight: float = 1.0,
    name: str = "rank_reward",
    **options: Any,
) -> Callable[[Any, Any, Any], Awaitable[None]]:
    """A `finalize` method for an Env of verifiers.v1 whose `run` makes several attempts at its task.

    Args:
        judge, rubric, passes, options: as in `rank_group`; and ``audit``, an `Audit` of the judge, with
            ``audit_out``, a file for what it finds.
        agent: name of the agent whose traces form the group; None if the env has only one agent.
        weight: weight of this reward in the total reward of a trace.
        name: name under which the reward is recorded; metrics are ``NAME/judge_calls`` and so on.

    Returns:
        An async method ``(self, task, episode)`` that records one reward in [0, 1] on each trace.
        Traces that ended in an error are neither judged nor rewarded. It raises if the group could not
        be ranked: verifiers then marks the episode as failed (``ok`` is False, the error is in
        ``errors``), retries it if configured to, and records no reward.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    rewarder = GroupRewarder(judge, rubric, passes, options)

    async def finalize(self: Any, task: Any, episode: Any) -> None:
        traces = _attempts(episode, agent)
        ranked = await rewarder.rank(TrajectoryGroup([_trajectory(trace) for trace in traces]))
        metrics = {**group_metrics(ranked), **rewarder.audit_metrics()}
        for trace, reward, reason in zip(traces, ranked.rewards, ranked.reasons, strict=True):
            trace.record_reward(name, reward, weight)
            trace.record_metrics({f"{name}/{metric}": value for metric, value in metrics.items()})
            trace.info[f"{name}/reason"] = reason

    return finalize


def _set_error(states: Sequence[Any], error: RankerError) -> None:
    log.warning("A group of %d has no rewards. %s: %s", len(states), type(error).__name__, error)
    for module in ("verifiers.errors", "verifiers.legacy.errors"):
        try:
            error_type = import_module(module).InfraError
        except ImportError:
            continue
        for state in states:
            if state.get("error") is None:
                state["error"] = error_type(f"No ranking of this group: {type(error).__name__}: {error}")
        return


def _with_chat_roles(messages: Any, role: str) -> Any:
    """Messages with chat roles: verifiers gives the plain text of base models the role "text"."""
    if not messages or isinstance(messages, str):
        return messages or []
    return [{"role": role, "content": m["content"]} if m["role"] == "text" else m for m in messages]


def _tools(defs: Sequence[Any] | None) -> list[Mapping[str, Any]] | None:
    """`tool_defs` of a state, flat in verifiers, in OpenAI format."""
    if not defs:
        return None
    plain = [tool.model_dump(exclude_none=True) if hasattr(tool, "model_dump") else tool for tool in defs]
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in plain]


def _attempts(episode: Any, agent: str | None) -> list[Any]:
    names = {trace.agent.name for trace in episode.traces}
    if agent is None and len(names) > 1:
        raise GroupError(
            f"The episode has traces of {', '.join(sorted(names))}; name the agent to rank, e.g. "
            f"rank_finalize(agent={min(names)!r})."
        )
    return [trace for trace in episode.traces if agent in (None, trace.agent.name) and trace.ok]


def _trajectory(trace: Any) -> Trajectory:
    """A trace as a trajectory; further branches become its histories."""
    if not trace.branches:
        raise GroupError(
            f"A trace of {trace.agent.name} has no messages; a run without messages must end in an error."
        )
    first, *others = trace.branches
    return Trajectory(
        first.messages,
        tools=_tools(first.tools),
        histories=[branch.messages for branch in others],
    )
