"""`ranker bench` stopped, killed, starved and started again: nothing is asked twice, nothing is lost or made up."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time

import pytest

from ranker.bench.judge_spec import judge_spec
from ranker.bench.matrix import LOST, Log
from ranker.testing import JudgeServer
from ranker.usage import Usage
from tests.bench_runs import (
    apart,
    args_for,
    cell,
    command,
    figures,
    here,
    knowing,
    observed,
    read,
    values,
    write,
)
from tests.conftest import make_groups


def lines(out):
    file = out / "observations.jsonl"
    return file.read_bytes().count(b"\n") if file.exists() else 0


def until(process, enough):
    while not enough():
        assert process.poll() is None, "it ended too soon"
        time.sleep(0.005)


def test_killed_twice_the_figures_are_those_of_an_uninterrupted_run(serve, tmp_path):
    groups = make_groups(25)
    server = serve(knowing(groups), latency=0.02)
    source, out, whole = write(tmp_path / "g.jsonl", groups), tmp_path / "out", tmp_path / "whole"
    more = ("--judge", "biased:position=0.4,noise=0.2", "--concurrency", 4)
    for kill in (1, 2):
        process = subprocess.Popen(command(*args_for(server, source, out, *more)))
        until(process, lambda n=40 * kill: server.requests > n and lines(out) > n)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not (out / "results.json").exists()
    assert 0 < lines(out) < 375
    assert here(*args_for(server, source, out, *more)).code == 0
    assert 125 <= server.requests <= 125 + 2 * 4
    assert here(*args_for(server, source, whole, *more)).code == 0
    assert figures(read(out)) == figures(read(whole))
    assert len(observed(out)) == 375
    assert len({o["id"] for o in observed(out)}) == 375
    assert (out / "disagreements.jsonl").read_bytes() == (whole / "disagreements.jsonl").read_bytes()


def test_interrupted_it_saves_what_was_finished_and_goes_on(serve, tmp_path):
    groups = make_groups(20)
    server = serve(knowing(groups), latency=0.05)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--concurrency", 4)
    process = subprocess.Popen(command(*args), stderr=subprocess.PIPE, text=True)
    until(process, lambda: server.requests > 20)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "what was finished is saved" in told
    assert "Traceback" not in told
    kept = [o for o in observed(out) if o["judge"] == "sim"]
    assert server.requests - 4 <= len(kept) <= server.requests
    assert here(*args).code == 0
    assert server.requests <= 100 + 4
    assert values(read(out), "sim")["pairwise_accuracy"] == 1.0


def test_a_line_cut_off_is_asked_again(serve, tmp_path):
    groups = make_groups(4)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out)
    assert here(*args).code == 0
    before, file = read(out), out / "observations.jsonl"
    raw = file.read_bytes().splitlines(keepends=True)
    raw.sort(key=lambda line: json.loads(line)["judge"] == "sim")  # the order of lines means nothing
    file.write_bytes(b"".join(raw)[:-30])
    assert here(*args).code == 0
    assert server.requests == 21
    assert figures(read(out)) == figures(before)
    assert len(observed(out)) == 40


@pytest.mark.parametrize("what", ["ranked file", "other version", "text", "list"])
def test_another_file_in_its_place_is_refused_and_left_as_it_is(serve, tmp_path, what):
    groups = make_groups(2)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out)
    out.mkdir()
    file = out / "observations.jsonl"
    if what == "ranked file":
        rank = ("rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", file, "-q")
        assert here(*rank).code == 0
    elif what == "other version":
        assert here(*args).code == 0
        file.write_bytes(file.read_bytes().replace(b'"seconds"', b'"minutes"', 1))
    else:
        file.write_text("hello\n" if what == "text" else "[1, 2]\n")
    before, asked = file.read_bytes(), server.requests
    done = here(*args)
    assert done.code == 2
    assert "observations.jsonl" in done.err
    assert "away" in done.err
    assert file.read_bytes() == before
    assert server.requests == asked


def test_two_runs_on_one_folder_do_not_mix(serve, tmp_path):
    groups = make_groups(10)
    server = serve(knowing(groups), latency=0.1)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--concurrency", 8)
    first = subprocess.Popen(command(*args))
    until(first, lambda: lines(out) > 0)
    second = here(*args)
    assert second.code == 2
    assert "Another process" in second.err
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert here(*args).code == 0
    assert server.requests <= 50 + 8
    assert len(observed(out)) == 100


def limited(size, *args):
    """The command in a process whose files cannot grow beyond `size` bytes: a disk that fills."""
    start = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))
from ranker.cli import main
main()
"""
    call = [sys.executable, "-c", start, *map(str, args)]
    return subprocess.run(call, capture_output=True, text=True, check=False, timeout=60)


def test_a_disk_that_fills_leaves_whole_lines_and_the_run_goes_on_later(serve, tmp_path):
    groups = make_groups(12)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--concurrency", 2)
    done = limited(12_000, *args)
    assert done.returncode == 2, done.stderr
    assert "observations.jsonl cannot be written" in done.stderr
    assert "free some space" in done.stderr
    assert "Traceback" not in done.stderr
    kept = len([o for o in observed(out) if o["judge"] == "sim"])
    assert 0 < len(observed(out)) < 120
    asked = server.requests
    assert kept <= asked <= kept + 2
    assert here(*args).code == 0
    assert server.requests == asked + 60 - kept
    assert len(observed(out)) == 120


def test_results_that_find_no_room_leave_the_old_ones_and_no_debris(serve, tmp_path):
    groups = make_groups(2)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--accuracy-only")
    assert here(*args, "--groups", 1).code == 0
    old = (out / "results.json").read_bytes()
    done = limited(5_000, *args)
    assert done.returncode == 2
    assert "results.json cannot be written" in done.stderr
    assert (out / "results.json").read_bytes() == old
    assert sorted(p.name for p in out.iterdir()) == [
        "disagreements.jsonl",
        "observations.jsonl",
        "results.json",
    ]
    assert here(*args).code == 0
    assert server.requests == 2


def test_a_full_disk_from_the_start_says_so(serve, tmp_path):
    groups = make_groups(2)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    out.mkdir()
    (out / "observations.jsonl").symlink_to("/dev/full")
    done = apart(*args_for(server, source, out))
    assert done.code == 2
    assert "No space left" in done.err
    assert server.requests <= 1


def test_a_server_that_dies_is_left_alone_and_the_run_goes_on_when_it_is_back(tmp_path, monkeypatch):
    monkeypatch.setattr("ranker.judges.retries._pause", lambda state: 0.01)
    groups = make_groups(30)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    with JudgeServer(knowing(groups), latency=0.01) as server:
        args = args_for(server, source, out, "--concurrency", 4)

        def stop():
            while server.requests < 40:
                time.sleep(0.002)
            server.__exit__()

        watch = threading.Thread(target=stop)
        watch.start()
        done = here(*args)
        watch.join()
    assert done.code == 1
    assert f"the last {LOST} calls got no reply" in done.err
    assert "Run the same command again to continue" in done.err
    made = read(out)
    sim = cell(made, "sim")
    lost = [o for o in observed(out) if o["judge"] == "sim" and "error" in o]
    assert LOST <= len(lost) <= LOST + 3 + 4  # those in flight when it was given up, and a few before
    assert sim["errors"] == {"JudgeCallError": len(lost)}
    assert values(made, "sim")["pairwise_accuracy"] == 1.0  # of what it had said
    assert cell(made, "length")["groups"] == 30
    answered = sum(o["judge"] == "sim" and "rewards" in o for o in observed(out))
    with JudgeServer(knowing(groups), port=server.port) as back:
        assert here(*args).code == 0
        assert back.requests == 150 - answered
    assert cell(read(out), "sim")["failed"] == 0
    assert cell(read(out), "sim")["errors"] == {}
    # and it is as if nothing had happened
    with JudgeServer(knowing(groups), port=server.port):
        assert here(*args_for(server, source, tmp_path / "whole", "--concurrency", 4)).code == 0
    one, other = (cell(read(folder), "sim") for folder in (out, tmp_path / "whole"))
    assert one["metrics"] == other["metrics"]


def test_calls_lost_now_and_then_do_not_end_it(serve, tmp_path, monkeypatch):
    monkeypatch.setattr("ranker.judges.retries._pause", lambda state: 0.0)
    groups = make_groups(15)
    faults = {"500": 0.15, "disconnect": 0.1, "429": 0.1, "half_body": 0.05, "not_json": 0.05}
    server = serve(knowing(groups), faults=faults, seed=5)
    done = here(*args_for(server, write(tmp_path / "g.jsonl", groups), tmp_path / "out"))
    made = read(tmp_path / "out")
    assert done.code == (1 if cell(made, "sim")["errors"] else 0)
    assert values(made, "sim")["pairwise_accuracy"] == 1.0
    assert values(made, "sim")["unusable_replies"] == pytest.approx(
        1 - server.counts["ok"] / server.requests, abs=0.03
    )


def test_it_is_given_up_only_after_that_many_in_a_row(serve, tmp_path):
    groups = make_groups(15)
    server = serve([g for g in knowing(groups) if int(g.id[1:]) % 3])  # it refuses the others
    args = args_for(server, write(tmp_path / "g.jsonl", groups), tmp_path / "out", "--concurrency", 1)
    assert here(*args).code == 1
    made = cell(read(tmp_path / "out"), "sim")
    assert made["askings"] == 75
    assert made["errors"] == {"JudgeCallError": 25}
    assert (made["groups"], made["failed"]) == (15, 5)
    assert here(*args).code == 1
    some = [o["id"] for o in observed(tmp_path / "out") if o["judge"] == "sim"]
    assert (len(some), len(set(some))) == (75 + LOST, 75)  # only those that got no reply, and of them no more


def test_groups_that_always_fail_do_not_keep_a_later_run_from_the_others(serve, tmp_path):
    groups = make_groups(30)
    server = serve([g for g in groups if int(g.id[1:]) % 3])
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--concurrency", 1, "--accuracy-only")
    assert here(*args, "--groups", 27).code == 1
    assert here(*args, "--groups", 30).code == 1
    assert cell(read(out), "sim")["groups"] - cell(read(out), "sim")["failed"] == 20


# Money


def cost(out, judge="sim"):
    return sum(o["usage"]["cost_usd"] for o in observed(out) if o["judge"] == judge)


@pytest.mark.parametrize("passes", [1, 3])
def test_a_ceiling_holds_over_all_runs(serve, tmp_path, passes):
    groups = make_groups(10)
    server = serve(knowing(groups), faults={"prose": 0.15} if passes > 1 else {}, seed=2)
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    args = args_for(server, source, out, "--price", "100,100", "--passes", passes, "--concurrency", 3)
    ceiling = 1.0 * passes
    done = here(*args, "--max-cost", ceiling)
    assert done.code == 1
    assert "raise --max-cost" in done.err
    assert 0 < cost(out) <= ceiling
    asked = server.requests
    assert asked > 10
    # What was paid is known to the last cent, that of askings cut short included.
    paid = sum(o["usage"]["calls"] for o in observed(out) if o["judge"] == "sim")
    assert paid == asked
    for _ in range(2):
        again = here(*args, "--max-cost", ceiling)
        assert again.code == 1
        assert server.requests == asked
    made = read(out)
    assert cell(made, "sim")["errors"] == {}  # a limit is no failure of the judge
    assert sum("rewards" in o for o in observed(out) if o["judge"] == "sim") < 30
    assert here(*args, "--max-cost", 100 * passes).code == 0
    assert cell(read(out), "sim")["groups"] == 10
    assert values(read(out), "sim")["pairwise_accuracy"] == 1.0


def test_a_ceiling_needs_a_price(serve, tmp_path):
    groups = make_groups(3)
    server = serve(knowing(groups))
    done = here(*args_for(server, write(tmp_path / "g.jsonl", groups), tmp_path / "out", "--max-cost", 1))
    assert done.code == 2
    assert "price" in done.err
    assert server.requests == 0


def test_what_failed_askings_cost_counts_in_the_next_run(tmp_path):
    from tests.bench_runs import seen

    log = Log(tmp_path / "observations.jsonl")
    failed = seen((0.0, 1.0), None, usage=Usage(2, 0, 2, 10, 10, 0.25, 0.125))
    for kind in ("JudgeCallError", "BudgetExceeded", "VerdictError"):
        object.__setattr__(failed, "error", {"type": kind, "message": "x"})
        object.__setattr__(failed, "id", kind)
        log.add(failed)
    assert log.seen.keys() == {"JudgeCallError", "VerdictError"}
    log.close()
    log = Log(tmp_path / "observations.jsonl")
    assert log.spent == 3 * (0.25 + 0.125), "with what lost replies may have cost"
    assert log.seen.keys() == {"VerdictError"}  # the others are asked again
    log.close()


# Secrets


def files_of(folder):
    return b"".join(p.read_bytes() for p in folder.rglob("*") if p.is_file())


def test_a_key_is_nowhere_in_what_is_written_or_told(serve, tmp_path):
    groups = make_groups(3)
    key = "plum7-orchard-93517"
    right, wrong = serve(knowing(groups), api_key=key), serve(groups, api_key="another")
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    done = apart("bench", "--judge", f"sim@{right.base_url}", "--judge", f"sam@{wrong.base_url}", "--suite", source,
                 "--out", out, RANKER_API_KEY=key)  # fmt: skip
    assert done.code == 2  # the wrong server tells the key it was sent, in its error
    assert "API key" in done.err
    assert right.counts["ok"] == 15
    assert wrong.counts["refused"] == 1
    assert key not in done.told
    told = files_of(out)
    assert b"Incorrect API key provided" in told
    assert key.encode() not in told
    assert (out / "report.html").exists()


@pytest.mark.parametrize("password", ["pear-81427", "pe@r-81427"])
def test_credentials_in_an_address_are_refused_and_not_shown(serve, tmp_path, password):
    groups = make_groups(2)
    server = serve(knowing(groups))
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    host = server.base_url.removeprefix("http://")
    judge = f"sim@http://ann:{password}@{host}"
    done = here("bench", "--judge", judge, "--suite", source, "--out", out, "--dry-run")
    assert done.code == 2
    assert "RANKER_API_KEY" in done.err
    assert "81427" not in done.told
    made = judge_spec(judge, None, {})
    assert made.name == f"sim@http://{host}"
    assert "81427" not in f"{made!r} {made.shape()}"
    assert judge_spec("sim", judge.removeprefix("sim@"), {}).shape() == {"base_url": f"http://{host}"}


def test_a_token_in_an_address_is_not_shown(serve, tmp_path):
    groups = make_groups(2)
    server = serve(groups)  # it knows no attacked ones, and says so
    source, out = write(tmp_path / "g.jsonl", groups), tmp_path / "out"
    done = here("bench", "--judge", f"sim@{server.base_url}?token=fig-5533", "--suite", source, "--out", out)
    assert done.code == 1
    assert server.requests == 10
    assert cell(read(out), f"sim@{server.base_url}")["failed"] == 0
    assert "fig-5533" not in done.told + files_of(out).decode()


def test_a_key_in_a_path_or_in_extra_fields_is_not_shown_and_changes_no_trial(serve, tmp_path):
    groups = make_groups(2)
    server = serve(knowing(groups))
    source, out, key = write(tmp_path / "g.jsonl", groups), tmp_path / "out", "plum7orchard93517quince2221"
    made = [
        judge_spec(
            f"sim@{server.base_url}/{name}/openai", None, {"extra": {"api_key": name, "max_tokens": 9}}
        )
        for name in (key, key[::-1])
    ]
    assert made[0].shape() == made[1].shape()
    assert made[0].shape()["extra"]["max_tokens"] == 9
    extra = json.dumps({"metadata": {"credentials": ["x", {"value": key}]}, "top_k": 5})
    done = here(
        "bench", "--judge", f"sim@{server.base_url}/{key}", "--suite", source, "--out", out, "--extra", extra
    )
    assert done.code == 2, "there is nothing at that path"
    assert f"sim@{server.base_url}/[key removed]:" in done.err
    assert key not in done.told + files_of(out).decode()
    assert read(out)["judges"][0]["extra"] == {
        "metadata": {"credentials": ["[key removed]", {"value": "[key removed]"}]}, "top_k": 5
    }  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/v1",
        "https://there.example/openai/deployments/gpt-4o-mini-2024-07-18",
        "http://[::1]:80",
    ],
)
def test_observations_of_an_address_and_fields_without_a_secret_are_still_found(url):
    extra = {
        "prompt_cache_key": "mine",
        "max_completion_tokens": 300,
        "stop": ["</s>"],
        "thinking": {"budget_tokens": 9},
    }
    made = judge_spec(f"sim@{url}/?api-version=1", None, {"extra": extra})
    assert made.name == f"sim@{url}"
    assert made.shape() == {"extra": extra, "base_url": url}
