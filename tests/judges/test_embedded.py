"""The judge that comes with the package: there, small, as its card says, and better than a coin where it says so."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import pytest_socket

from benchmarks.judges import embedded
from ranker import rank_group
from ranker.judges.embedded import FOLDER
from ranker.judges.embedded.judge import warn_once
from ranker.judges.local.judge_file import read_judge
from ranker.suites import GENERATED, REAL, load

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def network():
    pytest_socket.enable_socket()
    yield
    pytest_socket.socket_allow_hosts(["127.0.0.1", "localhost", "::1"])


@pytest.fixture(scope="module")
def measured() -> dict:
    return read_judge(FOLDER)[0]["measured"]


def test_the_adapter_is_small_and_the_card_tells_every_figure(measured):
    weights = FOLDER / "adapter" / "adapter_model.safetensors"
    assert weights.stat().st_size < 10e6
    card = (FOLDER / "CARD.md").read_text()
    assert set(GENERATED) <= set(measured["families"])
    for family, figures in measured["families"].items():
        assert (
            f"| `{family}` | {figures['value']:.3f} | {figures['low']:.3f} to {figures['high']:.3f} |" in card
        )
    assert set(measured["real"]) == set(REAL)
    for suite, f in measured["real"].items():
        assert f"| `{suite}` | {f['value']:.2f} | {f['low']:.2f} to {f['high']:.2f} | {f['groups']} |" in card
    assert str(measured["tuning"]["seed"]) in card
    assert measured["trained_on"]["command"] in card


def test_the_figures_follow_from_the_recorded_scores(measured):
    records = Path(embedded.__file__).parents[1] / "results" / "embedded" / measured["records"]
    if not records.exists():  # an installed package has no records
        pytest.skip("no records here")
    assert rounded(embedded.summary(records)["families"]) == rounded(measured["families"])
    assert rounded(embedded.on_real_attempts()) == rounded(measured["real"])


def rounded(figures):
    """Without the last digits, in which sums of another order may differ."""
    return json.loads(json.dumps(figures), parse_float=lambda text: round(float(text), 9))


def test_it_says_once_what_it_got_on_attempts_like_these(measured, caplog, network):
    warn_once.cache_clear()
    (game,) = load("game24", 1).groups
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            rank_group(["4", "5"], "local", task="What is 2 + 2?", cache="off")
            rank_group(list(game)[:2], "local", cache="off")
    unlike, like = [r.message for r in caplog.records if "The local judge is small" in r.message]
    assert "measured on no real attempts that look like these" in unlike
    assert all(family in unlike for family in measured["families"])
    for suite in ("gsm8k-solutions", "game24"):
        f = measured["real"][suite]
        assert f"{f['value']:.2f} ({f['low']:.2f} to {f['high']:.2f}) on {suite}" in like


@pytest.mark.timeout(300)
def test_it_orders_groups_of_its_best_family_as_its_card_says(measured, network):
    families = {f: v for f, v in measured["families"].items() if f in GENERATED}
    best = max(families, key=lambda f: families[f]["value"])
    agreeing = pairs = 0.0
    for group in load(best, 12, seed=91).groups:
        ranked = rank_group(group, "local", cache="off", progress=False)
        right, all_ = embedded.agreeing([t.ground_truth for t in group.trajectories], ranked.rewards)
        agreeing, pairs = agreeing + right, pairs + all_
    assert agreeing / pairs > families[best]["low"] - 0.15


def test_recorded_scores_are_what_the_shipped_judge_gives(measured, network):
    records = Path(embedded.__file__).parents[1] / "results" / "embedded" / measured["records"]
    if not records.exists():
        pytest.skip("no records here")
    known = {r["id"]: r for r in map(json.loads, records.read_text().splitlines())}
    judge = embedded.LogprobJudge(embedded.setup_from(*read_judge(FOLDER)), cache="off")
    loaded = judge.local.load()
    for example in embedded.from_groups(load("constraints", 3, seed=7).groups):
        given = embedded.fit(example.shown, judge.setup.way, loaded.window, loaded.count)
        scores, _ = judge.read(loaded, given)
        kept = known[f"constraints/{example.id}"]["scores"]
        assert scores == pytest.approx(kept, abs=0.35)  # bfloat16 on another machine
