"""The runs in which a real LLM learns from real judges: their measures, and what is made of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.smollm2 import report
from benchmarks.smollm2.__main__ import deviation_of, read
from benchmarks.smollm2.measures import echo, on_subject, start_logprobs
from benchmarks.smollm2.run import noisy, rewards, truths
from benchmarks.smollm2.ties import shorter_preferred
from grpo.demo.instructions import rows
from grpo.types import TokenSequence
from ranker import Trajectory, TrajectoryGroup, rank_group
from tests.grpo_runs import begin


@pytest.mark.parametrize(
    ("reply", "share"),
    [
        ("Write about rain. Use at most 8 words.", 1.0),
        ("Rain falls on the old roof tonight", 0.0),
        ("Use at most what you have", 3 / 6),
        ("one two three Write about rain", 3 / 6),
        ("too short", None),
    ],
)
def test_an_echo_is_three_words_in_a_row(reply, share):
    assert echo(reply, "Write about rain. Use at most 8 words.") == share


@pytest.mark.parametrize(
    ("task", "reply", "named"),
    [
        ("Write about mountains. Use at most 8 words.", "A mountain!", True),
        ("Write about mountains. Use at most 8 words.", "onyx.", False),
        ("Write about the sea at night. Write one sentence only.", "Night falls.", True),
        ("Write about an old clock. Do not use a comma.", "The clocks tick", True),
        ("Write about a train journey. Do not use a comma.", "", False),
    ],
)
def test_a_reply_is_on_its_subject_where_it_names_it(task, reply, named):
    assert on_subject(reply, task) == named


def test_a_judge_that_goes_by_length_is_seen_where_truths_tie():
    prefers_short = rank_group(group(), judge=lambda shown: [-len(t.messages[-1]["content"]) for t in shown])
    assert shorter_preferred(prefers_short) == (3, 3)
    level = replace(prefers_short, rewards=[0.5, 0.5, 1.0])
    assert shorter_preferred(level) == (1, 2), "pairs that tie are left out"


def test_every_task_has_a_subject():
    assert all(on_subject(r["prompt"][-1]["content"], r["prompt"][-1]["content"]) for r in rows())


def test_fluency_is_measured_under_the_policy_before_training():
    trainer = begin(lora_r=4)
    rng = np.random.default_rng(0)
    sequences = [
        TokenSequence.of_reply(rng.integers(0, 30, 4), list(rng.integers(0, 30, n)), [-1.0] * n)
        for n in (3, 5)
    ]
    before = start_logprobs(trainer.model, sequences)
    with torch.no_grad():
        for name, weight in trainer.model.named_parameters():
            if "lora_" in name:
                weight.add_(0.3)
    assert start_logprobs(trainer.model, sequences) == pytest.approx(before)
    with trainer.model.disable_adapter():
        logits = trainer.model(torch.tensor(sequences[0].tokens_T)[None]).logits[0].log_softmax(-1)
    own = [float(logits[3 + i, int(t)]) for i, t in enumerate(sequences[0].tokens_T[4:])]
    assert before[0] == pytest.approx(np.mean(own), abs=1e-5)
    trainer.close()


def group() -> TrajectoryGroup:
    (row,) = rows(1)
    replies = ("", "river " * 30, "A quiet river runs early.")
    return TrajectoryGroup(
        [Trajectory([*row["prompt"], {"role": "assistant", "content": text}]) for text in replies],
        id=row["id"],
        metadata=row,
    )


def test_the_judges_that_see_the_truth():
    assert rewards("truth", 0, None, None)(group()) == truths(group())
    sharp = noisy(group(), deviation=1e-9, seed=0).rewards
    assert np.argsort(sharp).tolist()[0] == int(np.argmin(truths(group())))
    blind = [noisy(group(), deviation=1e6, seed=seed).rewards for seed in range(20)]
    assert len({tuple(r) for r in blind}) > 3, "another order for another seed"
    assert noisy(group(), deviation=1.0, seed=3).rewards == noisy(group(), deviation=1.0, seed=3).rewards


def run(judge: str, seed: int, gain: float) -> dict[str, Any]:
    def side(truth: float) -> dict[str, Any]:
        return {
            "truths": [truth, truth],
            "words": [9, 11],
            "start_logprobs": [-2.0, -3.0],
            "echoes": [0.25, 0.25],
            "samples": [{"task": "Write about rain. End.", "reply": "Rain!"}],
        }

    history = [{"ground_truth_mean": 0.3 + 0.1 * i, "judge_accuracy": 0.7 if i else None} for i in range(4)]
    return {
        "judge": judge, "seed": seed, "steps": 4, "before": side(0.3), "after": side(0.3 + gain), "history": history, "seconds": 90.0,
    }  # fmt: skip


def test_recovery_is_the_gain_as_a_share_of_the_truths_of_the_same_seeds():
    runs = [run("truth", s, 0.4) for s in range(3)] + [run("local", s, 0.3) for s in range(3)]
    arms = report.figures(runs)
    assert arms["local"]["recovery"]["value"] == pytest.approx(0.75)
    assert arms["truth"]["recovery"]["value"] == pytest.approx(1.0)
    assert arms["local"]["accuracy_at_the_start"]["value"] == pytest.approx(0.7)
    assert arms["local"]["words_after"]["value"] == 10
    assert report.table(arms).row_count == 2
    assert report.curves(arms).png().startswith(b"\x89PNG")
    alone = report.figures([run("local", 0, 0.3)])
    assert alone["local"]["recovery"]["value"] is None, "no truth to compare with"


def test_noise_waits_for_the_accuracy_that_it_is_to_have(tmp_path):
    runs = [run("local", s, 0.3) for s in range(2)]
    assert deviation_of(runs) is None
    other = {**run("local", 2, 0.3), "before": {"truths": [0.0, 0.5, 1.0]}}
    assert 0.1 < (deviation_of([*runs, other]) or 0.0) < 3.0
    record = tmp_path / "runs.jsonl"
    assert read(record) == []
    record.write_text(json.dumps({"a": 1}) + '\n{"b"')
    assert read(record) == [{"a": 1}], "a torn line is no run"
