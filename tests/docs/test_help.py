"""The commands that the help shows."""

from __future__ import annotations

import re
import shlex
import sys

import pytest

from tests.doc_pages import ROOT, run

# Of the commands shown in docs/commands/: those that train, read a real model, or go on until they are stopped.
OWN_TESTS = {
    "calibrate": "calibration/test_calibrate.py",
    "tune-judge": "tuning/test_tune_command.py",
    "serve": "serving/test_serve.py",
    "view": "viewing/test_server.py",
}


@pytest.mark.timeout(600)
def test_commands_shown_in_the_help_run(place):
    """One after the other, in the order of `ranker --help`; what takes long is cut, or run by tests of its own."""
    order = re.findall(
        r"^\* \[([\w-]+)\]", (ROOT / "docs" / "commands" / "ranker.md").read_text(), re.MULTILINE
    )
    ran = []
    for name in order:
        page = (ROOT / "docs" / "commands" / f"{name}.md").read_text()
        for code in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
            for line in code.splitlines():
                command, *words = shlex.split(line)[1:]
                if command in OWN_TESTS:
                    assert (ROOT / "tests" / OWN_TESTS[command]).exists()
                    continue
                words = ["noisy:0.75" if w == "local" else w for w in words]
                words += {"bench": ["--groups", "2"]}.get(command, [])
                run([sys.executable, "-m", "ranker", command, *words], line, input="q\n")
                ran.append(command)
    assert {"init", "rank", "bench", "audit", "compare", "label", "report"} <= set(ran)
