"""No command writes over what it reads, over its own other output, or over what Ranker did not write."""

from __future__ import annotations

import argparse
import gzip
import json
import os
import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from ranker import ConfigurationError
from ranker.bench import provenance
from ranker.jsonl.shards import plan_of
from ranker.runtime.cache import Cache
from ranker.runtime.outputs import check_outputs, replace_file
from ranker.suites import file_of
from tests.bench_runs import here
from tests.cli.test_cli import write
from tests.conftest import make_groups

NOWHERE = ("--judge", "sim", "--base-url", "http://127.0.0.1:9/v1")


@pytest.fixture
def source(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(Path("in.jsonl"), make_groups(2))


def spellings(path: Path) -> list[Path]:
    """Other names of a file."""
    Path("symbolic").symlink_to(path)
    Path("hard").hardlink_to(path)
    Path("folder").mkdir()
    return [
        path,
        Path("./in.jsonl"),
        path.absolute(),
        Path("folder/../in.jsonl"),
        Path("symbolic"),
        Path("hard"),
    ]


def test_an_output_that_is_an_input_is_refused_however_it_is_spelled(source):
    for name in spellings(source):
        for output, read in ((name, source), (source, name)):
            with pytest.raises(ConfigurationError, match="same file as the input"):
                check_outputs({"--out": output}, [None, read])
        with pytest.raises(ConfigurationError, match="same file as the input"):
            check_outputs({"--out": [None, Path("other"), name]}, [source])
    check_outputs({"--out": Path("new"), "--record": None}, [source, Path("folder"), Path("none")])


def test_two_outputs_that_are_one_file_are_refused(source):
    for name in spellings(source):
        with pytest.raises(ConfigurationError, match="one file"):
            check_outputs({"--out": source, "--record": name}, [])
    with pytest.raises(ConfigurationError, match="are one file: name two"):
        check_outputs({"--out": Path("new"), "--record": Path("folder/../new")}, [])
    with pytest.raises(ConfigurationError, match="one file"):
        check_outputs({"--out": [Path("a"), Path("./a")]}, [])


def test_devices_may_be_named_as_often_as_wanted():
    null = Path(os.devnull)
    check_outputs({"--out": null, "--record": null}, [null])


COMMANDS = {
    "rank --out": ("rank", "in.jsonl", *NOWHERE, "--out", "NAME"),
    "rank --record": ("rank", "in.jsonl", *NOWHERE, "--out", "new", "--record", "NAME"),
    "rank --budget": ("rank", "in.jsonl", *NOWHERE, "--out", "new", "--max-calls", "9", "--budget", "NAME"),
    "rank --cache": ("rank", "in.jsonl", *NOWHERE, "--out", "new", "--cache", "NAME"),
    "rank the rubric": ("rank", "other.jsonl", *NOWHERE, "--rubric", "@in.jsonl", "--out", "NAME"),
    "rank the judge": ("rank", "other.jsonl", "--judge", "judge.json", "--record", "NAME"),
    "serve --record": ("serve", *NOWHERE, "--token-file", "in.jsonl", "--record", "NAME"),
    "calibrate --out": ("calibrate", "judge.json", "--judge", "local", "--out", "judge.json"),
    "calibrate the judge": ("calibrate", "in.jsonl", "--judge", "judge.json", "--out", "judge.json"),
}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_that_reads_and_writes_refuses_it(source, name):
    write(Path("other.jsonl"), make_groups(1))
    Path("judge.json").symlink_to(source)
    Path("out.jsonl").hardlink_to(source)
    before = source.read_bytes()
    done = here(*(word.replace("NAME", "out.jsonl") for word in COMMANDS[name]))
    assert done.code == 2, done.err
    assert "same file as the input" in done.err
    assert source.read_bytes() == before
    assert not Path("new").exists()


def test_the_folders_of_several_files_of_a_benchmark_and_of_a_judge(source):
    packed = Path("in.jsonl.gz")
    packed.write_bytes(gzip.compress(source.read_bytes()))
    Path("out").mkdir()
    Path("out/in.jsonl").symlink_to(packed.absolute())
    with pytest.raises(ConfigurationError, match="same file as the input"):
        plan_of([packed, write(Path("b.jsonl"), make_groups(1))], Path("out"))
    with pytest.raises(
        ConfigurationError, match="same file as the input"
    ):  # also where another shard reads it
        plan_of([source, packed, Path("b.jsonl")][1:], Path("out"))
    Path("bench").mkdir()
    Path("bench/disagreements.jsonl").hardlink_to(source)
    done = here("bench", "--judge", "oracle", "--suite", "in.jsonl", "--out", "bench")
    assert (done.code, "same file as the input" in done.err) == (2, True)
    Path("my").mkdir()
    Path("my/judge.json").hardlink_to(source)
    done = here("tune-judge", "in.jsonl", "--out", "my")
    assert (done.code, "same file as the input" in done.err) == (2, True)
    assert [file_of(s) for s in ("code:size=4", "tau-airline", "tau-airline:a/b", "x.jsonl")] == [
        None, None, Path("a/b"), Path("x.jsonl")
    ]  # fmt: skip


def test_standard_input_and_output_are_files_too(source):
    before = source.read_bytes()
    command = [sys.executable, "-m", "ranker", "rank"]
    with open(source, "rb") as read, open(source, "ab") as appended:
        for args, given in (
            (["/dev/stdin", *NOWHERE, "--out", "in.jsonl"], {"stdin": read}),
            (["in.jsonl", *NOWHERE], {"stdout": appended}),
        ):
            done = subprocess.run(
                [*command, *args], stderr=subprocess.PIPE, text=True, timeout=60, check=False, **given
            )
            assert done.returncode == 2, done.stderr
            assert "same file as the input" in done.stderr
    assert source.read_bytes() == before


MINE = {
    "one line": b'{"precious": 1}',
    "a text": b"my notes\n",
    "a letter": b"x",
    "groups": b'{"id": "g", "trajectories": []}\n',
}


@pytest.mark.parametrize("name", MINE)
@pytest.mark.parametrize("option", ["--out", "--record", "--budget", "--batch"])
def test_rank_leaves_a_file_that_is_not_its_own_as_it_is(source, option, name):
    file = Path("mine.batches" if option == "--batch" else "mine")
    file.write_bytes(MINE[name])
    more = {"--batch": ("--out", "mine", "--batch"), "--budget": ("--budget", file, "--max-calls", 9)}
    done = here("rank", source, *NOWHERE, *more.get(option, (option, file)), "-q")
    assert done.code == 2, done.err
    assert str(file) in done.err
    assert file.read_bytes() == MINE[name]


@pytest.mark.parametrize("option", ["--budget", "--batch", "--cache"])
def test_another_program_s_database_is_left_as_it_is(source, option):
    file = Path("mine.batches" if option == "--batch" else "mine.sqlite")
    with closing(sqlite3.connect(file)) as db:
        db.execute("CREATE TABLE photos (name TEXT)")
        db.commit()
    before = file.read_bytes()
    if option == "--cache":
        assert Cache(file).get("key") is None
        Cache(file).put("key", "judge", {})
    else:
        more = ("--out", "mine", "--batch") if option == "--batch" else ("--budget", file, "--max-calls", 9)
        done = here("rank", source, *NOWHERE, *more, "-q")
        assert done.code == 2
        assert "photos" in done.err
    assert file.read_bytes() == before


def test_a_folder_of_another_study_is_refused(tmp_path):
    for name in ("study.json", "curves.png", "study.html"):
        folder = tmp_path / f"study-{name}"
        folder.mkdir()
        (folder / name).write_text("mine")
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.study", "--seeds", "1", "--steps", "1", "--only", "group-4-truth",
             "--out", str(folder)],
            capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert done.returncode in {1, 2}, done.stderr
        assert "would be replaced" in done.stderr
        assert name in done.stderr
        assert (folder / name).read_text() == "mine"


def test_folders_with_files_of_the_same_names_are_refused(source):
    for args, names in (
        (("bench", "--judge", "oracle", "--suite", "in.jsonl"), ("results.json", "report.html", "disagreements.jsonl")),
        (("train", "quick"), ("config.json", "rewards.jsonl", "metrics.jsonl", "final", "evaluation.json")),
        (("train", "quick", "--resume"), ("metrics.jsonl", "rewards-1.jsonl", "checkpoints")),
    ):  # fmt: skip
        for name in names:
            folder = Path("-".join(map(str, (*args[:3], name))).replace("/", "-"))
            folder.mkdir()
            (folder / name).write_text('{"step": 1}\nmine')
            done = here(*args, "--out", folder)
            assert done.code in {1, 2}, done.err
            assert "would be replaced" in done.err, (args, name, done.err)
            assert name in done.err
            assert (folder / name).read_text() == '{"step": 1}\nmine'


def test_a_judge_file_takes_the_place_of_a_judge_file_only(source):
    Path("package.json").write_text('{"name": "mine"}')
    done = here("calibrate", source, "--judge", "local", "--out", "package.json")
    assert (done.code, "would be replaced" in done.err) == (2, True)
    assert Path("package.json").read_text() == '{"name": "mine"}'
    Path("empty.json").touch()
    here("calibrate", source, "--judge", "none.json", "--out", "empty.json")
    assert Path("empty.json").exists()


def test_a_tuning_takes_no_folder_with_files_of_its_names(tmp_path):
    from ranker.tuning.folder import Folder

    for name in ("adapter", "state.pt", "best.pt", "after.pt"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text("mine")
        with pytest.raises(ConfigurationError, match="would be replaced"), Folder(folder, "digest").locked():
            pass
        assert (folder / name).read_text() == "mine"


def test_models_that_were_not_fetched_are_not_deleted(tmp_path, monkeypatch):
    from ranker.judges.local.models import DEFAULT, KNOWN, remove

    monkeypatch.setenv("RANKER_MODELS", str(tmp_path))
    mine = tmp_path / DEFAULT / "weights"
    mine.parent.mkdir()
    mine.write_text("mine")
    with pytest.raises(ConfigurationError, match="left alone"):
        remove(KNOWN[DEFAULT])
    assert mine.read_text() == "mine"
    (mine.parent / "ranker.json").write_text("{}")
    assert remove(KNOWN[DEFAULT])
    assert not mine.parent.exists()


def test_curves_are_not_drawn_over_what_they_are_drawn_from(tmp_path):
    metrics = tmp_path / "metrics.jsonl"
    metrics.write_text('{"step": 1, "reward_mean": 0.5}\n')
    (tmp_path / "curves.png").symlink_to(metrics)
    done = here("report", tmp_path)
    assert (done.code, "same file as the input" in done.err) == (2, True)
    assert metrics.read_text() == '{"step": 1, "reward_mean": 0.5}\n'


def test_a_benchmark_s_record_takes_the_place_of_a_record_only(tmp_path):
    for name, content, taken in (
        ("new", None, True),
        ("empty", "", True),
        ("record", json.dumps({"commit": None}), True),
        ("mine", '{"name": "mine"}', False),
        ("text", "mine", False),
        ("list", "[1]", False),
    ):
        path = tmp_path / name
        if content is not None:
            path.write_text(content)
        if taken:
            assert provenance.record(str(path)) == path
        else:
            with pytest.raises(argparse.ArgumentTypeError, match="no record"):
                provenance.record(str(path))


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path):
    path = tmp_path / "file"
    replace_file(path, b"one")
    replace_file(path, b"two")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert path.read_bytes() == b"two"
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        replace_file(tmp_path / "folder", b"three")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "folder"]


def test_what_a_link_leads_to_is_replaced_and_a_pipe_or_a_device_is_written_into(tmp_path):
    (tmp_path / "disk").mkdir()
    real, link, device = tmp_path / "disk" / "real", tmp_path / "link", tmp_path / "device"
    link.symlink_to(real)
    device.symlink_to("/dev/null")
    for data in (b"one", b"two"):
        replace_file(link, data)
        replace_file(device, data)
        assert real.read_bytes() == data
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["device", "disk", "link", "real"]
    assert link.is_symlink()
    assert device.is_symlink()
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        replace_file(pipe, b"three")
        assert read.result(10) == b"three"
    assert pipe.is_fifo()


def test_metrics_that_cannot_be_drawn_are_named(tmp_path):
    good = {"step": 1, "reward_mean": 0.5, "win_rate": float("nan"), "kl": None}
    bad = (
        "x", {}, {"step": "1"}, {"reward_mean": "x"}, {"reward_mean": [1]}, {"kl": True}, {"entropy": 10**400},
        {"win_rate_low": 0.1}, {"win_rate_low": 0.1, "win_rate_high": "x"},
    )  # fmt: skip
    for other in bad:
        second = {**good, "step": 2, **other} if isinstance(other, dict) and other else other
        (tmp_path / "metrics.jsonl").write_text(f"{json.dumps(good)}\n{json.dumps(second)}\n")
        done = here("report", tmp_path)
        assert (done.code, "metrics.jsonl, line 2, is not a step" in done.err) == (2, True), other
        assert not (tmp_path / "curves.png").exists()
