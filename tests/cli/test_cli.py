"""The command line as a user runs it: a process, files, exit codes."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranker.jsonl.group_file import dump_line, read_groups
from tests.conftest import make_groups, ranking, truthful


def write(path: Path, groups) -> Path:
    lines = [
        {
            "id": g.id,
            "trajectories": [
                {"id": t.id, "messages": t.messages, "ground_truth": t.ground_truth} for t in g.trajectories
            ],
        }
        for g in groups
    ]
    path.write_bytes(b"".join(map(dump_line, lines)))
    return path


def ranker(*args: object, **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ranker", *map(str, args)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=300, env={**os.environ, **env}, check=False
    )


def records(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_rank_writes_what_the_contract_says(serve, tmp_path):
    groups = make_groups(5)
    server = serve(groups)
    out = tmp_path / "out.jsonl"
    source = write(tmp_path / "in.jsonl", groups)
    done = ranker(
        "rank", source, "--judge", "openai/sim", "--base-url", server.base_url, "--out", out, "--passes", 2
    )
    assert done.returncode == 0, done.stderr
    assert "agrees with truth" in done.stderr
    assert "1.000 of 30 pairs" in done.stderr
    found = {r["id"]: r for r in records(out)}
    for group in groups:
        record = found[group.id]
        assert truthful(group, [record["rewards"][t.id] for t in group.trajectories])
        assert sorted(n for tier in record["ranking"] for n in tier) == ["t0", "t1", "t2", "t3"]
        assert set(record["reasons"]) == {"t0", "t1", "t2", "t3"}
        assert record["judge"] == "sim"
        assert record["prompt_id"].startswith("rank.v1:")
        assert record["usage"]["calls"] == 2
        assert len(record["trajectories"]) == 4
        assert record["consistency"] == 1.0
    assert read_groups(out)[0].trajectories[0].messages


def test_without_out_lines_go_to_standard_output(serve, tmp_path):
    groups = make_groups(2)
    server = serve(groups)
    done = ranker(
        "rank", write(tmp_path / "g.jsonl", groups), "--judge", "sim", "--base-url", server.base_url, "-q"
    )
    assert done.returncode == 0
    assert {json.loads(line)["id"] for line in done.stdout.splitlines()} == {"g0", "g1"}
    assert done.stderr == ""


def test_started_again_it_skips_what_is_there(serve, tmp_path):
    groups = make_groups(6)
    server = serve(groups)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out)
    assert ranker(*args).returncode == 0
    again = ranker(*args)
    assert again.returncode == 0
    assert "already ranked" in again.stderr
    assert server.requests == 6
    assert len(records(out)) == 6


def test_killed_three_times_each_group_is_there_once_and_little_is_paid_twice(serve, tmp_path):
    groups = make_groups(400)
    server = serve(groups, latency=0.03)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ranker", *ranking(source, server, out, "--concurrency", 8, "-q")]
    for kill in range(1, 4):
        process = subprocess.Popen(command)
        while not out.exists() or out.read_bytes().count(b"\n") < 80 * kill:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert len(records(out)) < 400
    assert subprocess.run(command, check=False).returncode == 0
    found = records(out)
    assert len(found) == 400
    assert {r["id"] for r in found} == {g.id for g in groups}
    assert all(truthful(g, list(r["rewards"].values())) for g, r in zip(
        groups, sorted(found, key=lambda r: int(r["id"][1:])), strict=True))  # fmt: skip
    # Eight in flight, and what was answered and not yet written: a few more where cores are busy.
    assert server.requests <= 400 + 3 * 12


def test_a_line_cut_off_by_a_kill_is_ranked_again(serve, tmp_path):
    groups = make_groups(3)
    server = serve(groups)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out)
    ranker(*args)
    whole = out.read_bytes()
    out.write_bytes(whole[:-40])
    assert ranker(*args).returncode == 0
    assert sorted(r["id"] for r in records(out)) == ["g0", "g1", "g2"]
    assert server.requests == 4


def test_interrupted_it_saves_what_was_finished(serve, tmp_path):
    groups = make_groups(100)
    server = serve(groups, latency=0.05)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "ranker", *ranking(source, server, out, "--concurrency", 2)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while not out.exists() or out.read_bytes().count(b"\n") < 5:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "what was finished is saved" in told
    assert len(records(out)) >= 5


def test_skip_records_failures_and_retry_failed_tries_them_again(serve, tmp_path):
    groups = make_groups(8)
    knows = serve(groups[:5])
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ["rank", source, "--judge", "sim", "--out", out, "--on-error", "skip"]
    done = ranker(*args, "--base-url", knows.base_url)
    assert done.returncode == 1
    assert "3 of 8 groups failed" in done.stderr
    failed = [r for r in records(out) if "error" in r]
    assert {r["id"] for r in failed} == {"g5", "g6", "g7"}
    assert failed[0]["error"]["type"] == "JudgeCallError"
    assert "rewards" not in failed[0]
    assert ranker(*args, "--base-url", knows.base_url).returncode == 1  # skipped, and still failed
    knows_all = serve(groups)
    assert ranker(*args, "--base-url", knows_all.base_url, "--retry-failed").returncode == 0
    assert knows_all.requests == 3
    assert sorted(r["id"] for r in records(out)) == [f"g{i}" for i in range(8)]
    assert all("rewards" in r for r in records(out))


def test_raise_stops_names_the_group_and_keeps_the_rest(serve, tmp_path):
    groups = make_groups(30)
    server = serve([g for g in groups if g.id != "g20"])
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out, "--concurrency", 4)
    done = ranker(*args)
    assert done.returncode == 1
    assert "'g20' (line 21)" in done.stderr
    assert len(records(out)) >= 20
    assert all("rewards" in r for r in records(out))


def test_a_budget_stops_and_the_next_run_goes_on(serve, tmp_path):
    groups = make_groups(10)
    server = serve(groups)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out, "--on-error", "skip")
    done = ranker(*args, "--max-calls", 4)
    assert done.returncode == 1
    assert "max_calls=4" in done.stderr
    assert len(records(out)) == server.requests == 4
    assert ranker(*args).returncode == 0
    assert server.requests == 10


@pytest.mark.parametrize(
    ("key", "model", "fault"), [("wrong", "sim", "API key"), ("right", "wrong", "model's name")]
)
def test_a_wrong_key_or_model_ends_the_run_at_once(serve, tmp_path, key, model, fault):
    groups = make_groups(40)
    server = serve(groups, api_key="right", model="sim")
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    done = ranker("rank", source, "--judge", model, "--base-url", server.base_url, "--out", out, "--on-error", "skip",
                  "--concurrency", 4, RANKER_API_KEY=key)  # fmt: skip
    assert done.returncode == 2
    assert fault in done.stderr
    assert server.requests < 40
    assert records(out) == []


def test_rubric_from_a_file_and_other_options_reach_the_judge(serve, tmp_path):
    groups = make_groups(1)
    server = serve(groups, keep_prompts=True)
    rubric = tmp_path / "rubric.txt"
    rubric.write_text("Prefer words with a z.")
    source = write(tmp_path / "g.jsonl", groups)
    done = ranker("rank", source, "--judge", "sim", "--base-url", server.base_url, "--rubric", f"@{rubric}",
                  "--price", "1,2", "--record", tmp_path / "calls.jsonl", "--reward", "top_heavy")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Prefer words with a z." in server.prompts[0][0]["content"]
    assert "$0.0" in done.stderr
    assert len(records(tmp_path / "calls.jsonl")) == 1


def test_two_runs_on_one_output_do_not_mix(serve, tmp_path):
    groups = make_groups(50)
    server = serve(groups, latency=2.0)  # the first run cannot end before the second has been refused
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out, "--concurrency", "2")
    first = subprocess.Popen([sys.executable, "-m", "ranker", *args, "-q"])
    while not out.exists() or not out.read_bytes():
        time.sleep(0.01)
    second = ranker(*args)
    server.latency = 0.0
    assert second.returncode == 2
    assert "Another process" in second.stderr
    assert first.wait(60) == 0
    assert len(records(out)) == 50


def test_cache_is_shown_and_cleared(serve, tmp_path):
    groups = make_groups(3)
    server = serve(groups)
    source = write(tmp_path / "g.jsonl", groups)
    settings = {"RANKER_CACHE": str(tmp_path / "cache")}
    for _ in range(2):
        assert (
            ranker(
                "rank", source, "--judge", "sim", "--base-url", server.base_url, "-q", **settings
            ).returncode
            == 0
        )
    assert server.requests == 3
    assert "3 replies" in ranker("cache", **settings).stdout
    assert "3 replies deleted" in ranker("cache", "clear", "--judge", "sim", **settings).stdout
    assert "0 replies" in ranker("cache", **settings).stdout
    assert "off" in ranker("cache", RANKER_CACHE="off").stdout


def test_paths_are_not_taken_for_markup(serve, tmp_path, monkeypatch):
    groups = make_groups(1)
    server = serve(groups)
    monkeypatch.setenv("COLUMNS", "500")
    odd = tmp_path / "[/b][dim]:warning:"
    odd.mkdir(parents=True)
    source, settings = write(odd / "g.jsonl", groups), {"RANKER_CACHE": str(odd / "cache")}
    done = ranker(*ranking(source, server, odd / "out.jsonl"), **settings)
    assert f"  {odd / 'out.jsonl'} " in done.stderr
    assert f"1 replies, 0.0 MB in {odd / 'cache'}" in ranker("cache", **settings).stdout
    assert f"Stored in {odd} (" in ranker("models", RANKER_MODELS=str(odd)).stdout
    done = ranker("bench", "--judge", "length", "--suite", source, "--out", odd / "bench")
    assert "⚠" not in done.stdout
    assert f"Figures: {odd / 'bench' / 'results.json'}\n" in done.stdout


@pytest.mark.parametrize("judge", ["~nosuchuser/x", "local:~nosuchuser/x", "~nosuchuser/judge.json"])
def test_a_path_in_the_home_of_nobody_is_a_path_that_is_not_there(tmp_path, judge):
    source = write(tmp_path / "g.jsonl", make_groups(1))
    done = ranker("rank", source, "--judge", judge)
    assert done.returncode == 2, done.stderr
    assert "~nosuchuser" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_full_disk_under_standard_output_is_one_message(tmp_path, unbuffered):
    source = write(tmp_path / "g.jsonl", make_groups(1))
    for words in (["show", source], ["--version"]):
        command = [sys.executable, "-m", "ranker", *map(str, words)]
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, env=environment, timeout=60, check=False
            )
        assert done.returncode == 2
        assert done.stderr == b"ranker: Standard output cannot be written: No space left on device.\n"


def test_a_closed_standard_output_is_said_before_anything_is_paid_for(tmp_path):
    source = write(tmp_path / "g.jsonl", make_groups(1))
    words = " ".join(
        map(shlex.quote, [sys.executable, "-m", "ranker", "rank", str(source), "--judge", "none"])
    )
    done = subprocess.run(f"{words} >&-", shell=True, stderr=subprocess.PIPE, timeout=60, check=False)
    assert done.returncode == 2
    assert b"Standard output is closed: name a file" in done.stderr


@pytest.mark.parametrize(
    "words", [("judges",), ("recommend", "--budget", "0", "--judge", "openai/gpt-5-mini")]
)
def test_letters_that_the_terminal_lacks_are_spelled_out(tmp_path, words):
    source = write(tmp_path / "g.jsonl", make_groups(2))
    more = (source, "--out", tmp_path / "out") if words[0] == "recommend" else ()
    done = ranker(*words, *more, PYTHONIOENCODING="latin-1")
    assert "Traceback" not in done.stderr
    assert "\\u2264" in done.stdout


def test_models_are_listed():
    done, listed = ranker("models", COLUMNS="200"), ranker("models", "list", COLUMNS="200")
    assert done.returncode == 0
    assert done.stdout == listed.stdout
    assert "local (default)" in done.stdout
    assert "local:smollm2-135m-instruct" in done.stdout
    assert "arithmetic 0.80" in done.stdout
    assert "chance" in done.stdout
    assert "…" not in ranker("models", COLUMNS="80").stdout
    unknown = ranker("models", "fetch", "nobody")
    assert unknown.returncode == 2
    assert "not a known model" in unknown.stderr


@pytest.mark.parametrize(
    "args", [("--help",), ("rank", "--help"), ("models", "--help"), ("cache", "--help"), ("demo", "--help")]
)
def test_help_teaches(args):
    done = ranker(*args)
    assert done.returncode == 0
    assert len(done.stdout) > 300


def test_a_shell_completes_commands_and_options():
    code = "import sys; sys.argv[0] = 'ranker'; from ranker.cli import main; main()"

    def completed(*words: str) -> list[str]:
        asked = {
            "_RANKER_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(words),
            "COMP_CWORD": str(len(words) - 1),
        }
        done = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            env={**os.environ, **asked},
            check=False,
        )
        return done.stdout.split()

    assert completed("ranker", "ra") == ["rank"]
    assert {"list", "fetch", "remove"} <= set(completed("ranker", "models", ""))
    assert "--judge" in completed("ranker", "rank", "--ju")


def test_version_and_usage_errors():
    assert ranker("--version").stdout.startswith("ranker 0.")
    assert ranker("rank").returncode == 2
    assert ranker("rank", "x.jsonl", "--passes", "0").returncode == 2


@pytest.mark.parametrize(
    ("option", "value", "fault"),
    [
        ("--max-cost", "nan", "max_cost_usd=nan; give a number that is at least 0."),
        ("--max-cost", "-1", "max_cost_usd=-1.0; give a number that is at least 0."),
        ("--price", "nan,1", "price=nan; give a number that is at least 0."),
        ("--rpm", "0", "rpm=0.0; give a number that is at least 1."),
        ("--timeout", "-1", "timeout=-1.0; give a number that is more than 0."),
    ],
)
def test_a_number_that_an_option_cannot_be_is_refused(serve, tmp_path, option, value, fault):
    groups = make_groups(1)
    server = serve(groups)
    source = write(tmp_path / "in.jsonl", groups)
    done = ranker(*ranking(source, server, tmp_path / "out.jsonl", "--on-error", "skip", option, value))
    assert done.returncode == 2
    assert fault in done.stderr
    assert server.requests == 0
