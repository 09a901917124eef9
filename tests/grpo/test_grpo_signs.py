"""Signs that need no auditor: closed forms, warnings in real runs, and nothing of it in what is learned."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from benchmarks.study import online
from benchmarks.study.plan import ARMS
from grpo.config_file import read_settings
from grpo.demo import quick
from grpo.group_reward import GroupReward
from grpo.runs.metrics import ScoredGroup
from grpo.runs.signs import FIRST, Signs, rank_correlation
from grpo.trainer import GRPOTrainer
from grpo.types import Rollout, RolloutGroup
from ranker import Trajectory
from ranker.testing import Behaviour
from ranker.watch.audit import Audit
from tests.grpo.test_grpo_resume import final, same
from tests.grpo_runs import Nursery, fives, furthest, judge_at, lines, spread, train, untimed, weights

LIFTS = Audit(auditor=None, lift_share=1.0)
MANY = {"setup": {"initializer_range": 0.2}, "max_steps": 4}
LIFTED = ("lift", "judge_calls")


def test_rank_correlation_is_spearmans():
    rng = np.random.default_rng(0)
    for _ in range(50):
        x, y = rng.integers(0, 5, (2, 8)).tolist()
        expected = stats.spearmanr(x, y).statistic if len(set(x)) > 1 and len(set(y)) > 1 else None
        assert rank_correlation(x, y) == (None if expected is None else pytest.approx(expected))
    assert rank_correlation([1, 1, 1], [1, 2, 3]) is None


def scored(rewards: list[float | None], words: list[int], turns: list[int], **fields: Any) -> ScoredGroup:
    rollouts = []
    for count, messages in zip(words, turns, strict=True):
        said = [{"role": "assistant", "content": "a"}] * (messages - 1)
        last = {"role": "assistant", "content": " ".join(["a"] * (count - messages + 1))}
        rollouts.append(Rollout(Trajectory([{"role": "user", "content": "Go."}, *said, last]), ()))
    group = RolloutGroup(0, {}, tuple(rollouts), 0, (None,) * len(rewards))
    return ScoredGroup(group, GroupReward(rewards, **fields))


def test_the_signs_of_a_step():
    one = scored([0.0, 0.5, 1.0], [5, 10, 20], [3, 2, 1], consistency=0.5)
    other = scored([0.0, 1.0, 1.0, None], [20, 5, 5, 90], [2, 2, 2, 1])
    broken = scored([None, None, None], [5, 10, 20], [3, 2, 1], error="no answer")
    found = Signs().metrics([one, other, broken], 12.0, 0.5)
    assert found == {
        "judge_consistency": 0.5,
        "tied_pairs_share": 1 / 6,
        "reward_length_correlation": pytest.approx(0.0),
        "reward_turns_correlation": pytest.approx(-1.0),
        "reward_position_correlation": None,
        "length_drift": 1.0,
        "entropy_drift": 0.0,
    }
    nothing = Signs().metrics([broken], None, None)
    assert set(nothing.values()) == {None}


def test_drift_is_against_the_first_steps_and_goes_on_after_a_checkpoint():
    signs = Signs()
    words = [10.0, 20.0, 30.0, 40.0, 50.0, 60.0, 15.0]
    found = [signs.metrics([], w, w / 10) for w in words[:3]]
    signs = Signs.from_dict(signs.to_dict())
    found += [signs.metrics([], w, w / 10) for w in words[3:]]
    starts = [np.mean(words[: min(n, FIRST)]) for n in range(1, 8)]
    assert [f["length_drift"] for f in found] == pytest.approx(
        [w / s for w, s in zip(words, starts, strict=True)]
    )
    assert [f["entropy_drift"] for f in found] == pytest.approx(
        [(w - s) / 10 for w, s in zip(words, starts, strict=True)]
    )


def test_place_and_passes_are_seen_where_they_are_known(serve):
    server = serve(fives, Behaviour(position_bias=5.0))
    judge = judge_at(server.base_url, reward="debiased", passes=2, covariates=("position",))
    _, history = train(judge, **MANY, scale_rewards="batch")
    assert all(line["reward_position_correlation"] > 0.9 for line in history)
    assert all(line["judge_consistency"] < 0.5 for line in history), "passes show the attempts in reverse"
    _, history = train(judge_at(serve(fives).base_url), **MANY)
    assert all(line["reward_position_correlation"] is None for line in history)
    assert all(line["judge_consistency"] is None for line in history)


def clerk(name: str, steps: int, **settings: Any) -> tuple[GRPOTrainer, list[dict[str, Any]]]:
    """A short run of the study."""
    arm = ARMS[name]
    config = replace(read_settings("quick").config, max_steps=steps, save_steps=0, seed=1)
    model, tokenizer = quick.policy()
    with online.rewards(arm, 1) as judge:
        trainer = GRPOTrainer(
            model,
            tokenizer=tokenizer,
            dataset=quick.rows(),
            reward_fn=judge,
            rollout=quick.rollout,
            checker=partial(online.graded, arm=arm),
            config=config,
            **settings,
        )
        return trainer, trainer.train()


@pytest.mark.parametrize(
    ("name", "edits"),
    [("longer-1", {"padding", "more_padding", "repetition"}), ("pretence-1.5", {"unearned"})],
)
def test_a_judge_with_a_vice_is_warned_of(name, edits, tmp_path, caplog):
    audit = Audit(auditor=None, lift_share=1.0)
    trainer, history = clerk(name, 10, audit=audit, out=tmp_path)
    assert {w.edit for w in trainer.lifts.warnings} & edits
    assert {w.edit for w in trainer.lifts.warnings} <= edits
    written = lines(tmp_path / "warnings.jsonl")
    assert [(w["step"], w["edit"]) for w in written] == [(w.step, w.edit) for w in trainer.lifts.warnings]
    assert all(w["counted"]["low"] > 0 and "bias.md" in w["remedy"] for w in written)
    assert sum("places from their originals" in r.message for r in caplog.records) == len(written)
    last = history[-1]
    assert last["lift_warnings"] == len(written)
    assert all(last[f"lift/{w['edit']}_low"] > 0 for w in written)
    assert last["lift_calls"] == last["lift_trials"] > 40
    assert trainer.step == 10
    assert trainer.stopped is None


@pytest.mark.parametrize("name", ["noise-0.8", "truth"])
def test_a_judge_without_a_vice_is_not(name):
    trainer, history = clerk(name, 8, audit=LIFTS)
    assert history[-1]["lift_trials"] > 40
    assert not trainer.lifts.warnings


def without_lifts(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if not k.startswith(LIFTED)} for line in untimed(history)]


def plain_and_lifted(reward_fn: Any, lifted_fn: Any = None, **settings: Any) -> Any:
    plain, history = train(reward_fn, **MANY, **settings)
    lifted, watched = train(lifted_fn or reward_fn, **MANY, **settings, audit=LIFTS)
    assert without_lifts(watched) == without_lifts(history)
    assert furthest(weights(plain), weights(lifted)) == 0.0
    return watched[-1], history[-1]


def test_nothing_of_it_is_learned(serve):
    server = serve(fives, Behaviour(noise=0.3))
    last, without = plain_and_lifted(judge_at(server.base_url))
    assert last["lift_trials"] > 4
    assert "lift_trials" not in without
    last, _ = plain_and_lifted(spread)
    assert last["lift_trials"] > 4
    likes_length = serve(fives, Behaviour(length_bias=0.3))
    debiased = judge_at(likes_length.base_url, reward="debiased")
    last, _ = plain_and_lifted(debiased, scale_rewards="batch")
    assert last["lift_trials"] > 4


def test_calls_are_counted_and_anchors_are_left_out(serve):
    server = serve(fives, keep_prompts=True)
    settings = {**MANY, "setup": {"initializer_range": 0.2}, "lora_r": 4, "anchor_share": 1.0}
    _, history = train(judge_at(server.base_url), **settings, audit=LIFTS)
    assert server.requests == sum(line["judge_calls"] for line in history)
    assert history[-1]["lift_calls"] > 0
    sizes = {prompt[-1]["content"].count("<trajectory id=") for prompt in server.prompts}
    assert max(sizes) == 6, "four attempts, a copy and a control"


@pytest.mark.parametrize("fault", ["raises", "says nothing", "hangs"])
def test_a_trial_that_fails_changes_nothing(fault):
    stop = threading.Event()

    def judge(group: Any) -> list[float | None]:
        if len(group) <= 4:
            return list(spread(group))
        if fault == "raises":
            raise ValueError("no")
        if fault == "hangs":
            stop.wait()
        return [None] * len(group)

    more = {"reward_timeout": 1.0, "max_steps": 2} if fault == "hangs" else {"max_steps": 4}
    plain, history = train(spread, **{**MANY, **more})
    lifted, watched = train(judge, **{**MANY, **more}, audit=LIFTS)
    stop.set()
    assert without_lifts(watched) == without_lifts(history)
    assert furthest(weights(plain), weights(lifted)) == 0.0
    assert watched[-1]["lift_trials"] == 0
    assert watched[-1]["lifts_failed"] > 0 or fault == "hangs"
    assert watched[-1]["failed_groups"] == 0


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("die", [{"step": 5}, {"reward": 22}, {"save": 2}])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(nursery, serve, tmp_path, die):
    server = serve(fives, Behaviour(length_bias=2.0))
    spec = {
        "judge": server.base_url,
        "policy": {"initializer_range": 0.2},
        "config": {"max_steps": 8, "save_steps": 3, "groups_per_step": 4},
        "audit": {"auditor": None, "lift_share": 1.0, "lift_edits": ["padding", "cut_off", "flattery"]},
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert nursery.run({**spec, "out": str(whole)}) == 0
    assert nursery.run({**spec, "out": str(killed), "die": die}) == -9
    assert nursery.run({**spec, "out": str(killed), "resume": True}) == 0
    same(whole, killed)
    assert lines(whole / "warnings.jsonl") == lines(killed / "warnings.jsonl")
    assert {w["edit"] for w in lines(whole / "warnings.jsonl")} == {"padding"}
    assert all(r["lift"] is None or r["lift"]["error"] is None for r in lines(killed / "rewards.jsonl"))
    assert final(whole)


def test_a_folder_is_resumed_with_the_same_lifts_alone(tmp_path: Path, caplog):
    caplog.set_level(logging.WARNING)
    train(spread, **MANY, out=tmp_path, audit=LIFTS)
    with pytest.raises(Exception, match="lift_share"):
        train(spread, **MANY, out=tmp_path, resume=True, audit=replace(LIFTS, lift_share=0.5))


def test_a_config_file_names_no_auditor(tmp_path):
    file = tmp_path / "run.toml"
    file.write_text(
        'model = "grpo.demo.quick:policy"\ndataset = "grpo.demo.quick:rows"\n[judge]\nmodel = "openai/sim"\n'
        '[audit]\nauditor = "none"\nlift_share = 0.3\nlift_edits = ["padding", "cut_off"]\n'
    )
    audit = read_settings(str(file)).audit()
    assert (audit.auditor, audit.lift_share, list(audit.edits)) == (None, 0.3, ["padding", "cut_off"])
