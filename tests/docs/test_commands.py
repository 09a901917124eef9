"""Every command in README.md and docs/ that stands for itself runs, against a judge server."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from tests.doc_pages import QUICK_START, ROOT, blocks, run

# Pages whose commands go on where the one before stopped have tests of their own.
TOLD = ("training.md", "bench.md", "tutorial.md", "which-judge.md")


def commands() -> list[tuple[str, str]]:
    lines = [
        (name, line.strip()) for name, code in blocks("bash") for line in code.splitlines() if line.strip()
    ]
    # `ranker demo` is run by tests/grpo/test_demo.py.
    lines = [(name, line) for name, line in lines if not line.startswith("ranker demo")]
    lines = [(name, line) for name, line in lines if not (name == QUICK_START and "make" not in line)]
    lines = [(name, line) for name, line in lines if name.rpartition("-")[0] not in TOLD or "pip" in line]
    inline = re.findall(r"`(pip install [^`]+)`", (ROOT / "README.md").read_text())
    return lines + [("README.md-inline", line) for line in inline]


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{name}: {line[:60]}") for name, line in commands()])
def test_commands_run(place, line, monkeypatch):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        # The targets themselves are what CI and this very run are made of; here: they exist.
        run([*words, "-n", "-C", ROOT])
    elif words[0] == "pip":
        where = [str(ROOT) + w[1:] if w.startswith(".") else w for w in words[1:]]
        run([sys.executable, "-m", "pip", *where, "--dry-run", "--no-deps"])
    elif words[0] == "printf":
        run(["sh", "-c", line.replace("| ranker ", f"| {shlex.quote(sys.executable)} -m ranker ")])
    else:
        assert words[0] == "ranker"
        words = [place.base_url if w.startswith("http://localhost:") else w for w in words]
        if "cache" in words:
            monkeypatch.setenv("RANKER_CACHE", "cache")
        run([sys.executable, "-m", "ranker", *words[1:]])
