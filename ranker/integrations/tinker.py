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
from ranker.integrations.judged import Asker, figures
from ranker.trajectory import Trajectory, TrajectoryGroup

__all__ = ["group_rewards"]

Metrics = dict[str, float | int]
Rewards = Callable[[Any, Sequence[Any], Sequence[Any]], Awaitable[list[tuple[float, Metrics]]]]
Messages = Callable[[Any, Any], list[Any]]


def group_rewards(
    judge: Any = None,
    rubric: str | Path | None = None,
    passes: int = 1,
    *,
    messages: Messages | None = None,
    **options: Any,
) -> Rewards:
    """A `compute_group_rewards` method: one judge call for each pass ranks the group's attempts.

    Args:
        judge, rubric, passes, options: as in `rank_group`; ``max_calls`` and ``max_cost_usd`` limit
            all groups of this process together.
        messages: ``messages(trajectory, env)`` gives the chat messages of one attempt; without it
            they are made from the tokens, with the env's renderer (`messages_of`).

    Returns:
        An async method ``(self, trajectory_group, env_group)`` that gives, for each of the G
        trajectories in order, its reward in [0, 1] and metrics. Tinker adds the reward to what
        the env's steps gave.

    Raises:
        ConfigurationError: a setting cannot work.
        RankerError: from the method, where the group could not be ranked. No reward stands for a
            failed group: the rollout strategy decides whether it is skipped or the run stops.
    """
    asker = Asker(judge, rubric, passes, options)
    read = messages or messages_of

    async def compute_group_rewards(
        self: Any, trajectory_group: Sequence[Any], env_group: Sequence[Any]
    ) -> list[tuple[float, Metrics]]:
        if len(trajectory_group) != len(env_group):
            raise GroupError(f"{len(trajectory_group)} trajectories came with {len(env_group)} envs.")
        pairs = zip(trajectory_group, env_group, strict=True)
        group = TrajectoryGroup([Trajectory(read(trajectory, env)) for trajectory, env in pairs])
        ranked = await asker.rank(group)
        # Of the group as a whole; Tinker averages metrics over attempts.
        shared = {f"ranker/{name}": value for name, value in figures(ranked).items()}
        return [(r, {"ranker/reward": r, **shared}) for r in ranked.rewards if r is not None]

    return compute_group_rewards


def messages_of(trajectory: Any, env: Any) -> list[dict[str, Any]]:
    """The chat messages of one attempt, read back from its tokens; nothing is left out.

    Each observation becomes a user message: the text the policy was given, of which only what is new
    since its last action is repeated. Each action becomes an assistant message: parsed by the env's
    renderer where it ended cleanly, else its text as it is.

    Raises:
        GroupError: the env has no renderer, or an observation holds an image.
    """
    renderer = getattr(env, "renderer", None) or getattr(env, "policy_renderer", None)
    if renderer is None:
        raise GroupError(
            f"{type(env).__name__} has no `renderer` to read the tokens with; give "
            "group_rewards(messages=lambda trajectory, env: [...])."
        )
    made: list[dict[str, Any]] = []
    known: list[int] = []
    for transition in trajectory.transitions:
        seen, done = _tokens(transition.ob), list(transition.ac.tokens)
        new = seen[len(known) :] if seen[: len(known)] == known else seen
        if new:
            made.append({"role": "user", "content": str(renderer.tokenizer.decode(new))})
        made.append(_action(renderer, done))
        known = seen + done
    # After the last action: what a tool answered. An env that ended without one gives no tokens.
    last = _tokens(trajectory.final_ob)
    if len(last) > len(known) and last[: len(known)] == known:
        made.append({"role": "user", "content": str(renderer.tokenizer.decode(last[len(known) :]))})
    return made


def _action(renderer: Any, tokens: list[int]) -> dict[str, Any]:
    message, ending = renderer.parse_response(tokens)
    if ending.is_clean and not message.get("unparsed_tool_calls"):
        return dict(renderer.to_openai_message(message))
    return {"role": "assistant", "content": str(renderer.tokenizer.decode(tokens))}


def _tokens(observation: Any) -> list[int]:
    tokens: list[int] = []
    for chunk in observation.chunks:
        if not hasattr(chunk, "tokens"):
            raise GroupError(
                f"An observation holds a {type(chunk).__name__}, which has no text; give "
                "group_rewards(messages=lambda trajectory, env: [...])."
            )
        tokens += chunk.tokens
    return tokens
