"""`ranker demo` on the embedded model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ranker.benchmarks.sample import groups
from test_cli import ranker

pytestmark = pytest.mark.slow


@pytest.mark.timeout(400)
def test_demo_shows_rewards_truth_and_what_it_means():
    done = ranker("demo", COLUMNS="120")
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
    assert "weak" in done.stderr


def test_the_sample_is_what_its_generator_makes():
    path = Path(__file__).parents[1] / "benchmarks" / "data" / "sample.jsonl"
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
