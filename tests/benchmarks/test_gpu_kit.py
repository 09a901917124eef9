"""`python -m benchmarks.gpu`, in tiny sizes; and what becomes of a part that goes wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.gpu import flops, table
from benchmarks.gpu.batch import drawn
from benchmarks.gpu.command import parts_for, passed, records
from benchmarks.gpu.correctness import of_update
from benchmarks.gpu.models import FLOAT32, built, sized_config, small_config
from benchmarks.gpu.parts import Part, run_all
from grpo.model.logprobs import Layout

ROOT = Path(__file__).parents[2]


def part(way: str, seconds: float = 60, **more: Any) -> Part:
    return Part(way, "tests.benchmarks.gpu_parts", seconds, {"way": way, **more})


def numbers(found: Any) -> list[float]:
    if isinstance(found, dict):
        return [x for value in found.values() for x in numbers(value)]
    if isinstance(found, list):
        return [x for value in found for x in numbers(value)]
    return [found] if isinstance(found, int | float) and not isinstance(found, bool) else []


@pytest.mark.timeout(400)
def test_the_small_form_runs_every_part(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--small", "--json", str(tmp_path / "gpu.json")],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    record = json.loads((tmp_path / "gpu.json").read_text())
    assert {name: found["status"] for name, found in record["parts"].items()} == {
        part.name: "done" for part in parts_for(small=True)
    }
    assert {"command", "commit", "date", "machine"} <= set(record)
    assert record["gpu"]["device"] == "cpu"
    assert "not FlexAttention" in record["gpu"]["attention"]
    assert record["gpu"]["versions"]["torch"]
    assert all(isfinite(x) for x in numbers(record))

    rows = {name: found["rows"] for name, found in record["parts"].items()}
    assert all(row["ok"] for name in ("correctness", "two processes") for row in rows[name])
    layouts = {row["architecture"]: row["layout"] for row in rows["correctness"] if row["of"] == "update"}
    assert "tree" in layouts["llama"]
    assert "padded rows" in layouts["mistral, a window of 64"]
    assert "whole logits" in layouts["gemma2"]
    assert {row["of"] for row in rows["speed, tiny"]} == {"matrix product", "update", "sampling"}
    assert all(row["share_of_peak"] > 0 for row in rows["speed, tiny"] if "share_of_peak" in row)
    for beside in record["beside_trl"]:
        assert beside["grad_norm"] == pytest.approx(1, abs=0.02)  # both learn the same from the batch
    assert len(record["beside_trl"]) == 2
    assert "beside TRL" in done.stdout
    assert str(ROOT) not in (tmp_path / "gpu.json").read_text()


@pytest.mark.timeout(300)
def test_a_broken_part_is_recorded_and_the_rest_goes_on():
    parts = [part("raises"), part("dies"), part("is no use here"), part("works")]
    (record,) = [r for r in records(parts, small=True, commit="abc") if len(r["parts"]) == len(parts)]
    found = record["parts"]
    assert {name: result["status"] for name, result in found.items()} == {
        "raises": "failed",
        "dies": "failed",
        "is no use here": "skipped",
        "works": "done",
    }
    assert "ValueError: the weights are made of cheese" in found["raises"]["reason"]
    assert "status -9" in found["dies"]["reason"]
    assert found["is no use here"]["reason"] == "one device"
    assert all(result["rows"] == [{"of": name}] for name, result in found.items())
    assert not passed(record)
    assert str(ROOT) not in json.dumps(record)
    del found["raises"], found["dies"]
    assert passed(record)
    assert not passed({"parts": {"x": {"status": "done", "rows": [{"ok": False}]}}})


@pytest.mark.timeout(300)
def test_a_part_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    file = tmp_path / "pid"
    started = time.monotonic()
    (found,) = run_all([part("hangs", seconds=20, file=str(file))])
    assert time.monotonic() - started < 40
    _, result = found
    assert result["status"] == "timed out"
    assert result["reason"] == "it took more than 20 s"
    assert result["rows"] == [{"of": "hangs"}]
    state = Path(f"/proc/{file.read_text()}/stat")
    assert not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z"


def test_what_a_part_leaves_of_its_time_the_next_ones_have():
    names = ["works", "is no use here"]
    first, second = (found for _, found in run_all([part(name, seconds=100) for name in names]))
    assert first["limit_seconds"] == pytest.approx(100, abs=0.5)
    assert second["limit_seconds"] == pytest.approx(200 - first["seconds"], abs=0.5)


def test_all_parts_together_take_at_most_eight_minutes():
    assert sum(part.seconds for part in parts_for(small=False)) <= 480


def test_operations_counted_by_hand():
    config = sized_config("0.5B")
    # A layer: query and output 896 × 896, key and value 896 × 128, three of the MLP 896 × 4864.
    assert flops.layer_weights(config) == 24 * (2 * 896 * 896 + 2 * 896 * 128 + 3 * 896 * 4864) == 357_826_560
    # Two sequences, of 3 and 2 tokens after 4 that they share.
    start = np.array([5, 6, 7, 8])
    sequences = [np.concatenate([start, more]) for more in ([9, 10, 11], [12, 13])]
    shared, apart = flops.shared(sequences, 5), flops.apart(sequences, 5)
    assert shared == flops.Tokens(read=9, scored=5, pairs=(1 + 2 + 3 + 4) + (5 + 6 + 7) + (5 + 6))
    assert apart == flops.Tokens(read=13, scored=5, pairs=28 + 21)
    assert flops.update(config, shared) == 6 * (357_826_560 * 9 + 151_936 * 896 * 5) + 12 * 24 * 896 * 39
    # One prompt of 4, two rows of 3: the second and third token of each are drawn after 5 and 6 were seen.
    assert flops.sampled(groups=1, rows=2, prompt=4, completion=3) == flops.Tokens(8, 5, 10 + 2 * (5 + 6))


def test_weights_counted_are_those_of_the_model():
    config = small_config("qwen2", 64, 2, 128)
    model = built(config, FLOAT32, torch.device("cpu"))
    layers = sum(p.numel() for name, p in model.named_parameters() if "layers" in name and p.dim() == 2)
    assert flops.layer_weights(config) == layers


def test_a_wrong_mask_is_found():
    """Shared prompts in a model whose window they do not fit."""
    model = built(small_config("mistral, a window of 64", 64, 2, 128), FLOAT32, torch.device("cpu"))
    sequences = drawn(1, 70, 12, 128, even=False).sequences
    assert of_update(model, model, sequences, Layout(packed=False), FLOAT32)["ok"]
    found = of_update(model, model, sequences, Layout(packed=True), FLOAT32)
    assert not found["ok"]
    assert found["log_probs"]["ours"]["largest"] > 1e-2


def test_the_table_says_what_went_wrong():
    part = {"status": "failed", "reason": "Traceback\nValueError: no\nand more", "seconds": 1.0, "rows": []}
    record = {"gpu": None, "seconds": 1.0, "parts": {"speed": part}, "beside_trl": []}
    assert "ValueError: no" in table.text(record)
