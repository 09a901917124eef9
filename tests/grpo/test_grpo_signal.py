"""What a step learns from and what it leaves out: tied and failed groups, missing rewards, broken rollouts."""

from __future__ import annotations

import warnings

import pytest

from grpo import Reward
from tests.grpo_runs import ROWS, begin, furthest, likes_fives, lines, policy, spread, train, weights


@pytest.mark.parametrize("setting", [{"beta": 0.5}, {"weight_decay": 0.1}, {"scale_rewards": "batch"}])
def test_tied_groups_move_nothing(setting):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer, history = train(lambda group: [0.7] * len(group), max_steps=2, **setting)
    assert furthest(weights(trainer), weights(begin())) == 0.0
    for line in history:
        assert (line["tied_groups"], line["failed_groups"], line["loss_tokens"]) == (2, 0, 0)
        assert line["grad_norm"] is None
        assert line["reward_mean"] == pytest.approx(0.7)


def test_a_tied_first_step_brings_no_warning_of_the_schedule():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        train(lambda group: [0.7] * len(group), max_steps=1)


def test_truncated_attempts_can_be_left_out_of_the_loss_alone(tmp_path):
    counts = {}
    for masked in (False, True):
        out = tmp_path / str(masked)
        _, history = train(
            spread, max_steps=1, num_generations=12, mask_truncated_completions=masked, out=out
        )
        rollouts = [r for group in lines(out / "samples.jsonl") for r in group["rollouts"]]
        cut = [r for r in rollouts if r["truncated"]]
        assert 0 < len(cut) < len(rollouts)
        counts[masked] = history[0]["loss_tokens"]
        expected = [r["tokens"] for r in rollouts if not (masked and r["truncated"])]
        assert counts[masked] == sum(expected)
        assert all(r["advantage"] is not None for r in cut), "they still set the baseline"
    assert counts[True] < counts[False]


def test_fresh_groups_are_sampled_in_the_place_of_tied_and_failed_ones():
    asked = []

    def seldom(group):
        asked.append(int(group.id))
        if int(group.id) % 4 == 3:
            raise ValueError("no verdict")
        return [0.5] * len(group) if int(group.id) % 4 else spread(group)

    rows = [{"prompt": row["prompt"]} for row in ROWS]
    _, history = train(
        seldom, rows=rows, max_steps=1, dynamic_sampling_rounds=5, max_pending_groups=0, max_failed_share=1.0
    )
    (line,) = history
    assert line["groups"] == len(asked)
    assert line["groups"] - line["tied_groups"] - line["failed_groups"] == 2
    assert line["failed_groups"] == sum(k % 4 == 3 for k in asked) > 0
    _, history = train(
        seldom, rows=rows, max_steps=1, dynamic_sampling_rounds=1, max_pending_groups=0, max_failed_share=1.0
    )
    assert history[0]["groups"] == 3  # 0 counts, 1 and its stand-in 2 are tied


def test_several_rewards_are_mixed_and_logged_by_name(tmp_path):
    rewards = [Reward(likes_fives, "fives"), Reward(lambda g: [2.0] * len(g), "constant", weight=0.5)]
    _, history = train(rewards, max_steps=2, out=tmp_path / "run")
    for line in history:
        assert line["rewards/constant"] == 2.0
        assert line["reward_mean"] == pytest.approx(line["rewards/fives"] + 1.0)
    attempt = lines(tmp_path / "run" / "samples.jsonl")[0]["rollouts"][0]
    assert attempt["reward"] == pytest.approx(attempt["rewards"]["fives"] + 1.0)


def test_a_missing_reward_leaves_the_others_advantages_alone(tmp_path):
    train(lambda g: [0.0, None, 1.0, 0.5], max_steps=1, out=tmp_path / "run")
    rollouts = lines(tmp_path / "run" / "samples.jsonl")[0]["rollouts"]
    assert [r["reward"] for r in rollouts] == [0.0, None, 1.0, 0.5]
    assert [r["advantage"] for r in rollouts] == pytest.approx([-1 / 1.0002, None, 1 / 1.0002, 0.0])


def test_broken_rollouts_are_left_out_and_counted(tmp_path):
    seen = []
    calls = 0

    async def rollout(policy, row):
        nonlocal calls
        calls += 1
        if calls % 4 == 2:
            raise RuntimeError("the tool is gone")
        text = await policy.complete(row["prompt"])
        return [{"role": "user", "content": row["prompt"]}, {"role": "assistant", "content": text}]

    def reward(group):
        seen.append(len(group))
        return spread(group)

    _, history = train(reward, rollout=rollout, max_steps=2, max_pending_groups=0, out=tmp_path / "run")
    assert seen == [3, 3, 3, 3]
    assert [line["broken_rollouts"] for line in history] == [2, 2]
    broken = lines(tmp_path / "run" / "samples.jsonl")[0]["rollouts"][1]
    assert (broken["error"], broken["reward"]) == ("RuntimeError: the tool is gone", None)


def test_only_what_the_policy_sampled_is_trained_on(tmp_path):
    asked = []

    async def two_turns(policy, row):
        messages = [{"role": "user", "content": row["prompt"]}]
        for _ in range(2):
            reply = await policy.chat(messages)
            asked.append(reply.usage.completion_tokens)
            messages += [
                reply.choices[0].message,
                {"role": "tool", "content": "t7 t8 t9", "tool_call_id": "c"},
            ]
        return messages[:-1]

    model = policy(chat=True)
    _, history = train(
        spread, model=model, rollout=two_turns, max_steps=1, max_pending_groups=0, out=tmp_path / "run"
    )
    assert len(asked) == 2 * 8
    assert history[0]["loss_tokens"] == sum(asked)
    assert history[0]["sampler_mismatch"] < 1e-5
    group = lines(tmp_path / "run" / "samples.jsonl")[0]
    assert [m["role"] for m in group["prompt"] + group["rollouts"][0]["messages"]][-2:] == [
        "tool",
        "assistant",
    ]
