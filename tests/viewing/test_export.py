"""`ranker view --export`: one page without a server."""

from __future__ import annotations

import html as html_text
import json
import re

import pytest

from tests.viewing.viewer import make_run, ranked, ranker, viewer, write

END = "</script><script>alert(1)</script><!--"


def held(html: str) -> dict:
    (data,) = re.findall(r'<script id="data" type="application/json" nonce="[^"]+">(.*?)</script>', html)
    return json.loads(data)


@pytest.fixture
def file(tmp_path):
    return write(tmp_path / "g.jsonl", [ranked(i, task=END) for i in range(60)])


def test_the_first_groups_or_those_named_are_written(file, tmp_path):
    out = tmp_path / "out.html"
    done = ranker("view", file, "--export", out)
    assert (done.returncode, done.stdout) == (0, f"{out}\n")
    html = out.read_text()
    data = held(html)
    assert [row["id"] for row in data["rows"]] == [f"g{i}" for i in range(50)]
    assert data["cards"]["1"]["task"] == END
    done = ranker("view", file, "--export", out, "--id", "g59", "--id", "g2")
    assert done.returncode == 0, done.stderr
    assert [row["id"] for row in held(out.read_text())["rows"]] == ["g59", "g2"]


def test_no_text_ends_the_data_and_nothing_is_loaded(file, tmp_path):
    out = tmp_path / "out.html"
    assert ranker("view", file, "--export", out).returncode == 0
    html = out.read_text()
    assert "alert(1)</script>" not in html
    assert len(re.findall(r"<script", html)) == 2
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]+)"', html)
    assert html_text.unescape(policy).startswith("default-src 'none';")
    assert "connect-src" not in policy


def test_a_run_keeps_its_curves(tmp_path):
    out = tmp_path / "out.html"
    assert ranker("view", make_run(tmp_path / "run"), "--export", out).returncode == 0
    assert held(out.read_text())["curves"]["last"] == 5


def test_the_page_sends_what_it_shows(file):
    with viewer(file) as view:
        status, headers, body = view.ask("export", words="g42")
        assert (status, headers["content-type"]) == (200, "text/html; charset=utf-8")
        assert [row["id"] for row in held(body.decode())["rows"]] == ["g42"]
        _, _, body = view.ask("export", only=60)
        assert [row["id"] for row in held(body.decode())["rows"]] == ["g59"]


def test_faults_are_named_and_nothing_is_lost(file, tmp_path):
    done = ranker("view", file, "--export", tmp_path / "o.html", "--id", "nobody")
    assert (done.returncode, "holds no group 'nobody'" in done.stderr) == (2, True)
    done = ranker("view", file, "--export", file)
    assert done.returncode == 2
    assert "same file as the input" in done.stderr
    done = ranker("view", file, "--export", tmp_path / "no" / "o.html")
    assert (done.returncode, "cannot be written" in done.stderr) == (2, True)
