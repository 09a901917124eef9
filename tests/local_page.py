"""A command that serves a page of this machine, as a process."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "ranker", *map(str, args)]


@contextmanager
def served(*args: object, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process of a command, and the address that it printed first; killed at the end."""
    process = subprocess.Popen(
        command(*args), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, **environment}
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        address = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=\S{20,}", address), process.stderr.read()
        yield process, address
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
