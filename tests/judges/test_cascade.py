"""The cascade: a small judge that decides where it is sure, and a strong one for the rest."""

from __future__ import annotations

import json
import math
import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import (
    BudgetExceeded,
    ConfigurationError,
    FunctionJudge,
    JudgeCallError,
    LLMJudge,
    TrajectoryGroup,
    rank_group,
    rank_groups,
)
from ranker.calibration import fit_threshold
from ranker.calibration.reading import Reader
from ranker.calibration.threshold import least_groups, lowest_threshold, most_claimed
from ranker.judges.base import Lineup
from ranker.judges.cascade import CascadeJudge, confidence
from ranker.judges.local.judge_file import Setup
from ranker.judges.registry import resolve
from ranker.judges.verdict import Verdict, tiers_of
from ranker.runtime.budget import Budget
from ranker.tuning.examples import from_groups
from ranker.usage import Usage
from tests.calibration import test_calibrate
from tests.cli.test_cli import records, write
from tests.conftest import make_groups

tiny, ranker = test_calibrate.tiny, test_calibrate.ranker
PROBABILITY = st.floats(0, 1)


@dataclass
class Scored:
    """A judge that scores an attempt by a function of its last message."""

    score: object
    name: str = "small"
    max_group: int = 12

    async def capacity(self, lineup: Lineup) -> int:
        return min(len(lineup.trajectories), 5)

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        scores = tuple(self.score(t.messages[-1]["content"]) for t in lineup.trajectories)
        return Verdict(tiers_of(scores), scores=scores, usage=Usage(1, 0, 0, 10, 0))


def by_length(text: str) -> float:
    """A long attempt is good; "unsure" ones are all alike."""
    return 0.5 if "unsure" in text else min(0.99, len(text) / 20)


def test_confidence_in_closed_form():
    assert confidence([0.8, 0.2]) == pytest.approx(16 / 17)  # odds of 4 against 1/4
    assert confidence([0.3, 0.3, 0.3]) == 0.5
    assert confidence([0.5, 0.5, 0.8]) == pytest.approx((0.5 + 0.8 + 0.8) / 3)
    assert confidence([1.0, 0.0]) == pytest.approx(1.0)
    assert confidence([1.0, 1.0]) == 0.5


@given(st.lists(PROBABILITY, min_size=2, max_size=8), st.randoms())
def test_confidence_knows_no_order_and_has_bounds(scores, rng):
    shuffled = list(scores)
    rng.shuffle(shuffled)
    assert confidence(shuffled) == confidence(scores)
    assert 0.5 <= confidence(scores) <= 1.0


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_confidence_rises_as_two_scores_part(a, b):
    nearer = (a + b) / 2
    assert confidence([a, b]) >= confidence([a, nearer]) - 1e-12


def test_the_sure_are_decided_and_the_unsure_passed_on():
    asked = []

    def strong(trajectories):
        asked.append(trajectories)
        return [-len(t.messages[-1]["content"]) for t in trajectories]

    judge = CascadeJudge(Scored(by_length), FunctionJudge(strong), 0.7)
    sure = rank_group(["a", "a long answer"], judge, task="Say it.")
    assert sure.rewards == [0.0, 1.0]
    assert (judge.decided, judge.deferred, len(asked)) == (1, 0, 0)
    unsure = rank_group(["unsure", "unsure as well"], judge, task="Say it.")
    assert unsure.rewards == [1.0, 0.0]
    assert (judge.decided, judge.deferred, len(asked)) == (1, 1, 1)
    assert (unsure.usage.calls, unsure.usage.prompt_tokens) == (2, 10)  # both are counted
    assert sure.judge == unsure.judge == "cascade(small, strong)"


@pytest.mark.parametrize(("threshold", "decided"), [(0.0, 6), (0.5, 6), (1.1, 0)])
def test_the_ends_of_the_threshold(threshold, decided):
    judge = CascadeJudge(Scored(by_length), FunctionJudge(lambda ts: [0.0] * len(ts)), threshold)
    list(rank_groups(make_groups(6), judge, progress=False))
    assert (judge.decided, judge.deferred) == (decided, 6 - decided)
    with pytest.raises(ConfigurationError, match="threshold"):
        CascadeJudge(judge, judge, math.nan)


async def test_it_takes_what_both_can_take():
    small = Scored(by_length)
    lineup = Lineup(tuple(make_groups(1, size=9)[0].trajectories))
    plain = CascadeJudge(small, FunctionJudge(len), 0.5)
    assert plain.max_group == 12
    assert await plain.capacity(lineup) == 5
    both = CascadeJudge(small, replace(small, max_group=4), 0.5)
    assert both.max_group == 4
    neither = CascadeJudge(FunctionJudge(len), FunctionJudge(len), 0.5)
    assert neither.max_group >= 9
    assert await neither.capacity(lineup) == 9


def test_large_groups_are_ranked_in_windows():
    judge = CascadeJudge(Scored(lambda text: len(text) / 100), FunctionJudge(lambda ts: [0.0] * len(ts)), 0.0)
    ranked = rank_group(["x" * (3 * i + 1) for i in range(15)], judge, task="Be long.")
    assert ranked.rewards[14] > ranked.rewards[7] > ranked.rewards[0]
    assert judge.decided > 1


def test_a_small_judge_without_scores_says_what_to_take():
    judge = CascadeJudge(FunctionJudge(lambda ts: [0.0] * len(ts)), FunctionJudge(len), 0.5)
    with pytest.raises(ConfigurationError, match=r"local:smollm2@pointwise"):
        rank_group(["a", "b"], judge, task="Say it.")


def test_where_the_strong_judge_fails_the_small_one_does_not_stand_in(serve):
    server = serve(by_length, faults={"500": 1.0})
    strong = LLMJudge("sim", base_url=server.base_url, max_retries=0, cache="off")
    judge = CascadeJudge(Scored(by_length), strong, 0.9)
    with pytest.raises(JudgeCallError) as caught:
        rank_group(["unsure", "unsure too"], judge, task="Say it.")
    assert caught.value.usage.prompt_tokens == 10  # the small judge's reading is counted
    groups = [[f"unsure {i}", f"unsure also {i}"] for i in range(3)]
    tasks = [
        [[{"role": "user", "content": "Say."}, {"role": "assistant", "content": a}] for a in g]
        for g in groups
    ]
    failed = list(rank_groups(tasks, judge, progress=False, on_error="skip"))
    assert all(r.error is not None and r.rewards == [None, None] for r in failed)
    assert judge.decided == 0


def test_the_strong_call_is_kept_within_the_budget(serve):
    groups = make_groups(6)
    server = serve(groups)
    strong = LLMJudge("sim", base_url=server.base_url, price=(1_000.0, 1_000.0), cache="off")
    judge = CascadeJudge(Scored(lambda text: 0.5), strong, 0.9)
    with pytest.raises(BudgetExceeded):
        list(rank_groups(groups, judge, progress=False, max_cost_usd=1e-6))
    assert server.requests == 0
    sure = CascadeJudge(Scored(lambda text: 0.5), strong, 0.5)
    assert len(list(rank_groups(groups, sure, progress=False, max_cost_usd=1e-6))) == 6  # nothing to pay
    assert server.requests == 0


def sample(n: int, seed: int, knows: float = 3.0):
    """Confidences, agreeing pairs of 6, and pairs: the surer, the likelier each pair agrees."""
    rng = np.random.default_rng(seed)
    sure_N = rng.uniform(0.5, 1.0, n)
    share_N = 0.5 + 0.5 * (2 * sure_N - 1) ** (1 / knows)
    return sure_N, rng.binomial(6, share_N).astype(float), np.full(n, 6.0)


def test_a_threshold_that_separates_is_found():
    """Sure groups agree throughout, unsure ones are coins: the line runs between them."""
    sure_N = np.r_[np.linspace(0.9, 0.99, 60), np.linspace(0.5, 0.6, 60)]
    agree_N = np.r_[np.full(60, 6.0), np.full(60, 3.0)]
    found = fit_threshold(sure_N, agree_N, np.full(120, 6.0), 0.96)
    # Some of the unsure may be decided before 4 % of the pairs are lost: 3 of 6 in each.
    assert 0.55 < found.threshold < 0.9
    assert 0.5 <= found.saved.value < 0.6
    assert found.decided_agreement.value > 0.9
    assert found.groups == 120


def test_a_coin_never_decides_and_says_so():
    rng = np.random.default_rng(0)
    found = fit_threshold(rng.random(80), np.full(80, 3.0), np.full(80, 6.0), 0.99)
    assert found.threshold is None
    assert found.saved.value == 0.0
    assert found.agreement.value == 1.0
    assert found.decided_agreement.value is None


def test_no_claim_beyond_what_so_many_groups_can_show():
    for wanted in (0.8, 0.9, 0.95, 0.99):
        least = least_groups(wanted)
        assert most_claimed(least) >= wanted > most_claimed(least - 1)
        ones = np.ones(least)
        assert lowest_threshold(ones, ones, ones, wanted) is not None
        assert lowest_threshold(ones[1:], ones[1:], ones[1:], wanted) is None


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 0.98), st.floats(0.0, 0.2))
def test_who_wants_more_never_passes_on_less(seed, wanted, more):
    sure_N, agree_N, pairs_N = sample(40, seed)
    low = lowest_threshold(sure_N, agree_N, pairs_N, wanted)
    high = lowest_threshold(sure_N, agree_N, pairs_N, min(0.999, wanted + more))
    assert high is None or (low is not None and low <= high)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_the_order_of_groups_does_not_move_what_is_decided_much(seed):
    """A bootstrap of the same groups in another order draws others: only the last few may differ."""
    sure_N, agree_N, pairs_N = sample(80, seed)
    order = np.random.default_rng(seed).permutation(80)
    one = lowest_threshold(sure_N, agree_N, pairs_N, 0.85)
    two = lowest_threshold(sure_N[order], agree_N[order], pairs_N[order], 0.85)
    if one is not None and two is not None:
        assert abs(int((sure_N >= one).sum()) - int((sure_N >= two).sum())) <= 8


def test_the_agreement_reported_is_that_of_new_groups():
    """Over many files: what is reported is neither above nor below what the threshold then does elsewhere."""
    told, true, kept = [], [], 0
    for seed in range(36):
        found = fit_threshold(*sample(100, seed), 0.9, seed=seed)
        sure_N, agree_N, pairs_N = sample(3_000, 10_000 + seed)
        decided = sure_N >= (2.0 if found.threshold is None else found.threshold)
        true.append(float(np.where(decided, agree_N, pairs_N).sum() / pairs_N.sum()))
        told.append(found.agreement.value)
        kept += true[-1] >= 0.9
    off = np.array(told) - np.array(true)
    assert abs(off.mean()) < 3 * off.std() / math.sqrt(len(off)) + 0.005
    assert kept >= 28  # a lower bound of 90 %, taken over many thresholds


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (([0.6] * 5, [1] * 5, [1] * 5, 0.9), "too few"),
        (([0.6] * 9, [1] * 9, [1] * 9, 1.0), "cannot be asked for"),
        (([0.6] * 9, [1] * 9, [1] * 9, 0.2), "cannot be asked for"),
        (([0.6] * 9, [1] * 8, [1] * 9, 0.9), "of each group"),
        (([0.6] * 9, [0] * 9, [0] * 9, 0.9), "at least one pair"),
    ],
)
def test_what_no_threshold_can_be_fitted_on(args, told):
    with pytest.raises(ConfigurationError, match=told):
        fit_threshold(*args)


def known_to(tiny: Path, n: int) -> list[TrajectoryGroup]:
    """Groups whose truth is what the model says where it is surer than usual, and drawn where it is not."""
    from ranker.judges.local.scores import probabilities

    groups = make_groups(n)
    reader = Reader(Setup(str(tiny)), cache="off")
    scores = [reader.read(e, Setup(str(tiny), "pointwise")).scores for e in from_groups(groups)]
    sure = [confidence(probabilities("pointwise", s)) for s in scores]
    middle = sorted(sure)[n // 2]
    rng = random.Random(0)
    made = []
    for group, said, how in zip(groups, scores, sure, strict=True):
        truths = said if how >= middle else rng.sample(said, len(said))
        members = [replace(t, ground_truth=float(x)) for t, x in zip(group.trajectories, truths, strict=True)]
        made.append(replace(group, trajectories=members))
    return made


def test_a_cascade_saves_calls_from_end_to_end(ranker, serve, tiny, tmp_path):
    groups = known_to(tiny, 60)
    server = serve(groups)
    source = write(tmp_path / "in.jsonl", groups)
    by_strong, file, by_both = tmp_path / "strong.jsonl", tmp_path / "cascade.json", tmp_path / "both.jsonl"
    at = ("--base-url", server.base_url)
    done = ranker("rank", source, "--judge", "openai/sim", *at, "--out", by_strong)
    assert done.returncode == 0, done.stderr
    assert server.requests == 60
    done = ranker(
        "calibrate", by_strong, "--judge", f"local:{tiny}@pointwise", "--strong", "openai/sim", "--agreement", 0.9,
        "--out", file,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "strong calls saved" in done.stdout
    assert "was ranked by" not in done.stdout
    told = json.loads(file.read_text())
    assert (told["judge"], told["strong"], told["wanted"]) == ("cascade", "openai/sim", 0.9)
    assert told["measured"]["saved"]["value"] > 0.2
    assert told["measured"]["ranked_by"] == "sim"
    assert server.base_url not in file.read_text()
    done = ranker("rank", source, "--judge", file, *at, "--out", by_both)
    assert done.returncode == 0, done.stderr
    found = records(by_both)
    asked = server.requests - 60
    by_small = [r for r in found if r["prompt_id"].startswith("ask.")]
    assert len(found) == 60
    assert 0 < asked < 60
    assert asked == 60 - len(by_small)  # the server was asked about the others, and once about each
    assert sum(r["usage"]["calls"] for r in found) == 60 + asked
    truth = {r["id"]: r["rewards"] for r in records(by_strong)}
    pairs = [
        (truth[r["id"]][a] > truth[r["id"]][b], r["rewards"][a], r["rewards"][b])
        for r in found
        for a in r["rewards"]
        for b in r["rewards"]
        if truth[r["id"]][a] > truth[r["id"]][b]
    ]
    assert np.mean([1.0 if x > y else 0.5 if x == y else 0.0 for _, x, y in pairs]) >= 0.9
    # A strong judge that cannot be reached: those groups fail, and are not filled in.
    judge = resolve(str(file), base_url="http://127.0.0.1:9/v1", max_retries=0)
    lost = list(rank_groups(groups, judge, progress=False, on_error="skip"))
    assert sum(r.error is not None and r.rewards == [None] * 4 for r in lost) == asked
    assert (judge.decided, judge.deferred) == (60 - asked, asked)


def test_the_best_way_is_looked_for_and_no_saving_is_said(ranker, serve, tiny, tmp_path):
    """A model that knows nothing: no cascade is written, and why is said."""
    groups = make_groups(24)
    server = serve(groups)
    source = write(tmp_path / "in.jsonl", groups)
    ranked = tmp_path / "ranked.jsonl"
    assert (
        ranker("rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", ranked).returncode
        == 0
    )
    done = ranker(
        "calibrate", ranked, "--judge", f"local:{tiny}", "--ways", "pointwise,expected_digit", "--strong", "gpt-other",
        "--agreement", 0.99, "--out", tmp_path / "cascade.json",
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "No cascade is written" in done.stderr
    assert "24 groups can show an agreement of 0.954 at most: give at least 114" in done.stderr
    assert "was ranked by sim, not by gpt-other" in done.stdout
    assert not (tmp_path / "cascade.json").exists()


GOOD = {
    "schema_version": 1,
    "judge": "cascade",
    "small": "local:tiny@pointwise",
    "strong": "openai/x",
    "threshold": 0.7,
}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"small": None}, "small is None"),
        ({"small": 3}, "small is 3"),
        ({"small": {"way": "loudly"}}, "way is 'loudly'"),
        ({"small": "local:tiny@loudly"}, "no way to ask"),
        ({"small": "none.json"}, "cannot be read"),
        ({"strong": ""}, "strong is ''"),
        ({"strong": ["a"]}, "strong is"),
        ({"threshold": "high"}, "threshold is 'high'"),
        ({"threshold": True}, "threshold is True"),
        ({"threshold": -1}, "threshold is -1"),
        ({"treshold": 0.5}, "no setting 'treshold'. Did you mean 'threshold'"),
        ({"schema_version": 9}, "no judge file of ours"),
    ],
)
def test_a_malformed_file_is_named(tiny, tmp_path, change, told):
    (tmp_path / "tiny").symlink_to(tiny)
    file = tmp_path / "cascade.json"
    file.write_text(json.dumps({**GOOD, "small": f"local:{tiny}@pointwise", **change}))
    with pytest.raises(ConfigurationError, match=told):
        resolve(str(file))


def test_a_judge_file_beside_it_is_the_small_judge(tiny, tmp_path, monkeypatch):
    file = tmp_path / "cascade.json"
    (tmp_path / "small.json").write_text(json.dumps(Setup(str(tiny), "expected_digit").to_dict(tmp_path)))
    file.write_text(json.dumps({**GOOD, "small": "small.json"}))
    monkeypatch.chdir("/")
    judge = resolve(str(file), base_url="http://127.0.0.1:9/v1", temperature=0.0, cache="off")
    assert isinstance(judge, CascadeJudge)
    assert judge.name == str(file)
    assert judge.small.setup.way == "expected_digit"
    assert judge.strong.name == "x"
    assert judge.small.cache is None
    assert resolve(f"local:{file}").threshold == 0.7
