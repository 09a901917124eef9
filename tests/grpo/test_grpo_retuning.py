"""A local judge that learns from its audits while it trains a policy: versions, proof, and exact resumes."""

from __future__ import annotations

import contextlib
import gc
import os
import shutil
import signal
import subprocess
import sys
import weakref
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from grpo.retuning import LEAST, Retuning, local_judge, replace_judge
from grpo.rewards import Reward, Rewarder
from ranker import Audit, ConfigurationError, rank_group
from ranker.jsonl.group_file import dump_line
from ranker.judges.registry import resolve
from ranker.tuning.config import Tuning
from ranker.tuning.examples import from_groups
from ranker.tuning.folder import BEFORE, Folder
from ranker.tuning.run import Run
from tests.grpo.test_grpo_people import by_spread, label
from tests.grpo_runs import begin, lines, spread, train, untimed
from tests.tuning_models import group, tiny

STEPS = {"max_steps": 7, "groups_per_step": 3, "save_steps": 2, "num_generations": 4}


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny judge that was tuned for a moment: it knows nothing of what the policies here write."""
    home = tmp_path_factory.mktemp("judge")
    base = tiny(home / "base")
    tuning = Tuning(base, epochs=1, minutes=None)
    Run(tuning, from_groups(map(group, range(16))), home / "judge").go()
    return home / "judge"


def run(out: Path, judge: Path, resume: bool = False, die: int = 0) -> list[dict[str, Any]]:
    """A run whose judge is tuned after every six audits; it may kill itself after a step."""

    def report(line: Any) -> None:
        if line["step"] == die:
            os.kill(os.getpid(), signal.SIGKILL)

    audit = Audit(auditor=spread, share=1.0, on_alarm="retune", retune_every=6)
    reward = partial(rank_group, judge=f"local:{judge}", rubric="Prefer the better.", cache="off")
    return train(reward, out=out, audit=audit, resume=resume, report=report, **STEPS)[1]


def test_the_judge_is_tuned_and_goes_on_judging(tmp_path, judge):
    out = tmp_path / "run"
    history = run(out, judge)
    retunes = lines(out / "retunes.jsonl")
    assert [r["version"] for r in retunes] == list(range(1, len(retunes) + 1))
    assert len(retunes) >= 2
    assert all("error" not in r for r in retunes), retunes
    assert retunes[0]["groups"] >= LEAST
    assert all(r["accepted"] == (r["after"]["value"] >= r["before"]["value"]) for r in retunes)
    versions = [m["judge_version"] for m in history]
    assert versions == [sum(r["step"] <= step and r["accepted"] for r in retunes) for step in range(1, 8)]
    judges = {s["group"]: s["judges"]["reward"] for s in lines(out / "samples.jsonl")}
    assert judges[0] == f"local:{judge}"
    for record in retunes:
        if record["accepted"]:
            assert record["judge"] in judges.values() or record["step"] >= 6, (
                "the last groups were judged already"
            )
            assert (Path(record["judge"][6:]) / "judge.json").is_file()
        else:
            assert record["judge"] not in judges.values()
    kept = lines(out / "judge_groups.jsonl")
    assert len(kept) == sum(bool(a["weight"]) for a in lines(out / "audits.jsonl"))
    assert {k["rubric"] for k in kept} == {"Prefer the better."}


def test_the_judge_learns_from_what_people_said(tmp_path, judge):
    """Their answers come a step or more after the groups."""
    out, labelled = tmp_path / "run", 0

    def report(line: Any) -> None:
        nonlocal labelled
        count = len(lines(out / "queue.jsonl"))
        label(out, labelled, count, by_spread)
        labelled = count

    audit = Audit(auditor="people", share=1.0, on_alarm="retune", retune_every=6)
    reward = partial(rank_group, judge=f"local:{judge}", rubric="Prefer the better.", cache="off")
    train(reward, out=out, audit=audit, report=report, **STEPS)
    retunes = lines(out / "retunes.jsonl")
    assert retunes
    assert all("error" not in r for r in retunes), retunes
    answered = [a for a in lines(out / "audits.jsonl") if a.get("waiting") is None and a["weight"]]
    kept = lines(out / "judge_groups.jsonl")
    assert [(int(k["id"]), k["step"]) for k in kept] == [(a["group"], a["step"]) for a in answered]
    assert {k["rubric"] for k in kept} == {"Prefer the better."}
    assert all([t["ground_truth"] for t in k["trajectories"]] == by_spread(k) for k in kept)
    begin(reward, out=out, audit=audit, resume=True, **STEPS).close()


@pytest.mark.parametrize("die", [3, 5, 6])
def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, judge, die):
    whole, killed = tmp_path / "whole" / "run", tmp_path / "killed" / "run"
    run(whole, judge)
    code = f"from pathlib import Path; from tests.grpo.test_grpo_retuning import run; run(Path({str(killed)!r}), Path({str(judge)!r}), die={die})"
    dead = subprocess.run(
        [sys.executable, "-c", code],
        check=False,
        capture_output=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert dead.returncode == -signal.SIGKILL, dead.stderr
    run(killed, judge, resume=True)

    def told(out: Path, name: str) -> str:
        return (out / name).read_text(encoding="utf-8").replace(str(out), "RUN")

    assert untimed(lines(killed / "metrics.jsonl")) == untimed(lines(whole / "metrics.jsonl"))
    for name in ("retunes.jsonl", "judge_groups.jsonl", "audits.jsonl"):
        assert told(killed, name) == told(whole, name), name
    assert (killed / "final" / "model.safetensors").read_bytes() == (
        whole / "final" / "model.safetensors"
    ).read_bytes()


def test_tuning_that_fails_leaves_the_judge(tmp_path, judge, caplog):
    """Where there are too few groups of different tasks to hold some out."""
    out = tmp_path / "run"
    rows = [{"id": "same", "prompt": "t1 t2 t3"}]
    audit = Audit(auditor=spread, share=1.0, on_alarm="retune", retune_every=12)
    reward = partial(rank_group, judge=f"local:{judge}", cache="off")
    _, history = train(reward, out=out, rows=rows, audit=audit, **STEPS)
    (first, *_) = lines(out / "retunes.jsonl")
    assert {m["judge_version"] for m in history} == {0}
    assert f"Step {first['step']}: the judge was not tuned, and goes on as it is: Config" in caplog.text
    assert not first["accepted"]
    assert "Too few groups" in first["error"]
    assert {s["judges"]["reward"] for s in lines(out / "samples.jsonl")} == {f"local:{judge}"}


@pytest.mark.parametrize("every", [2, 50], ids=["a checkpoint", "no checkpoint"])
def test_a_version_of_steps_that_are_taken_again_is_no_hindrance(tmp_path, judge, every):
    """It was tuned on other groups: a server samples others after a resume."""
    out, more = tmp_path / "run", {**STEPS, "save_steps": every}

    def halt(line: Any) -> None:
        if line["step"] == 3:
            raise InterruptedError

    audit = Audit(auditor=spread, share=1.0, on_alarm="retune", retune_every=6)
    reward = partial(rank_group, judge=f"local:{judge}", cache="off")
    trainer = begin(reward, out=out, audit=audit, **more)
    with contextlib.suppress(InterruptedError):
        trainer.train(halt)
    trainer.close()
    stale = out / "judges" / "version-1"
    stale.mkdir(parents=True)
    Folder(stale, "another tuning").write(BEFORE, {"made": []})
    train(reward, out=out, audit=audit, resume=True, **more)
    retunes = lines(out / "retunes.jsonl")
    assert retunes
    assert all("error" not in r for r in retunes), retunes


@pytest.mark.parametrize("action", ["retune", "warn"])
def test_a_tuned_judge_goes_on_judging_whatever_follows_an_alarm_now(tmp_path, judge, action):
    """A run of which step 2 made a version, resumed from there."""
    out = tmp_path / "run"
    reward = partial(rank_group, judge=f"local:{judge}", cache="off")

    def halt(line: Any) -> None:
        if line["step"] == 3:
            raise InterruptedError

    audit = Audit(auditor=spread, share=0.1, on_alarm="retune")
    trainer = begin(reward, out=out, audit=audit, **STEPS)
    with pytest.raises(InterruptedError):
        trainer.train(halt)
    trainer.close()
    version = out / "judges" / "version-1"
    shutil.copytree(judge, version)
    record = {"step": 2, "version": 1, "groups": 12, "judge": f"local:{version}", "accepted": True}
    (out / "retunes.jsonl").write_bytes(dump_line(record))
    _, history = train(reward, out=out, audit=replace(audit, on_alarm=action), resume=True, **STEPS)
    judges = {s["group"]: s["judges"]["reward"] for s in lines(out / "samples.jsonl")}
    earned = {judges[k] for k in range(6)}
    assert earned == {f"local:{judge}"}
    assert {judges[k] for k in range(12, 21)} == {f"local:{version}"}
    assert [m["judge_version"] for m in history[2:]] == [1] * 5
    assert lines(out / "retunes.jsonl") == [record]


def test_a_judge_that_was_replaced_does_not_stay_in_memory(tmp_path, judge):
    rewards = [Reward(partial(rank_group, judge=f"local:{judge}", cache="off"))]
    rewarder = Rewarder(rewards, "sum_then_normalize", 60.0)
    retuning = Retuning(tmp_path, rewarder, 0, 0)
    held = []
    for number in range(1, 4):
        rewarder.asked(group(number))
        held.append(weakref.ref(resolve(retuning.judge, cache="off")))
        version = tmp_path / "judges" / f"version-{number}"
        shutil.copytree(judge, version)
        retuning.take({"version": number, "groups": 12, "judge": f"local:{version}", "accepted": True})
    rewarder.asked(group(5))
    gc.collect()
    assert [one() for one in held] == [None] * 3
    assert retuning.judge == f"local:{version}"


def test_which_judge_is_tuned(monkeypatch):
    monkeypatch.delenv("RANKER_JUDGE", raising=False)
    assert local_judge(Reward(partial(rank_group, judge="local:x"))) == "local:x"
    assert local_judge(Reward(rank_group)) == "local"
    assert local_judge(Reward(partial(rank_group, judge="openai/x"))) is None
    assert local_judge(Reward(spread)) is None
    monkeypatch.setenv("RANKER_JUDGE", "openai/x")
    assert local_judge(Reward(rank_group)) is None
    rewarder = Rewarder(
        [Reward(spread, "a"), Reward(partial(rank_group, judge="local", passes=2), "b")],
        "sum_then_normalize",
        1.0,
    )
    replace_judge(rewarder, "local:y")
    assert rewarder.rewards[0].function is spread
    assert rewarder.rewards[1].function.keywords == {"judge": "local:y", "passes": 2}


@pytest.mark.parametrize(
    ("reward", "says"),
    [
        (spread, "0 of the rewards"),
        (partial(rank_group, judge="openai/x"), "0 of the rewards"),
        ([Reward(partial(rank_group, judge="local"), n) for n in "ab"], "2 of the rewards"),
        (partial(rank_group, judge="local:smollm2"), "was not"),
    ],
)
def test_judges_that_cannot_be_tuned(tmp_path, reward, says):
    audit = Audit(auditor=spread, on_alarm="retune")
    with pytest.raises(ConfigurationError, match=says):
        begin(reward, audit=audit, out=tmp_path / "run")


def test_versions_need_a_folder():
    with pytest.raises(ConfigurationError, match="out="):
        begin(partial(rank_group, judge="local"), audit=Audit(auditor=spread, on_alarm="retune"))
