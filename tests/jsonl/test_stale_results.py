"""Rewards are those of the present run, or there are none."""

from __future__ import annotations

import json

import pytest

from ranker import ConfigurationError, GroupError, RankedGroup, RankerError, Usage
from ranker.bench.observation import Observation
from ranker.jsonl.group_file import print_of, ranked_record, rewards_of
from ranker.ranked import RESULT_FIELDS
from ranker.trajectory import group_from_dict
from ranker.tuning.examples import read_examples
from tests.bench_runs import here
from tests.cli.test_cli import records
from tests.conftest import make_groups, truthful

STALE = {
    "ranking": [["t0"], ["t1"], ["t2"], ["t3"]],
    "rewards": {"t0": 1.0, "t1": 0.75, "t2": 0.25, "t3": 0.0},
    "reasons": {"t0": "earlier"},
    "judge": "earlier",
    "prompt_id": "earlier",
    "usage": {"calls": 99},
    "consistency": 0.5,
    "reward_deviation": {"t0": 0.3},
    "cut": {"t0": 7},
    "warnings": ["earlier"],
    "turn_rewards": {"t0": [1.0]},
    "error": {"type": "JudgeError", "message": "earlier"},
}


def line(group, **more):
    attempts = [{"id": t.id, "messages": list(t.messages)} for t in group.trajectories]
    return {"id": group.id, "trajectories": attempts, "note": "mine", **more}


def write(path, *lines):
    path.write_text("".join(json.dumps(one) + "\n" for one in lines))
    return path


def test_the_fields_of_a_result_are_those_that_a_result_adds():
    (group,) = make_groups(1)
    full = RankedGroup(
        group,
        [1.0, 0.5, 0.5, 0.0],
        [[0], [1, 2], [3]],
        [""] * 4,
        1.0,
        cut=(1, 0, 0, 0),
        warnings=("w",),
        reward_deviation=[0.1] * 4,
        turn_rewards=[[1.0, None]] * 4,
    )
    failed = RankedGroup(group, [None] * 4, [], [""] * 4, error=RankerError("no"))
    assert full.to_dict().keys() | failed.to_dict().keys() == RESULT_FIELDS == STALE.keys()
    for ranked in (full, failed):
        record = ranked_record(line(group, **STALE), ranked)
        if ranked is full:
            assert [t.pop("reward") for t in record["trajectories"]] == full.rewards
        assert record == {**line(group), **ranked.to_dict()}


def test_each_trajectory_has_its_reward_beside_its_id():
    (group,) = make_groups(1, size=2)
    ranked = RankedGroup(group, [0.0, 1.0], [[1], [0]], ["", ""])
    failed = RankedGroup(group, [None, None], [], ["", ""], error=RankerError("no"))
    record = ranked_record(line(group), ranked)
    assert [list(t)[:2] for t in record["trajectories"]] == [["id", "reward"]] * 2
    assert [t["reward"] for t in record["trajectories"]] == [0.0, 1.0] == list(record["rewards"].values())
    assert "reward" not in json.dumps(ranked_record(record, failed)), "one of an earlier ranking is dropped"
    bare = {"trajectories": [list(t.messages) for t in group]}
    assert ranked_record(bare, ranked)["trajectories"] == bare["trajectories"], (
        "a list of messages has no place for it"
    )


def test_a_ranked_file_as_input_is_the_same_group_and_its_rewards_reach_no_judge(serve, tmp_path):
    groups, shown = make_groups(2), []
    server = serve(lambda text: shown.append(text) or float(len(text)))
    source, out = write(tmp_path / "in.jsonl", *map(line, groups)), tmp_path / "out.jsonl"
    judge = ("--judge", "sim", "--base-url", server.base_url, "-q")
    assert here("rank", source, *judge, "--out", out).code == 0
    assert here("rank", out, *judge, "--out", tmp_path / "again.jsonl").code == 0
    first, second = records(out), records(tmp_path / "again.jsonl")
    first.sort(key=lambda r: r["id"])
    second.sort(key=lambda r: r["id"])
    assert [list(r["rewards"].values()) for r in first] == [
        [t["reward"] for t in r["trajectories"]] for r in first
    ]
    assert [r["rewards"] for r in second] == [r["rewards"] for r in first]
    assert server.requests == 4
    assert len(shown) == 16
    assert not any("reward" in text for text in shown)
    for one, other in zip(map(line, groups), first, strict=True):
        assert print_of(one) == print_of(other), "what was ranked goes on from either file"


@pytest.mark.parametrize("order", [("messages", "id"), ("agent", "id", "messages"), ("messages",)], ids=str)
def test_a_run_goes_on_wherever_an_attempt_has_its_id(serve, tmp_path, order):
    groups = make_groups(3)
    server = serve(groups)
    fields = [
        [{"id": t.id, "messages": list(t.messages), "agent": "a"} for t in g.trajectories] for g in groups
    ]
    lines = [
        {"trajectories": [{key: attempt[key] for key in order} for attempt in attempts], "id": group.id}
        for group, attempts in zip(groups, fields, strict=True)
    ]
    source, out = write(tmp_path / "in.jsonl", *lines), tmp_path / "out.jsonl"
    command = ("rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", out, "-q")
    assert here(*command).code == 0
    ranked = out.read_bytes()
    again = here(*command)
    assert (again.code, again.err) == (0, "")
    write(source, *(json.loads(json.dumps(one, sort_keys=True)) for one in lines))  # as another tool may
    assert here(*command).code == 0
    assert (out.read_bytes(), server.requests) == (ranked, 3)
    lines[1]["trajectories"][2]["messages"][1]["content"] = "Another word."
    write(source, *lines)
    changed = here(*command)
    assert changed.code == 2
    assert "other attempts" in changed.err


@pytest.mark.parametrize("known", [True, False], ids=["ranked", "failed"])
@pytest.mark.parametrize("where", ["file", "standard output"])
def test_a_ranked_file_ranked_again_holds_this_run_s_results_only(serve, tmp_path, known, where, capfdbinary):
    groups = make_groups(3)
    server = serve(groups if known else groups[:0])
    source, out = write(tmp_path / "in.jsonl", *(line(g, **STALE) for g in groups)), tmp_path / "out.jsonl"
    args = ("rank", source, "--judge", "sim", "--base-url", server.base_url, "--on-error", "skip", "-q")
    if where == "file":
        done = here(*args, "--out", out)
        assert done.code == (0 if known else 1)
    else:
        import subprocess
        import sys

        command = [sys.executable, "-m", "ranker", *map(str, args)]
        out.write_bytes(subprocess.run(command, capture_output=True, timeout=60, check=False).stdout)
    written = records(out)
    assert len(written) == 3
    for record in written:
        group = groups[int(record["id"][1:])]
        key = "rewards" if known else "error"
        assert list(record)[:2] == ["id", key]
        assert record["judge"] == "sim"
        assert record["note"] == "mine"
        assert "earlier" not in json.dumps(record)
        if known:
            assert truthful(group, [record["rewards"][t.id] for t in group.trajectories])
        else:
            assert not {"rewards", "ranking", "reasons", "prompt_id", "consistency", "cut"} & record.keys()


def test_a_failed_group_has_no_rewards_whatever_stands_beside_its_error(tmp_path):
    """As in files of earlier versions; also lines that could not be read, which have nothing but an error."""
    good, *failed = make_groups(4)
    rewards = STALE["rewards"]
    bad = {"id": "line:5", "line": 5, "error": {"type": "GroupError", "message": "Line 5 is not JSON"}}
    lines = [
        line(good, rewards=rewards, judge="strong"),
        line(failed[0], **STALE),
        line(failed[1], rewards=rewards, judge="earlier", error={}),
        line(failed[2], error={"type": "JudgeError", "message": "no"}, judge="strong"),
        bad,
    ]
    found = read_examples(write(tmp_path / "ranked.jsonl", *lines))
    assert [e.id for e in found.examples] == ["g0"]
    assert (found.truth, found.judge, found.left_out) == ("ranking", "strong", 4)
    with pytest.raises(ConfigurationError, match=r"4 groups \(4 failed\)"):
        read_examples(write(tmp_path / "failed.jsonl", *lines[1:]), "ranking")


@pytest.mark.parametrize(
    "rewards",
    [
        {"t0": 1.0, "t1": 0.5, "t2": 0.0},
        {**STALE["rewards"], "t4": 0.5},
        {"a": 1.0, "b": 0.5, "c": 0.25, "d": 0.0},
        {**STALE["rewards"], "t0": None},
        {**STALE["rewards"], "t0": float("inf")},
        {**STALE["rewards"], "t0": "1.0"},
        {**STALE["rewards"], "t0": True},
    ],
    ids=["one missing", "one too many", "of other trajectories", "none", "infinite", "text", "truth value"],
)
def test_rewards_that_are_not_one_for_each_trajectory_are_not_used(tmp_path, rewards):
    one = line(make_groups(1)[0], rewards=rewards)
    with pytest.raises(GroupError, match="one finite number for each"):
        rewards_of(one, group_from_dict(one))
    path = write(tmp_path / "ranked.jsonl", line(make_groups(2)[1], rewards=STALE["rewards"]), one)
    with pytest.raises(ConfigurationError, match=r"line 2: .*one finite number for each"):
        read_examples(path)


def test_rewards_come_in_the_order_of_the_group():
    one = line(make_groups(1)[0], rewards={"t3": 0.1, "t1": 1, "t0": 0.5, "t2": 0.0})
    assert rewards_of(one, group_from_dict(one)) == [0.5, 1.0, 0.0, 0.1]
    assert rewards_of({**one, "error": {}}, group_from_dict(one)) is None
    assert rewards_of({**one, "error": None}, group_from_dict(one)) == [0.5, 1.0, 0.0, 0.1]


def test_an_observation_with_an_error_has_no_rewards():
    seen = Observation(
        "id",
        "judge",
        "suite",
        "g",
        0,
        "plain",
        "s",
        (1.0, 0.0),
        (1, 1),
        (0, 1),
        (0.0, 1.0),
        (1.0, 0.0),
        Usage(),
        0.1,
    )
    record = json.loads(json.dumps(seen.to_record()))
    assert Observation.from_record(record) == seen
    assert Observation.from_record({**record, "error": {"type": "JudgeError"}}).rewards is None
    for rewards in ([1.0], [1.0, 0.5, 0.0], None):
        with pytest.raises(ValueError, match="one for each"):
            Observation.from_record({**record, "rewards": rewards})
