"""Bases of several sizes: what they are tuned on, what they are measured on, and the figures."""

from __future__ import annotations

import json

import pytest

from benchmarks.judges.base_size import CODE, FAMILIES, held_out, real_code, summary, training


def test_no_task_is_both_trained_on_and_measured():
    drawn = training()
    assert len({e.id for e in drawn}) == len(drawn)
    seen = {e.opening for e in drawn}
    for family in (*FAMILIES, CODE):
        fresh = held_out(family, 6)
        assert fresh
        assert not seen & {e.opening for e in fresh}, family
    code, other = real_code()
    assert len(code) > 40
    assert len(other) > 20


def test_the_mean_leaves_out_code_and_real_attempts(tmp_path):
    def line(family: str, k: int, scores: list[float], seconds: float) -> str:
        record = {
            "id": f"{family}/{k}", "family": family, "truths": [0.0, 1.0], "scores": scores, "tokens": 9, "seconds": seconds,
        }  # fmt: skip
        return json.dumps(record) + "\n"

    right, wrong = [0.1, 0.9], [0.9, 0.1]
    records = tmp_path / "scores.jsonl"
    records.write_text(
        line("lookup", 0, right, 1.0) + line("lookup", 1, wrong, 2.0) + line("desk", 0, right, 3.0)
        + line("code", 0, wrong, 4.0) + line(CODE, 0, wrong, 5.0)
    )  # fmt: skip
    figures = summary(records)
    assert figures["families"]["lookup"]["value"] == pytest.approx(0.5)
    assert figures["families"][CODE]["groups"] == 1
    assert figures["mean_without_code"] == pytest.approx(0.75)
    assert figures["seconds_per_group"] == 3.0
