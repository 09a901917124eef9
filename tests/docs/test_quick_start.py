"""What a new user types first, from README.md."""

from __future__ import annotations

import shlex
import signal
import subprocess
import urllib.request
from pathlib import Path

import pytest

from tests.doc_pages import COMMAND, QUICK_START, ROOT, blocks, run


@pytest.mark.timeout(400)
def test_the_quick_start_is_short_and_goes_from_groups_to_a_trained_agent(place):
    """The commands a new user types first, one after the other; the training is cut to two steps."""
    (code,) = [code for name, code in blocks("bash") if name == QUICK_START]
    lines = [shlex.split(line, comments=True) for line in code.splitlines()]
    assert len(lines) <= 6
    assert lines[:2] == [["make", "install"], [".", ".venv/bin/activate"]]
    sample = Path("ranker/suites/data/sample.jsonl")
    sample.parent.mkdir(parents=True)
    sample.write_bytes((ROOT / sample).read_bytes())
    assert [words[1] for words in lines[2:]] == ["rank", "view", "demo", "view"]
    for words in lines[2:]:
        if words[1] == "view":
            _viewed(words)
            continue
        short = ["--set", "max_steps=2"] if words[1] == "demo" else []
        run([COMMAND, *words[1:], *short])
    assert len(Path("ranked.jsonl").read_text().splitlines()) == 12
    assert Path("ranker-demo/curves.png").stat().st_size > 10_000


def _viewed(words: list[str]) -> None:
    """Start the viewer, fetch its page at the address that it prints, and end it as Ctrl-C does."""
    command = [COMMAND, *words[1:], "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            assert viewer.stdout is not None
            with urllib.request.urlopen(viewer.stdout.readline().strip()) as page:
                assert b"<html" in page.read()
        finally:
            viewer.send_signal(signal.SIGINT)
