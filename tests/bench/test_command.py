"""`ranker bench` as a user runs it: what it writes, what it asks, how it ends."""

from __future__ import annotations

import json
import math
import os
import pty
import re
import subprocess
from dataclasses import replace

import pytest

from ranker import Trajectory, TrajectoryGroup
from ranker.bench.measures import METRICS
from ranker.errors import ConfigurationError
from ranker.suites import load
from tests.bench_runs import args_for, cell, command, figures, here, knowing, observed, read, values, write
from tests.conftest import make_groups


@pytest.fixture
def file(tmp_path):
    """Write a suite of some groups."""
    return lambda groups, name="g.jsonl": write(tmp_path / name, groups)


# What it writes


def test_results_have_the_contracts_schema(serve, file, tmp_path):
    groups = make_groups(8)
    server = serve(knowing(groups))
    done = here(*args_for(server, file(groups), tmp_path / "out", "--judge", "noisy:0.8", "--price", "1,2"))
    assert done.code == 0, done.err
    assert done.told == ""
    made = read(tmp_path / "out")
    assert type(made["schema_version"]) is int
    assert made["schema_version"] == 1
    assert [(c["judge"], c["suite"]) for c in made["cells"]] == [
        (judge, str(tmp_path / "g.jsonl")) for judge in ("sim", "noisy:0.8", "length")
    ]
    for one in made["cells"]:
        assert type(one["groups"]) is int
        assert type(one["failed"]) is int
        assert (one["groups"], one["failed"]) == (8, 0)
        assert type(one["seconds_per_group"]) is float
        assert one["metrics"].keys() == METRICS.keys()
        for name, estimate in one["metrics"].items():
            assert estimate.keys() == {"value", "low", "high"}, name
            numbers = [estimate[k] for k in ("low", "value", "high")]
            assert all(type(x) is float and math.isfinite(x) for x in numbers) or numbers == [None] * 3, name
            if None not in numbers:
                assert numbers == sorted(numbers), name
        usage = one["usage"]
        assert usage.keys() == {"calls", "cached_calls", "failed_calls", "prompt_tokens", "completion_tokens",
                                "cost_usd"}  # fmt: skip
        assert usage["calls"] == 40
    sim = cell(made, "sim")
    spent = (sim["usage"]["prompt_tokens"] + 2 * sim["usage"]["completion_tokens"]) / 1e6
    assert sim["usage"]["cost_usd"] == pytest.approx(spent)
    assert sim["per_group"]["calls"] == 1
    assert server.requests == 40
    # a difference for every two judges, metric and suite
    assert len(made["differences"]) == 3 * 3
    first = next(
        d
        for d in made["differences"]
        if (d["a"], d["b"], d["metric"]) == ("sim", "noisy:0.8", "pairwise_accuracy")
    )
    apart_by = values(made, "sim")["pairwise_accuracy"] - values(made, "noisy:0.8")["pairwise_accuracy"]
    assert first["value"] == pytest.approx(apart_by)
    assert first["low"] <= first["value"] <= first["high"]
    by_group = sim["by_group"]
    assert by_group == {"ids": [g.id for g in groups], "agreeing": [18.0] * 8, "pairs": [18] * 8}


def test_every_asking_is_kept_as_it_was_shown(serve, file, tmp_path):
    groups = make_groups(5)
    server = serve(knowing(groups))
    assert here(*args_for(server, file(groups), tmp_path / "out")).code == 0
    some = {(o["group"], o["asking"]): o for o in observed(tmp_path / "out") if o["judge"] == "sim"}
    assert len(some) == 25
    assert len({o["id"] for o in some.values()}) == 25
    for group in groups:
        plain, reverse = some[group.id, "plain"], some[group.id, "reversed"]
        assert plain["truths"] == [t.ground_truth for t in group.trajectories]
        assert sorted(plain["places"]) == [0, 1, 2, 3]
        assert [a + b for a, b in zip(plain["places"], reverse["places"], strict=True)] == [3] * 4
        assert some[group.id, "again"]["places"] == some[group.id, "attacked"]["places"] == plain["places"]
        assert sorted(plain["rewards"]) == pytest.approx([0, 1 / 3, 2 / 3, 1])
        assert all(plain["reasons"])
    assert len({tuple(some[g.id, "plain"]["places"]) for g in groups}) > 1


def test_asked_again_means_other_ids_in_the_same_order(serve, file, tmp_path):
    groups = make_groups(1)
    server = serve(knowing(groups), keep_prompts=True)
    assert here(*args_for(server, file(groups), tmp_path / "out", "--concurrency", 1)).code == 0
    shown = [p[1]["content"] for p in server.prompts]
    ids = [re.findall(r'<trajectory id="(\w+)">', text) for text in shown]
    words = [re.findall(r"of attempt (\d)", text) for text in shown]
    assert len({tuple(some) for some in ids}) == 5
    plain, reverse, again, attacked, control = words
    assert reverse == plain[::-1]
    assert again == attacked == control == plain


def test_seed_passes_and_rubric_shape_what_is_asked(serve, file, tmp_path):
    groups = make_groups(2)
    server = serve(knowing(groups), keep_prompts=True)
    source, out = file(groups), tmp_path / "out"
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Prefer words with a z.")
    assert here(*args_for(server, source, out, "--accuracy-only")).code == 0
    assert server.requests == 2
    for n, more in enumerate(
        [("--seed", 1), ("--passes", 3), ("--rubric", f"@{rubric}"), ("--temperature", 0.5)]
    ):
        before = server.requests
        assert here(*args_for(server, source, out, "--accuracy-only", *more)).code == 0
        assert server.requests == before + (6 if n == 1 else 2), more
    assert "Prefer words with a z." in server.prompts[-3][0]["content"]
    made = read(out)
    assert (made["seed"], made["passes"]) == (0, 1)
    assert made["judges"][0]["temperature"] == 0.5


# What it asks


def test_the_same_command_asks_nothing_and_tells_the_same(serve, file, tmp_path):
    groups = make_groups(6)
    server = serve(knowing(groups))
    args = args_for(server, file(groups), tmp_path / "out", "--judge", "biased:position=0.3")
    assert here(*args).code == 0
    first, lines = read(tmp_path / "out"), observed(tmp_path / "out")
    assert here(*args).code == 0
    assert server.requests == 30
    assert observed(tmp_path / "out") == lines
    second = read(tmp_path / "out")
    assert second["cells"] == first["cells"]  # seconds, too
    assert figures(second) == figures(first)


def test_more_groups_another_judge_or_a_moved_file_ask_only_what_is_new(serve, file, tmp_path):
    groups = make_groups(10)
    server, other = serve(knowing(groups)), serve(knowing(groups))
    source, out = file(groups), tmp_path / "out"
    assert here(*args_for(server, source, out, "--groups", 4)).code == 0
    assert server.requests == 20
    assert cell(read(out), "sim")["groups"] == 4
    assert here(*args_for(server, source, out, "--groups", 10)).code == 0
    assert server.requests == 50
    assert cell(read(out), "sim")["groups"] == 10
    assert here(*args_for(server, source, out, "--judge", f"sim@{other.base_url}")).code == 0
    assert (server.requests, other.requests) == (50, 50)
    moved = source.rename(tmp_path / "moved.jsonl")
    assert here(*args_for(server, moved, out, "--groups", 10)).code == 0
    assert server.requests == 50
    assert read(out)["cells"][0]["suite"] == str(moved)
    # Fewer groups again: the figures are those of the first ones.
    assert here(*args_for(server, moved, out, "--groups", 4)).code == 0
    assert server.requests == 50
    assert cell(read(out), "sim")["groups"] == 4


def test_groups_in_another_order_are_known_by_what_they_are(serve, file, tmp_path):
    groups = make_groups(6)
    server, out = serve(lambda block: float(sum(map(ord, block)) % 97)), tmp_path / "out"
    assert here(*args_for(server, file(groups), out, "--accuracy-only")).code == 0
    before = cell(read(out), "sim")["by_group"]
    assert here(*args_for(server, file(groups[::-1]), out, "--accuracy-only")).code == 0
    assert server.requests == 6
    after = cell(read(out), "sim")["by_group"]
    assert after == {key: some[::-1] for key, some in before.items()}
    lines = [json.loads(line) for line in (out / "disagreements.jsonl").read_text().splitlines()]
    assert lines
    for line in lines:  # each with its own trajectories
        [group] = [g for g in groups if line["id"].endswith(f"/{g.id}")]
        assert [t["ground_truth"] for t in line["trajectories"]] == [
            t.ground_truth for t in group.trajectories
        ]
        assert (
            group.trajectories[0].messages[0]["content"] == line["trajectories"][0]["messages"][0]["content"]
        )


def test_a_changed_group_is_asked_anew(serve, file, tmp_path):
    groups = make_groups(3)
    server, out = serve(knowing(groups)), tmp_path / "out"
    assert here(*args_for(server, file(groups), out, "--accuracy-only")).code == 0
    t0, *rest = groups[1].trajectories
    other = TrajectoryGroup([Trajectory(t0.messages, id=t0.id, ground_truth=0.005), *rest], "g1")
    assert here(*args_for(server, file([groups[0], other, groups[2]]), out, "--accuracy-only")).code == 0
    assert server.requests == 4


def test_dry_run_sends_nothing_and_says_what_it_would(serve, file, tmp_path):
    groups = make_groups(6)
    server = serve(knowing(groups))
    args = [a for a in args_for(server, file(groups), tmp_path / "out", "--passes", 2) if a != "-q"]
    done = here(*args, "--dry-run", "--price", "1,2", "--max-cost", "0.5")
    assert done.code == 0
    assert server.requests == 0
    assert not (tmp_path / "out" / "results.json").exists()
    assert re.search(r"sim\s+60\s+0\s", done.out)
    assert "$0.5" in done.out
    assert here(*args, "-q").code == 0
    assert server.requests == 60
    assert re.search(r"sim\s+0\s+30\s", here(*args, "--dry-run").out)  # 30 askings are known by now


def test_the_forecast_is_an_upper_bound_of_what_it_costs(serve, file, tmp_path):
    groups = make_groups(12)
    server = serve(knowing(groups))
    args = [a for a in args_for(server, file(groups), tmp_path / "out", "--price", "1,2") if a != "-q"]
    done = here(*args)
    told = [line.split() for line in done.out.splitlines() if re.match(r"[\W]*sim\s", line)]
    numbers = [float(re.sub(r"[^\d.]", "", part)) for part in told[0][-3:]]
    used = cell(read(tmp_path / "out"), "sim")["usage"]
    assert used["completion_tokens"] <= numbers[1]
    assert used["prompt_tokens"] == pytest.approx(numbers[0], rel=0.5)


def test_tables_name_every_judge_and_where_the_figures_are(serve, file, tmp_path):
    groups = make_groups(3)
    server = serve(knowing(groups))
    out = tmp_path / "out[bold]"  # square brackets are no markup
    args = [a for a in args_for(server, file(groups), out) if a != "-q"]
    done = here(*args)
    assert done.code == 0
    assert str(out / "results.json") in done.out
    assert "sim" in done.out
    assert "length" in done.out


def test_a_terminal_sees_the_progress(serve, file, tmp_path):
    groups = make_groups(3)
    server = serve(knowing(groups))
    args = [a for a in args_for(server, file(groups), tmp_path / "out") if a != "-q"]
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command(*args), stdout=subprocess.DEVNULL, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    told = b""
    try:
        while chunk := os.read(ours, 4096):
            told += chunk
    except OSError:  # the other end is gone
        pass
    os.close(ours)
    assert process.wait(30) == 0
    assert b"15/15" in told


# What it refuses


def test_what_cannot_work_says_so_and_what_to_do(serve, file, tmp_path):
    groups = make_groups(2)
    server, source = serve(knowing(groups)), file(groups)
    blind = file(
        [TrajectoryGroup([Trajectory(t.messages) for t in g.trajectories], g.id) for g in groups], "b.jsonl"
    )
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(source.read_bytes() + b'{"id": "x", "trajectories": [\n')
    (tmp_path / "a file").write_text("")
    out = tmp_path / "out"
    for args, told in [
        (("--judge", "noisy:2", "--suite", source), "from 0.5 to 1"),
        (("--judge", "biased:speed=1", "--suite", source), "position, length, attack, noise"),
        (("--judge", "adversarial:3", "--suite", source), "not a simulated judge"),
        (("--judge", "", "--suite", source), "needs a name"),
        (
            ("--judge", "oracle", "--suite", "toolen"),
            "Choose toolenv, constraints, arithmetic, code, answers, lookup, tau-airline",
        ),
        (("--judge", "oracle", "--suite", "code:sise=3"), "difficulty=0..1, size=2..64"),
        (("--judge", "oracle", "--suite", "toolenv:difficulty=2"), "difficulty=0..1"),
        (("--judge", "oracle", "--suite", "arithmetic:size=1"), "size=2..64"),
        (("--judge", "oracle", "--suite", blind), "cannot tell a good judge from a bad one"),
        (("--judge", "oracle", "--suite", torn), "torn.jsonl: Line 3 is not JSON"),
        (("--judge", "sim", "--suite", source, "--base-url", "nonsense"), "no address"),
        (("--judge", "oracle", "--suite", source, "--price", "cheap"), "two numbers"),
        (("--judge", "oracle", "--suite", source, "--rubric", "@none.txt"), "none.txt"),
        (("--judge", "oracle", "--suite", source, "--template", "nobody.v9"), "nobody.v9"),
        (("--judge", "oracle", "--suite", source, "--out", tmp_path / "a file"), "cannot be created"),
        (("--judge", "oracle", "--suite", source, "--groups", 0), "groups"),
        (("--judge", "oracle", "--suite", source, "--passes", 0), "passes"),
        (("--suite", source), "--judge"),
    ]:
        done = here("bench", *(() if "--out" in args else ("--out", out)), *args, "-q")
        assert done.code == 2, (args, done.told)
        assert told in " ".join(re.sub(r"[│\n]", " ", done.err).split()), (args, done.err)
        assert "Traceback" not in done.told
    assert server.requests == 0


def test_groups_that_cannot_tell_judges_apart_are_left_out_and_counted(file, tmp_path):
    groups = make_groups(4)
    same = TrajectoryGroup([Trajectory(t.messages, ground_truth=0.5) for t in groups[0].trajectories], "same")
    some = [
        Trajectory(t.messages, ground_truth=0.1 * i if i else None)
        for i, t in enumerate(groups[1].trajectories)
    ]
    source = file([same, *groups[2:], TrajectoryGroup(some, "partly")])
    suite = load(str(source), 10)
    assert [g.id for g in suite.groups] == ["g2", "g3"]
    assert suite.left_out == 2
    assert here("bench", "--judge", "oracle", "--suite", source, "--out", tmp_path / "out", "-q").code == 0
    [told] = read(tmp_path / "out")["suites"]
    assert told == {"suite": str(source), "groups": 2, "left_out": 2, "trajectories": 8}


def test_a_bad_suite_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no suite 'nowhere.jsonl'"):
        load("nowhere.jsonl")
    with pytest.raises(ConfigurationError, match="/dev/null is read more than once"):
        load("/dev/null")


@pytest.mark.parametrize("key_or_model", ["key", "model"])
def test_a_wrong_key_or_model_ends_it_after_one_asking(serve, file, tmp_path, monkeypatch, key_or_model):
    groups = make_groups(30)
    server = serve(knowing(groups), api_key="the right key", model="sim")
    monkeypatch.setenv("RANKER_API_KEY", "a wrong key" if key_or_model == "key" else "the right key")
    judge = "sim" if key_or_model == "key" else "sam"
    args = (
        "bench",
        "--judge",
        judge,
        "--base-url",
        server.base_url,
        "--suite",
        file(groups),
        "--out",
        tmp_path / "out",
    )
    done = here(*args, "-q")
    assert done.code == 2
    assert ("API key" if key_or_model == "key" else "model's name") in done.err
    assert server.requests == 1
    made = read(tmp_path / "out")
    assert (cell(made, judge)["groups"], cell(made, judge)["failed"]) == (1, 1)
    assert values(made, judge)["pairwise_accuracy"] is None
    assert cell(made, "length")["groups"] == 30  # the other judges are asked all the same
    # Put right, the same command asks everything.
    monkeypatch.setenv("RANKER_API_KEY", "the right key")
    if key_or_model == "key":
        assert here(*args, "-q").code == 0
        assert server.requests == 1 + 150


def test_unusable_replies_and_failed_groups_are_counted_and_never_guessed(serve, file, tmp_path):
    groups = make_groups(40)
    server = serve(knowing(groups), faults={"missing_id": 0.3, "prose": 0.3, "empty": 0.3}, seed=3)
    done = here(*args_for(server, file(groups), tmp_path / "out"))
    assert done.code == 1
    made = read(tmp_path / "out")
    sim, found = cell(made, "sim"), values(made, "sim")
    some = [o for o in observed(tmp_path / "out") if o["judge"] == "sim"]
    failed = [o for o in some if "error" in o]
    assert {o["error"]["type"] for o in failed} == {"VerdictError"}
    assert 0 < len(failed) < 200
    assert f"{len(failed)} rankings failed" in done.err
    assert all("rewards" not in o for o in failed)
    assert found["failure_rate"] == pytest.approx(len(failed) / 200)
    assert found["unusable_replies"] == pytest.approx(1 - server.counts["ok"] / server.requests)
    assert sim["usage"]["calls"] == server.requests
    assert sim["failed"] == sum(o["asking"] == "plain" for o in failed)
    assert sim["errors"] == {"VerdictError": len(failed)}
    assert found["pairwise_accuracy"] == 1.0  # of the verdicts there are; none is made up
    answered = sum("rewards" in o and o["asking"] not in ("attacked", "control") for o in some)
    assert sum(sim["by_group"]["pairs"]) == 6 * answered
    # They say something of the judge: the same command does not ask again.
    before = server.requests
    assert here(*args_for(server, file(groups), tmp_path / "out")).code == 1
    assert server.requests == before


def test_one_failed_asking_of_many_is_no_success(serve, file, tmp_path):
    """The plain askings all went well; the exit code still says that something is missing."""
    groups = make_groups(6)
    server = serve(knowing(groups))
    source, out = file(groups), tmp_path / "out"
    assert here(*args_for(server, source, out, "--accuracy-only")).code == 0
    server.faults = {"prose": 1.0}
    done = here(*args_for(server, source, out))
    assert done.code == 1
    assert "24 rankings failed" in done.err
    assert cell(read(out), "sim")["failed"] == 0


def test_the_worst_groups_are_kept_for_a_reader(serve, file, tmp_path):
    asked = [[{"role": "user", "content": "Asked of a sub-agent."}]]
    groups = [
        replace(group, trajectories=[replace(t, histories=asked) for t in group]) for group in make_groups(12)
    ]
    server = serve(knowing(groups))
    done = here(*args_for(server, file(groups), tmp_path / "out", "--judge", "noisy:0.6"))
    assert done.code == 0
    lines = [json.loads(line) for line in (tmp_path / "out" / "disagreements.jsonl").read_text().splitlines()]
    judges = [line["judge"] for line in lines]
    assert "sim" not in judges  # never wrong
    assert judges.count("noisy:0.6") <= 1
    for line in lines:
        assert line["agreement"] < 1
        assert {t["id"] for t in line["trajectories"]} == line["rewards"].keys() == {"t0", "t1", "t2", "t3"}
        assert all(t["histories"] == asked for t in line["trajectories"])


def test_a_judge_may_see_fewer_groups_of_a_suite():
    from ranker.bench.judge_spec import judge_spec
    from ranker.bench.matrix import Matrix
    from ranker.suites import load

    judges = (judge_spec("oracle", None, {}), judge_spec("random", None, {}))
    suite = load("arithmetic", 5)
    matrix = Matrix(judges, (suite,), limits={("random", "arithmetic"): 2})
    seen = [{condition.index for condition in matrix.plan(judge, suite)} for judge in judges]
    assert seen == [set(range(5)), {0, 1}]
