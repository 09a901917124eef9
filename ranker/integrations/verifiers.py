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
from ranker.integrations.judged import Asker, figures
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
    """A group reward function: an entry of `funcs` of `vf.Rubric`.

    verifiers catches what a reward function raises, logs it and gives every rollout of the group 0.0;
    it knows no missing reward. So that those zeros are not taken for rewards, a failed group's states
    also get ``state["error"]``, a `vf.InfraError`, unless they have an error already: it stands in
    the outputs as ``error``, and with ``max_retries`` verifiers runs the group again.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` limit all
            groups of a run together.
        name: what verifiers logs the rewards by; give each its own when you use several.

    Returns:
        An async function that verifiers calls with the prompts, completions and states of one
        group; it gives one float in [0, 1] for each.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    asker = Asker(judge, rubric, passes, options)

    async def reward(
        prompts: Sequence[Any], completions: Sequence[Any], states: Sequence[Any]
    ) -> list[float]:
        try:
            members = [
                trajectory_of(
                    _spoken(prompt, "user"), _spoken(completion, "assistant"), _tools(state.get("tool_defs"))
                )
                for prompt, completion, state in zip(prompts, completions, states, strict=True)
            ]
            ranked = await asker.rank(TrajectoryGroup(members))
        except RankerError as error:
            _mark(states, error)
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
    """The `finalize` method of an Env of verifiers.v1 whose `run` makes several attempts at its task.

    Args:
        judge, rubric, passes, options: as in `rank_group`.
        agent: name of the agent whose traces are the group; None where the env has only one.
        weight: of this reward in each trace's sum.
        name: what the reward is recorded by; metrics are ``NAME/judge_calls`` and others.

    Returns:
        An async method ``(self, task, episode)`` that records one reward in [0, 1] on each trace.
        Traces that ended in an error are neither judged nor rewarded. Where the group could not be
        ranked it raises: verifiers then marks the episode as failed (``ok`` is False, the error in
        ``errors``), retries it where it is set to, and no reward is recorded.

    Raises:
        ConfigurationError: a setting cannot work.
    """
    asker = Asker(judge, rubric, passes, options)

    async def finalize(self: Any, task: Any, episode: Any) -> None:
        traces = _attempts(episode, agent)
        ranked = await asker.rank(TrajectoryGroup([_of_trace(trace) for trace in traces]))
        told = figures(ranked)
        for trace, reward, reason in zip(traces, ranked.rewards, ranked.reasons, strict=True):
            trace.record_reward(name, reward, weight)
            trace.record_metrics({f"{name}/{what}": value for what, value in told.items()})
            trace.info[f"{name}/reason"] = reason

    return finalize


def _mark(states: Sequence[Any], error: RankerError) -> None:
    log.warning("A group of %d has no rewards. %s: %s", len(states), type(error).__name__, error)
    for home in ("verifiers.errors", "verifiers.legacy.errors"):
        try:
            kind = import_module(home).InfraError
        except ImportError:
            continue
        for state in states:
            if state.get("error") is None:
                state["error"] = kind(f"No ranking of this group: {type(error).__name__}: {error}")
        return


def _spoken(given: Any, role: str) -> Any:
    """Messages with a role that a chat has: those of base models, which are plain text, are of role "text"."""
    if not given or isinstance(given, str):
        return given or []
    return [{"role": role, "content": m["content"]} if m["role"] == "text" else m for m in given]


def _tools(defs: Sequence[Any] | None) -> list[Mapping[str, Any]] | None:
    """A state's `tool_defs`, flat in verifiers, in OpenAI format."""
    if not defs:
        return None
    plain = [tool.model_dump(exclude_none=True) if hasattr(tool, "model_dump") else tool for tool in defs]
    return [tool if "function" in tool else {"type": "function", "function": tool} for tool in plain]


def _attempts(episode: Any, agent: str | None) -> list[Any]:
    names = {trace.agent.name for trace in episode.traces}
    if agent is None and len(names) > 1:
        raise GroupError(
            f"The episode has traces of {', '.join(sorted(names))}; say whose are the group, e.g. "
            f"rank_finalize(agent={min(names)!r})."
        )
    return [trace for trace in episode.traces if agent in (None, trace.agent.name) and trace.ok]


def _of_trace(trace: Any) -> Trajectory:
    """Every branch of a trace; a single-branch trace is one message list."""
    if not trace.branches:
        raise GroupError(
            f"A trace of {trace.agent.name} has no messages; let its run end in an error instead."
        )
    first, *others = trace.branches
    return Trajectory(
        first.messages,
        tools=_tools(first.tools),
        histories=[branch.messages for branch in others],
    )
