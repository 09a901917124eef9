"""A real inference server in a process of its own, to be killed and started again on the same port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

START = 400.0  # seconds in which a server must be up: 25 to 150 on two cores


class EngineServer:
    """`command` with `{port}` in it; what it prints goes into `log`."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self._command = [word.format(port=self.port) for word in command]
        self._log = log
        self._env = {**os.environ, **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def begin(self) -> None:
        """Start it, without waiting for it."""
        with open(self._log, "ab") as out:
            self._process = subprocess.Popen(
                self._command, stdout=out, stderr=out, env=self._env, start_new_session=True
            )

    def wait(self) -> None:
        began = time.monotonic()
        while time.monotonic() - began < START:
            assert self._process is not None
            if self._process.poll() is not None:
                break
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=5).close()
            except OSError:
                time.sleep(0.5)
            else:
                return
        raise RuntimeError(f"the server did not come up:\n{self._log.read_text(errors='replace')[-3000:]}")

    def kill(self) -> None:
        """As kill -9 does, with all its workers."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait(30)
        self._process = None

    def __enter__(self) -> EngineServer:
        self.begin()
        try:
            self.wait()
        except BaseException:
            self.kill()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()
