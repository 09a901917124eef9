"""Debiased rewards in training: copies are shown to the judge and to nobody else."""

from __future__ import annotations

from functools import partial

import pytest

from ranker.aggregate.agreement import agreeing
from ranker.debias.covariates import own_words
from ranker.debias.edits import EMPTY
from ranker.testing import Behaviour
from ranker.testing.simulated import blocks
from ranker.trajectory import Trajectory
from tests.grpo_runs import fives, judge_at, lines, train

SIZE = 4


@pytest.mark.parametrize("passes", [1, 2])
def test_copies_reach_neither_loss_nor_samples_nor_truth(serve, tmp_path, passes):
    server = serve(fives, Behaviour(length_bias=0.3), keep_prompts=True)
    checked = []

    def checker(trajectory, row):
        checked.append(trajectory)
        return fives(trajectory.messages[-1]["content"])

    _, history = train(
        judge_at(server.base_url, reward="debiased", passes=passes),
        checker=checker,
        out=tmp_path,
        scale_rewards="batch",
        max_steps=3,
        setup={"initializer_range": 0.2},
    )
    shown = [blocks(prompt[-1]["content"]) for prompt in server.prompts]
    assert any(sentence in str(shown) for sentence in EMPTY), "the judge saw copies"
    samples = lines(tmp_path / "samples.jsonl")
    assert all(len(sample["rollouts"]) == SIZE for sample in samples)
    written = (tmp_path / "samples.jsonl").read_text()
    assert not any(sentence in written for sentence in EMPTY)
    assert len(checked) == SIZE * len(samples)
    assert not any(sentence in str(t.messages) for t in checked for sentence in EMPTY)
    for line in history:
        groups = [sample["rollouts"] for sample in samples if sample["step"] == line["step"]]
        rollouts = [r for group in groups for r in group]
        learned = [r for r in rollouts if r["advantage"] is not None]
        assert line["loss_tokens"] == sum(r["tokens"] for r in learned)
        assert line["completion_tokens_mean"] == sum(r["tokens"] for r in rollouts) / len(rollouts)
        words = [own_words(Trajectory(r["messages"])) for r in rollouts]
        assert line["words_mean"] == pytest.approx(sum(words) / len(words))
        assert line["ground_truth_mean"] == pytest.approx(
            sum(r["ground_truth"] for r in rollouts) / len(rollouts)
        )
        counts = [agreeing([r["ground_truth"] for r in g], [r["reward"] for r in g]) for g in groups]
        pairs = sum(n for _, n in counts)
        assert line["judge_accuracy"] == (sum(right for right, _ in counts) / pairs if pairs else None)
        assert line["bias/length_low"] <= line["bias/length"] <= line["bias/length_high"]
    assert server.requests == sum(line["judge_calls"] for line in history)


def test_a_judge_that_always_ties_teaches_nothing(serve):
    server = serve(fives, Behaviour(tie_below=10.0))
    _, history = train(judge_at(server.base_url, reward="debiased"), scale_rewards="batch", max_steps=2)
    assert all(line["tied_share"] == 1.0 for line in history)
    assert all(line["grad_norm"] in (None, 0.0) for line in history)


def test_a_resumed_run_with_another_judge_begins_with_fresh_evidence(serve, tmp_path, caplog):
    """A config file that names another judge is refused; reward functions in Python are not known to the folder."""
    server = serve(fives, Behaviour(length_bias=0.3))
    settings = {"scale_rewards": "batch", "max_steps": 6, "save_steps": 2, "out": tmp_path}

    def stop(line):
        if line["step"] == 3:
            raise InterruptedError

    first = judge_at(server.base_url, reward="debiased")
    with pytest.raises(InterruptedError):
        train(first, report=stop, **settings)
    assert "left aside" not in caplog.text
    other = partial(first, judge="openai/another", covariates=("length", "turns"))
    trainer, history = train(other, resume=True, **settings)
    assert [line["step"] for line in history] == [1, 2, 3, 4, 5, 6]
    evidence = trainer._watching.debiasing.evidence["reward"]
    assert "what was learned of the judge sim and length is left aside" in caplog.text
    assert evidence.judge == "another"
    assert 0 < len(evidence.history) < 12
    assert "bias/turns" in history[-1]
    assert "bias/turns" not in history[1]
