"""`ranker demo`: the training loop, and ranking on the embedded model."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from benchmarks.load.sample import groups
from tests.cli.test_cli import ranker

pytestmark = pytest.mark.slow


@pytest.mark.timeout(400)
def test_demo_trains_and_shows_what_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = ranker("demo", "--set", "max_steps=10", COLUMNS="140")
    assert done.returncode == 0, done.stderr
    for told in (
        "SmolLM2-135M-Instruct",
        "Before: true reward",
        "as ranked",
        "before and after",
        "True reward while training",
        "50 % is chance",
        "cost $0.00",
    ):
        assert told in done.stdout
    before, after = re.search(r"held-out letters: ([\d.]+) .* before, ([\d.]+) ", done.stdout).groups()
    assert float(after) > float(before)
    run = tmp_path / "ranker-demo"
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 10
    assert (run / "curves.png").stat().st_size > 10_000
    assert (run / "final" / "model.safetensors").exists()


@pytest.mark.timeout(400)
def test_demo_of_ranking_shows_rewards_truth_and_what_it_means():
    done = ranker("demo", "--ranking", COLUMNS="120")
    assert done.returncode == 0, done.stderr
    for told in (
        "reward",
        "truth",
        "reason",
        "Agreement with the truth",
        "95 % interval",
        "linear in rank",
        "simulated",
    ):
        assert told in done.stdout
    assert "The local judge is small" in done.stderr


def test_the_sample_is_what_its_generator_makes():
    path = Path(__file__).parents[2] / "benchmarks" / "data" / "sample.jsonl"
    assert [json.loads(line) for line in path.read_text().splitlines()] == list(groups())


def test_length_does_not_give_the_samples_truth_away():
    agreeing = pairs = 0
    for group in groups():
        sized = [(len(json.dumps(t["messages"])), t["ground_truth"]) for t in group["trajectories"]]
        for i, (a, x) in enumerate(sized):
            for b, y in sized[:i]:
                pairs += 1
                agreeing += (a > b) == (x > y)
    assert 0.4 <= agreeing / pairs <= 0.6
