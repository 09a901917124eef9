"""The command and the program of docs/integrations/serve.md, against a server."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ranker import FunctionJudge
from ranker.serving import Service, application
from ranker.serving.metrics import Metrics
from tests.serve_process import served

PAGE = (Path(__file__).parents[2] / "docs" / "integrations" / "serve.md").read_text()
TOKEN = "a-token-of-0123456789-abcdef"


def block(language: str) -> str:
    (code,) = re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
    return code


def test_the_page_does_what_it_says(serve):
    judge = serve(lambda text: float(len(text)))
    env = {**os.environ, "RANKER_SERVE_TOKEN": TOKEN}
    with served("--judge", "sim", "--base-url", judge.base_url, RANKER_SERVE_TOKEN=TOKEN) as server:
        program = block("py").replace("http://localhost:8000", server.url)
        done = subprocess.run(
            [sys.executable, "-c", program], env=env, capture_output=True, text=True, check=False
        )
        assert done.stdout.strip() == "{'short': 0.0, 'long': 1.0}", done.stderr
        wrong = {**env, "RANKER_SERVE_TOKEN": "another"}
        done = subprocess.run(
            [sys.executable, "-c", program], env=wrong, capture_output=True, text=True, check=False
        )
        assert "HTTP 401: The token is missing or wrong" in done.stderr
        if shutil.which("curl") is None:
            pytest.skip("curl is not installed")
        command = block("sh").replace("http://localhost:8000", server.url)
        done = subprocess.run(["bash", "-c", command], env=env, capture_output=True, text=True, check=False)
        assert json.loads(done.stdout)["rewards"] == {"a": 0.0, "b": 1.0}  # this judge likes length


def test_every_status_it_lists_is_one_the_document_has():
    document = application(Service(FunctionJudge(lambda group: [1.0] * len(group)), Metrics())).openapi()
    listed = set(re.findall(r"\b([45]\d\d)\b(?=[^|]*\|[^|]*\|$)", PAGE, re.MULTILINE))
    assert listed <= set(document["paths"]["/rank"]["post"]["responses"])
    assert {"400", "402", "429", "502", "504"} <= listed
