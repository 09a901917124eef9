"""Where local models come from: the hub, the models folder, a path; and names that are none of these."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ranker import ConfigurationError, LocalJudge
from ranker.judges.local.models import KNOWN, find_model, installed
from tests.tuning_models import tiny

NAME = "qwen2.5-coder-0.5b-instruct"
REVISION = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path):
    """A hub on loopback that serves a tiny model under the known model's name; its address."""
    folder = Path(tiny(tmp_path / "published"))
    repo = KNOWN[NAME].hub

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self, body: bool = True) -> None:
            path = self.path.partition("?")[0]
            if path.startswith(f"/api/models/{repo}/tree/"):
                listing = [
                    {"type": "file", "path": file.name, "size": file.stat().st_size, "oid": REVISION}
                    for file in folder.iterdir()
                ]
                self._send(json.dumps(listing).encode(), body)
            elif path.startswith(f"/api/models/{repo}"):
                siblings = [{"rfilename": file.name} for file in folder.iterdir()]
                self._send(json.dumps({"id": repo, "sha": REVISION, "siblings": siblings}).encode(), body)
            elif path.startswith(f"/{repo}/resolve/{REVISION}/"):
                self._send((folder / path.rpartition("/")[2]).read_bytes(), body)
            else:
                self.send_error(404)

        def do_HEAD(self) -> None:
            self.do_GET(body=False)

        def _send(self, content: bytes, body: bool) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("ETag", f'"{hash(content):x}"')
            self.send_header("X-Repo-Commit", REVISION)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def fetch_model(tmp_path: Path, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ranker", "models", "fetch", NAME],
        env={**os.environ, "RANKER_MODELS": str(tmp_path / "models"), "HF_HOME": str(tmp_path / "hf"), **env},
        capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip


def test_a_known_model_comes_from_the_hub_once(hub, tmp_path, monkeypatch):
    """It is labelled by its revision, so that the next revision's scores are not taken for this one's."""
    done = fetch_model(tmp_path, HF_ENDPOINT=hub)
    assert done.returncode == 0, done.stderr
    monkeypatch.setenv("RANKER_MODELS", str(tmp_path / "models"))
    assert find_model(NAME) == (str(tmp_path / "models" / NAME), f"{NAME}@{REVISION[:12]}")
    assert LocalJudge(NAME, cache="off", device="cpu").count("red blue") > 0
    again = fetch_model(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert again.returncode == 0, again.stderr


def test_a_hub_that_is_not_there_says_how_to_go_on(tmp_path):
    done = fetch_model(tmp_path, HF_ENDPOINT="http://127.0.0.1:9")
    assert done.returncode == 2
    assert f"put {NAME}.gguf into {tmp_path / 'models'}" in done.stderr
    assert "local:PATH" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "models" / NAME).exists()


@pytest.mark.parametrize("name", ["gpt-5-mini", "qwen2.5", "a b", "org/name/more"])
def test_a_name_that_is_no_model_is_refused_at_once(name, tmp_path, monkeypatch):
    monkeypatch.setenv("RANKER_MODELS", str(tmp_path))
    started = time.monotonic()
    with pytest.raises(
        ConfigurationError, match=r"There is no model called.*smollm2-135m-instruct.*hub name"
    ):
        find_model(name)
    assert time.monotonic() - started < 1


def test_a_hub_name_is_left_to_transformers():
    assert find_model("org/some-model.v2") == ("org/some-model.v2",) * 2


def test_a_broken_gguf_file_in_the_models_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKER_MODELS", str(tmp_path))
    for name in (NAME, "mine"):
        (tmp_path / f"{name}.gguf").write_bytes(b"no model at all")
        with pytest.raises(ConfigurationError, match=rf"{name}\.gguf is no GGUF model"):
            find_model(name)
    assert installed(KNOWN[NAME]) is None
