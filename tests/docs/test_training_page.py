"""The commands of the page on training."""

from __future__ import annotations

import json
import os
import shlex
import sys
from pathlib import Path

import pytest

from tests.doc_pages import blocks, run, small


@pytest.mark.timeout(400)
def test_training_commands_run_one_after_the_other(place):
    """Those of the page on training, as a reader would type them; the runs are cut to two steps, and are audited as the page
    on watching says."""
    config, audit = (
        next(code for name, code in blocks("toml") if name.startswith(page))
        for page in ("training.md", "watching.md")
    )
    audit = audit.replace("share = 0.1", "share = 1.0")  # of two steps a tenth may be none
    Path("tasks.toml").write_text((small(config) + "\n" + audit).replace("max_cost_usd = 5.0\n", ""))
    Path("tasks.jsonl").write_text('{"prompt": [{"role": "user", "content": "w1 w2"}]}\n' * 3)
    lines = [
        line for name, code in blocks("bash") for line in code.splitlines() if name.startswith("training.md")
    ]
    lines = [line for line in lines if line and not line.startswith("pip")]
    assert len(lines) >= 4
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "torchrun":
            words = [w if w != "run" else "run2" for w in words]
            start = ["-m", "torch.distributed.run", *words[1:]]
        else:
            start = ["-m", "ranker", *words[1:]]
        if "quick" in words:
            start = [w if w != "run" else "run-quick" for w in start] + ["--set", "max_steps=2"]
        run([sys.executable, *start], line, env={**os.environ, "OMP_NUM_THREADS": "1"})
    steps = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert steps[-1]["audit_calls"] > 0
    assert Path("run/curves.png").stat().st_size > 10_000
    assert len(Path("run2/metrics.jsonl").read_text().splitlines()) == 2
