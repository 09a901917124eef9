"""Malformed files, hostile sizes, full disks: a clear error, and what was finished stays finished."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time

import pytest

from ranker import GroupError, LLMJudge, rank_group
from ranker.cli.ranking import RankSettings, run
from ranker.jsonl.appender import Appender
from ranker.jsonl.group_file import read_groups
from ranker.jsonl.shards import plan_of
from ranker.runtime.budget import Budget
from tests.cli.test_cli import ranker, records, write
from tests.conftest import make_groups, ranking
from tests.scripted_server import ScriptedServer, chat, verdict

GOOD = {"id": "good", "trajectories": [{"id": "a", "messages": [{"role": "assistant", "content": "x"}]}]}
MESSAGE = {"role": "assistant", "content": "y"}

BAD_LINES = {
    "not json": (b"{oops", "not JSON"),
    "cut off": (b'{"id": "x", "trajectories": [', "not JSON"),
    "a list": (b"[1, 2]", "list"),
    "not utf-8": ('{"id": "ä"}'.encode("latin-1"), "UTF-8"),
    "deep": (b"[" * 100_000, "not JSON"),
    "no trajectories": (b'{"id": "x"}', "trajectories"),
    "empty group": (b'{"id": "x", "trajectories": []}', "empty"),
    "no messages": ({"id": "x", "trajectories": [{"id": "a"}]}, 'no "messages"'),
    "empty messages": ({"id": "x", "trajectories": [{"messages": []}]}, "no messages"),
    "unknown role": ({"id": "x", "trajectories": [{"messages": [{"role": "robot", "content": "x"}]}]}, "robot"),
    "bad content": ({"id": "x", "trajectories": [{"messages": [{"role": "user", "content": 7}]}]}, "content"),
    "nan truth": (b'{"id": "x", "trajectories": [{"messages": [{"role": "user", "content": "x"}], "ground_truth": NaN}]}', "nan"),
    "duplicate trajectory ids": ({"id": "x", "trajectories": [{"id": "a", "messages": [MESSAGE]}] * 2}, "twice"),
    "duplicate group id": (GOOD, "stands on line 1 already"),
    "id no text": ({"id": 7.5, "trajectories": [{"messages": [MESSAGE]}]}, "id"),
    "id with a surrogate": (b'{"id": "\\ud800", "trajectories": [{"messages": [{"role": "user", "content": "x"}]}]}', "id"),
}  # fmt: skip


def as_bytes(line: object) -> bytes:
    return line if isinstance(line, bytes) else json.dumps(line).encode()


@pytest.mark.parametrize("name", BAD_LINES)
def test_a_bad_line_is_named_by_number(tmp_path, name):
    """With raise nothing is sent; with skip the line is recorded as failed and the rest is ranked."""
    line, told = BAD_LINES[name]
    source, out = tmp_path / "g.jsonl", tmp_path / "out.jsonl"
    source.write_bytes(
        as_bytes(GOOD) + b"\n\n" + as_bytes(line) + b"\n" + as_bytes({**GOOD, "id": "last"}) + b"\n"
    )
    stopped = ranker("rank", source, "--judge", "none", "--out", out)
    assert stopped.returncode == 2
    assert "ine 3" in stopped.stderr
    assert told in stopped.stderr
    assert "Traceback" not in stopped.stderr
    skipped = ranker("rank", source, "--judge", "none", "--out", out, "--on-error", "skip")
    assert skipped.returncode == 1, skipped.stderr
    found = {r["id"]: r for r in records(out)}
    assert len(found) == 3
    assert "rewards" in found["good"]
    assert "rewards" in found["last"]
    (bad,) = [r for r in found.values() if "error" in r]
    assert bad["line"] == 3
    assert told in bad["error"]["message"]


def test_reading_a_file_in_python_names_the_line(tmp_path):
    path = tmp_path / "g.jsonl"
    path.write_bytes(as_bytes(GOOD) + b"\n{\n")
    with pytest.raises(GroupError, match="Line 2"):
        read_groups(path)


def test_files_that_are_missing_or_cannot_be_written(tmp_path):
    source = write(tmp_path / "g.jsonl", make_groups(1))
    (tmp_path / "empty.jsonl").write_text("\n")
    for args, told in (
        (["rank", tmp_path / "none.jsonl"], "No such file"),
        (["rank", tmp_path], "directory"),
        (["rank", tmp_path / "empty.jsonl"], "no groups"),
        (["rank", source, "--judge", "x", "--rubric", "@" + str(tmp_path / "none.txt")], "rubric"),
        (["rank", source, "--judge", "x", "--out", tmp_path / "no" / "folder.jsonl"], "cannot be written"),
        (["rank", source, "--judge", "x", "--out", tmp_path], "cannot be written"),
        (["rank", source, "--judge", "x", "--record", tmp_path / "no" / "calls.jsonl"], "record"),
        (["rank", source, "--judge", "x", "--prompts", tmp_path / "none"], "prompt folder"),
        (["rank", source, "--judge", "x", "--template", "none.v9"], "rank.v1"),
        (["rank", source, "--judge", "x", "--base-url", "nonsense"], "http://"),
        (["rank", source, "--judge", "x", "--price", "cheap"], "0.25,2"),
        (["rank", source, "--judge", "local:/no/such/model"], "no model at"),
        (["rank", source, "--judge", "x", "--out", source], "same file as the input"),
    ):
        before = source.read_bytes()
        done = ranker(*args)
        assert done.returncode == 2, (args, done.stderr)
        assert told in done.stderr, (args, done.stderr)
        assert "Traceback" not in done.stderr
        assert source.read_bytes() == before


def test_a_pipe_is_refused_and_not_taken_for_an_empty_file(tmp_path):
    groups = write(tmp_path / "g.jsonl", make_groups(2)).read_bytes()
    for more in ([], ["--on-error", "skip"]):
        command = [sys.executable, "-m", "ranker", "rank", "/dev/stdin", "--judge", "none", *more]
        done = subprocess.run(command, input=groups, capture_output=True, timeout=60, check=False)
        assert done.returncode == 2, done.stderr
        assert b"/dev/stdin is read more than once" in done.stderr


def test_a_file_that_became_shorter_is_not_taken_for_ranked(serve, tmp_path, capsys):
    groups = make_groups(3)
    source = write(tmp_path / "g.jsonl", groups)
    server = serve(groups)

    def judge() -> LLMJudge:
        source.write_bytes(source.read_bytes().splitlines(keepends=True)[0])
        return LLMJudge("sim", base_url=server.base_url)

    plan = plan_of([source], tmp_path / "out.jsonl")
    settings = RankSettings(plan, tmp_path / "out.jsonl", True, False, True, judge, Budget, {})
    assert asyncio.run(run(settings)) == 2
    assert "held 3 groups when it was checked and 1 when they were ranked" in capsys.readouterr().err
    assert [r["id"] for r in records(tmp_path / "out.jsonl")] == ["g0"]


def test_a_full_disk_says_so(serve, tmp_path):
    groups = make_groups(3)
    server = serve(groups)
    source = write(tmp_path / "g.jsonl", groups)
    done = ranker("rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", "/dev/full")
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert "free some space" in done.stderr


LIMITED = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
limit = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from ranker.cli import main
main()
"""


def test_a_disk_that_fills_leaves_whole_lines_and_the_run_goes_on_later(serve, tmp_path):
    """A file-size limit stands in for the disk's end; the line that did not fit is taken back."""
    groups = make_groups(12)
    server = serve(groups)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out.jsonl"
    args = ranking(source, server, out, "--concurrency", "1")
    done = subprocess.run(
        [sys.executable, "-c", LIMITED, "6000", *args], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    kept = len(records(out))
    assert 0 < kept < 12
    assert ranker(*args).returncode == 0
    assert sorted(int(r["id"][1:]) for r in records(out)) == list(range(12))


def test_a_disk_that_fills_loses_no_reply_in_flight_and_sends_no_more(tmp_path):
    """What the output cannot take the cache keeps, so that no call is paid for twice."""
    lines = [
        {"id": f"g{i}", "trajectories": [{"messages": [{"role": "assistant", "content": f"{i}: worth {k} points"}]} for k in (1, 2)]}
        for i in range(40)
    ]  # fmt: skip
    source, out = tmp_path / "g.jsonl", tmp_path / "out.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    # So large that the cache stays below the limit, which stands in for the disk's end.
    out.write_text(json.dumps({"id": "before", "rewards": {}, "metadata": "x" * 1_000_000}) + "\n")
    limit = out.stat().st_size + 1_500

    def answer(body, n):
        time.sleep(0.1 * min(n, 8))
        return chat(json.dumps(verdict(body)))

    with ScriptedServer(answer) as server:
        args = ["rank", source, "--judge", "m", "--base-url", server.base_url, "--out", out, "--concurrency", "8",
                "--cache", tmp_path / "cache.sqlite"]  # fmt: skip
        command = [sys.executable, "-c", LIMITED, str(limit), *map(str, args)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 2, done.stderr
        assert "free some space" in done.stderr
        assert "Traceback" not in done.stderr
        sent, kept = len(server.requests), len(records(out)) - 1
        assert 0 < kept < 8 <= sent <= 8 + kept + 1
        assert ranker(*args).returncode == 0
        assert len(server.requests) == 40
    assert {r["id"] for r in records(out)} == {"before", *(line["id"] for line in lines)}


def test_standard_output_on_a_full_disk_says_so(serve, tmp_path):
    groups = make_groups(3)
    server = serve(groups)
    source = write(tmp_path / "g.jsonl", groups)
    command = [
        sys.executable,
        "-m",
        "ranker",
        "rank",
        source,
        "--judge",
        "sim",
        "--base-url",
        server.base_url,
    ]
    with open("/dev/full", "wb") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert "Standard output cannot be written (No space left on device)" in done.stderr
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_record_or_cache_on_a_full_disk_does_not_stop_the_run(serve, tmp_path):
    groups = make_groups(2)
    server = serve(groups)
    source = write(tmp_path / "g.jsonl", groups)
    done = ranker("rank", source, "--judge", "sim", "--base-url", server.base_url, "--record", "/dev/full",
                  RANKER_CACHE="/dev/null/x.sqlite")  # fmt: skip
    assert done.returncode == 0
    assert "record /dev/full cannot be written" in done.stderr
    assert "cache" in done.stderr
    assert len(done.stdout.splitlines()) == 2


def test_a_message_of_50_megabytes_is_shortened_and_said_so(serve):
    server = serve(lambda text: float(len(text)))
    huge = "The quick brown fox jumps over the lazy dog. " * 1_200_000
    started = time.monotonic()
    ranked = rank_group([huge, "short", "shorter"], "sim", base_url=server.base_url, task="Write.")
    assert ranked.rewards[0] == 1.0
    assert ranked.cut[0] > 50_000_000
    assert ranked.cut[1:] == (0, 0)
    assert time.monotonic() - started < 30


def test_lone_surrogates_are_shown_and_survive_the_output(serve, tmp_path):
    group = {
        "id": "s",
        "trajectories": [{"messages": [{"role": "assistant", "content": f"a \ud800 {i}"}]} for i in range(2)],
    }
    source, out = tmp_path / "g.jsonl", tmp_path / "out.jsonl"
    source.write_text(json.dumps(group) + "\n")
    server = serve(lambda text: float(text.strip()[-1]), keep_prompts=True)
    done = ranker("rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", out)
    assert done.returncode == 0, done.stderr
    assert "\\ud800" in server.prompts[0][1]["content"]
    (record,) = records(out)
    assert record["rewards"] == {"0": 0.0, "1": 1.0}
    assert record["trajectories"][0]["messages"][0]["content"] == "a \ud800 0"


def test_another_file_is_not_taken_for_an_output(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nmore\n")
    with pytest.raises(Exception, match="no ranked group"):
        Appender(path)
    assert path.read_text() == "my notes\nmore\n"


def test_hostile_text_does_not_slow_the_parser():
    from ranker.errors import VerdictError
    from ranker.judges.verdict import parse_verdict

    for text in (
        "{" * 200_000,
        '{"a":' * 50_000,
        "[" * 200_000,
        '{"ranking": ' * 20_000,
        "<think>" * 100_000,
    ):
        started = time.monotonic()
        with pytest.raises(VerdictError):
            parse_verdict(text, ["AAA", "BBB"])
        assert time.monotonic() - started < 5


def test_a_judge_that_is_down_fails_by_name(tmp_path):
    source, out = write(tmp_path / "g.jsonl", make_groups(2)), tmp_path / "out.jsonl"
    judge = LLMJudge("sim", base_url="http://127.0.0.1:9/v1", max_retries=0)
    with pytest.raises(Exception, match="cannot be reached"):
        rank_group(make_groups(1)[0], judge)
    done = ranker("rank", source, "--judge", "sim", "--base-url", "http://127.0.0.1:9/v1", "--out", out, "--on-error",
                  "skip", "--timeout", "5")  # fmt: skip
    assert done.returncode == 1
    assert all("cannot be reached" in r["error"]["message"] for r in records(out))
