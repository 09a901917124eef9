"""Tests that continuous integration does not run must at least import."""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.harness import ROOT


def test_the_tests_on_engines_import() -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--collect-only",
        "-q",
        "-p",
        "no:cacheprovider",
        "tests/engines",
    ]
    env = {**os.environ, "RANKER_ENGINES": "nowhere"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2_000:]
    assert "test_the_format_is_enforced" in done.stdout
