"""tinker-cookbook: the group reward of an EnvGroupBuilder.

from ranker.integrations.tinker import group_rewards

class MyGroup(EnvGroupBuilder):
    compute_group_rewards = group_rewards("openai/gpt-5-mini")
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from ranker.errors import GroupError
from ranker.integrations.group_rewarder import GroupRewarder, group_metrics
from ranker.trajectory import Trajectory, TrajectoryGroup

__all__ = ["group_rewards"]

Metrics = dict[str, float | int]
Rewards = Callable[[Any, Sequence[Any], Sequence[Any]], Awaitable[list[tuple[float, Metrics]]]]
MessageReader = Callable[[Any, Any], list[Any]]


def group_rewards(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    messages: MessageReader | None = None,
    **options: Any,
) -> Rewards:
    """A `compute_group_rewards` method that ranks the attempts of a group with one judge call per pass.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` apply
            to all groups of this process together. And ``audit``, an `Audit` of the judge, with ``audit_out``, a
            file for what it finds.
        messages: ``messages(trajectory, env)`` returns the chat messages of one attempt; by default
            they are decoded from the tokens with the env's renderer (`messages_of`).

    Returns:
        An async method ``(self, trajectory_group, env_group)`` that returns, for each of the G
        trajectories in order, its reward in [0, 1] and metrics. Tinker adds the reward to the
        per-step rewards of the env.

    Raises:
        ConfigurationError: a setting cannot work.
        RankerError: raised by the method if the group could not be ranked. A failed group gets no
            reward: the rollout strategy decides whether to skip it or to stop the run.
    """
    rewarder = GroupRewarder(judge, rubric, passes, options)
    read_messages = messages or messages_of

    async def compute_group_rewards(
        self: Any, trajectory_group: Sequence[Any], env_group: Sequence[Any]
    ) -> list[tuple[float, Metrics]]:
        if len(trajectory_group) != len(env_group):
            raise GroupError(f"{len(trajectory_group)} trajectories came with {len(env_group)} envs.")
        pairs = zip(trajectory_group, env_group, strict=True)
        group = TrajectoryGroup([Trajectory(read_messages(trajectory, env)) for trajectory, env in pairs])
        ranked = await rewarder.rank(group)
        # Group-level values on every attempt: Tinker averages metrics over attempts.
        metrics = {**group_metrics(ranked), **rewarder.audit_metrics()}
        shared = {f"ranker/{name}": value for name, value in metrics.items()}
        return [(r, {"ranker/reward": r, **shared}) for r in ranked.rewards if r is not None]

    return compute_group_rewards


def messages_of(trajectory: Any, env: Any) -> list[dict[str, Any]]:
    """The chat messages of one attempt, decoded from its tokens without loss.

    Each observation becomes a user message with the text that is new since the previous action. Each
    action becomes an assistant message: parsed by the env's renderer if it ended cleanly, else as
    plain text.

    Raises:
        GroupError: the env has no renderer, or an observation contains an image.
    """
    renderer = getattr(env, "renderer", None) or getattr(env, "policy_renderer", None)
    if renderer is None:
        raise GroupError(
            f"{type(env).__name__} has no `renderer` to decode the tokens with; pass "
            "group_rewards(messages=lambda trajectory, env: [...])."
        )
    messages: list[dict[str, Any]] = []
    known: list[int] = []
    for transition in trajectory.transitions:
        observed, action = _tokens(transition.ob), list(transition.ac.tokens)
        new = observed[len(known) :] if observed[: len(known)] == known else observed
        if new:
            messages.append({"role": "user", "content": str(renderer.tokenizer.decode(new))})
        message, ending = renderer.parse_response(action)
        if ending.is_clean and not message.get("unparsed_tool_calls"):
            messages.append(dict(renderer.to_openai_message(message)))
        else:
            messages.append({"role": "assistant", "content": str(renderer.tokenizer.decode(action))})
        known = observed + action
    # What follows the last action, e.g. a tool result; an env that ended without one has no tokens here.
    last = _tokens(trajectory.final_ob)
    if len(last) > len(known) and last[: len(known)] == known:
        messages.append({"role": "user", "content": str(renderer.tokenizer.decode(last[len(known) :]))})
    return messages


def _tokens(observation: Any) -> list[int]:
    tokens: list[int] = []
    for chunk in observation.chunks:
        if not hasattr(chunk, "tokens"):
            raise GroupError(
                f"An observation contains a {type(chunk).__name__}, which has no text; pass "
                "group_rewards(messages=lambda trajectory, env: [...])."
            )
        tokens += chunk.tokens
    return tokens
