"""Parts of a run that go wrong, each in its way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.gpu.parts import Skipped
from benchmarks.harness import Json


def rows(way: str, file: str = "") -> Iterator[Json]:
    """One result, then the end of it all."""
    yield {"of": way}
    if way == "raises":
        raise ValueError("the weights are made of cheese")
    if way == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if way == "is no use here":
        raise Skipped("one device")
    if way == "hangs":
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(file).write_text(str(child.pid))
        time.sleep(600)
