"""Which tokens belong to which turn of what a rollout returned."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import numpy as np
import pytest

from grpo.runs.records import group_from_dict, group_to_dict
from grpo.types import Rollout, RolloutGroup, TokenSequence
from ranker import Trajectory
from ranker.trajectory import assistant_turns
from tests.grpo.test_grpo_chat import CALLS_A_TOOL, SAYS_TWO_WORDS, TOOLS, policy_of, user


def reply(completion: Any) -> dict[str, Any]:
    message: dict[str, Any] = completion.choices[0].message.model_dump(exclude_none=True)
    return message


def turns(policy: Any, trajectory: Trajectory) -> tuple[list[list[int]], tuple[int, ...]]:
    sequences, order = policy.sequences_of(trajectory)
    for before, after in zip(policy.sequences, sequences, strict=True):
        assert before.tokens_T.tolist() == after.tokens_T.tolist(), "tokens in, tokens out"
        assert before.logps_T.tolist() == after.logps_T.tolist()
        assert len(after.turns_N) == int(after.sampled_T.sum())
    return [s.turns_N.tolist() for s in sequences], order


async def talk(policy: Any, times: int = 2) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = [user("w5")]
    for i in range(times):
        messages = [*messages, reply(await policy.chat(messages)), user(f"w{i}")]
    return messages


async def test_each_reply_is_its_turn() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    messages = await talk(policy)
    assert turns(policy, Trajectory(messages)) == ([[0, 0, 0, 1, 1, 1]], (0, 1))


async def test_messages_of_others_are_turns_without_tokens() -> None:
    """An example in the prompt, and an answer that the rollout wrote itself."""
    policy = policy_of(SAYS_TWO_WORDS)
    shown = [user("w4"), {"role": "assistant", "content": "w9"}]
    answer = reply(await policy.chat([*shown, user("w5")]))
    trajectory = Trajectory([*shown, user("w5"), answer, {"role": "assistant", "content": "written by hand"}])
    assert turns(policy, trajectory) == ([[1, 1, 1]], (1,))
    assert len(assistant_turns(trajectory)) == 3


async def test_a_reply_that_was_edited_or_thrown_away_is_no_turn() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    first, second = [reply(await policy.chat([user(text)])) for text in ("w5", "w6")]
    assert turns(policy, Trajectory([user("w6"), second])) == ([[-1] * 3, [0] * 3], (0,))
    edited = {**first, "content": "w1 w2 and more"}
    assert turns(policy, Trajectory([user("w5"), edited])) == ([[-1] * 3, [-1] * 3], ())


async def test_words_are_enough_where_the_conversation_was_rewritten() -> None:
    policy = policy_of(CALLS_A_TOOL)
    called = reply(await policy.chat([user("w5")], tools=TOOLS))
    renamed = {
        **called,
        "content": f"{called['content']} ",
        "tool_calls": [{**called["tool_calls"][0], "id": "other"}],
    }
    result = {"role": "tool", "tool_call_id": "other", "content": "w3"}
    assert turns(policy, Trajectory([user("something else"), renamed, result])) == ([[0, 0, 0]], (0,))


async def test_earlier_contexts_are_turns_of_histories_in_the_order_in_which_they_were_taken() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    earlier = await talk(policy)
    short = [user("w7 in short")]
    now = [*short, reply(await policy.chat(short))]
    assert turns(policy, Trajectory(now, histories=[earlier])) == ([[1, 1, 1, 2, 2, 2], [0, 0, 0]], (1, 2, 0))


async def test_equal_replies_side_by_side_are_told_apart_by_what_they_answer() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    made = await asyncio.gather(*(policy.chat([user(f"w{i}")]) for i in range(3)))
    order = [2, 0, 1]
    histories = [[user(f"w{i}"), reply(made[i])] for i in order]
    trajectory = Trajectory(histories[0], histories=histories[1:])
    assert turns(policy, trajectory) == ([[1] * 3, [2] * 3, [0] * 3], (1, 2, 0))


async def test_a_cut_reply_is_a_turn() -> None:
    policy = policy_of(SAYS_TWO_WORDS, most=1)
    messages = await talk(policy, 1)
    assert policy.truncated
    assert turns(policy, Trajectory(messages)) == ([[0]], (0,))


async def test_text_without_a_template_is_a_turn() -> None:
    policy = policy_of({**SAYS_TWO_WORDS, 5: (11,)})
    said = await policy.complete("user")
    assert turns(policy, Trajectory([user("user"), {"role": "assistant", "content": said}]))[1] == (0,)


async def test_what_no_template_takes_is_in_nobodys_way() -> None:
    policy = policy_of(SAYS_TWO_WORDS)
    answer = reply(await policy.chat([user("w5")]))
    picture = {
        "role": "user",
        "content": [{"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}],
    }
    assert turns(policy, Trajectory([picture, answer])) == ([[0, 0, 0]], (0,))


def test_turns_survive_being_written_down() -> None:
    sequence = TokenSequence(
        np.arange(7),
        np.array([0, 1, 1, 0, 1, 0, 1], bool),
        np.zeros(7, np.float32),
        (),
        np.array([2, 2, -1, 0]),
    )
    assert sequence.starts.tolist() == [1, 1, 4, 6]
    trajectory = Trajectory([user("w5"), {"role": "assistant", "content": "w1"}])
    group = RolloutGroup(3, {}, (Rollout(trajectory, (sequence,), turns=(2, 0)), Rollout(None, ())))
    again = group_from_dict(json.loads(json.dumps(group_to_dict(group))), {})
    assert again.rollouts[0].turns == (2, 0)
    assert again.rollouts[0].sequences[0].turns_N.tolist() == [2, 2, -1, 0]
    old = group_to_dict(group)
    for rollout in old["rollouts"]:
        rollout.pop("turns")
        for fields in rollout["sequences"]:
            fields.pop("turns")
    before = group_from_dict(old, {}).rollouts[0]
    assert (before.turns, before.sequences[0].turns_N.tolist()) == ((), [])


@pytest.mark.parametrize("sampled", [[], [0, 0], [1, 1], [0, 1, 0]])
def test_starts_of_any_sequence(sampled: list[int]) -> None:
    n = len(sampled)
    sequence = TokenSequence(np.zeros(n, np.int64), np.array(sampled, bool), np.zeros(n, np.float32))
    assert len(sequence.starts) == sum(sampled)
