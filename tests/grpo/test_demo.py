"""`ranker demo`: the training loop, and ranking on the embedded model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from grpo.demo.run import show_audits
from ranker import Audit
from ranker.jsonl.group_file import read_groups
from tests.cli.test_cli import ranker
from tests.grpo_runs import opposite, train

pytestmark = pytest.mark.slow


@pytest.mark.timeout(400)
def test_demo_trains_and_shows_what_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = ranker("demo", "--set", "max_steps=3", COLUMNS="140")
    assert done.returncode == 0, done.stderr
    for text in (
        "SmolLM2-135M-Instruct",
        "Before: true reward",
        "as ranked",
        "before and after",
        "True reward while training",
        "50 % is chance",
        "A strong judge audits 18% of the groups, and trains on its ranking of those",
        "The watch: the auditor was asked about",
        "No alarm: they agree still.",
        "cost $0.00",
    ):
        assert text in done.stdout
    before, after = re.search(r"held-out letters: ([\d.]+) .* before, ([\d.]+) ", done.stdout).groups()
    assert float(after) > float(before)
    run = tmp_path / "ranker-demo"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 3
    assert (run / "curves.png").stat().st_size > 10_000
    assert (run / "final" / "model.safetensors").exists()


@pytest.mark.timeout(400)
def test_demo_with_retuning_is_the_same_run_with_a_judge_that_learns(tmp_path):
    done = ranker("demo", "--retune", "--out", tmp_path / "run", "--set", "max_steps=1", COLUMNS="140")
    assert done.returncode == 0, done.stderr
    assert "The judge learns from its audits" in done.stdout
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["on_alarm"] == "retune"
    assert config["audit"]["retune_every"] > 0


def test_an_alarm_and_what_followed_is_told(tmp_path):
    out, said = tmp_path / "run", []
    audit = Audit(share=1.0, on_alarm="stop")
    trainer, history = train(
        opposite, out=out, checker=lambda t, _: sum(map(ord, str(t.messages[-1]["content"]))) % 97 / 97,
        audit=audit, max_steps=10, groups_per_step=3, save_steps=2,
    )  # fmt: skip
    show_audits(said.append, trainer, history, out)
    text = "\n".join(said)
    assert trainer.stopped is not None
    assert f"the auditor was asked about {3 * trainer.stopped.step} of" in text
    assert f"Alarm in step {trainer.stopped.step}:" in text
    assert f"the policy handed back is that of step {trainer.handed_back}." in text


@pytest.mark.timeout(400)
def test_demo_of_ranking_shows_rewards_truth_and_what_it_means():
    done = ranker("demo", "--ranking", COLUMNS="120")
    assert done.returncode == 0, done.stderr
    for text in (
        "reward",
        "truth",
        "Agreement with the truth",
        "95 % interval",
        "linear in rank",
        "simulated",
    ):
        assert text in done.stdout
    assert "The local judge is small" in done.stderr


def test_the_sample_has_one_attempt_of_each_worth_and_length_does_not_show_it():
    path = Path(__file__).parents[2] / "ranker" / "suites" / "data" / "sample.jsonl"
    groups = read_groups(path)
    assert len({group.id for group in groups}) == len(groups) == 12
    longest_is_best = 0
    for group in groups:
        truths = [t.ground_truth for t in group.trajectories]
        assert sorted(truths) == [0.0, 0.3, 0.6, 1.0]
        lengths = [len(json.dumps(list(t.messages))) for t in group.trajectories]
        longest_is_best += lengths.index(max(lengths)) == truths.index(1.0)
    assert longest_is_best <= 6
