"""`reward="debiased"` through judges behind HTTP whose liking is known."""

from __future__ import annotations

import json
import pickle
import random
import re
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from ranker import (
    ConfigurationError,
    Debiaser,
    Trajectory,
    TrajectoryGroup,
    rank_group,
    rank_groups,
)
from ranker.debias.edits import EDITS
from ranker.debias.evidence import Evidence
from ranker.testing import Behaviour, JudgeServer


def quality(block: str) -> float:
    """What an attempt is worth: the number in it, whatever stands around it."""
    found = re.search(r"quality (\d\.\d+)", block)
    return float(found[1]) if found else 0.0


def groups(n: int, size: int = 6, seed: int = 0) -> list[TrajectoryGroup]:
    """Attempts whose length says nothing of their quality."""
    rng = random.Random(seed)
    made = []
    for g in range(n):
        attempts = []
        for _ in range(size):
            truth = round(rng.random(), 3)
            text = f"The quality {truth:.3f} is meant." + " So it goes on." * rng.randrange(8)
            attempts.append(Trajectory([{"role": "assistant", "content": text}], ground_truth=truth))
        made.append(TrajectoryGroup(attempts, id=f"g{g}", task="Say a quality."))
    return made


def right(ranked) -> float:
    """Share of pairs that the rewards order as the truth."""
    pairs = []
    for r in ranked:
        truths = [t.ground_truth for t in r.group.trajectories]
        for i, a in enumerate(truths):
            pairs += [(a > b) == (r.rewards[i] > r.rewards[j]) for j, b in enumerate(truths[:i])]
    return float(np.mean(pairs))


@pytest.fixture
def likes_length():
    with JudgeServer(quality, Behaviour(length_bias=1.0)) as server:
        yield {"judge": "sim", "base_url": server.base_url, "cache": "off", "progress": False}, server


def test_a_liking_for_length_is_taken_out(likes_length):
    options, _ = likes_length
    some = groups(20)
    plain = list(rank_groups(some, **options))
    debiased = list(rank_groups(some, reward="debiased", **options))
    assert right(plain) < 0.72
    assert right(debiased) > 0.82
    assert all(len(r.reward_deviation) == 6 for r in debiased)
    assert {len(r.ranking and [i for t in r.ranking for i in t]) for r in debiased} == {6}, (
        "copies are not attempts"
    )
    assert [r.group for r in debiased] == some


def test_a_sound_judge_keeps_its_rewards():
    with JudgeServer(quality) as server:
        options = {"judge": "sim", "base_url": server.base_url, "cache": "off", "progress": False}
        debiased = list(rank_groups(groups(20), reward="debiased", **options))
    assert right(debiased) > 0.97


def test_rewards_follow_from_input_order_not_from_who_finished_first(likes_length):
    options, _ = likes_length
    some = groups(10)
    one = [r.rewards for r in rank_groups(some, reward="debiased", concurrency=1, **options)]
    many = [r.rewards for r in rank_groups(some, reward="debiased", concurrency=8, **options)]
    assert one == many


def test_state_goes_on_where_it_was_saved(likes_length, tmp_path):
    options, _ = likes_length
    some = groups(8)
    through, halves = Debiaser(), Debiaser()
    whole = [rank_group(g, reward="debiased", debiaser=through, **options).rewards for g in some]
    first = [rank_group(g, reward="debiased", debiaser=halves, **options).rewards for g in some[:4]]
    halves.evidence.save(tmp_path / "state.json")
    resumed = Debiaser(evidence=Evidence.load(tmp_path / "state.json"))
    rest = [rank_group(g, reward="debiased", debiaser=resumed, **options).rewards for g in some[4:]]
    assert first + rest == whole
    assert resumed.evidence.bias["length"].value > 0


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": 99}', '{"version": 1, "history": 3}', '{"version": 1}']
)
def test_a_state_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "state.json").write_text(content)
    with pytest.raises(ConfigurationError, match="state"):
        Evidence.load(tmp_path / "state.json")


def test_a_state_belongs_to_one_judge(likes_length):
    options, _ = likes_length
    debiaser = Debiaser()
    rank_group(groups(1)[0], reward="debiased", debiaser=debiaser, **options)
    other = {**options, "judge": "another"}
    with pytest.raises(ConfigurationError, match="sim, not of another"):
        rank_group(groups(1)[0], reward="debiased", debiaser=debiaser, **other)


def test_covariates_without_the_rule_are_refused(likes_length):
    options, _ = likes_length
    with pytest.raises(ConfigurationError, match="debiased"):
        rank_group(groups(1)[0], covariates=("length",), **options)
    with pytest.raises(ConfigurationError, match="Did you mean 'length'"):
        rank_group(groups(1)[0], reward="debiased", covariates=("lenght",), **options)


def test_groups_of_two_and_attempts_that_are_alike(likes_length):
    options, _ = likes_length
    pair = groups(1, size=2)[0]
    better = max(range(2), key=lambda i: pair.trajectories[i].ground_truth)
    assert len(rank_group(pair, reward="debiased", **options).rewards) == 2
    same = Trajectory([{"role": "assistant", "content": "The quality 0.5 is meant."}])
    alike = rank_group(TrajectoryGroup([same] * 3), reward="debiased", **options)
    assert alike.rewards == [0.0, 0.0, 0.0]
    twice = TrajectoryGroup([same, pair.trajectories[better], same], task="Say a quality.")
    rewards = rank_group(twice, reward="debiased", **options).rewards
    assert rewards[0] == rewards[2] != rewards[1]


def test_position_can_be_a_covariate():
    with JudgeServer(quality, Behaviour(position_bias=1.0)) as server:
        options = {"judge": "sim", "base_url": server.base_url, "cache": "off", "progress": False}
        some = groups(24)
        plain = right(rank_groups(some, **options))
        debiaser = Debiaser(("position",), edits=())
        debiased = right(
            list(rank_groups(some, reward="debiased", debiaser=debiaser, passes=2, **options))[8:]
        )
    assert debiased > plain + 0.05
    assert debiaser.evidence.bias["position"].above(0.0)


def test_copies_never_reach_the_output(likes_length):
    options, _ = likes_length
    ranked = rank_group(groups(1)[0], reward="debiased", **options)
    line = json.dumps(ranked.to_dict())
    assert set(ranked.to_dict()["rewards"]) == set(ranked.group.ids)
    assert "comparisons" not in line
    assert len(ranked.reasons) == 6


@pytest.mark.parametrize("size", [4, 8])
def test_how_many_more_tokens_copies_cost(likes_length, size):
    options, _ = likes_length
    some = groups(12, size=size)

    def tokens(**more):
        return sum(
            r.usage.prompt_tokens + r.usage.completion_tokens for r in rank_groups(some, **options, **more)
        )

    assert tokens(reward="debiased") < 1.3 * tokens()


@pytest.mark.parametrize(("size", "copies"), [(1, 0), (2, 1), (3, 1), (4, 1), (7, 1), (8, 2), (20, 2)])
def test_a_copy_for_every_four_attempts_and_at_most_one_of_each_edit(size, copies):
    owners = [Debiaser().lineup(g).owner_N for g in groups(10, size)]
    assert {len(owner) - size for owner in owners} == {copies}
    assert all(len(set(owner[size:])) == copies for owner in owners)


def test_which_edits_a_small_group_gets_is_drawn():
    edits = [EDITS[name] for name in ("padding", "cut_off", "formatting")]
    debiaser = Debiaser(edits=[replace(edit, worth="worse") for edit in edits])
    used = Counter(debiaser.lineup(g).edit_N[-1] for g in groups(150, 4))
    assert set(used) == {edit.name for edit in edits}
    assert min(used.values()) > 30


def test_attempts_that_are_all_alike_get_no_copies():
    same = groups(1)[0].trajectories[0]
    assert Debiaser().lineup(TrajectoryGroup([same] * 9, task="Say a quality.")).owner_N == tuple(range(9))


def test_an_edit_is_used_for_the_tasks_that_it_states():
    def no_limit(group):
        return "at most" not in group.task

    limited = [replace(g, task="Say it in at most nine words.") for g in groups(8)]
    debiaser = Debiaser(edits=(replace(EDITS["padding"], tasks=no_limit),))
    assert {len(debiaser.lineup(g).owner_N) for g in limited} == {6}
    assert {len(debiaser.lineup(g).owner_N) for g in groups(8)} == {7}
    both = Debiaser(edits=(*debiaser.edits, EDITS["cut_off"]))
    assert {both.lineup(g).edit_N[-1] for g in limited} == {"cut_off"}, "another takes its place"


def test_edits_and_share_are_settings():
    none = Debiaser(edits=())
    assert len(none.lineup(groups(1)[0]).owner_N) == 6
    some = Debiaser(edits=(EDITS["padding"],), share=0.5)
    copied = sum(len(some.lineup(g).owner_N) > 6 for g in groups(200))
    assert 70 < copied < 130
    with pytest.raises(ConfigurationError, match="share"):
        Debiaser(share=2.0)


def test_a_debiaser_can_be_pickled():
    """Trainers of other makers send reward functions to other processes."""
    one, group = Debiaser(covariates=("length", "turns")), groups(1)[0]
    again = pickle.loads(pickle.dumps(one))
    assert again.lineup(group) == one.lineup(group)
