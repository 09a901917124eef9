"""Credit by turn in the trainer: what reward functions may say of turns, and which token gets which advantage."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grpo import ProcessRewards, Reward, TrainingError
from grpo.auditing import Auditing
from grpo.credit import Credit, learned, metrics, token_advantages
from grpo.group_reward import GroupReward
from grpo.losses import Loss, token_losses
from grpo.rewards import Rewarder
from grpo.types import Rollout, RolloutGroup, TokenSequence
from ranker import RankedGroup, Trajectory
from ranker.watch.audit import Answer, Audit
from tests.grpo_runs import LONG, begin, fives, furthest, lines, spread, train, untimed, weights

ROUNDING = 1e-4  # of steps of 1e-2: Adam divides a small gradient by itself, and with it the rounding, which differs by processor
ASK = [{"role": "user", "content": "go"}]


def attempt(*said: str, tokens: Any = None, turns: Any = None, **more: Any) -> Rollout:
    """An attempt whose turn k says `said[k]`: two tokens each, after two that are given; turns as they are written."""
    messages = [*ASK]
    given: list[int] = []
    for text in said:
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "more"}]
        given += [1, 2, *map(ord, text[:2])]
    tokens_T = np.array(given if tokens is None else tokens, np.int64)
    sampled_T = np.arange(len(tokens_T)) % 4 > 1
    order = tuple(range(len(said))) if turns is None else turns
    own = np.repeat(np.array([k if k in order else -1 for k in range(len(said))], np.int64), 2)
    sequence = TokenSequence(tokens_T, sampled_T, np.zeros(len(tokens_T), np.float32), (), own)
    return Rollout(Trajectory(messages), (sequence,), turns=order, **more)


def group(*rollouts: Rollout, index: int = 0, **more: Any) -> RolloutGroup:
    return RolloutGroup(index, {}, rollouts, ground_truths=(None,) * len(rollouts), **more)


def rewarded(
    function: Any, of: RolloutGroup, *more: Reward, aggregation: Any = "sum_then_normalize"
) -> GroupReward:
    return Rewarder([Reward(function), *more], aggregation, 60.0).reward(of)


def tokens_of(credit: Credit, of: RolloutGroup, reward: GroupReward) -> list[list[float]] | None:
    """The advantage of every sampled token of each attempt; None where the group is tied."""
    (made,) = credit.advantages([credit.judged(of, reward)], [of])
    if made.tied:
        return None
    found = [token_advantages(r, v, t) for r, v, t in learned(of, made, masked=False)]
    return [np.concatenate(parts).round(9).tolist() for parts in found]


PROCESS = Credit("process", 1.0, "none")
BRANCH = Credit("branch", 1.0, "none")
TWO = group(attempt("aa", "bb"), attempt("cc", "dd"))


def test_outcome_and_process_are_added() -> None:
    """R = {1, 0, 0, 0}, mean 0.25; values 1 and 0, mean 0.5."""
    reward = rewarded(lambda g: ProcessRewards([[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0]), TWO)
    assert reward.turns == [[1.0, 0.0], [0.0, 0.0]]
    assert tokens_of(PROCESS, TWO, reward) == [[1.0, 1.0, 0.25, 0.25], [-1.0, -1.0, -0.75, -0.75]]
    halved = Credit("process", 0.5, "none")
    assert tokens_of(halved, TWO, reward) == [[0.75, 0.75, 0.375, 0.375], [-0.75, -0.75, -0.625, -0.625]]
    assert tokens_of(Credit("trajectory", 1.0, "none"), TWO, reward) == [[0.5] * 4, [-0.5] * 4]
    assert tokens_of(Credit("process", 0.0, "none"), TWO, reward) == [[0.5] * 4, [-0.5] * 4]


@pytest.mark.parametrize(
    "returned",
    [
        [[1.0, 0.0], [0.0, 0.0]],
        np.array([[1.0, 0.0], [0.0, 0.0]]),
        [torch.tensor([1.0, 0.0]), np.zeros(2)],
        ProcessRewards([[1, 0], (0, 0)]),
    ],
    ids=["lists", "array", "tensors", "dataclass"],
)
def test_rewards_of_turns_alone(returned: Any) -> None:
    reward = rewarded(lambda g: returned, TWO)
    assert reward.values == [None, None]
    for weight in (1.0, 0.3):
        credit = Credit("process", weight, "none")
        assert tokens_of(credit, TWO, reward) == [[0.5, 0.5, -0.25, -0.25], [-0.5, -0.5, -0.25, -0.25]]
    assert tokens_of(Credit("trajectory"), TWO, reward) is None


async def test_an_async_function_may_return_them_too() -> None:
    async def later(group: Any) -> Any:
        return [[1.0, 0.0], None]

    reward = rewarded(later, TWO)
    assert reward.turns == [[1.0, 0.0], [None, None]]
    assert tokens_of(PROCESS, TWO, reward) == [[0.0, 0.0, -0.5, -0.5]], "the other has no reward of any kind"


def test_a_judge_that_names_no_turn_finds_it_neutral_and_a_function_says_nothing_of_it() -> None:
    marks: list[list[float | None]] = [[None, -1.0], [None, None]]

    def judge(g: Any) -> RankedGroup:
        return RankedGroup(g, [1.0, 0.0], [[0], [1]], ["", ""], judge="sim", turn_rewards=marks)

    judged = rewarded(judge, TWO)
    assert judged.turns == [[0.0, -1.0], [0.0, 0.0]]
    assert judged.turn_parts == {"reward": marks}
    assert tokens_of(PROCESS, TWO, judged) == [[0.0, 0.0, -0.25, -0.25], [0.0, 0.0, -0.25, -0.25]]
    silent = rewarded(lambda g: ProcessRewards(marks, [1.0, 0.0]), TWO)
    assert tokens_of(PROCESS, TWO, silent) == [[0.5] * 4, [-0.5] * 4], (
        "one reward of a turn has nothing beside it"
    )


@pytest.mark.parametrize(
    ("returned", "fault"),
    [
        ([[1.0], [0.0, 0.0]], "1 rewards of turns for trajectory 0, which has 2 assistant turns"),
        ([[1.0, 0.0]], "1 lists of rewards of turns for 2 trajectories"),
        ([[1.0, "x"], None], "'x' for turn 1 of trajectory 0"),
        ([[1.0, float("nan")], None], "nan for turn 1 of trajectory 0"),
        ([[1.0, 0.0], 0.5], "0.5 as the rewards of the turns of trajectory 1"),
        (ProcessRewards([None, None], [1.0]), "1 rewards for 2 trajectories"),
        (ProcessRewards("ab"), "a str of rewards of turns"),  # type: ignore[arg-type]
    ],
)
def test_a_malformed_answer_is_a_failed_group(returned: Any, fault: str) -> None:
    reward = rewarded(lambda g: returned, TWO)
    assert reward.error is not None
    assert fault in reward.error
    assert reward.turns == []


def test_turns_of_several_functions_are_mixed_as_rewards_are() -> None:
    one = Reward(lambda g: [[1.0, None], [0.0, 2.0]], "one", 2.0)
    other = Reward(lambda g: ProcessRewards([[0.5, 0.5], None], [3.0, 1.0]), "other")
    reward = rewarded(spread, TWO, one, other)
    assert reward.turns == [[2.5, None], [None, None]]
    assert reward.values == [a + b for a, b in zip(spread(TWO.for_judge()), [3.0, 1.0], strict=True)]
    apart = rewarded(spread, TWO, one, aggregation="normalize_then_sum")
    assert apart.turns == [[0.0, None], [-2.0 * (1 / (1 + 1e-4)), 2.0 * (1 / (1 + 1e-4))]]


def test_only_what_the_policy_wrote_has_an_advantage_and_later_is_later_in_time() -> None:
    other = attempt("aa", "bb", "cc", turns=(2, 0))  # turn 1 is somebody else's; turn 2 came before turn 0
    mine = group(other, attempt("dd"))
    reward = rewarded(lambda g: [[1.0, 9.0, 0.0], [0.0]], mine)
    mean = 1 / 3
    first, second, third = tokens_of(PROCESS, mine, reward)[0][::2]  # type: ignore[index]
    assert [first, second, third] == pytest.approx([1 - mean, 0.0, 1 - 2 * mean])


def test_a_missing_reward_of_the_attempt_leaves_its_turns_out_too() -> None:
    three = group(*TWO.rollouts, attempt("ee"))
    reward = rewarded(lambda g: ProcessRewards([[1.0, 0.0], [0.0, 0.0], [50.0]], [1.0, 0.0, None]), three)
    assert tokens_of(PROCESS, three, reward) == [[1.0, 1.0, 0.25, 0.25], [-1.0, -1.0, -0.75, -0.75]]


def test_turns_speak_where_the_attempts_tie() -> None:
    reward = rewarded(lambda g: ProcessRewards([[1.0, 0.0], [0.0, 0.0]], [0.5, 0.5]), TWO)
    assert tokens_of(PROCESS, TWO, reward) == [[0.5, 0.5, -0.25, -0.25], [-0.5, -0.5, -0.25, -0.25]]
    tied = rewarded(lambda g: ProcessRewards([[1.0, 1.0], [1.0, 1.0]], [0.5, 0.5]), TWO)
    assert tokens_of(PROCESS, TWO, tied) is None
    assert tokens_of(BRANCH, TWO, tied) is None


def test_the_anchor_has_no_part() -> None:
    anchored = group(*TWO.rollouts, anchor=attempt("zz").trajectory)

    def function(g: Any) -> ProcessRewards:
        return ProcessRewards([[1.0, 0.0], [0.0, 0.0], [-7.0]], [1.0, 0.0, 0.3])

    reward = rewarded(function, anchored)
    assert reward.turns == [[1.0, 0.0], [0.0, 0.0]]
    assert reward.wins == [1.0, 0.0]
    assert tokens_of(PROCESS, anchored, reward) == [[1.0, 1.0, 0.25, 0.25], [-1.0, -1.0, -0.75, -0.75]]


def test_broken_attempts_stand_aside() -> None:
    three = group(TWO.rollouts[0], Rollout(None, (), error="broke"), TWO.rollouts[1])
    reward = rewarded(lambda g: ProcessRewards([[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0]), three)
    assert reward.turns == [[1.0, 0.0], None, [0.0, 0.0]]
    assert tokens_of(PROCESS, three, reward) == [[1.0, 1.0, 0.25, 0.25], [-1.0, -1.0, -0.75, -0.75]]
    assert tokens_of(BRANCH, three, reward) == [[0.5] * 4, [-0.5] * 4]


def test_what_an_auditor_overrules_is_overruled_for_turns_too() -> None:
    reward = rewarded(lambda g: ProcessRewards([[1.0, 0.0], [0.0, 0.0]], [1.0, 0.0]), TWO)
    auditing = Auditing(Audit(auditor=spread), 0, 10)
    beside = auditing.added(TWO, reward, Answer([0.2, 0.8]), escalated=False)
    assert beside.turns == reward.turns
    instead = auditing.added(TWO, reward, Answer([0.2, 0.8]), escalated=True)
    assert (instead.turns, instead.turn_parts) == ([], {})
    assert tokens_of(PROCESS, TWO, instead) == [[pytest.approx(-0.3)] * 4, [pytest.approx(0.3)] * 4]


def test_after_a_fork_an_attempt_is_compared_with_those_that_share_its_beginning() -> None:
    """Values 1, 0 and 0.5; the first two share a turn, and their mean is that of all."""
    three = group(attempt("aa", "bb", "cc"), attempt("aa", "dd", "ee"), attempt("ff", "gg"))
    reward = rewarded(lambda g: [1.0, 0.2, 0.0], three)
    first, second, third = tokens_of(BRANCH, three, reward)  # type: ignore[misc]
    assert first == pytest.approx([0.6, 0.6, 0.4, 0.4, 0.4, 0.4])
    assert second == pytest.approx([-0.2, -0.2, -0.4, -0.4, -0.4, -0.4])
    assert third == pytest.approx([-0.4] * 4)
    halved = tokens_of(Credit("branch", 0.5, "none"), three, reward)
    assert halved is not None
    assert halved[0] == pytest.approx([0.6, 0.6, 0.5, 0.5, 0.5, 0.5])


def test_metrics_say_what_came_from_turns() -> None:
    reward = rewarded(lambda g: ProcessRewards([[1.0, None], [0.0, 0.0]], [1.0, 0.0]), TWO)
    (made,) = PROCESS.advantages([PROCESS.judged(TWO, reward)], [TWO])
    found = metrics([(TWO, reward, made)], masked=False)
    third = 1 / 3
    added = 2 * ((1 - third) + 0.0 + 2 * third + third)
    assert found["turn_signal_share"] == pytest.approx(added / (added + 8 * 0.5))
    assert found["turns_marked_share"] == 0.75
    assert found["turn_tokens_share"] == 1.0


LOSSES: list[dict[str, Any]] = [
    {"loss_type": "grpo"}, {"loss_type": "bnpo"}, {"loss_type": "dapo"}, {"loss_type": "dr_grpo"},
    {"loss_type": "cispo", "epsilon_high": 5.0}, {"loss_type": "dapo", "delta": 4.0, "beta": 0.1},
]  # fmt: skip


@pytest.mark.parametrize("kind", LOSSES)
@pytest.mark.parametrize("level", ["token", "sequence"])
def test_every_loss_gives_each_token_its_own_advantage(kind: dict[str, Any], level: Any) -> None:
    """Where the policy has not moved, the gradient of a token's log-prob is its own advantage, whatever the others'."""
    logps_N = torch.tensor([-1.0, -2.0, -0.5, -1.5], requires_grad=True)
    advantages_N = torch.tensor([0.5, -1.0, 2.0, 0.0])
    loss = Loss(importance_sampling_level=level, credit="process", **{**kind, "beta": 0.0})
    made = token_losses(logps_N, None, None, advantages_N, torch.tensor([0, 0, 0, 1]), loss)
    made.loss_N.sum().backward()
    assert torch.allclose(logps_N.grad, -advantages_N)  # type: ignore[arg-type]


def test_the_ratio_of_a_whole_sequence_is_the_same_with_credit_by_turn() -> None:
    old_N, at_N = torch.tensor([-1.0, -2.0, -0.5]), torch.tensor([0, 0, 1])
    advantages_N = torch.tensor([0.7, 0.7, -0.3])
    found = []
    for credit in ("trajectory", "process"):
        logps_N = torch.tensor([-1.1, -1.8, -0.5], requires_grad=True)
        loss = Loss(importance_sampling_level="sequence", credit=credit)  # type: ignore[arg-type]
        made = token_losses(logps_N, old_N, None, advantages_N, at_N, loss)
        made.loss_N.sum().backward()
        found.append((made.loss_N.detach(), made.ratio_N, logps_N.grad))
    for one, other in zip(*found, strict=True):
        assert torch.allclose(one, other)


TALK = [{"prompt": [{"role": "user", "content": f"t{i} t{i + 1}"}]} for i in range(4)]


async def twice(policy: Any, row: Any) -> Any:
    """Two turns."""
    messages = [*row["prompt"]]
    for i in range(2):
        reply = (await policy.chat(messages)).choices[0].message
        messages += [reply.model_dump(exclude_none=True), {"role": "user", "content": f"t{i}"}]
    return messages[:-1]


def likes_each(group: Any) -> ProcessRewards:
    """Turn by turn what `fives` says, and its sum."""
    said = [[fives(m["content"]) for m in t.messages if m["role"] == "assistant"] for t in group.trajectories]
    return ProcessRewards(said, [sum(own) for own in said])


def run(reward: Any = likes_each, **more: Any) -> Any:
    return train(reward, rows=TALK, rollout=twice, setup={"chat": True}, **more)


def test_it_learns_from_rewards_of_turns_alone() -> None:
    def each(group: Any) -> Any:
        return likes_each(group).turns

    _, history = run(
        each, checker=lambda t, row: sum(likes_each(type("G", (), {"trajectories": [t]})).values or ()) / 2,
        credit="process", groups_per_step=4, num_generations=8, max_steps=20,
    )  # fmt: skip
    assert history[0]["ground_truth_mean"] < 0.15
    assert history[-1]["ground_truth_mean"] > 0.4
    assert history[0]["turn_signal_share"] == 1.0
    assert history[0]["turns_marked_share"] == history[0]["turn_tokens_share"] == 1.0
    assert history[0]["reward_mean"] is None


@pytest.mark.parametrize("more", [{"importance_sampling_level": "sequence"}, {"loss_type": "dr_grpo"}])
def test_turns_that_add_nothing_change_nothing(more: Any) -> None:
    """Attempts of one turn, whose only fork is the first; and rewards of turns of weight 0."""
    plain, _ = train(spread, **more)
    branch, history = train(spread, credit="branch", **more)
    assert history[0]["turn_signal_share"] == 0.0
    if more.get("importance_sampling_level") != "sequence":
        assert furthest(weights(plain), weights(branch)) == 0.0
    assert furthest(weights(plain), weights(branch)) < ROUNDING
    weightless, _ = run(credit="process", turn_weight=0.0, max_steps=2, **more)
    without, history = run(max_steps=2, **more)
    assert furthest(weights(weightless), weights(without)) < ROUNDING
    assert "turn_signal_share" not in history[0]


def test_a_run_without_rewards_of_turns_says_so() -> None:
    with pytest.raises(TrainingError, match='credit = "process" learns from rewards of turns'):
        train(spread, credit="process")


@pytest.mark.parametrize("credit", ["process", "branch"])
def test_a_resumed_run_is_the_same(tmp_path: Path, credit: str) -> None:
    more: dict[str, Any] = {**LONG, "max_steps": 4, "credit": credit, "scale_rewards": "batch"}
    whole, _ = run(out=tmp_path / "whole", **more)
    begun = begin(likes_each, rows=TALK, rollout=twice, setup={"chat": True}, out=tmp_path / "run", **more)

    def stop(line: Any) -> None:
        if line["step"] == 3:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        begun.train(stop)
    begun.close()
    resumed, _ = run(out=tmp_path / "run", resume=True, **more)
    assert furthest(weights(whole), weights(resumed)) == 0.0
    assert untimed(lines(tmp_path / "whole" / "metrics.jsonl")) == untimed(
        lines(tmp_path / "run" / "metrics.jsonl")
    )
    samples = lines(tmp_path / "whole" / "samples.jsonl")
    assert samples == lines(tmp_path / "run" / "samples.jsonl")
    if credit == "process":
        assert all(len(r["turn_rewards"]) == 2 for s in samples for r in s["rollouts"])
    assert all(
        len(r["turn_advantages"]) == 2 for s in samples for r in s["rollouts"] if r["advantage"] is not None
    )
