"""The training study's runs: judges, DPO, a study that is killed and goes on."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import torch

from benchmarks.study import attempts, dpo, judges, one, plan
from benchmarks.study.plan import ARMS, JudgeSpec, Unit
from grpo.demo import desk_blocks
from ranker import TrajectoryGroup, rank_group
from ranker.prompting.transcript import transcribe
from ranker.suites import desk_world as desk


@pytest.fixture
def small(monkeypatch):
    """Little to sample."""
    monkeypatch.setattr(attempts, "REFERENCE_GROUPS", 6)
    monkeypatch.setattr(attempts, "HELD_OUT", 8)
    attempts.reference.cache_clear()
    attempts.examined_start.cache_clear()
    yield
    attempts.reference.cache_clear()
    attempts.examined_start.cache_clear()


def clerks(row: dict, seed: int = 0, size: int = 8) -> TrajectoryGroup:
    rng = random.Random(seed)
    return TrajectoryGroup([desk.clerk(row, 0.5, rng) for _ in range(size)])


def test_noise_is_calibrated_in_closed_form():
    rng = np.random.default_rng(0)
    truths = rng.integers(0, 11, (400, 8)) / 10
    gaps = judges.differences(truths.tolist())
    for accuracy in (0.55, 0.7, 0.9):
        noise = judges.calibrate(gaps, accuracy)
        assert judges.expected_accuracy(gaps, noise) == pytest.approx(accuracy)
        seen = truths + noise * rng.standard_normal(truths.shape)
        right = [
            (x > y) == (a > b)
            for group, view in zip(truths, seen, strict=True)
            for i, (a, x) in enumerate(zip(group, view, strict=True))
            for b, y in zip(group[:i], view[:i], strict=True)
            if a != b
        ]
        assert np.mean(right) == pytest.approx(accuracy, abs=0.015)
    assert judges.calibrate(gaps, 1.0) == judges.calibrate(gaps, None) == 0
    assert math.isinf(judges.calibrate(gaps, 0.5))


def attempt(row: dict, done: str | None, told: str | None) -> str:
    calls = [("look_up", {"order": row["order"]})]
    calls += [("resolve", {"order": row["order"], "action": done})] if done else []
    reply = f"Your order was {desk.ACTIONS[told]} now." if told else "Please write to us again."
    return transcribe(desk.play(row, calls, reply)).text


def test_deeds_are_read_from_what_a_judge_is_shown():
    row = desk.rows(1)[0]
    wish = row["wish"]
    other = next(a for a in desk.ACTIONS if a != wish)
    for done, told, pleased, boasted, pretended in (
        (wish, wish, True, False, False),
        (other, wish, False, True, False),
        (None, wish, False, True, True),
        (None, None, False, False, False),
    ):
        found = judges.deed(attempt(row, done, told))
        assert (found.pleased, found.boasted, found.pretended) == (pleased, boasted, pretended)


def test_judges_rank_by_what_they_are_said_to_see():
    group = clerks(desk.rows(3)[2], size=10)
    texts = [transcribe(t).text for t in group.trajectories]
    truth = np.array([desk_blocks.worth(t) for t in texts])
    boasted = np.array([judges.deed(t).boasted for t in texts])
    assert len(set(truth)) > 2
    assert 0 < boasted.sum() < len(texts)

    def rewards(spec: JudgeSpec, noise: float = 0.0) -> list[float]:
        with judges.server(spec, noise, 0) as server:
            return rank_group(group, "openai/sim", base_url=server.base_url, cache="off").rewards

    def ordered(seen: np.ndarray, by: list[float]) -> bool:
        pairs = [(i, j) for i in range(len(seen)) for j in range(i) if abs(seen[i] - seen[j]) > 1e-9]
        return all((seen[i] > seen[j]) == (by[i] > by[j]) for i, j in pairs)

    assert ordered(truth, rewards(JudgeSpec()))
    assert ordered(-truth, rewards(JudgeSpec(inverted=True)))
    assert ordered(truth + 2 * boasted, rewards(JudgeSpec(boast=2.0)))
    blind = rewards(JudgeSpec(0.5), math.inf)
    assert not ordered(truth, blind)


def test_dpo_loss_in_closed_form():
    logps = torch.tensor([1.0, 0.0, -1.0], requires_grad=True)
    start = torch.tensor([0.5, 0.5, -1.0])
    found = dpo.dpo_loss(logps, start, [1.0, 0.5, 0.5], beta=0.2)
    gains = [0.5, -0.5, 0.0]
    margins = [0.2 * (gains[0] - gains[1]), 0.2 * (gains[0] - gains[2])]
    assert float(found.detach()) == pytest.approx(
        np.mean([-math.log(1 / (1 + math.exp(-m))) for m in margins])
    )
    found.backward()
    expected = [-0.2 / 2 / (1 + math.exp(m)) for m in margins]
    assert logps.grad.tolist() == pytest.approx([sum(expected), -expected[0], -expected[1]])
    assert dpo.dpo_loss(logps, start, [0.5, 0.5, None]) is None


@pytest.mark.usefixtures("small")
def test_a_run_gives_the_same_numbers_again_and_all_of_them():
    unit = Unit("train", ARMS["group-16-noise-0.7"], 1, 2)
    first, second = one.run(unit), one.run(unit)
    assert {**first, "seconds": 0} == {**second, "seconds": 0}
    assert first["judge_calls"] == 2 * 4
    assert len(first["curve"]) == 2
    assert first["noise"] > 0
    assert first["before"]["kl"] == 0 < abs(first["after"]["kl"])
    measured = one.run(Unit("judge", ARMS["noise-0.7"], 0, 0))
    assert measured["noise"] == first["noise"]
    assert 0.4 < measured["accuracy"]["value"] < 1


@pytest.mark.usefixtures("small")
def test_dpo_spends_the_judge_calls_of_the_online_run(monkeypatch):
    monkeypatch.setattr(dpo, "LEARNING_RATES", (1e-3,))
    monkeypatch.setattr(dpo, "_CHOOSING", 8)
    found = one.run(Unit("train", ARMS["dpo-0.7"], 0, 2))
    assert found["judge_calls"] == 2 * 8
    assert found["chosen"]["learning_rate"] == 1e-3
    assert found["after"] != found["before"]


@pytest.mark.timeout(300)
def test_a_study_killed_goes_on_to_the_same_numbers(tmp_path):
    out = tmp_path / "study"
    words = [
        "study",
        "--out",
        str(out),
        "--seeds",
        "1",
        "--steps",
        "1",
        "--workers",
        "1",
        "--only",
        "group-4-truth",
    ]
    command = [sys.executable, "-m", "ranker", *words]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = out / "runs.jsonl"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
        while not (runs.exists() and runs.read_bytes().count(b"\n") == 1):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
    kept = runs.read_bytes()
    with open(runs, "ab") as file:
        file.write(b'{"id": "torn off')
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert "1 of them there already" in done.stdout
    lines = runs.read_bytes().splitlines(keepends=True)
    assert lines[0] == kept
    assert len(lines) == 2
    again = json.loads(lines[1])
    found = one.run(Unit("train", ARMS["group-4-truth"], 0, 1))
    assert {k: found[k] for k in found if k != "seconds"} == {k: again[k] for k in found if k != "seconds"}
    told = json.loads((out / "study.json").read_text())
    assert told["schema_version"] == 1
    assert [a["name"] for a in told["arms"]] == [plan.TRUTH, "group-4-truth"]
    assert (out / "study.html").exists()
