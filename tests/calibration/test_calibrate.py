"""`ranker calibrate`: the choice of a way and a tolerance, its honest figure, and the command."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import ConfigurationError
from ranker.calibration import best_tolerance, choose
from ranker.calibration.choosing import bundles_of, folds_of, levels_of, pick, right_pairs, rights
from ranker.calibration.reading import Reader, read_all, setups, ways_of
from ranker.cli import main
from ranker.judges.local.judge_file import Setup, read_judge, setup_from, write_judge
from ranker.runtime.cache import Cache
from ranker.tuning.examples import from_groups
from tests.cli.test_cli import ranker as process
from tests.cli.test_cli import records, write
from tests.conftest import make_groups
from tests.tuning_models import tiny as make_tiny


@pytest.fixture(scope="session")
def tiny(tmp_path_factory) -> Path:
    """The folder of a model with random weights."""
    return Path(make_tiny(tmp_path_factory.mktemp("tiny")))


@pytest.fixture
def ranker(monkeypatch, capsys):
    """The command in this process, which spares importing torch each time: what subprocess.run would return."""

    def run(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["ranker", *map(str, args)])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        return subprocess.CompletedProcess(args, code, *capsys.readouterr())

    return run


def simulated(n: int, skills: dict[str, float], seed: int, size: int = 4, tied: bool = False):
    """Truths, and for each way scores that are truth times its skill plus noise."""
    rng = np.random.default_rng(seed)
    truths = rng.normal(size=(n, size))
    if tied:
        truths = (truths > 0).astype(float)
    scores = {way: (skill * truths + rng.normal(size=(n, size))).tolist() for way, skill in skills.items()}
    return scores, truths.tolist()


def test_the_way_that_orders_best_is_chosen():
    scores, truths = simulated(
        60, {"first_token": 0.1, "pointwise": 3.0, "pointwise_in_context": 0.5}, seed=0
    )
    found = choose(scores, truths)
    assert found.way == "pointwise"
    assert found.tolerance == 0.0  # no ties in the truth
    assert found.chosen == {"pointwise": 1.0}
    # Chosen by every fold, it is measured as if by itself.
    assert found.accuracy == found.ways["pointwise"]
    assert found.beats_chance
    assert found.over_baseline is not None
    assert found.over_baseline.low > 0
    assert (found.groups, found.pairs) == (60, 360)


def test_accuracy_is_the_share_of_pairs():
    truths = [[3.0, 2.0, 1.0]] * 8
    found = choose({"first_token": [[3.0, 1.0, 2.0]] * 8}, truths)
    assert found.accuracy.value == pytest.approx(2 / 3)
    tied = choose({"first_token": [[1.0, 1.0, 1.0]] * 8}, truths)
    assert tied.accuracy.value == 0.5
    assert not tied.beats_chance


def test_the_best_of_many_coins_is_no_better_than_a_coin():
    """The best of twelve ways without skill looks skilled; measured by cross-fitting it does not."""
    naive, honest, shown = [], [], 0
    for seed in range(60):
        scores, truths = simulated(24, {f"w{k}": 0.0 for k in range(12)}, seed)
        found = choose(scores, truths)
        naive.append(max(e.value for e in found.ways.values()))
        honest.append(found.accuracy.value)
        shown += found.beats_chance
    error = np.std(honest) / np.sqrt(len(honest))
    assert np.mean(naive) > 0.54
    assert abs(np.mean(honest) - 0.5) < 3 * error
    assert shown <= 6  # 2.5 % are expected on this side; the interval is a little too narrow


def test_the_figure_is_that_of_new_groups():
    """Over many files, the accuracy foretold is that of the chosen way on groups of another file."""
    skills = {"first_token": 0.6, "pointwise": 0.7, "pointwise_in_context": 0.65, "expected_digit": 0.0}
    told, true = [], []
    for seed in range(40):
        found = choose(*simulated(20, skills, seed))
        scores, truths = simulated(400, skills, 10_000 + seed)
        right = sum(
            right_pairs(t, s, found.tolerance) for t, s in zip(truths, scores[found.way], strict=True)
        )
        told.append(found.accuracy.value)
        true.append(right / (6 * 400))
    off = np.array(told) - np.array(true)
    assert abs(off.mean()) < 3 * off.std() / np.sqrt(len(off)) + 0.005


def test_luck_in_who_shares_a_fold_moves_the_figure_little():
    scores, truths = simulated(40, {f"w{k}": 0.5 for k in range(3)}, seed=0)
    found = [choose(scores, truths, seed=seed).accuracy.value for seed in range(6)]
    once = [one_draw(scores, truths, seed) for seed in range(6)]
    assert max(once) - min(once) > 0.02
    assert max(found) - min(found) < 0.5 * (max(once) - min(once))


def one_draw(scores, truths, seed):
    """Cross-fitted accuracy with a single draw of ten folds."""
    right = rights(scores, truths)
    fold_N = folds_of(bundles_of(len(truths), None), 10, str(seed))
    held = 0.0
    for fold in range(10):
        way, _ = pick(scores, truths, right, np.flatnonzero(fold_N != fold))
        held += right[way][fold_N == fold].sum()
    return held / (6 * len(truths))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_order_of_attempts_does_not_matter(seed, tied):
    scores, truths = simulated(12, {"first_token": 0.5, "pointwise": 1.0}, seed, tied=tied)
    truths = [[*t[:-1], 0.5] for t in truths]
    rng = random.Random(seed)
    orders = [rng.sample(range(4), 4) for _ in truths]

    def moved(rows):
        return [[row[i] for i in order] for row, order in zip(rows, orders, strict=True)]

    once = choose(scores, truths)
    again = choose({way: moved(rows) for way, rows in scores.items()}, moved(truths))
    assert once == again


def test_ties_in_the_truth_ask_for_a_tolerance():
    """Scores of two levels with a little noise: within the noise lies nothing."""
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 2, size=(40, 6)).astype(float)
    scores = (truths + 0.01 * rng.normal(size=truths.shape)).tolist()
    tolerance = best_tolerance(scores, truths.tolist())
    levels = [levels_of(s, tolerance) for s in scores]
    pairs = [(i, j) for i in range(6) for j in range(i)]
    same = [
        (t[i] == t[j], a[i] == a[j]) for t, a in zip(truths.tolist(), levels, strict=True) for i, j in pairs
    ]
    assert np.mean([tied for alike, tied in same if alike]) > 0.9
    assert np.mean([tied for alike, tied in same if not alike]) < 0.1
    assert best_tolerance(scores, rng.random(truths.shape).tolist()) == 0.0
    assert best_tolerance([[0.3, 0.3]] * 9, [[1.0, 1.0]] * 9) == 0.0


def test_groups_with_one_opening_stay_in_one_fold():
    openings = [f"q{i % 9}" for i in range(40)] + ["", ""]
    bundle_N = bundles_of(42, openings)
    assert len(set(bundle_N.tolist())) == 11
    fold_N = folds_of(bundle_N, 5, "3")
    assert set(fold_N.tolist()) == set(range(5))
    for name in range(9):
        assert len({fold_N[i] for i in range(40) if i % 9 == name}) == 1


def test_copies_of_a_group_do_not_narrow_the_interval():
    scores, truths = simulated(20, {"first_token": 0.5}, 0)
    copied = {"first_token": scores["first_token"] * 5}
    openings = [f"q{i}" for i in range(20)] * 5
    once, five = choose(scores, truths), choose(copied, truths * 5, openings=openings)
    assert five.ways["first_token"].high - five.ways["first_token"].low == pytest.approx(
        once.ways["first_token"].high - once.ways["first_token"].low, rel=0.05
    )


@pytest.mark.parametrize(
    ("scores", "truths", "told"),
    [
        ({}, [[0.0, 1.0]] * 9, "no ways to choose"),
        ({"a": [[0.0, 1.0]] * 7}, [[0.0, 1.0]] * 7, "too few"),
        ({"a": [[0.0, 1.0]] * 9}, [[1.0, 1.0]] * 9, "too few"),
        ({"a": [[0.0]] * 9}, [[0.0, 1.0]] * 9, "do not match the attempts"),
        ({"a": [[0.0, float("nan")]] * 9}, [[0.0, 1.0]] * 9, "not finite"),
    ],
)
def test_what_cannot_be_chosen_from(scores, truths, told):
    with pytest.raises(ConfigurationError, match=told):
        choose(scores, truths)


def test_scores_are_those_of_the_judge_that_is_then_used(tiny):
    """What was read of a group in pieces is what the judge file's judge says of it."""
    from ranker.judges.local.logprob_judge import LogprobJudge

    examples = from_groups(make_groups(3))
    reader = Reader(Setup(str(tiny)), cache="off")
    tried = setups(Setup(str(tiny)), ("first_token", "pointwise", "pointwise_in_context", "expected_digit"))
    assert list(tried) == [setup.way for setup in tried.values()]
    found = read_all(reader, examples, tried)
    assert not found.dropped
    for name, setup in tried.items():
        judge = LogprobJudge(setup, cache="off")
        for example, scores in zip(examples, found.scores[name], strict=True):
            # `first_token` and `pointwise_in_context` are shown the order that the seed drew.
            from ranker.prompting.orders import balanced_orders

            order = balanced_orders(4, 1, random.Random(f"0:{example.id}"))[0]
            texts = example.shown.attempts
            joint = setup.way in ("first_token", "pointwise_in_context")
            from dataclasses import replace

            shown = (
                replace(example.shown, attempts=tuple(texts[i] for i in order)) if joint else example.shown
            )
            said, _ = judge.read(judge.local.load(), shown)
            expected = [said[order.index(i)] for i in range(4)] if joint else said
            assert scores == pytest.approx(expected, abs=1e-4)


def test_nothing_is_read_twice(tiny, tmp_path):
    examples = from_groups(make_groups(2))
    tried = setups(Setup(str(tiny)), ("first_token",))
    reader = Reader(Setup(str(tiny)), cache=tmp_path / "kept.sqlite")
    first = read_all(reader, examples, tried)
    assert sum(Cache(tmp_path / "kept.sqlite").summary().replies.values()) == 2  # one for each group
    again = Reader(Setup(str(tiny)), cache=tmp_path / "kept.sqlite")
    judge = again._judge("first_token")
    judge.read = None  # a second reading would fail
    second = read_all(again, examples, tried)
    assert (second.scores, second.costs) == (first.scores, first.costs)


def test_attempts_that_read_alike_score_alike(tiny):
    (group,) = make_groups(1)
    twin = group.trajectories[0].messages
    from ranker import Trajectory, TrajectoryGroup

    members = [*group.trajectories, Trajectory(twin, id="t4", ground_truth=2.0)]
    (example,) = from_groups([TrajectoryGroup(members, id="g")])
    reader = Reader(Setup(str(tiny)), cache="off")
    for setup in setups(Setup(str(tiny)), ("first_token", "pointwise")).values():
        scores = reader.read(example, setup).scores
        assert scores[0] == scores[4]


def test_a_group_that_does_not_fit_is_left_out(tiny):
    from ranker import Trajectory, TrajectoryGroup

    long = TrajectoryGroup(
        [
            Trajectory([{"role": "assistant", "content": f"{i} " * 3_000}], id=f"t{i}", ground_truth=float(i))
            for i in range(3)
        ],
        id="long",
    )
    examples = from_groups([*make_groups(2), long])
    found = read_all(
        Reader(Setup(str(tiny)), cache="off", context_window=700),
        examples,
        setups(Setup(str(tiny)), ("pointwise_in_context",)),
    )
    assert (found.left_out, len(found.examples)) == (1, 2)
    assert "do not fit" in found.why


def test_lists_of_ways():
    assert ways_of("pointwise_in_context, pointwise") == ("pointwise", "pointwise_in_context")
    with pytest.raises(ConfigurationError, match=r"'loudly'.*first_token"):
        ways_of("pointwise,loudly")
    with pytest.raises(ConfigurationError, match="No way is named"):
        ways_of(" , ")


def test_the_command_writes_a_judge_that_ranks(ranker, tiny, tmp_path):
    source = write(tmp_path / "in.jsonl", make_groups(12))
    out = tmp_path / "made" / "judge.json"
    cache = str(tmp_path / "cache.sqlite")
    command = (
        "calibrate",
        source,
        "--judge",
        f"local:{tiny}",
        "--ways",
        "first_token,pointwise",
        "--out",
        out,
    )
    done = ranker(*command, RANKER_CACHE=cache)
    assert done.returncode == 0, done.stderr
    # Random weights know nothing of a random truth.
    assert "not significantly better than chance" in done.stdout
    assert "ranker rank" in done.stdout
    told, home = read_judge(out)
    setup = setup_from(told, home)
    measured = setup.measured
    assert measured["groups"] == 12
    assert measured["truth"] == "ground_truth"
    assert measured["beats_chance"] is False
    assert "not significantly better than chance" in measured["note"]
    assert set(measured["pairwise_accuracy"]) == {"value", "low", "high"}
    assert len(measured["ways"]) == 2
    assert measured["seconds_per_group"] > 0
    ranked = tmp_path / "ranked.jsonl"
    done = ranker("rank", source, "--judge", out, "--out", ranked)
    assert done.returncode == 0, done.stderr
    assert len(records(ranked)) == 12
    first = out.read_text()
    done = process(*command, "-q", RANKER_CACHE=cache)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert out.read_text() == first  # to the seconds: everything came from the cache


def test_a_judge_with_a_way_is_only_given_its_tolerance(ranker, tiny, tmp_path):
    source = write(tmp_path / "in.jsonl", make_groups(10))
    first, second = tmp_path / "one.json", tmp_path / "two.json"
    done = ranker("calibrate", source, "--judge", f"local:{tiny}@expected_digit", "--out", first)
    assert done.returncode == 0, done.stderr
    assert list(json.loads(first.read_text())["measured"]["ways"]) == ["expected_digit"]
    write_judge(first, {**json.loads(first.read_text()), "way": "first_token"})
    done = ranker("calibrate", source, "--judge", first, "--out", second)
    assert done.returncode == 0, done.stderr
    told = json.loads(second.read_text())
    assert told["way"] == "first_token"


def test_a_written_verdict_is_left_out(ranker, tiny, tmp_path):
    source, out = write(tmp_path / "in.jsonl", make_groups(8, size=2)), tmp_path / "j.json"
    with pytest.warns(FutureWarning, match="'generated' is no longer calibrated"):
        done = ranker(
            "calibrate", source, "--judge", f"local:{tiny}", "--ways", "generated,pointwise", "--out", out
        )
    assert done.returncode == 0, done.stderr
    assert list(json.loads(out.read_text())["measured"]["ways"]) == ["pointwise"]
    done = ranker("calibrate", source, "--judge", f"local:{tiny}@generated")
    assert done.returncode == 2
    assert "writes its verdict" in done.stderr


def test_a_reference_is_asked_about_only_where_there_is_one(tiny):
    from dataclasses import replace

    from ranker.calibration.reading import askable

    examples = from_groups(make_groups(8))
    assert "reference_likelihood" not in askable(examples, None)
    with pytest.raises(ConfigurationError, match="right answer"):
        askable(examples, ("reference_likelihood",))
    known = [replace(e, shown=replace(e.shown, reference="Paris")) for e in examples]
    assert "reference_likelihood" in askable(known, None)
    found = read_all(
        Reader(Setup(str(tiny)), cache="off"), known[:2], setups(Setup(str(tiny)), ("reference_likelihood",))
    )
    assert all(s < 0 for scores in found.scores["reference_likelihood"] for s in scores)


@pytest.mark.parametrize(
    "case",
    [
        (("--judge", "openai/gpt-5-mini"), "not a local judge"),
        (("--ways", "loudly"), "no way to ask"),
        (("--ways", "reference_likelihood"), "right answer"),
        (("--truth", "mine"), "--truth"),
        (("--truth", "ranking"), "says which attempt is better"),
        (("--groups", "5"), "too few"),
        (("--out", "judge.txt"), "ends in .json"),
        (("--out", "in.jsonl/judge.json"), "cannot be written"),
        (("--judge", "local:/no/such/model"), "no model at"),
        (("--judge", "none.json"), "cannot be read"),
        (("--strong", "openai/x"), "ranker rank"),
        (("--strong", "http://user:pw@host"), "name alone"),
        (("--strong", "openai/x", "--agreement", "1"), "--agreement"),
        (("--ways", "generated"), "No way is named"),
    ],
)
def test_what_cannot_work_is_said_in_one_message(ranker, tiny, tmp_path, monkeypatch, case):
    args, told = case
    source = write(tmp_path / "in.jsonl", make_groups(10))
    monkeypatch.chdir(tmp_path)
    judge = () if "--judge" in args else ("--judge", f"local:{tiny}")
    done = ranker("calibrate", source, *judge, *args)
    assert done.returncode == 2, done.stderr + done.stdout
    assert told in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "judge.json").exists()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "0 groups"),
        ("{}\n", "Line 1"),
        ("nonsense\n", "not JSON"),
        ('{"trajectories": [{"messages": []}]}\n', "Line 1"),
    ],
)
def test_files_without_a_truth_or_with_bad_lines(ranker, tmp_path, text, told):
    (tmp_path / "in.jsonl").write_text(text)
    done = ranker("calibrate", tmp_path / "in.jsonl", "--judge", "local:nothing")
    assert done.returncode == 2
    assert told in done.stderr


def test_an_interrupted_run_goes_on_where_it_stopped(ranker, tiny, tmp_path):
    """Ctrl-C in the middle of reading: what was read is in the cache, and the same command ends the work."""
    source = write(tmp_path / "in.jsonl", make_groups(120))
    cache, out = tmp_path / "cache.sqlite", tmp_path / "judge.json"
    command = ("calibrate", source, "--judge", f"local:{tiny}", "--ways", "first_token", "--out", out)
    running = subprocess.Popen(
        [sys.executable, "-m", "ranker", *map(str, command)],
        env={**os.environ, "RANKER_CACHE": str(cache)},
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    kept = Cache(cache)
    while running.poll() is None and not (cache.exists() and sum(kept.summary().replies.values()) >= 10):
        time.sleep(0.05)
    running.send_signal(signal.SIGINT)
    _, told = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert "what was read is in the cache" in told
    assert not out.exists()
    before = sum(kept.summary().replies.values())
    assert 10 <= before < 360
    done = ranker(*command, RANKER_CACHE=str(cache))
    assert done.returncode == 0, done.stderr
    assert sum(kept.summary().replies.values()) == 120  # one for each group
