"""The loop as a whole, on small real models: it learns, and every setting does what it says."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from ranker import Trajectory
from tests.grpo_runs import (
    ROWS,
    TIMED,
    begin,
    fives,
    furthest,
    judge_at,
    lines,
    spread,
    train,
    untimed,
    weights,
)

LEARN = {"groups_per_step": 4, "num_generations": 8, "max_steps": 25}
# Adam turns a rounding error in a gradient near 0 into a whole step, unless its epsilon is large.
GENTLE = {"max_steps": 2, "num_iterations": 2, "adam_epsilon": 1.0, "learning_rate": 0.3}
REQUIRED = {
    *(
        "step",
        "reward_mean",
        "reward_std",
        "ground_truth_mean",
        "kl",
        "entropy",
        "grad_norm",
        "clip_fraction",
    ),
    *("tied_groups", "failed_groups", "tokens_per_second", "judge_calls", "judge_cost_usd"),
}


def test_it_learns_from_a_function():
    _, history = train(**LEARN)
    assert [line["step"] for line in history] == list(range(1, 26))
    assert history[0]["reward_mean"] < 0.1
    assert history[-1]["reward_mean"] > 0.6


@pytest.mark.parametrize("lora_r", [0, 4])
def test_it_learns_from_the_order_a_judge_gives(serve, lora_r):
    server = serve(fives, keep_prompts=True)
    checked = 0.123456

    def checker(trajectory: Trajectory, row: object) -> float:
        return fives(trajectory.messages[-1]["content"]) + checked

    more = {"lora_r": 4, "learning_rate": 3e-2, "setup": {"initializer_range": 0.2}} if lora_r else {}
    _, history = train(judge_at(server.base_url), checker=checker, **{**LEARN, **more})
    assert history[0]["ground_truth_mean"] - checked < 0.1
    assert history[-1]["ground_truth_mean"] - checked > 0.5
    assert all(line["judge_accuracy"] == 1.0 for line in history if line["judge_accuracy"] is not None)
    assert sum(line["judge_calls"] for line in history) <= server.requests
    shown = str(server.prompts)
    assert "123456" not in shown, "the truth reached a judge"
    assert "ground_truth" not in shown
    assert "r7" not in shown, "so did the row's id"


def test_no_group_is_sampled_or_judged_that_no_step_learns_from(serve):
    server = serve(fives)
    trainer, history = train(judge_at(server.base_url), groups_per_step=3, max_steps=3)
    deadline = time.monotonic() + 2
    while any(t.name.startswith("reward-") for t in threading.enumerate()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.requests == sum(line["judge_calls"] for line in history) == 9
    assert not trainer._collector.pending


@pytest.mark.parametrize(
    "loss", [{}, {"loss_type": "grpo", "beta": 0.1}, {"loss_type": "dr_grpo"}, {"importance_sampling_level": "sequence"}]
)  # fmt: skip
def test_the_window_counts_not_how_it_is_cut(loss):
    found = []
    for most in (1, 40, 4096):
        trainer, history = train(spread, max_tokens_per_forward=most, **GENTLE, **loss)
        found.append((weights(trainer), history[0]))
    for others, line in found[1:]:
        assert furthest(found[0][0], others) < 1e-6
        assert line["loss"] == pytest.approx(found[0][1]["loss"], abs=1e-6)
        assert line["grad_norm"] == pytest.approx(found[0][1]["grad_norm"], rel=1e-5)
    assert furthest(found[0][0], weights(begin())) > 1e-3, "nothing was learned"


def test_without_pending_groups_it_is_strictly_on_policy():
    _, history = train(spread, max_steps=5, max_pending_groups=0, epsilon=0.0)
    for line in history:
        assert line["lag"] == 0
        assert line["clip_fraction"] == 0.0
        assert line["sampler_mismatch"] < 1e-5


@pytest.mark.parametrize(("pending", "lag"), [(None, 1), (2, 1), (3, 2), (6, 3)])
def test_pending_groups_are_trained_on_late_and_the_ratio_says_so(pending, lag):
    _, history = train(spread, max_steps=6, max_pending_groups=pending, epsilon=0.01, learning_rate=3e-2)
    assert history[0]["lag"] == 0
    assert history[-1]["lag"] == max(line["lag"] for line in history) == lag
    assert history[0]["clip_fraction"] == 0.0
    assert history[-1]["clip_fraction"] > 0.1
    assert history[0]["sampler_mismatch"] < 1e-5


def test_groups_are_sampled_while_others_are_judged():
    events: list[tuple[str, int]] = []
    at_once, most, lock = 0, 0, threading.Lock()

    def slow(group):
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        events.append(("judge", int(group.id)))
        time.sleep(0.05)
        with lock:
            at_once -= 1
        events.append(("judged", int(group.id)))
        return spread(group)

    _, history = train(
        slow,
        rows=[{"prompt": row["prompt"]} for row in ROWS],
        max_steps=3,
        max_pending_groups=4,
        report=lambda line: events.append(("step", line["step"])),
    )
    assert most >= 4, "all groups that may wait are judged together"
    assert len(history) == 3
    for k in range(4):
        judged, asked_later = events.index(("judged", k)), events.index(("judge", k + 2))
        assert asked_later < judged, "the next groups were at the judge before this one came back"
        assert judged < events.index(("step", k // 2 + 1))


def test_more_iterations_learn_more_from_the_same_groups():
    moved = []
    for iterations in (1, 3):
        trainer, history = train(spread, max_steps=1, max_pending_groups=0, num_iterations=iterations)
        clipped = history[0]["clip_fraction"]
        assert (clipped == 0.0) == (iterations == 1), "the first pass is on-policy, the later ones are not"
        moved.append(furthest(weights(trainer), weights(begin())))
    assert moved[1] > 2 * moved[0]


def test_samples_and_metrics_say_what_happened(tmp_path):
    trainer, history = train(spread, out=tmp_path / "run", checker=lambda t, row: 0.25)
    assert lines(tmp_path / "run" / "metrics.jsonl") == history
    for line in history:
        assert line.keys() >= REQUIRED
        assert line.keys() >= set(TIMED)
        assert line["ground_truth_mean"] == 0.25
    samples = lines(tmp_path / "run" / "samples.jsonl")
    assert [(s["step"], s["group"]) for s in samples] == [(1, 0), (1, 1), (2, 2), (2, 3), (3, 4), (3, 5)]
    for sample in samples:
        row = next(row for row in ROWS if row["id"] == sample["row"])
        assert sample["prompt"] == [{"role": "user", "content": row["prompt"]}]
        assert np.mean([r["advantage"] for r in sample["rollouts"]]) == pytest.approx(0.0, abs=1e-9)
        assert all(r["messages"][0]["role"] == "assistant" for r in sample["rollouts"])
    assert trainer.step == 3
    assert (tmp_path / "run" / "final" / "model.safetensors").exists()
    assert sorted(p.name for p in (tmp_path / "run" / "checkpoints").iterdir()) == ["step-2", "step-3"]


def test_evaluation_is_repeatable_and_leaves_training_alone():
    def truth(trajectory, row):
        return fives(trajectory.messages[-1]["content"])

    found = []

    def evaluate(line):
        found.append([trainer.evaluate(ROWS[:3], 2) for _ in range(2)])

    trainer = begin(spread, max_steps=3, checker=truth)
    history = trainer.train(evaluate)
    _, undisturbed = train(spread, max_steps=3, checker=truth)
    assert untimed(history) == untimed(undisturbed)
    for once, again in found:
        assert [len(g.rollouts) for g in once] == [2, 2, 2]
        assert all(t is not None for g in once for t in g.ground_truths)
        tokens = [
            [r.sequences[0].tokens_T.tolist() for g in groups for r in g.rollouts] for groups in (once, again)
        ]
        assert tokens[0] == tokens[1]
