"""The comparison with RULER under position bias: real judge servers, and a stand-in in RULER's place."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
from scipy import stats

from benchmarks.ruler import compare, position
from benchmarks.ruler.groups import small_groups, worths
from benchmarks.ruler.sides import ruler_side

# It asks as RULER does: once, in the order given, ids from 1; the scores are taken by position.
STAND_IN = """
import json
from types import SimpleNamespace
import aiohttp

async def ruler(message_lists, judge_model, extra_litellm_params, tools):
    blocks = [f'<trajectory id="{i}">\\n{json.dumps(m)}\\n</trajectory>' for i, m in enumerate(message_lists, 1)]
    body = {"model": judge_model, "messages": [{"role": "user", "content": "\\n".join(blocks)}]}
    async with aiohttp.ClientSession() as session:
        async with session.post(extra_litellm_params["api_base"] + "/chat/completions", json=body) as reply:
            text = (await reply.json())["choices"][0]["message"]["content"]
    if "FAIL" in blocks[0]:
        raise ValueError("no verdict")
    return [SimpleNamespace(score=entry["score"]) for entry in json.loads(text)["scores"]]
"""


@pytest.fixture
def ruler(tmp_path, monkeypatch):
    """RULER's side under this Python, RULER itself replaced."""
    art = tmp_path / "path" / "art" / "rewards"
    art.mkdir(parents=True)
    (art / "ruler.py").write_text(STAND_IN)
    known = tmp_path / "path" / "openpipe_art-0.0.dist-info"
    known.mkdir()
    (known / "METADATA").write_text("Metadata-Version: 2.1\nName: openpipe-art\nVersion: 0.0\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "path"))
    return ruler_side(sys.executable)


@pytest.mark.parametrize("bias", [0.0, 1.0])
def test_rulers_scores_are_worth_and_place_whatever_the_calls(ruler, tmp_path, bias):
    groups = small_groups(3, 4, seed=9)
    once = position.with_ruler(ruler, groups, 1, bias, tmp_path)
    twice = position.with_ruler(ruler, groups, 2, bias, tmp_path)
    assert (once.requests, twice.requests) == (3, 6)
    for fields, scores, again in zip(groups, once.rewards, twice.rewards, strict=True):
        places = [1, 2 / 3, 1 / 3, 0]
        expected = [(w + bias * p) / (1 + bias) for w, p in zip(worths(fields), places, strict=True)]
        assert scores == pytest.approx(expected, abs=1e-7)
        assert again == pytest.approx(scores, abs=1e-12)


def test_a_group_that_fails_counts_as_failed_and_stands_in_no_mean(ruler, tmp_path):
    groups = small_groups(3, 4, seed=9)
    groups[1]["trajectories"][0]["messages"][0] = {"role": "user", "content": "FAIL"}
    run = position.with_ruler(ruler, groups, 2, 0.0, tmp_path)
    assert [values is None for values in run.rewards] == [False, True, False]
    cell = position.cell(groups, run.rewards, bias=0.0)
    assert (cell["failed"], cell["kendall_tau_b"]["value"]) == (1, 1.0)
    assert position.cell(groups, [None] * 3, bias=0.0) == {"bias": 0.0, "failed": 3}


def test_the_input_order_is_in_rulers_rewards_and_not_in_ours(ruler, tmp_path, monkeypatch):
    monkeypatch.setattr(position, "BIASES", (0.0, 2.0))
    figures = position.position(ruler, tmp_path, count=30)
    cells = {(cell["bias"], cell["side"], cell["calls"]): cell for cell in figures["cells"]}
    assert len(cells) == 12
    for (bias, side, calls), cell in cells.items():
        assert cell["requests"] == 30 * calls
        assert cell["failed"] == 0
        if bias == 0:
            assert cell["kendall_tau_b"] == {"value": 1.0, "low": 1.0, "high": 1.0}
        elif side == "ruler":
            assert cell["place_correlation"]["value"] > 0.8
            assert cell["reward_by_place"] == sorted(cell["reward_by_place"], reverse=True)
            assert cell["kendall_tau_b"]["value"] < 0.5
        else:
            assert cell["place_correlation"]["low"] < 0 < cell["place_correlation"]["high"]
            assert calls == 1 or cell["kendall_tau_b"]["value"] > 0.4


def test_ours_is_blind_to_the_order_of_the_input(tmp_path):
    """Not on average only: the same attempts in another order get the same rewards."""
    groups = small_groups(6, 5, seed=4)
    turned = [{**fields, "trajectories": fields["trajectories"][::-1]} for fields in groups]
    one, other = (position.with_ranker(g, 1, 1.0, tmp_path).rewards for g in (groups, turned))
    assert [rewards[::-1] for rewards in other] == one


def test_correlation_with_the_place_is_pearsons():
    rng = np.random.default_rng(3)
    values_GN = rng.random((50, 6)) + np.linspace(0.3, 0, 6)
    correlation = position.place_correlation(values_GN)
    expected = stats.pearsonr(np.tile(np.linspace(1, 0, 6), 50), values_GN.ravel()).statistic
    assert correlation["value"] == pytest.approx(expected, abs=1e-4)
    assert correlation["low"] < correlation["value"] < correlation["high"]
    assert position.place_correlation(np.full((5, 4), 0.5))["value"] == 0.0


def test_tied_rewards_say_nothing_of_the_truth():
    groups = small_groups(2, 3)
    cell = position.cell(groups, [[0.5] * 3, worths(groups[1])])
    assert (cell["all_tied"], cell["kendall_tau_b"]["value"]) == (1, 0.5)


def test_a_part_taken_alone_says_how_and_leaves_the_others(ruler, tmp_path, monkeypatch, capsys):
    out = tmp_path / "record.json"
    earlier = {"schema_version": 1, "command": "before", "commit": "abc", "killed": KILLED}
    out.write_text(json.dumps(earlier))
    arguments = ["--only", "position", "--position-groups", "3", "--ruler-python", sys.executable]
    monkeypatch.setattr(sys, "argv", ["beside_ruler", *arguments, "--out", str(out)])
    monkeypatch.setattr(position, "BIASES", (0.5,))
    compare.main()
    record = json.loads(out.read_text())
    part = record.pop("position")
    assert record == {"seed": 0, **earlier}
    assert part["command"].startswith("python -m benchmarks.ruler.compare --only position")
    assert {"commit", "machine", "cells"} <= part.keys()
    assert str(tmp_path) not in json.dumps(part)
    assert "killed" not in capsys.readouterr().out


KILLED = {"groups": 1, "kills": 0, "lines": 1, "groups_once": 1, "calls_paid_twice": 0}


def test_a_record_that_is_none_is_not_written_over(tmp_path, monkeypatch, capsys):
    out = tmp_path / "notes.txt"
    out.write_text("mine")
    monkeypatch.setattr(sys, "argv", ["beside_ruler", "--only", "position", "--out", str(out)])
    with pytest.raises(SystemExit):
        compare.main()
    assert out.read_text() == "mine"
    assert "is no record that could be replaced" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["beside_ruler", "--only", "prompt_size"])
    with pytest.raises(SystemExit):
        compare.main()
    assert "--tau" in capsys.readouterr().err
