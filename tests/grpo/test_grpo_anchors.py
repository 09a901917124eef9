"""Anchors: the judge compares with the start policy, and nothing that is learned depends on it.

Run as a script (under torchrun), this file trains with anchors in a folder.
"""

from __future__ import annotations

import io
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from grpo import GRPOConfig, Reward
from grpo.draws import drawn, seed_for
from grpo.group_reward import GroupReward
from grpo.rewards import Rewarder
from grpo.rollouts.anchors import USUAL, share_for
from grpo.runs.folder import RewardCache
from grpo.runs.metrics import ScoredGroup
from grpo.runs.plot import plot
from grpo.runs.progress import TrainingProgress
from grpo.runs.records import group_from_dict, group_to_dict, sample_record
from grpo.runs.win_rate import WINDOW, WinRate
from grpo.types import Rollout, RolloutGroup
from ranker import ConfigurationError, Trajectory, rank_group, rank_group_async
from ranker.statistics import ratio
from ranker.testing import Behaviour
from tests.grpo.test_grpo_distributed import finish, torchrun
from tests.grpo.test_grpo_resume import same
from tests.grpo_runs import (
    ROWS,
    Nursery,
    begin,
    fives,
    furthest,
    judge_at,
    lines,
    seeded,
    spread,
    train,
    untimed,
    weights,
)
from tests.vllm_server import LORA

pytest_plugins = ("tests.vllm_fixtures",)

WIN = {"win_rate", "win_rate_low", "win_rate_high", "win_rate_step"}
ADAPTERS = {"lora_r": 4, "learning_rate": 3e-2, "setup": {"initializer_range": 0.2}}
MANY = [{"id": f"r{i}", "prompt": f"t{i % 30} t{(7 * i) % 30} t3"} for i in range(40)]


def said(trajectory: Trajectory) -> str:
    return str(trajectory.messages[-1]["content"])


def sorter(trajectories: Any) -> list[float]:
    """A judge whose order of two attempts depends on nothing but them."""
    return [sum(map(ord, said(t))) % 97 for t in trajectories]


def without_wins(history: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{k: v for k, v in line.items() if k not in WIN} for line in untimed(history)]


def attempts(out: Path) -> list[Any]:
    """What samples.jsonl says beside the anchors."""
    return [
        [
            {**r, "messages": r["messages"][-1], "above_anchor": None, "reason": None}
            for r in sample["rollouts"]
        ]
        for sample in lines(out / "samples.jsonl")
    ]


# Nothing learns from them.


@pytest.mark.parametrize(
    ("reward", "options"),
    [
        (spread, {}),
        (spread, {"scale_rewards": "batch", "loss_type": "dr_grpo", "beta": 0.1}),
        (partial(rank_group, judge=sorter), {"scale_rewards": "none"}),
        (partial(rank_group, judge=sorter, passes=2), {**ADAPTERS, "dynamic_sampling_rounds": 1}),
        ([Reward(spread, "a"), Reward(partial(rank_group, judge=sorter), "b", 0.3)], {}),
    ],
    ids=["values", "batch", "ranks", "adapters", "mixed"],
)  # fmt: skip
def test_a_run_learns_the_same_with_and_without(tmp_path, reward, options):
    found = []
    for share in (0, 1):
        trainer, history = train(
            reward, out=tmp_path / str(share), max_steps=6, anchor_share=share, checker=lambda t, r: fives(said(t)),
            **options,
        )  # fmt: skip
        found.append((weights(trainer), history, attempts(tmp_path / str(share))))
    (plain, plain_history, plain_samples), (anchored, history, samples) = found
    assert furthest(plain, anchored) == 0.0
    assert furthest(plain, weights(begin(**options))) > 1e-3, "nothing was learned"
    assert without_wins(history) == untimed(plain_history), "no key of it is about the anchors"
    assert all(line.keys() >= WIN for line in history)
    assert samples == [[{**r, "above_anchor": None, "reason": None} for r in g] for g in plain_samples]
    assert not (tmp_path / "0" / "anchors.jsonl").exists()


def test_the_judge_is_shown_one_more_attempt(serve):
    server = serve(fives, keep_prompts=True)
    _, history = train(judge_at(server.base_url), anchor_share=0.5, checker=lambda t, r: 0.123456)
    anchored = [drawn(0, k) < 0.5 for k in range(6)]
    assert 0 < sum(anchored) < 6
    shown = Counter(prompt[-1]["content"].count("<trajectory id=") for prompt in server.prompts)
    assert shown == Counter(4 + there for there in anchored)
    told = str(server.prompts)
    assert "anchor" not in told
    assert "123456" not in told
    assert all(line["reward_mean"] == pytest.approx(0.5) for line in history), "ranks average a half"


def test_debiased_rewards_are_the_attempts_own(serve, tmp_path):
    server = serve(fives, Behaviour(length_bias=0.3))
    setup = {"initializer_range": 0.2}
    judge = judge_at(server.base_url, reward="debiased")
    _, history = train(judge, out=tmp_path, anchor_share=1, scale_rewards="batch", setup=setup)
    for sample in lines(tmp_path / "samples.jsonl"):
        rewards = [r["reward"] for r in sample["rollouts"]]
        assert np.mean(rewards) == pytest.approx(0.0, abs=1e-9)
        anchor = sample["anchor"]["reward"]
        assert [r["above_anchor"] for r in sample["rollouts"]] == [
            1.0 if r > anchor else 0.5 * (r == anchor) for r in rewards
        ]
    assert history[-1]["win_rate"] is not None
    assert all(len(sample["rollouts"]) == 4 for sample in lines(tmp_path / "samples.jsonl"))


# They are the start policy's.


@pytest.mark.parametrize("options", [{"learning_rate": 0.1}, {**ADAPTERS, "learning_rate": 0.3}])
def test_anchors_are_of_the_policy_at_the_start(tmp_path, options):
    settings = {"rows": MANY, "anchor_share": 1, "max_steps": 20, **options}
    trainer, _ = train(spread, out=tmp_path, **settings)
    kept = {a["row"]: a for a in lines(tmp_path / "anchors.jsonl")}
    assert {a["batch"] for a in kept.values()} == {0, 1}, "some are sampled after 16 steps"
    seed = seed_for("anchors", 0)
    at_start = begin(spread, **settings).evaluate(MANY, seed=seed)
    for row, group in enumerate(at_start):
        assert kept[row]["trajectory"]["messages"][-1]["content"] == said(group.rollouts[0].trajectory)
    now = trainer.evaluate(MANY, seed=seed)
    assert sum(said(a.rollouts[0].trajectory) != said(b.rollouts[0].trajectory) for a, b in zip(at_start, now, strict=True)) > 20  # fmt: skip
    by_id = {row["id"]: i for i, row in enumerate(MANY)}
    samples = lines(tmp_path / "samples.jsonl")
    assert len(samples) == 40
    for sample in samples:
        expected = kept[by_id[sample["row"]]]["trajectory"]["messages"]
        assert sample["anchor"]["messages"] == expected[len(sample["prompt"]) :]


def test_one_for_each_row_and_share_of_the_groups(tmp_path):
    calls: Counter[str] = Counter()

    async def rollout(policy: Any, row: Any) -> Any:
        calls[row["id"]] += 1
        reply = {"role": "assistant", "content": await policy.complete(row["prompt"])}
        return Trajectory([{"role": "user", "content": row["prompt"]}, reply], id="same")

    settings = {"rollout": rollout, "max_steps": 12, "checker": lambda t, r: fives(said(t))}
    with pytest.raises(Exception, match="twice"):  # ids of attempts are theirs to keep apart
        train(spread, **settings)

    async def named(policy: Any, row: Any) -> Any:
        made = await rollout(policy, row)
        others[row["id"]] += 1
        return Trajectory(made.messages, id=f"{others[row['id']] % 4}")  # the anchor's is that of an attempt

    others: Counter[str] = Counter()
    calls.clear()
    trainer, _ = train(spread, out=tmp_path, **{**settings, "rollout": named}, anchor_share=0.4)
    samples = lines(tmp_path / "samples.jsonl")
    groups = [s["group"] for s in samples if "anchor" in s]
    assert groups == [k for k in range(24) if drawn(0, k) < 0.4]
    rows = {s["row"] for s in samples if "anchor" in s}
    assert len(rows) < len(groups), "some are shown again"
    assert calls == Counter({r["id"]: 4 * sum(s["row"] == r["id"] for s in samples) + (r["id"] in rows) for r in ROWS})  # fmt: skip
    kept = lines(tmp_path / "anchors.jsonl")
    assert {ROWS[a["row"]]["id"] for a in kept} == rows
    assert len(kept) == len(rows)
    assert all(a["ground_truth"] is not None and a["trajectory"]["id"] is None for a in kept)
    assert all(g.anchor is None for g in trainer.evaluate(ROWS))
    assert len(lines(tmp_path / "anchors.jsonl")) == len(rows)


def test_anchors_that_broke_off_are_none(tmp_path):
    calls: Counter[str] = Counter()

    async def rollout(policy: Any, row: Any) -> Any:
        calls[row["id"]] += 1
        if calls[row["id"]] == 1 and int(row["id"][1:]) % 2 == 0:  # anchors come first
            raise ValueError("no")
        reply = {"role": "assistant", "content": await policy.complete(row["prompt"])}
        return [{"role": "user", "content": row["prompt"]}, reply]

    _, history = train(spread, rollout=rollout, out=tmp_path, anchor_share=1, max_steps=10)
    for sample in lines(tmp_path / "samples.jsonl"):
        assert ("anchor" in sample) == (int(sample["row"][1:]) % 2 == 1)
        assert ("above_anchor" in sample["rollouts"][0]) == ("anchor" in sample)
    kept = lines(tmp_path / "anchors.jsonl")
    assert sorted(a["row"] for a in kept if a["error"] == "ValueError: no") == [0, 2, 4, 6, 8]
    assert all(line["broken_rollouts"] == 0 and line["failed_groups"] == 0 for line in history)


# What the judge says of them.


def group_of(texts: list[str | None], anchor: str | None = None, index: int = 3) -> RolloutGroup:
    def spoken(text: str) -> Trajectory:
        return Trajectory([{"role": "user", "content": "go"}, {"role": "assistant", "content": text}])

    rollouts = tuple(Rollout(None if t is None else spoken(t), ()) for t in texts)
    truths = tuple(None if t is None else len(t) / 10 for t in texts)
    return RolloutGroup(index, {"id": "r"}, rollouts, 2, truths, None if anchor is None else spoken(anchor), 0.7)  # fmt: skip


def lengths(group: Any) -> list[float | None]:
    return [None if said(t) == "none" else float(len(said(t))) for t in group.trajectories]


def rewarder(*rewards: Reward, how: Any = "sum_then_normalize") -> Rewarder:
    return Rewarder(rewards or [Reward(lengths)], how, 10.0)


def test_wins_on_a_hand_made_group():
    reward = rewarder().reward(group_of(["aaa", None, "a", "bb", "none"], "cc"))
    assert reward.wins == [1.0, None, 0.0, 0.5, None]
    assert reward.values == [3.0, None, 1.0, 2.0, None]
    assert reward.anchored_values == [3.0, None, 1.0, 2.0, None, 2.0]
    assert rewarder().reward(group_of(["aaa", "a"])).wins == []
    assert rewarder().reward(group_of(["aaa", "a"], "none")).wins == [None, None]
    assert rewarder().reward(group_of(["aaa", None], "b")).error is not None, "an anchor is no attempt"


def test_the_mixed_reward_decides():
    ranks = Reward(partial(rank_group, judge=lambda ts: [-len(said(t)) for t in ts]), "short", 3.0)
    reward = rewarder(Reward(lengths, "long"), ranks).reward(group_of(["a", "bbb"], "cc"))
    assert reward.anchored_parts == {"long": [1.0, 3.0, 2.0], "short": [1.0, 0.0, 0.5]}
    assert reward.anchored_values == [4.0, 3.0, 3.5]
    assert reward.wins == [1.0, 0.0]
    assert reward.parts == {"long": [1.0, 3.0], "short": [1.0, 0.0]}
    assert reward.values == [4.0, 3.0]
    normed = rewarder(Reward(lengths, "long"), how="normalize_then_sum").reward(
        group_of(["a", "bbb", "cc"], "cccccc")
    )
    assert sum(v for v in normed.values if v is not None) == pytest.approx(0.0), (
        "normalized without the anchor"
    )
    assert normed.wins == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("rule", ["rank", "top_heavy"])
@pytest.mark.parametrize("anchor", ["a", "bb", "bbb", "bbbbb", "bbbbbbb"])
def test_ranks_are_those_of_the_attempts_alone(rule, anchor):
    judge = partial(rank_group, judge=lambda ts: [len(said(t)) for t in ts], reward=rule)
    texts: list[str | None] = ["dd", "ccccc", "ddd", "ee", "ffff"]
    alone = rewarder(Reward(judge)).reward(group_of(texts))
    beside = rewarder(Reward(judge)).reward(group_of(texts, anchor))
    assert beside.values == alone.values
    assert beside.wins == [1.0 if len(t or "") > len(anchor) else 0.5 * (len(t or "") == len(anchor)) for t in texts]  # fmt: skip
    assert (alone.values == beside.anchored_values[:-1]) is False


def scored(wins: list[float | None]) -> ScoredGroup:
    """With an anchor worth 0."""
    values = [None if w is None else w - 0.5 for w in wins]
    return ScoredGroup(group_of(["a"] * len(wins)), GroupReward(values, anchored_values=[*values, 0.0]))


def test_win_rate_is_over_the_latest_groups():
    rate = WinRate()
    assert rate.metrics([]) == dict.fromkeys(WIN)
    plain = ScoredGroup(group_of(["a", "b"]), GroupReward([1.0, 2.0]))
    line = rate.metrics([plain, scored([1.0, 0.5, 0.0, None]), scored([1.0])])
    assert line["win_rate"] == line["win_rate_step"] == 2.5 / 4
    assert line["win_rate_low"] < 2.5 / 4 < line["win_rate_high"]
    line = rate.metrics([plain, scored([None, None])])
    assert line["win_rate_step"] is None
    assert line["win_rate"] == 2.5 / 4, "the groups before still count"
    drawn_wins = [[float(w) for w in np.random.default_rng(k).integers(0, 2, 3)] for k in range(WINDOW + 5)]
    for wins in drawn_wins:
        line = rate.metrics([scored(wins)])
    latest = np.array(drawn_wins[-WINDOW:])
    expected = ratio(latest.sum(1), np.full(WINDOW, 3.0), share=True)
    assert (line["win_rate"], line["win_rate_low"], line["win_rate_high"]) == (expected.value, expected.low, expected.high)  # fmt: skip
    assert line["win_rate_step"] == latest[-1].mean()


def test_a_group_is_written_down_with_its_anchor(tmp_path):
    group = group_of(["aaa", "b"], "cc")
    kept = json.loads(json.dumps(group_to_dict(group)))
    assert json.loads(json.dumps(group_to_dict(group_from_dict(kept, group.example)))) == kept
    assert group_from_dict(kept, {}).anchor.messages == group.anchor.messages
    cache = RewardCache(tmp_path, 0, False)
    reward = rewarder().reward(group)
    cache.add(group, reward)
    again = RewardCache(tmp_path, 0, True)
    assert again.get(group) == reward
    assert again.get(group_of(["aaa", "b"], "ccc")) is None, "another anchor, other rewards"
    assert again.get(group_of(["aaa", "b"])) is None
    record = sample_record(1, ScoredGroup(group, reward))
    assert record["anchor"] == {
        "messages": [{"role": "assistant", "content": "cc"}],
        "reward": 2.0,
        "ground_truth": 0.7,
    }
    assert [r["above_anchor"] for r in record["rollouts"]] == [1.0, 0.0]


def test_a_run_that_learns_wins_more_and_more(serve, tmp_path):
    server = serve(fives)
    settings = {"groups_per_step": 4, "num_generations": 8, "max_steps": 25, "anchor_share": 0.5}
    stream = io.StringIO()
    with TrainingProgress(Console(file=stream, width=200), 25) as shown:
        _, history = train(judge_at(server.base_url), report=shown, **settings)
    assert f"wins {history[-1]['win_rate']:.0%}" in stream.getvalue()
    assert history[0]["win_rate_low"] < 0.5
    assert history[-1]["win_rate"] > 0.8
    assert history[-1]["win_rate_low"] > 0.6
    assert plot(history, tmp_path / "curves.png")


# Lots, and who has anchors.


def test_lots_are_even_and_the_same_every_time():
    lots = [drawn(7, k) for k in range(20_000)]
    assert all(0 <= lot < 1 for lot in lots)
    assert abs(np.mean(lots) - 0.5) < 0.01
    assert abs(np.mean([lot < 0.25 for lot in lots]) - 0.25) < 0.01
    assert lots[:100] == [drawn(7, k) for k in range(100)]
    assert lots[:100] != [drawn(8, k) for k in range(100)]
    assert drawn(0, 0) == 0.5442774297615403  # runs go on with another version
    assert seed_for("anchors", 0) != seed_for("anchors", 1) != seed_for("audits", 1)


def test_by_default_they_are_where_they_cost_no_memory_and_rewards_rank():
    def mine(group: Any) -> Any:
        return rank_group(group)

    assert Reward(rank_group).ranks
    assert Reward(partial(partial(rank_group_async, judge="local"), passes=2)).ranks
    assert not Reward(mine).ranks
    usual = GRPOConfig()
    assert [share_for(usual, adapters, ranks) for adapters in (True, False) for ranks in (True, False)] == [USUAL, 0, 0, 0]  # fmt: skip
    asked = GRPOConfig(anchor_share=0.1)
    assert share_for(asked, False, False) == 0.1
    assert share_for(GRPOConfig(anchor_share=0), True, True) == 0
    there = "http://127.0.0.1:9"
    assert share_for(GRPOConfig(vllm_server_base_url=there), True, True) == USUAL
    assert share_for(GRPOConfig(vllm_server_base_url=there), False, True) == 0
    for wrong in (-0.1, 1.5, float("nan")):
        with pytest.raises(ConfigurationError, match="anchor_share"):
            GRPOConfig(anchor_share=wrong)


def test_servers_of_whole_weights_are_refused_before_they_are_asked(tmp_path):
    with pytest.raises(ConfigurationError, match="lora_r"):
        begin(spread, out=tmp_path, vllm_server_base_url="http://127.0.0.1:9", anchor_share=0.5)


def test_a_server_samples_them_from_its_base_model(serving, tmp_path):
    options = {**LORA, "anchor_share": 1, "max_steps": 5, "adam_epsilon": 1e-3}
    here = seeded(begin(spread, out=tmp_path / "here", **options))
    seeded(here._collector.anchors.collector)
    expected = here.train()
    server = serving()
    _, found = train(spread, out=tmp_path / "there", vllm_server_base_url=server.url, **options)
    for a, b in zip(untimed(expected), untimed(found), strict=True):
        assert b.pop("server_mismatch") < 1e-5
        assert all(b[name] == pytest.approx(a[name], abs=1e-4) for name in a), a["step"]
    kept = [lines(tmp_path / side / "anchors.jsonl") for side in ("here", "there")]
    assert kept[0] == kept[1]
    assert len(kept[0]) == 10
    asked = server.stats["asked"]
    assert asked[server.spec["model"]] == 10
    assert sum(asked.values()) == 10 + 5 * 2 + 4 * 10


# Going on.


@pytest.fixture(scope="module")
def nursery() -> Iterator[Nursery]:
    made = Nursery()
    yield made
    made.close()


KILLED: dict[str, Any] = {
    "max_steps": 5, "save_steps": 2, "anchor_share": 0.7, "max_pending_groups": 3, "lora_r": 4,
}  # fmt: skip


def test_a_killed_run_goes_on_with_the_same_anchors(tmp_path, nursery):
    whole = tmp_path / "whole"
    assert nursery.run({"out": str(whole), "config": KILLED}) == 0
    assert any(line["win_rate_step"] is not None for line in lines(whole / "metrics.jsonl"))
    for name, die in {"first": {"step": 1}, "step": {"step": 3}, "reward": {"reward": 8}}.items():
        spec = {"out": str(tmp_path / name), "config": KILLED}
        assert nursery.run({**spec, "die": die}) == -signal.SIGKILL
        assert nursery.run({**spec, "resume": True}) == 0, (tmp_path / f"{name}.log").read_text()
        same(tmp_path / name, whole)
        assert (tmp_path / name / "anchors.jsonl").read_bytes() == (whole / "anchors.jsonl").read_bytes()


@pytest.mark.parametrize("cut", [1, 60, 700, 10**6])
def test_a_torn_batch_is_sampled_again_as_it_was(tmp_path, cut):
    def stop(line: Any) -> None:
        raise InterruptedError

    settings = {"anchor_share": 1, "max_steps": 3}
    with pytest.raises(InterruptedError):
        train(spread, out=tmp_path, report=stop, **settings)
    file = tmp_path / "anchors.jsonl"
    before = file.read_bytes()
    os.truncate(file, max(0, len(before) - cut))
    _, history = train(spread, out=tmp_path, resume=True, **settings)
    assert file.read_bytes() == before
    assert untimed(history) == untimed(train(spread, **settings)[1])


@pytest.mark.parametrize(
    "line", [b'{"row": 1}\n', b'{"row": 0, "rows": 1, "trajectory": 3}\n', b"\x00\n", b"[]\n"]
)
def test_lines_of_another_kind_are_passed_over(tmp_path, line):
    (tmp_path / "run").mkdir()
    settings = {"anchor_share": 1, "max_steps": 3, "out": tmp_path / "run", "save_steps": 1}

    def stop(line: Any) -> None:
        if line["step"] == 2:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        train(spread, report=stop, **settings)
    with open(tmp_path / "run" / "anchors.jsonl", "ab") as file:
        file.write(line)
    before = lines(tmp_path / "run" / "samples.jsonl")
    _, history = train(spread, resume=True, **settings)
    assert lines(tmp_path / "run" / "samples.jsonl")[:2] == before[:2]
    assert len(history) == 3
    assert len(lines(tmp_path / "run" / "anchors.jsonl")) == 6


# Several processes.

SEVERAL: dict[str, dict[str, Any]] = {
    "adapters": {"lora_r": 4, "setup": {"initializer_range": 0.2}, "groups_per_step": 3},
    "sharded": {"beta": 0.1, "fsdp": True},
}


def learn(folder: Path) -> None:
    for name, options in SEVERAL.items():
        train(spread, out=folder / name, anchor_share=0.8, adam_epsilon=1.0, max_steps=4, **options)


@pytest.mark.timeout(600)
def test_two_processes_have_the_anchors_of_one(tmp_path):
    started = torchrun(__file__, str(tmp_path / "two"))
    learn(tmp_path / "one")
    finish(started)
    for name in SEVERAL:
        one, two = tmp_path / "one" / name, tmp_path / "two" / name
        assert [p.name for p in two.glob("anchors*")] == ["anchors.jsonl"]
        assert lines(one / "anchors.jsonl") == lines(two / "anchors.jsonl")
        assert {s["group"] for s in lines(two / "samples.jsonl") if "anchor" in s} == {
            k for k in range(len(lines(two / "samples.jsonl"))) if drawn(0, k) < 0.8
        }
        for a, b in zip(
            untimed(lines(one / "metrics.jsonl")), untimed(lines(two / "metrics.jsonl")), strict=True
        ):
            assert a.keys() == b.keys() >= WIN
            assert all(b[field] == pytest.approx(a[field], abs=1e-5) for field in a), a["step"]


if __name__ == "__main__":
    learn(Path(sys.argv[1]))
