"""Odd groups, judges, covariates, edits and states: each has its stated behaviour (docs/bias.md)."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ranker import (
    ConfigurationError,
    Debiaser,
    GroupError,
    JudgeCallError,
    Trajectory,
    TrajectoryGroup,
    audit_judge,
    rank_group,
    rank_groups,
)
from ranker.audit.findings import findings
from ranker.debias.edits import EDITS, Edit
from ranker.debias.evidence import Evidence
from ranker.testing import Behaviour
from tests.debias.test_debiased import groups, quality, right
from tests.debias.test_edits import UNFINISHED, WORKED


def at(server, **more):
    return {"judge": "sim", "base_url": server.base_url, "cache": "off", "progress": False, **more}


@pytest.fixture
def sound(serve):
    return at(serve(quality))


# Groups


def test_groups_of_two(sound):
    some = groups(16, size=2)
    ranked = list(rank_groups(some, reward="debiased", **sound))
    assert right(ranked) > 0.9
    assert audit_judge(some, edits=[EDITS["padding"]], **sound).lift("padding").trials == 16


def test_attempts_without_a_last_reply(serve):
    """They are padded by a reply of their own; edits of a reply leave them out."""
    endings = [
        Trajectory([*UNFINISHED.messages[:n], {"role": "user", "content": f"quality 0.{n}"}])
        for n in (2, 3, 4)
    ]
    group = TrajectoryGroup([*endings, Trajectory(UNFINISHED.messages[:3]), WORKED])
    options = at(serve(quality))
    rewards = rank_group(group, reward="debiased", **options).rewards
    assert rewards[2] > rewards[1] > rewards[0] > rewards[4]
    unfinished = replace(group, trajectories=group.trajectories[:4])
    audit = audit_judge([unfinished] * 3, edits=[EDITS["padding"], EDITS["unearned"]], **options)
    assert [(x.edit, x.trials) for x in audit.lifts] == [("padding", 3)]


def test_attempts_of_one_length(serve):
    def of_one_length(n):
        texts = [f"The quality 0.{k * 7 % 10}{n % 10} is meant." for k in range(6)]
        attempts = [Trajectory([{"role": "assistant", "content": t}], ground_truth=quality(t)) for t in texts]
        return TrajectoryGroup(attempts, task="Say a quality.")

    some = [of_one_length(n) for n in range(12)]
    for behaviour in (Behaviour(), Behaviour(length_bias=1.0)):
        options = at(serve(quality, behaviour))
        for edits in ((), (EDITS["padding"],)):
            ranked = rank_groups(some, reward="debiased", debiaser=Debiaser(edits=edits), **options)
            assert right(list(ranked)) == 1.0, "there is no bias between them"


# Judges


def test_a_judge_that_always_ties_gives_no_reward(serve):
    server = serve(quality, Behaviour(tie_below=10.0))
    debiaser = Debiaser()
    ranked = list(rank_groups(groups(6), reward="debiased", debiaser=debiaser, **at(server)))
    assert all(max(map(abs, r.rewards)) < 1e-9 for r in ranked)
    assert debiaser.evidence.bias["length"].value == pytest.approx(0.0, abs=1e-6)
    audit = audit_judge(groups(6), edits=[EDITS["padding"], EDITS["self_praise"]], **at(server))
    assert [(x.places.value, x.wins.value, x.flagged) for x in audit.lifts] == [(0.0, 0.5, False)] * 2


def without_copies(ranked):
    return any("without counterfactual copies" in warning for warning in ranked.warnings)


def test_copies_beyond_the_judges_window(serve):
    """The server takes the group but not its copies: it is asked again without, and the bill says so."""
    group = groups(1, size=4)[0]
    probe = serve(quality, keep_prompts=True)
    rank_group(group, **at(probe))
    size = sum(len(m["content"]) for m in probe.prompts[0]) // 4
    server = serve(quality, window=size + 4)
    ranked = rank_group(group, reward="debiased", **at(server))
    assert without_copies(ranked)
    assert right([replace(ranked, group=group)]) == 1.0
    assert len(ranked.comparisons.owner_N) == 4
    assert server.counts["ok"] == 1
    assert ranked.usage.calls == server.requests > 1
    assert not without_copies(rank_group(group, reward="debiased", **at(probe)))


def test_copies_that_would_take_a_group_into_windows(serve):
    server = serve(quality)
    group = groups(1, size=8)[0]
    ranked = rank_group(group, reward="debiased", max_group=8, **at(server))
    assert without_copies(ranked)
    assert server.requests == 1, "nothing was asked in vain"
    split = rank_group(groups(1, size=12)[0], reward="debiased", max_group=8, **at(server))
    assert without_copies(split)
    assert right([split]) == 1.0
    assert any("windows" in warning for warning in split.warnings)


def test_a_function_that_refuses_copies():
    def fussy(trajectories):
        if len(trajectories) > 3:
            raise ValueError("three at most")
        return [quality(str(t.messages)) for t in trajectories]

    ranked = rank_group(groups(1, size=3)[0], reward="debiased", judge=fussy)
    assert without_copies(ranked)
    assert "three at most" in str(ranked.warnings)
    assert right([ranked]) == 1.0


def test_a_server_that_is_down_is_not_asked_once_more(serve):
    server = serve(quality, faults={"500": 1.0})
    with pytest.raises(JudgeCallError) as raised:
        rank_group(groups(1)[0], reward="debiased", max_retries=1, **at(server))
    assert server.requests == raised.value.usage.calls == 2


def test_several_passes_and_a_judge_that_likes_length(serve):
    options = at(serve(quality, Behaviour(length_bias=1.0, noise=0.1)))
    some = groups(16)
    plain = right(rank_groups(some, passes=2, **options))
    ranked = list(rank_groups(some, passes=2, reward="debiased", **options))
    assert right(ranked) > plain + 0.1
    assert all(len(r.comparisons.tiers_P) == 2 for r in ranked)
    assert all(r.usage.calls == 2 and r.consistency is not None for r in ranked)


def test_judges_that_give_scores(serve):
    """What counts is the order of their scores."""
    some = groups(16)
    server = serve(quality, Behaviour(length_bias=1.0), keep_prompts=True)
    ranked = list(rank_groups(some, reward="debiased", form="scores", **at(server)))
    assert '"scores"' in str(server.prompts[0])
    assert right(ranked) > right(rank_groups(some, form="scores", **at(server))) + 0.1

    def likes_length(trajectories):
        texts = [t.messages[-1]["content"] for t in trajectories]
        longest = max(map(len, texts))
        return [quality(text) + len(text) / longest for text in texts]

    by_function = list(rank_groups(some, reward="debiased", judge=likes_length, progress=False))
    assert right(by_function) > right(rank_groups(some, judge=likes_length, progress=False)) + 0.05


# Covariates


def constant(trajectory):
    return 3.0


def doubled(trajectory):
    return 2 * len(trajectory.messages[-1]["content"])


def test_constant_and_collinear_covariates(serve):
    """A constant one says nothing, and two that say the same take the bias out as one does."""
    options = at(serve(quality, Behaviour(length_bias=1.0)))
    some = groups(16)
    alone = Debiaser(("length",))
    one = right(list(rank_groups(some, reward="debiased", debiaser=alone, **options)))
    many = Debiaser(("length", constant, doubled))
    assert right(list(rank_groups(some, reward="debiased", debiaser=many, **options))) > one - 0.02
    bias = many.evidence.bias
    assert bias["constant"].value == 0.0
    assert bias["constant"].high > 9.0, "nothing is known of it"
    assert bias["length"].value == pytest.approx(bias["doubled"].value, rel=0.05)
    assert bias["length"].value < alone.evidence.bias["length"].value


@pytest.mark.parametrize("value", [float("nan"), None, "7", [1.0]])
def test_a_covariate_that_is_no_number_fails_its_group_before_the_judge_is_asked(serve, value):
    def odd(trajectory):
        return value if "0.1" in str(trajectory.messages) else 1.0

    server = serve(quality)
    ranked = list(
        rank_groups(groups(20), reward="debiased", covariates=(odd,), on_error="skip", **at(server))
    )
    failed = [r for r in ranked if r.error is not None]
    assert 0 < len(failed) < 20
    assert all(isinstance(r.error, GroupError) and "covariate odd" in str(r.error) for r in failed)
    assert server.requests == 20 - len(failed)


def test_a_covariate_that_raises_is_named(sound):
    def broken(trajectory):
        return trajectory.metadata["tokens"]

    with pytest.raises(GroupError, match=r"covariate broken.*KeyError"):
        rank_group(groups(1)[0], reward="debiased", covariates=(broken,), **sound)


def test_a_covariate_may_read_metadata_and_be_of_numpy(sound):
    def tokens(trajectory):
        return np.float32(trajectory.metadata["tokens"])

    group = groups(1)[0]
    members = [replace(t, metadata={"tokens": i}) for i, t in enumerate(group.trajectories)]
    ranked = rank_group(
        replace(group, trajectories=members), reward="debiased", covariates=(tokens,), **sound
    )
    assert len(ranked.rewards) == 6


def test_a_covariate_named_like_the_place_shown_is_refused():
    def position(trajectory):
        return 0.0

    with pytest.raises(ConfigurationError, match="rename"):
        Debiaser((position,))


# Edits


def brevity_is_part_of_the_task(block):
    return quality(block) - len(block) / 250


def test_an_edit_that_does_harm_but_claims_to_do_none(serve):
    """What it costs, and that an audit shows it: the edit falls."""

    def limited(group):
        attempts = [
            replace(t, ground_truth=brevity_is_part_of_the_task(t.messages[-1]["content"]))
            for t in group.trajectories
        ]
        return replace(group, trajectories=attempts)

    some = [limited(g) for g in groups(24)]
    options = at(serve(brevity_is_part_of_the_task))

    def debiased(*edits):
        return right(
            list(rank_groups(some, reward="debiased", debiaser=Debiaser(edits=edits), **options))[8:]
        )

    assert right(rank_groups(some, **options)) == 1.0
    claimed = debiased(EDITS["padding"])
    stated = debiased(replace(EDITS["padding"], worth="worse"))
    assert claimed < 0.95
    assert stated > claimed + 0.03
    audit = audit_judge(some, edits=[EDITS["padding"]], **options)
    assert audit.lift("padding").places.below(0.0)
    assert any("If your task limits length" in finding.text for finding in findings(audit))


def test_an_audit_tries_an_edit_on_the_tasks_that_it_states(sound):
    some = [replace(g, task="Be brief." if i % 3 else "Say a quality.") for i, g in enumerate(groups(9))]
    edit = replace(EDITS["padding"], tasks=lambda group: "brief" not in group.task)
    assert audit_judge(some, edits=[edit], **sound).lift("padding").trials == 3
    nowhere = replace(edit, tasks=lambda group: False)
    with pytest.raises(ConfigurationError, match=r"padding.*any attempt"):
        audit_judge(some, edits=[nowhere], **sound)


def fails(trajectory):
    return trajectory.messages[-1]["text"]


def not_a_trajectory(trajectory):
    return "longer"


@pytest.mark.parametrize("function", [fails, not_a_trajectory])
def test_an_edit_that_fails_is_named(sound, function):
    edit = Edit.of("mine", function)
    with pytest.raises(GroupError, match="edit 'mine' failed"):
        audit_judge(groups(2), edits=[edit], **sound)
    with pytest.raises(GroupError, match="edit 'mine' failed"):
        rank_group(groups(1)[0], reward="debiased", debiaser=Debiaser(edits=[edit]), **sound)
    unsure = replace(EDITS["padding"], tasks=fails)
    with pytest.raises(GroupError, match="tasks of the edit 'padding' failed"):
        rank_group(groups(1)[0], reward="debiased", debiaser=Debiaser(edits=[unsure]), **sound)


# States


def test_a_state_of_other_covariates_is_refused(sound, tmp_path):
    debiaser = Debiaser()
    rank_group(groups(1)[0], reward="debiased", debiaser=debiaser, **sound)
    debiaser.evidence.save(tmp_path / "state.json")
    other = Debiaser(("length", "turns"), evidence=Evidence.load(tmp_path / "state.json"))
    with pytest.raises(ConfigurationError, match=r"of length, not of length, turns"):
        rank_group(groups(1)[0], reward="debiased", debiaser=other, **sound)


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("window",), 0),
        (("window",), "many"),
        (("judge",), 3),
        (("bias",), [{"value": 1.0}]),
        (("history", 0, "owner"), [0, 1, 2, 9]),
        (("history", 0, "attempt"), [17]),
        (("history", 0, "tiers"), [[[0], [1]]]),
        (("history", 0, "covariates"), [[[0.5, 0.5]]]),
        (("history", 0, "covariates", 0, 0, 0), float("nan")),
        (("history", 0, "names"), "length"),
    ],
)
def test_a_damaged_state_is_refused(sound, tmp_path, where, value):
    debiaser = Debiaser()
    rank_group(groups(1)[0], reward="debiased", debiaser=debiaser, **sound)
    state = debiaser.evidence.to_dict()
    inner = state
    for key in where[:-1]:
        inner = inner[key]
    inner[where[-1]] = value
    (tmp_path / "state.json").write_text(json.dumps(state))
    with pytest.raises(ConfigurationError, match="damaged"):
        Evidence.load(tmp_path / "state.json")
