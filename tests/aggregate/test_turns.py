"""Turns from end to end: what a judge says of them becomes `turn_rewards`, whatever lies between."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest

from ranker import (
    ConfigurationError,
    JudgeError,
    LLMJudge,
    Trajectory,
    TrajectoryGroup,
    rank_group,
    rank_groups,
)
from ranker.aggregate.turns import mean_marks
from ranker.errors import GroupError
from ranker.jsonl.group_file import turn_rewards_of
from ranker.judges.batch import BatchJudge
from ranker.suites import desk_world as desk
from ranker.testing import Behaviour
from ranker.trajectory import assistant_turns
from tests.cli.test_cli import ranker, records, write
from tests.scripted_server import ScriptedServer, chat


def group_of(size: int, seed: int = 0) -> TrajectoryGroup:
    """Attempts at a desk, with what each and each of its turns is worth."""
    row, rng = desk.rows(1, seed)[0], random.Random(seed)
    attempts = [desk.clerk(row, (k + 0.5) / size, rng) for k in range(size)]
    return TrajectoryGroup(
        [
            replace(
                t,
                id=f"t{k}",
                ground_truth=desk.checker(t, row),
                metadata={"turn_truths": desk.turn_truths(t, row)},
            )
            for k, t in enumerate(attempts)
        ],
        id=f"desk-{seed}",
    )


def signs(group: TrajectoryGroup) -> list[list[float | None]]:
    """The marks of a judge that is always right."""
    return [
        [1.0 if v > 0 else -1.0 if v < 0 else None for v in t.metadata["turn_truths"]]
        for t in group.trajectories
    ]


def test_marks_come_back_in_the_order_given(serve):
    """One call a pass, a value for each assistant message, and the ranking as ever."""
    group = group_of(5)
    server = serve([group])
    asked = {"base_url": server.base_url, "credit": "turns"}
    ranked = rank_group(group, "openai/sim", **asked)
    assert ranked.turn_rewards == signs(group)
    assert ranked.usage.calls == server.requests == 1
    assert ranked.prompt_id.startswith("turns.v1:")
    backwards = TrajectoryGroup(group.trajectories[::-1])
    assert rank_group(backwards, "openai/sim", passes=3, **asked).turn_rewards == signs(backwards)
    assert rank_group(group, "openai/sim", base_url=server.base_url).turn_rewards is None


def test_passes_are_averaged_and_a_pass_without_a_mark_counts_as_none():
    said = iter([[1.0, None], [-1.0, 1.0], [None, None], [1.0, None]])

    def judge(trajectories):
        own = next(said)
        return [0.1] * len(trajectories), [own if len(t.messages) > 1 else None for t in trajectories]

    two = [{"role": "assistant", "content": "a"}, {"role": "assistant", "content": "x"}]
    ranked = rank_group([two, [{"role": "assistant", "content": "b"}]], judge, passes=4, credit="turns")
    assert ranked.turn_rewards == [[0.25, 0.25], [None]]


def test_marks_that_cancel_are_not_the_same_as_none():
    assert mean_marks([{0: 1.0, 2: 1.0}, {0: -1.0}]) == {0: 0.0, 2: 0.5}


def test_attempts_that_are_the_same_share_their_marks(serve):
    group = group_of(4)
    twice = TrajectoryGroup([*group.trajectories, replace(group.trajectories[1], id="again")])
    ranked = rank_group(twice, "openai/sim", base_url=serve([group]).base_url, credit="turns")
    assert ranked.turn_rewards == signs(twice)
    assert ranked.turn_rewards[1] == ranked.turn_rewards[4]
    assert ranked.turn_rewards[1] is not ranked.turn_rewards[4]
    alone = rank_group([group.trajectories[0].bare()] * 2, "openai/none", credit="turns")
    assert alone.turn_rewards == [[None] * len(assistant_turns(group.trajectories[0]))] * 2


def test_one_message_or_two_are_told_apart():
    """The same text in one message and in two: the numbers of turns differ, and each has values for its own."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    one = [{"role": "assistant", "content": "a", "tool_calls": [call]}]
    two = [{"role": "assistant", "content": "a"}, {"role": "assistant", "tool_calls": [call]}]

    def judge(trajectories):
        return [1.0, 0.0], [[1.0] * len(assistant_turns(t)) for t in trajectories]

    assert rank_group([one, two], judge, credit="turns").turn_rewards == [[1.0], [1.0, 1.0]]


def test_large_groups_are_marked_in_windows(serve):
    group = group_of(9)
    judge = LLMJudge("sim", base_url=serve([group]).base_url, credit="turns", max_group=4)
    ranked = rank_group(group, judge, credit="turns", passes=2)
    assert ranked.turn_rewards == signs(group)
    assert ranked.usage.calls > 4


def test_a_judge_that_is_right_four_times_in_five(serve):
    """Marks of turns that are worth something are right as often as said; with passes their mean is right more often."""
    groups = [group_of(6, seed) for seed in range(40)]
    for accuracy, low, high in ((1.0, 1.0, 1.0), (0.8, 0.75, 0.85), (0.5, 0.44, 0.56)):
        server = serve(groups, Behaviour(turn_accuracy=accuracy))
        options = {"base_url": server.base_url, "credit": "turns", "progress": False}
        pairs = [
            (value, truth)
            for group, ranked in zip(groups, rank_groups(groups, "openai/sim", **options), strict=True)
            for own, t in zip(ranked.turn_rewards, group.trajectories, strict=True)
            for value, truth in zip(own, t.metadata["turn_truths"], strict=True)
            if truth
        ]
        assert low <= sum(value * truth > 0 for value, truth in pairs) / len(pairs) <= high


def test_a_fault_is_named_when_it_is_asked_again(tmp_path):
    """A turn that does not exist, then a good reply: two calls, one verdict, and it alone is cached."""
    attempts = [[{"role": "assistant", "content": word}] for word in ("one", "two")]

    def reply(messages, turn):
        ids = messages[1]["content"].rpartition("Rank ")[2].rstrip(".").split(", ")
        mark = {"id": ids[0], "helped": [turn], "hurt": []}
        return json.dumps({"reasons": [], "turns": [mark], "ranking": [[name] for name in ids]})

    with ScriptedServer(lambda body, n: chat(reply(body["messages"], 2 if n == 1 else 1))) as server:
        judge = LLMJudge("sim", base_url=server.base_url, credit="turns", cache=tmp_path / "cache")
        ranked = rank_group(attempts, judge, credit="turns")
        assert sorted(map(str, ranked.turn_rewards)) == ["[1.0]", "[None]"]
        assert ranked.usage.failed_calls == 1
        retry = server.requests[1]["messages"][-1]["content"]
        assert "turn 2 of" in retry
        assert "there are 1 to 1" in retry
        again = rank_group(attempts, judge, credit="turns")
        assert (again.turn_rewards, again.usage.cached_calls) == (ranked.turn_rewards, 1)
        plain = LLMJudge("sim", base_url=server.base_url, cache=tmp_path / "cache")
        assert rank_group(attempts, plain).usage.cached_calls == 0


@pytest.mark.parametrize(
    "judge",
    ["local:smollm2", "local:smollm2@pointwise_in_context", LLMJudge("sim", base_url="http://x/v1")],
)
def test_a_judge_that_cannot_name_turns_is_refused_before_any_call(judge):
    with pytest.raises(ConfigurationError, match=r"cannot say which turns helped.*base_url"):
        rank_group(group_of(2), judge, credit="turns")


def test_settings_that_do_not_go_together():
    group = group_of(2)
    for settings, why in (
        ({"reward": "score"}, "goes with a ranking"),
        ({"credit": "tokens"}, "give 'turns'"),
        ({"template": "rank.v1"}, "no block turns"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            rank_group(group, "openai/sim", **{"credit": "turns", **settings})


@pytest.mark.parametrize(
    "turns",
    [[[1.0, 0.5, 0.0, 0.2], None], [[2.0], None], [[float("nan")], None], [["x"], None]],
)
def test_a_function_that_returns_what_are_no_turns(turns):
    attempts = [[{"role": "assistant", "content": word}] for word in ("one", "two")]
    with pytest.raises(JudgeError, match="judge"):
        rank_group(attempts, lambda trajectories: ([1.0, 0.0], turns), credit="turns")


def test_a_function_that_returns_none_is_warned_about():
    attempts = [[{"role": "assistant", "content": word}] for word in ("one", "two")]
    ranked = rank_group(attempts, lambda trajectories: [1.0, 0.0], credit="turns")
    assert ranked.turn_rewards == [[None], [None]]
    assert "returned none" in ranked.warnings[0]
    tiers = rank_group(attempts, lambda trajectories: ([0], [1]))
    assert tiers.turn_rewards is None
    assert sorted(tiers.rewards) == [0.0, 1.0]


def test_ranked_files_carry_turns(serve, tmp_path):
    """`ranker rank --credit turns` writes them by trajectory id; they are read back in the order of the group."""
    groups = [group_of(4, seed) for seed in range(3)]
    groups = [replace(g, trajectories=[replace(t, tools=None) for t in g.trajectories]) for g in groups]
    server = serve(groups)
    source, out = write(tmp_path / "in.jsonl", groups), tmp_path / "out.jsonl"
    reach = ["--judge", "sim", "--base-url", server.base_url]
    done = ranker("rank", source, *reach, "--out", out, "--credit", "turns", RANKER_CACHE="off")
    assert done.returncode == 0, done.stderr
    for record in records(out):
        group = next(g for g in groups if g.id == record["id"])
        assert record["turn_rewards"] == dict(zip(group.ids, signs(group), strict=True))
        assert turn_rewards_of(record, group) == signs(group)
        assert turn_rewards_of({**record, "error": {"type": "x"}}, group) is None
        for wrong in ([2.0], [], "x", [True] * 3):
            with pytest.raises(GroupError, match="--credit turns"):
                turn_rewards_of({**record, "turn_rewards": {**record["turn_rewards"], "t0": wrong}}, group)
    refused = ranker(
        "rank", source, "--judge", "local:smollm2", "--out", tmp_path / "no.jsonl", "--credit", "turns"
    )
    assert refused.returncode == 2
    assert "cannot say which turns" in refused.stderr


def test_a_batch_judge_can(tmp_path):
    judge = BatchJudge("sim", base_url="http://127.0.0.1:9/v1", store=tmp_path / "store", credit="turns")
    assert judge.credit == "turns"
    assert "turns" in judge.template.prompt_id


def test_a_group_that_has_no_assistant_messages():
    ranked = rank_group(
        [[{"role": "user", "content": w}] for w in "ab"], lambda ts: ([1.0, 0.0], [[], []]), credit="turns"
    )
    assert ranked.turn_rewards == [[], []]
    assert len(assistant_turns(Trajectory([{"role": "user", "content": "x"}]))) == 0
