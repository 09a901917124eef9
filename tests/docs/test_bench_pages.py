"""The commands of the pages on measuring and choosing judges."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tests.doc_pages import blocks, run


@pytest.mark.parametrize(
    ("page", "results"), [("bench.md", "bench"), ("which-judge.md", "recommend")], ids=lambda name: name
)
def test_bench_commands_run_one_after_the_other(place, page, results):
    """Those of the pages on measuring and choosing judges, as a reader would type them."""
    lines = [line for name, code in blocks("bash") for line in code.splitlines() if name.startswith(page)]
    assert len(lines) >= 4
    for line in lines:
        run([sys.executable, "-m", "ranker", *shlex.split(line, comments=True)[1:]], line)
    assert "openai/gpt-5-mini" in Path(results, "results.json").read_text()
    assert "<html" in Path(results, "report.html").read_text()
