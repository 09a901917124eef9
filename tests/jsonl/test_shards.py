"""Many input files, many processes: each group ranked once, whatever is killed, missing or full."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest

from ranker import ConfigurationError
from ranker.jsonl.appender import Appender, BeingWritten
from ranker.jsonl.group_file import Part, read_lines
from ranker.jsonl.shards import Shard, finished, mark_finished, part_of, plan_of, state_of
from tests.cli.test_cli import ranker, records, write
from tests.conftest import make_groups, ranking, truthful


@pytest.fixture
def folder(tmp_path):
    """Four shards of five groups each."""
    (tmp_path / "in").mkdir()
    groups = make_groups(20)
    for s in range(4):
        write(tmp_path / "in" / f"part-{s}.jsonl", groups[5 * s : 5 * s + 5])
    return groups


def outputs(out: Path) -> list[dict]:
    return [record for path in sorted(out.glob("*.jsonl")) for record in records(path)]


def all_there(groups, out: Path) -> None:
    found = outputs(out)
    assert Counter(r["id"] for r in found) == Counter(g.id for g in groups)
    by = {r["id"]: r for r in found}
    assert all(truthful(g, list(by[g.id]["rewards"].values())) for g in groups)


def test_a_plan_for_every_way_to_name_files(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = Path("out")
    names = [f"part-{s}.jsonl" for s in range(4)]
    Path("in/.hidden.jsonl").touch()
    Path("in/notes.txt").touch()
    for given in (
        ["in"],
        ["in/*.jsonl"],
        [f"in/{n}" for n in names],
        ["in/part-[01].jsonl", "in/part-[23].jsonl"],
    ):
        plan = plan_of(given, out)
        assert [s.groups for s in plan.shards] == [Path("in", n) for n in names]
        assert [s.out for s in plan.shards] == [out / n for n in names]
        assert plan.folder
        assert plan.part is None
    assert [s.groups.name for s in plan_of(["in"], out, Part(1, 3)).shards] == names[1::3]
    assert plan_of(["in"], out, Part(5, 9)).shards == ()
    one = plan_of(["in/part-0.jsonl"], Path("o.jsonl"), Part(1, 3))
    assert one.shards == (Shard(Path("in/part-0.jsonl"), Path("o.jsonl")),)
    assert one.part == Part(1, 3)
    assert not one.folder
    assert plan_of(["in/part-0.jsonl.gz"], None).shards[0].out is None
    Path("odd[1].jsonl").touch()
    assert not plan_of(["odd[1].jsonl"], None).folder


def test_plans_that_cannot_work(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").touch()
    Path("other").mkdir()
    Path("other/part-0.jsonl.gz").touch()
    for given, out, told in (
        (["empty"], "out", "holds no"),
        (["no*.jsonl"], "out", "No file matches"),
        (["in"], None, "--out FOLDER"),
        (["in"], "file", "is a file"),
        (["in"], "in", "same file as the input"),
        (["in", "other"], "out", "both be written"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            plan_of(given, None if out is None else Path(out))
    for wrong in ("1", "2/2", "0/0", "-1/3", "a/b", "1/2/3"):
        with pytest.raises(ConfigurationError, match="--shard"):
            part_of(wrong)
    assert part_of("0/1") == Part(0, 1)


def test_a_part_is_every_nth_group_and_the_parts_make_the_whole(tmp_path):
    path = tmp_path / "g.jsonl"
    path.write_bytes(write(path, make_groups(7)).read_bytes().replace(b"\n", b"\n\n"))
    parts = [[line.id for line in read_lines(path, Part(i, 3))] for i in range(3)]
    assert parts == [["g0", "g3", "g6"], ["g1", "g4"], ["g2", "g5"]]
    told = list(read_lines(path, Part(1, 3), others=True))
    assert [line.id for line in told] == [f"g{i}" for i in range(7)]
    assert [line.group is not None for line in told] == [False, True, False, False, True, False, False]


def test_a_mark_holds_as_long_as_both_files_are_as_they_were(tmp_path):
    shard = Shard(write(tmp_path / "g.jsonl", make_groups(2)), tmp_path / "out.jsonl")
    shard.out.write_text("x\n")
    assert finished(shard) is None
    mark_finished(shard, state_of(shard), 2, 1)
    assert (finished(shard).groups, finished(shard).failed) == (2, 1)
    shard.out.write_text("xy\n")
    assert finished(shard) is None
    mark_finished(shard, state_of(shard), 2, 0)
    write(shard.groups, make_groups(3))
    assert finished(shard) is None
    shard.groups.unlink()
    assert finished(shard) is None


def test_a_file_replaced_under_a_lock_is_not_written_by_two(tmp_path):
    """--retry-failed puts a new file in the place of the output; the lock goes with it."""
    path = tmp_path / "out.jsonl"
    first = Appender(path)
    first.write({"id": "a", "rewards": {}})
    first.write({"id": "b", "error": {}})
    assert first.drop_failed() == 1
    with pytest.raises(BeingWritten):
        Appender(path)
    first.write({"id": "c", "rewards": {}})
    first.close()
    second = Appender(path)
    assert [name in second.done for name in "abc"] == [True, False, True]
    second.close()
    assert [r["id"] for r in records(path)] == ["a", "c"]
    assert [p.name for p in tmp_path.iterdir()] == ["out.jsonl"]


def test_a_folder_of_shards_and_again_without_reading_them(serve, folder, tmp_path):
    server = serve(folder)
    source, out = tmp_path / "in", tmp_path / "deep" / "out"
    (source / "part-1.jsonl.gz").write_bytes(gzip.compress((source / "part-1.jsonl").read_bytes()))
    (source / "part-1.jsonl").unlink()
    args = ranking(source, server, out)
    done = ranker(*args)
    assert done.returncode == 0, done.stderr
    assert "20 groups" in done.stderr
    assert [p.name for p in sorted(out.glob("*.jsonl"))] == [f"part-{s}.jsonl" for s in range(4)]
    all_there(folder, out)
    # What is finished is recognised by size and time alone: nobody notices that this is no JSON any more.
    path = source / "part-0.jsonl"
    before = path.stat()
    path.write_bytes(b"x" * before.st_size)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    write(source / "part-4.jsonl", [])
    again = ranker(*args)
    assert again.returncode == 0, again.stderr
    assert "already ranked" in again.stderr
    assert server.requests == 20


def test_three_processes_share_the_shards_and_one_is_killed(serve, tmp_path):
    groups = make_groups(120)
    (tmp_path / "in").mkdir()
    for s in range(12):
        write(tmp_path / "in" / f"part-{s:02d}.jsonl", groups[10 * s : 10 * s + 10])
    server = serve(groups, latency=0.3)
    out = tmp_path / "out"
    command = [
        sys.executable, "-m", "ranker", *ranking(tmp_path / "in", server, out, "--concurrency", 2, "-q")
    ]  # fmt: skip
    running = [subprocess.Popen(command) for _ in range(3)]

    def owner() -> dict[int, str]:
        """Which process has which shard's lock, as the kernel says."""
        nodes = {p.stat().st_ino: p.name for p in out.glob("*.jsonl")}
        held = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        return {int(f[4]): nodes[int(f[5].rpartition(":")[2])] for f in held
                if f[1] == "FLOCK" and int(f[5].rpartition(":")[2]) in nodes}  # fmt: skip

    victim = running[1]
    while True:  # until it is in the middle of a shard
        own = owner().get(victim.pid)
        if own is not None and 2 <= len((out / own).read_bytes().splitlines()) <= 6:
            break
        assert victim.poll() is None
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    victim.wait()
    assert [p.wait(150) for p in (running[0], running[2])] == [0, 0]
    assert (
        ranker(*command[3:]).returncode == 0
    )  # were the killed one's shard the last, nobody was there to take it
    all_there(groups, out)
    assert all(finished(Shard(tmp_path / "in" / p.name, p)) for p in out.glob("*.jsonl"))
    assert server.requests <= 120 + 4  # what the killed one had in flight or unwritten


def test_a_process_that_finds_every_shard_taken_says_so(serve, folder, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    held = [Appender(out / f"part-{s}.jsonl") for s in range(4)]
    done = ranker("rank", tmp_path / "in", "--judge", "none", "--out", out)
    for sink in held:
        sink.close()
    assert done.returncode == 0, done.stderr
    assert "4 shards, by other processes" in done.stderr


def test_parts_of_one_file_and_of_a_folder(serve, folder, tmp_path):
    server = serve(folder)
    source = tmp_path / "all.jsonl"
    source.write_bytes(b"".join(p.read_bytes() for p in sorted((tmp_path / "in").iterdir())))
    (tmp_path / "single").mkdir()
    reach = ("--judge", "sim", "--base-url", server.base_url, "-q")
    for i in range(2):
        name = tmp_path / "single" / f"{i}.jsonl"
        assert ranker("rank", source, "--shard", f"{i}/2", "--out", name, *reach).returncode == 0
        assert len(records(name)) == 10
        assert (
            ranker("rank", tmp_path / "in", "--shard", f"{i}/2", "--out", tmp_path / "out", *reach).returncode
            == 0
        )
        assert len(outputs(tmp_path / "out")) == 10 * (i + 1)
    all_there(folder, tmp_path / "single")
    all_there(folder, tmp_path / "out")


def test_an_id_that_stands_in_another_part_too_is_found(tmp_path):
    source = tmp_path / "g.jsonl"
    write(source, [*make_groups(2), *make_groups(1)])
    done = ranker("rank", source, "--judge", "none", "--shard", "0/2", "--out", tmp_path / "out.jsonl")
    assert done.returncode == 2
    assert "'g0' stands on line 1 already" in done.stderr


def test_a_shard_that_is_gone_or_broken(serve, folder, tmp_path):
    server = serve(folder)
    source, out = tmp_path / "in", tmp_path / "out"
    (source / "part-1.jsonl").unlink()
    (source / "part-1.jsonl").symlink_to(tmp_path / "nowhere")
    packed = gzip.compress((source / "part-2.jsonl").read_bytes())
    (source / "part-2.jsonl").unlink()
    (source / "part-2.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    args = ranking(source, server, out)
    stopped = ranker(*args)
    assert stopped.returncode == 2
    assert "part-1.jsonl cannot be read: No such file" in stopped.stderr
    done = ranker(*args, "--on-error", "skip")
    assert done.returncode == 1
    assert "part-1.jsonl cannot be read" in done.stderr
    assert "part-2.jsonl.gz cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(outputs(out)) == 10
    (source / "part-2.jsonl.gz").write_bytes(packed)
    (source / "part-1.jsonl").unlink()
    write(source / "part-1.jsonl", folder[5:10])
    assert ranker(*args).returncode == 0
    all_there(folder, out)
    assert server.requests == 20


def test_failed_groups_of_finished_shards_are_told_and_retried(serve, folder, tmp_path):
    knows = serve([g for g in folder if g.id not in ("g3", "g17")])
    out = tmp_path / "out"
    args = ("rank", tmp_path / "in", "--judge", "sim", "--out", out, "--on-error", "skip")
    for _ in range(2):
        done = ranker(*args, "--base-url", knows.base_url)
        assert done.returncode == 1
        assert "2 of 20 groups failed" in done.stderr
    assert knows.requests == 20
    full = serve(folder)
    assert ranker(*args, "--base-url", full.base_url, "--retry-failed").returncode == 0
    assert full.requests == 2
    all_there(folder, out)


def test_the_same_ids_in_two_shards_are_two_groups(serve, tmp_path):
    first, second = make_groups(3, seed=1), make_groups(3, seed=2)
    server = serve([*first, *second])
    (tmp_path / "in").mkdir()
    for name, groups in (("a", first), ("b", second)):
        write(tmp_path / "in" / f"{name}.jsonl", groups)
    out = tmp_path / "out"
    done = ranker(
        "rank", tmp_path / "in", "--judge", "sim", "--base-url", server.base_url, "--out", out, "-q"
    )
    assert done.returncode == 0, done.stderr
    for name, groups in (("a", first), ("b", second)):
        by = {r["id"]: r for r in records(out / f"{name}.jsonl")}
        assert all(truthful(g, list(by[g.id]["rewards"].values())) for g in groups)


@pytest.mark.parametrize("named", [True, False], ids=["ids", "line numbers"])
def test_a_group_that_changed_is_not_taken_for_the_one_that_was_ranked(serve, tmp_path, named):
    """Nor, where groups have no ids, one whose line moved."""
    groups = make_groups(5)
    server = serve(groups)
    source, out = write(tmp_path / "in.jsonl", groups), tmp_path / "out.jsonl"
    lines = [json.loads(line) for line in source.read_text().splitlines()]
    for line in lines:
        line |= {"metadata": {"note": 1}}
        _ = named or line.pop("id")
    args = ranking(source, server, out)

    def again(*lines: dict) -> subprocess.CompletedProcess[str]:
        source.write_text("".join(json.dumps(line) + "\n" for line in lines))
        return ranker(*args)

    assert again(*lines[1:4]).returncode == 0
    whole = out.read_bytes()
    if named:
        told = again(lines[1], {**lines[2], "trajectories": lines[0]["trajectories"]}, *lines[3:])
    else:
        told = again(*lines)
    assert told.returncode == 2
    assert "with other attempts" in told.stderr
    assert ("by line number" in told.stderr) != named
    assert out.read_bytes() == whole
    assert server.requests == 3
    for line in lines:  # what no judge is shown may change
        line["metadata"] = {"note": 2}
        line["error"] = "mine"
        for attempt in line["trajectories"]:
            attempt["ground_truth"] = 0.5
    assert again(*lines[1:]).returncode == 0
    assert server.requests == 4
    assert len(records(out)) == 4


def test_a_disk_that_fills_in_the_middle_of_the_shards(serve, folder, tmp_path):
    server = serve(folder)
    out = tmp_path / "out"
    limit = """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (2500, 2500))
from ranker.cli import main
main()
"""
    args = ranking(tmp_path / "in", server, out)
    done = subprocess.run([sys.executable, "-c", limit, *args], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert all(json.loads(line) for p in out.glob("*.jsonl") for line in p.read_text().splitlines())
    assert ranker(*args).returncode == 0
    all_there(folder, out)
