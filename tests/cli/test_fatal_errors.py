"""Commands whose judge can answer nothing: a wrong key or name, no credit. Each ends at the first reply, says why and exits
with 2, however much there is to do."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.bench_runs import apart, here
from tests.scripted_server import ScriptedServer

REFUSALS = {
    "key": ((401, {"error": {"message": "Incorrect API key provided"}}), "RANKER_API_KEY"),
    "credit": ((402, {"error": {"message": "Insufficient Balance"}}), "out of credit"),
    "quota": ((429, {"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}), "out of credit"),
    "name": ((404, {"error": {"message": "The model `m` does not exist"}}), "model's name"),
}  # fmt: skip


def groups_file(path: Path, count: int) -> Path:
    def line(i: int) -> str:
        attempts = [
            {"messages": [{"role": "assistant", "content": f"{word} {i}"}], "ground_truth": truth}
            for truth, word in enumerate(("bad", "good"))
        ]
        return json.dumps({"id": f"g{i}", "trajectories": attempts})

    path.write_text("\n".join(map(line, range(count))) + "\n")
    return path


def arguments(command: str, folder: Path, judge: Sequence[str]) -> list[object]:
    if command == "train":
        name, url = judge[1], judge[3]
        return ["train", "quick", "--out", folder / "run", "--set", f'judge.model="{name}"', "--set", f'judge.base_url="{url}"']  # fmt: skip
    if command == "serve":
        return ["serve", "--port", 0, *judge]
    groups = groups_file(folder / "in.jsonl", 10_000 if command == "rank" else 100)
    if command == "bench":
        return ["bench", *judge, "--suite", groups, "--out", folder / "bench", "--quiet"]
    return ["rank", groups, *judge, "--out", folder / "out.jsonl", "--on-error", "skip", "--quiet", "--concurrency", 64]  # fmt: skip


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        *((c, r) for c in ("rank", "bench") for r in REFUSALS),
        ("serve", "key"),
        ("serve", "credit"),
        ("train", "quota"),
    ],
)
def test_a_command_ends_at_the_first_reply(tmp_path, command, refusal):
    reply, word = REFUSALS[refusal]
    with ScriptedServer(lambda body, n: reply) as server:
        judge = ["--judge", "m", "--base-url", server.base_url]
        run = here if command in ("rank", "bench") else apart
        done = run(*arguments(command, tmp_path, judge))
        assert len(server.requests) == 1
    assert done.code == 2, done.err
    assert word in done.err
    assert "Traceback" not in done.told
    out = tmp_path / "out.jsonl"
    assert (
        not out.exists() or out.read_text() == ""
    )  # no group was recorded as failed: a later run ranks them all


CURSOR = "\x1b[2J\x1b]0;owned\x07"


@pytest.mark.parametrize("command", ["rank", "bench"])
def test_what_a_server_says_moves_no_cursor(tmp_path, command):
    with ScriptedServer(lambda body, n: (401, f"no such key {CURSOR}".encode())) as server:
        judge = ["--judge", "m", "--base-url", server.base_url]
        done = here(*arguments(command, tmp_path, judge))
    assert done.code == 2
    assert "no such key ⟨U+001B⟩[2J" in done.err
    assert "\x1b" not in done.told


def test_what_a_file_says_moves_no_cursor(tmp_path):
    source, attempt = tmp_path / "in.jsonl", {"id": CURSOR, "messages": [{"role": "user", "content": "x"}]}
    source.write_text(json.dumps({"id": "g", "trajectories": [attempt, attempt]}) + "\n")
    done = here("rank", source, "--judge", "m")
    assert done.code == 2
    assert f"stand twice: {CURSOR!r}" in done.err
    record = tmp_path / "\x1b[2J"
    record.symlink_to("/dev/full")
    groups = groups_file(tmp_path / "good.jsonl", 1)
    with ScriptedServer(lambda body, n: (500, {})) as server:
        judge = ("--judge", "m", "--base-url", server.base_url)
        warned = apart("rank", groups, *judge, "--record", record, "--on-error", "skip", "-q")
    assert "⟨U+001B⟩[2J cannot be written" in warned.err
    assert "\x1b" not in done.told + warned.told


def test_a_slip_in_the_name_is_met_with_the_name_that_was_meant(tmp_path):
    groups = groups_file(tmp_path / "in.jsonl", 10)
    for named, meant in (("loca", "local"), ("local:smolm", "smollm2"), ("local:embeded", "embedded")):
        done = here("rank", groups, "--judge", named, "--out", tmp_path / "out.jsonl")
        assert done.code == 2
        assert f"Did you mean '{meant}" in done.err
        assert "Traceback" not in done.err
    for named, meant in (("orcale", "oracle"), ("nosy:0.8", "noisy:0.8"), ("loca", "local")):
        done = here("bench", "--judge", named, "--suite", groups, "--out", tmp_path / "bench")
        assert done.code == 2
        assert f"Did you mean '{meant}'" in done.err


@pytest.mark.parametrize("more", [(), ("--batch",)], ids=str)
def test_a_missing_key_is_named_by_its_variable(tmp_path, more):
    groups, out = groups_file(tmp_path / "in.jsonl", 1_000), tmp_path / "out.jsonl"
    done = here("rank", groups, "--judge", "openai/gpt-5-mini", "--out", out, "--on-error", "skip", *more)
    assert done.code == 2
    assert done.err.count("$OPENAI_API_KEY") == 1
    assert "Traceback" not in done.err
    assert out.read_bytes() == b""


def test_a_server_that_takes_no_key_and_lists_the_model_is_sent_nothing_at_the_start(serve):
    """And a server of requests starts."""
    judge = serve(lambda text: 0.0)
    command = [
        sys.executable,
        "-m",
        "ranker",
        "serve",
        "--port",
        "0",
        "--judge",
        "sim",
        "--base-url",
        judge.base_url,
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert "serving sim" in process.stderr.readline()
        assert judge.requests == 0
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()


def test_a_server_that_is_down_may_come_up_later(tmp_path):
    """What may pass keeps nothing from starting."""
    command = [
        sys.executable,
        "-m",
        "ranker",
        "serve",
        "--port",
        "0",
        "--judge",
        "m",
        "--base-url",
        "http://127.0.0.1:9/v1",
    ]
    started = time.monotonic()
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert "serving m" in process.stderr.readline()
        assert time.monotonic() - started < 60
    finally:
        process.terminate()
        process.wait(60)
        process.stderr.close()
