"""Audits in training: which groups, what is found, what an alarm does, and that a resumed run knows all of it."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest

from grpo.draws import drawn
from grpo.errors import RunFolderError
from grpo.runs import checkpoint
from ranker import ConfigurationError, JudgeCallError, rank_group
from ranker.watch.audit import Audit, probability
from tests.grpo_runs import (
    Nursery,
    begin,
    fives,
    furthest,
    judge_at,
    lines,
    opposite,
    spread,
    train,
    untimed,
    weights,
)

STEPS = 16
LONG = {"max_steps": STEPS, "save_steps": 2, "groups_per_step": 3}


def said(trajectory: Any) -> str:
    return str(trajectory.messages[-1]["content"])


def truth(trajectory: Any, row: Any) -> float:
    """What `spread` rewards."""
    return sum(map(ord, said(trajectory))) % 97 / 97


def turns_bad(group: Any) -> list[float]:
    """Right for a while, then wrong: by the number of the group, which is the id of those rows."""
    return spread(group) if next(turns_bad.calls) < 24 else opposite(group)  # type: ignore[attr-defined]


# Which groups.


def test_the_share_is_that_of_the_whole_run_and_more_of_its_beginning():
    planned = 1000
    for share in (0.02, 0.1, 0.5, 0.9, 1.0):
        chances = [probability(share, k, planned) for k in range(planned)]
        assert np.mean(chances) == pytest.approx(share, abs=0.004)
        assert chances == sorted(chances, reverse=True)
        assert chances[0] == min(1.0, (1 - (1 - share) ** 0.5) * planned**0.5)
    assert probability(0.1, planned, planned) == probability(0.1, 5, None) == 0.1


def test_the_groups_that_were_drawn_are_audited(tmp_path):
    _, history = train(spread, out=tmp_path / "run", checker=truth, audit=Audit(share=0.3), **LONG)
    audits = lines(tmp_path / "run" / "audits.jsonl")
    expected = [k for k in range(STEPS * 3) if drawn(0, k) < probability(0.3, k, STEPS * 3)]
    assert [a["group"] for a in audits] == expected
    assert history[-1]["audited_groups"] == sum(a["weight"] is not None for a in audits)
    assert all(a["agreement"] == pytest.approx(1.0) for a in audits if a["weight"])
    assert history[-1]["judge_agreement"] == history[-1]["judge_agreement_since_start"] == pytest.approx(1.0)
    assert history[-1]["judge_alarm"] == 0.0


def test_nothing_learns_from_an_audit():
    plain, plain_history = train(spread, checker=truth, **LONG)
    audited, history = train(spread, checker=truth, audit=Audit(share=1.0), **LONG)
    assert furthest(weights(plain), weights(audited)) == 0.0
    shared = [{k: v for k, v in line.items() if k in plain_history[0]} for line in history]
    assert untimed(shared) == untimed(plain_history)


# An auditor that is a judge, over HTTP.


def test_a_judge_is_asked_beside_the_judge(tmp_path, serve):
    server = serve(fives)
    audit = Audit(auditor=judge_at(server.base_url), share=1.0)
    _, history = train(partial(rank_group, judge=by_fives), out=tmp_path / "run", audit=audit)
    audits = lines(tmp_path / "run" / "audits.jsonl")
    assert len(audits) == 6
    assert history[-1]["audit_calls"] == server.requests == sum(a["usage"]["calls"] for a in audits)
    assert all(a["agreement"] == pytest.approx(1.0) for a in audits if a["weight"])


def by_fives(trajectories: Any) -> list[float]:
    return [fives(said(t)) for t in trajectories]


def slow(group: Any) -> list[float]:
    time.sleep(30)
    return spread(group)


def raises(group: Any) -> list[float]:
    raise ValueError("no idea")


@pytest.mark.parametrize(
    ("function", "says"),
    [
        (raises, "ValueError: no idea"),
        (slow, "no answer within timeout = 0.2 seconds"),
        (lambda group: [1.0], "returned 1 values for 4 trajectories"),
        (lambda group: [float("nan")] * 4, "no finite number"),
        (lambda group: "best", "returned a str"),
        (
            partial(rank_group, judge="openai/x", base_url="http://127.0.0.1:9/v1", cache="off", max_calls=0),
            "Budget",
        ),
    ],
)
def test_an_auditor_that_fails_is_counted_and_nothing_else(tmp_path, function, says):
    audit = Audit(auditor=function, share=1.0, timeout=0.2 if function is slow else 60.0)
    trainer, history = train(spread, out=tmp_path / "run", audit=audit)
    assert history[-1]["audits_failed"] == 6
    assert history[-1]["audited_groups"] == 0
    assert history[-1]["judge_agreement"] is None
    assert all(says in a["error"] for a in lines(tmp_path / "run" / "audits.jsonl"))
    assert furthest(weights(trainer), weights(train(spread)[0])) == 0.0


def test_an_auditor_whose_key_is_refused_ends_the_run():
    def refused(group: Any) -> list[float]:
        raise JudgeCallError("no such key", status_code=401)

    with pytest.raises(JudgeCallError, match="no such key"):
        train(spread, audit=Audit(auditor=refused, share=1.0))


def test_an_auditor_that_is_slower_than_the_rewards_may_be_costs_nothing(tmp_path):
    """With the limits as they are by default: the reward's is over before the auditor's."""
    out = tmp_path / "run"
    more = {"max_steps": 2, "save_steps": 1, "reward_timeout": 1.0}
    trainer, history = train(spread, out=out, audit=Audit(auditor=slow, share=1.0), **more)
    assert [m["failed_groups"] for m in history] == [0, 0]
    assert history[-1]["audits_failed"] == 4
    assert all(
        a["error"] == "no answer within reward_timeout = 1 seconds" for a in lines(out / "audits.jsonl")
    )
    assert furthest(weights(trainer), weights(train(spread, **more)[0])) == 0.0
    kept = {r["group"]: r["values"] for r in lines(out / "rewards.jsonl")}
    trained = {s["group"]: [r["reward"] for r in s["rollouts"]] for s in lines(out / "samples.jsonl")}
    assert kept == trained, "a resumed run learns from the same rewards"


def test_an_auditor_that_hangs_holds_up_neither_an_error_nor_the_end_of_the_process():
    code = """
import time
from grpo.rewards import Reward, Rewarder
from grpo.auditing import Auditing
from grpo.types import Rollout, RolloutGroup
from ranker import Audit, JudgeCallError, Trajectory

def hangs(group):
    time.sleep(300)

def refused(group):
    raise JudgeCallError("no such key", status_code=401)

auditing = Auditing(Audit(auditor=hangs, share=1.0), 0, 100)
rewarder = Rewarder([Reward(refused)], "sum_then_normalize", 600.0, auditing)
attempts = tuple(Rollout(Trajectory([{"role": "assistant", "content": word}]), ()) for word in "ab")
rewarder.start(RolloutGroup(0, {}, attempts), lambda reward: None).result()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=100
    )
    assert done.returncode == 1
    assert "no such key" in done.stderr


# What an alarm does.


def test_a_warning_changes_nothing(tmp_path, caplog):
    audit = Audit(share=1.0)
    trainer, history = train(opposite, out=tmp_path / "run", checker=truth, audit=audit, **LONG)
    (alarm,) = lines(tmp_path / "run" / "alarms.jsonl")
    assert alarm["on_alarm"] == "warn"
    assert alarm["agreement"]["high"] < alarm["bound"] == 0.6
    assert alarm["reason"] in caplog.text
    assert [line["judge_alarm"] for line in history].count(1.0) == STEPS - alarm["step"] + 1
    assert len(history) == STEPS
    assert furthest(weights(trainer), weights(train(opposite, checker=truth, **LONG)[0])) == 0.0


def test_stop_hands_back_the_policy_from_before(tmp_path):
    out = tmp_path / "run"
    turns_bad.calls = iter(range(1000))  # type: ignore[attr-defined]
    audit = Audit(share=1.0, on_alarm="stop")
    trainer, history = train(
        turns_bad, out=out, checker=truth, audit=audit, save_total_limit=2, **{**LONG, "max_steps": 40}
    )
    assert trainer.stopped is not None
    assert history[-1]["step"] == trainer.stopped.step < 40
    assert 6 <= trainer.stopped.began <= 11, "the judge is wrong from group 24 on, in step 9"
    assert trainer.handed_back is not None
    assert 4 <= trainer.handed_back < trainer.stopped.began
    kept = checkpoint.newest(out / "checkpoints", trainer.handed_back + 1)
    assert kept is not None
    final = type(trainer.model).from_pretrained(out / "final")
    saved = type(trainer.model).from_pretrained(kept.path)
    assert all((a == b).all() for a, b in zip(final.parameters(), saved.parameters(), strict=True))
    assert (
        furthest(
            weights(trainer), {n: w.numpy() for n, w in final.state_dict().items() if n in weights(trainer)}
        )
        == 0.0
    )


def test_a_judge_that_is_wrong_from_the_start_hands_back_the_start(tmp_path):
    start = weights(begin())
    audit = Audit(share=1.0, on_alarm="stop")
    trainer, history = train(opposite, out=tmp_path / "run", checker=truth, audit=audit, **LONG)
    assert trainer.handed_back == 0
    assert len(history) < STEPS
    assert furthest(start, weights(trainer)) == 0.0


def test_a_run_that_stopped_at_a_checkpoint_stays_stopped(tmp_path):
    out, audit = tmp_path / "run", Audit(share=1.0, on_alarm="stop")
    more = {**LONG, "save_steps": 1}
    first, before = train(opposite, out=out, checker=truth, audit=audit, **more)
    assert first.stopped is not None
    assert (out / "checkpoints" / f"step-{first.stopped.step}").is_dir(), (
        "the alarm fell on a checkpoint's step"
    )
    again, history = train(opposite, out=out, checker=truth, audit=audit, resume=True, **more)
    assert again.stopped == first.stopped
    assert len(history) == len(before)
    assert again.handed_back == first.handed_back


def test_a_run_that_kept_nothing_to_hand_back_says_so(tmp_path, caplog):
    """It began with "warn", which keeps the newest checkpoints alone, and goes on with "stop" under an alarm to come."""
    out = tmp_path / "run"
    turns_bad.calls = iter(range(1000))  # type: ignore[attr-defined]
    more = {**LONG, "max_steps": 40, "save_steps": 1, "save_total_limit": 1}

    def halt(line: Any) -> None:
        if line["step"] == 10:
            raise InterruptedError

    trainer = begin(turns_bad, out=out, checker=truth, audit=Audit(share=1.0), **more)
    with contextlib.suppress(InterruptedError):
        trainer.train(halt)
    trainer.close()
    audit = Audit(share=1.0, on_alarm="stop")
    resumed, _ = train(turns_bad, out=out, checker=truth, audit=audit, resume=True, **more)
    assert resumed.stopped is not None
    assert resumed.handed_back == resumed.step
    assert "No checkpoint from before step" in caplog.text
    assert (out / "final" / "model.safetensors").is_file()


def test_escalated_rewards_are_the_auditors_until_the_judge_is_back(tmp_path):
    """The judge is wrong for groups 12 to 59 only; while there is an alarm the rewards are the auditor's."""
    count = iter(range(1000))

    def judge(group: Any) -> list[float]:
        return opposite(group) if 12 <= next(count) < 60 else spread(group)

    audit = Audit(auditor=spread, share=0.5, on_alarm="escalate")
    out = tmp_path / "run"
    _, history = train(judge, out=out, checker=truth, audit=audit, **{**LONG, "max_steps": 40})
    alarm, *others = lines(out / "alarms.jsonl")
    assert not others
    flags = [line["judge_alarm"] for line in history]
    on = [line["step"] for line in history if line["judge_alarm"]]
    assert on == list(range(on[0], on[-1] + 1)), "on once, off once"
    assert on[0] == alarm["step"] < on[-1] < 40
    assert flags[-1] == 0.0
    within = [a for a in lines(out / "audits.jsonl") if on[0] + 1 < a["step"] <= on[-1]]
    assert len(within) == 3 * (on[-1] - on[0] - 1), "every group is audited"
    trained = {s["group"]: [r["reward"] for r in s["rollouts"]] for s in lines(out / "samples.jsonl")}
    assert all(trained[a["group"]] == a["auditor"] for a in within)
    assert any(a["judge"] != a["auditor"] for a in within)


def test_an_escalated_group_without_its_auditor_fails(tmp_path):
    asked = iter(range(1000))

    def auditor(group: Any) -> list[float]:
        if next(asked) >= 12:
            raise ValueError("gone")
        return spread(group)

    audit = Audit(auditor=auditor, share=1.0, on_alarm="escalate")
    _, history = train(
        opposite, out=tmp_path / "run", audit=audit, max_failed_share=1.0, **{**LONG, "max_steps": 8}
    )
    assert any(line["judge_alarm"] for line in history)
    assert history[-1]["failed_groups"] == 3
    last = lines(tmp_path / "run" / "samples.jsonl")[-1]
    assert "the judge is under an alarm, and the auditor failed: ValueError: gone" in last["error"]


# Resuming.


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


@pytest.mark.parametrize("action", ["warn", "stop", "escalate"])
@pytest.mark.parametrize("die", [{"step": 3}, {"reward": 10}, {"save": 2}], ids=str)
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, nursery, action, die):
    """The alarm comes before, at or after the kill; audits, alarms, metrics and weights are those of a whole run."""
    spec = {
        "audit": {"share": 0.7, "min_agreement": 0.2, "on_alarm": action},
        "wrong": True,
        "config": {**LONG, "save_total_limit": None},
    }
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert nursery.run({**spec, "out": str(whole)}) == 0
    assert nursery.run({**spec, "out": str(killed), "die": die}) == -9
    assert nursery.run({**spec, "out": str(killed), "resume": True}) == 0
    for name in ("audits.jsonl", "alarms.jsonl"):
        assert lines(killed / name) == lines(whole / name), name
    assert lines(whole / "alarms.jsonl")
    assert untimed(lines(killed / "metrics.jsonl")) == untimed(lines(whole / "metrics.jsonl"))
    (one, other) = ((path / "final" / "model.safetensors").read_bytes() for path in (whole, killed))
    assert one == other


def test_the_action_may_change_and_the_audit_may_not(tmp_path):
    out = tmp_path / "run"
    train(opposite, out=out, checker=truth, audit=Audit(share=1.0, on_alarm="stop"), **LONG)
    train(opposite, out=out, checker=truth, audit=Audit(share=1.0), resume=True, **LONG)
    assert len(lines(out / "metrics.jsonl")) == STEPS
    with pytest.raises(RunFolderError, match=r"audit was .*share"):
        begin(opposite, out=out, checker=truth, audit=Audit(share=0.5), resume=True, **LONG)


# Settings.


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"share": 0.0}, "share"),
        ({"share": 1.5}, "share"),
        ({"min_agreement": 1.0}, "min_agreement"),
        ({"on_alarm": "panic"}, "on_alarm"),
        ({"auditor": "openai/gpt-5"}, "partial"),
        ({"on_alarm": "escalate"}, "stronger judge"),
        ({"timeout": 0}, "timeout"),
    ],
)
def test_settings_that_cannot_be(settings, says):
    with pytest.raises(ConfigurationError, match=says):
        Audit(**settings)


def test_what_a_run_lacks_for_its_audit(tmp_path):
    with pytest.raises(ConfigurationError, match="has none"):
        begin(spread, audit=Audit())
    with pytest.raises(ConfigurationError, match="save_steps"):
        begin(spread, checker=truth, audit=Audit(on_alarm="stop"))
    with pytest.raises(ConfigurationError, match="save_steps"):
        begin(spread, checker=truth, audit=Audit(on_alarm="stop"), out=tmp_path / "run", save_steps=0)
