"""An audit's forecast, and audits killed or interrupted: what was paid for is not asked again."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time

import pytest

from ranker.debias.edits import EDITS
from ranker.testing import Behaviour, JudgeServer
from tests.audit.group_file import write_groups
from tests.bench_runs import command, here
from tests.debias.test_debiased import quality

N = 10
ASKED = ("padding", "self_praise", "cut_off")
CALLS = N * (2 + len(ASKED))


@pytest.fixture
def file(tmp_path):
    return write_groups(tmp_path, N)


def arguments(file, server, out, *more):
    edits = [word for name in ASKED for word in ("--edit", name)]
    return ["audit", file, "--judge", "sim", "--base-url", server.base_url, "--out", out, *edits, *more]


def figures(out):
    data = json.loads((out / "audit.json").read_text())
    return {key: value for key, value in data.items() if key != "usage"}


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_an_audit_that_was_stopped_goes_on_at_no_cost(file, tmp_path, monkeypatch, end):
    """The default cache, in a folder of this test."""
    monkeypatch.delenv("RANKER_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with JudgeServer(quality, Behaviour(length_bias=1.0, noise=0.1), latency=0.2) as server:
        words = arguments(file, server, tmp_path / "audit", "--concurrency", 2)
        process = subprocess.Popen(command(*words), stderr=subprocess.DEVNULL, env=dict(os.environ))
        while server.requests < CALLS * 2 // 3:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(end)
        assert process.wait(60) == (130 if end == signal.SIGINT else -signal.SIGKILL)
        assert not (tmp_path / "audit" / "audit.json").exists()
        server.latency, before = 0.0, server.requests
        assert before < CALLS
        assert here(*words).code == 0
        assert CALLS <= server.requests <= CALLS + 2, "but for the two in flight nothing is asked twice"
        once = server.requests
        assert here(*arguments(file, server, tmp_path / "again")).code == 0
        assert server.requests == once
        assert here(*arguments(file, server, tmp_path / "whole", "--cache", "off")).code == 0
        assert server.requests == once + CALLS
    assert figures(tmp_path / "audit") == figures(tmp_path / "again") == figures(tmp_path / "whole")


def forecast_of(text):
    """Calls, tokens read, tokens written, dollars."""
    line = " ".join(text.split())
    tokens = re.search(r"(\S+) calls, about (\S+) tokens read and at most (\S+) written", line)
    dollars = re.search(r"at most \$(\d+\.\d+)", line)
    return [int(x.replace(",", "")) for x in tokens.groups()] + [dollars and float(dollars[1])]


def test_the_forecast_is_what_it_comes_to(file, tmp_path):
    with JudgeServer(quality) as server:
        words = arguments(file, server, tmp_path / "audit", "--price", "1000,1000", "--passes", 2)
        ahead = here(*words, "--dry-run")
        assert ahead.code == 0
        assert server.requests == 0
        assert not (tmp_path / "audit").exists()
        assert here(*words).code == 0
    calls, read, written, dollars = forecast_of(ahead.out)
    usage = json.loads((tmp_path / "audit" / "audit.json").read_text())["usage"]
    assert usage["calls"] == calls == 2 * CALLS
    assert usage["prompt_tokens"] == pytest.approx(read, rel=0.5)
    assert usage["prompt_tokens"] <= read
    assert usage["completion_tokens"] <= written
    assert usage["cost_usd"] <= dollars


def test_a_forecast_says_when_it_knows_no_price_and_what_limit_holds(file, tmp_path):
    with JudgeServer(quality) as server:
        output = here(*arguments(file, server, tmp_path / "audit", "--dry-run")).out
        assert "cost unknown: give --price" in " ".join(output.split())
        limited = arguments(file, server, tmp_path / "a", "--dry-run", "--price", "1,1", "--max-cost", 2)
        assert "stops before $2" in " ".join(here(*limited).out.split())
        every = ["audit", file, "--judge", "sim", "--base-url", server.base_url, "--out", tmp_path / "b"]
        calls, *_ = forecast_of(here(*every, "--dry-run").out)
    assert N * (2 + len(EDITS) - 2) <= calls <= N * (2 + len(EDITS)), "some edits need tools or turns"
