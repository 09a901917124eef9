"""The tutorial, from its first command to its last."""

from __future__ import annotations

import json
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.doc_pages import ROOT, run, small


@pytest.mark.timeout(600)
def test_tutorial_runs_from_its_first_command_to_its_last(place, monkeypatch):
    """As a reader would type it, programs between the commands; models are tiny, runs two steps, and a server is the judge."""
    from tests.grpo_models import llama, tokenizer

    page = (ROOT / "docs" / "tutorial.md").read_text()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for language, code in re.findall(r"^```(bash|python)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if language == "python":
            assert run([sys.executable, "-c", code])
            continue
        for line in code.splitlines():
            words = [w.replace("smollm2", "tiny") for w in shlex.split(line, comments=True)]
            words = ["openai/gpt-5-mini" if w == "local" else w for w in words]
            if words[0] == "pip":
                continue  # test_commands_run
            if words[0] == "cd":
                monkeypatch.chdir(words[1])
                config = small(Path("config.toml").read_text()).replace('"local"', '"openai/gpt-5-mini"')
                Path("config.toml").write_text(config)
                llama(max_position_embeddings=512).save_pretrained("tiny")
                tokenizer().save_pretrained("tiny")
                continue
            words += ["--set", "max_steps=2"] if "quick" in words else []
            run([sys.executable, "-m", *words], line)
    steps = [json.loads(line) for line in Path("watched/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert all(step["ground_truth_mean"] is not None for step in steps)
    assert "pairwise_accuracy" in Path("bench/results.json").read_text()
