"""`ranker init` writes a run that trains, attempts that can be ranked, and over nothing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ranker import Trajectory
from ranker.files import read_groups
from ranker.starter import FILES
from ranker.starter import rollout as starter
from tests.cli.test_cli import ranker

HOME = Path(starter.__file__).parent


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    done = ranker("init", "my agent")
    assert done.returncode == 0, done.stderr
    assert "cd 'my agent' && ranker rank groups.jsonl" in done.stdout
    assert sorted(path.name for path in Path("my agent").iterdir()) == sorted(FILES)
    return tmp_path / "my agent"


def test_it_overwrites_nothing(folder):
    (folder / "tasks.jsonl").unlink()
    (folder / "config.toml").write_text("mine")
    done = ranker("init", folder)
    assert done.returncode == 2
    assert "config.toml" in done.stderr
    assert (folder / "config.toml").read_text() == "mine"
    assert not (folder / "tasks.jsonl").exists()


def test_a_place_where_no_folder_can_be_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    done = ranker("init", tmp_path / "file" / "folder")
    assert done.returncode == 2
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_groups_can_be_ranked_and_measured(folder, serve):
    groups = read_groups(folder / "groups.jsonl")
    server = serve(groups)
    reach = ["--judge", "sim", "--base-url", server.base_url]
    done = ranker("rank", folder / "groups.jsonl", *reach, "--out", folder / "ranked.jsonl")
    assert done.returncode == 0, done.stderr
    assert "1.000 of 15 pairs" in done.stderr
    done = ranker(
        "bench",
        "--judge",
        "oracle",
        "--suite",
        folder / "groups.jsonl",
        "--accuracy-only",
        "--out",
        folder / "bench",
    )
    assert done.returncode == 0, done.stderr


def test_what_the_groups_show_is_what_tool_and_checker_say():
    tasks = {row["id"]: row for row in map(json.loads, (HOME / "tasks.jsonl").read_text().splitlines())}
    assert len(tasks) == 10
    for group in read_groups(HOME / "groups.jsonl"):
        for attempt in group.trajectories:
            assert [m["role"] for m in attempt.messages[:2]] == ["system", "user"]
            assert attempt.messages[1]["content"] == tasks[group.id]["prompt"]
            assert starter.checker(attempt, tasks[group.id]) == attempt.ground_truth
            for call, result in zip(attempt.messages[2:], attempt.messages[3:], strict=False):
                for wanted in call.get("tool_calls", ()):
                    function = wanted["function"]
                    assert json.loads(result["content"]) == starter.use(
                        function["name"], function["arguments"]
                    )


@pytest.mark.parametrize(
    "arguments",
    ["", "[]", "null", "{", '{"item": []}', '{"item": {"a": 1}}', '{"item": "boat"}', "[" * 100_000],
)
def test_the_tool_answers_whatever_is_written(arguments):
    assert "error" in starter.use("look_up", arguments)
    assert "error" in starter.use("buy", '{"item": "lamp"}')


def test_an_attempt_that_never_answers_is_worth_its_look_up():
    row = {"prompt": "Is a lamp in stock?", "item": "lamp", "answer": "no"}
    function = {"name": "look_up", "arguments": '{"item": "lamp"}'}
    messages = [
        {"role": "user", "content": row["prompt"]},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": function}]},
        {"role": "tool", "tool_call_id": "1", "content": json.dumps(starter.use(**function))},
    ]
    assert starter.checker(Trajectory(messages), row) == 0.5
    assert starter.checker(Trajectory([*messages, {"role": "assistant", "content": "No."}]), row) == 1.0


@pytest.mark.slow
def test_the_config_trains(folder, serve, monkeypatch):
    """Two steps of a model of some thousand weights; everything else is what was written."""
    from tests.grpo_models import llama, tokenizer

    llama(max_position_embeddings=512).save_pretrained(folder / "tiny")
    tokenizer().save_pretrained(folder / "tiny")
    server = serve(lambda text: float(len(text)))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.chdir(shutil.copytree(folder, folder.parent / "elsewhere"))
    changes = {
        "model": "tiny",
        "max_steps": 2,
        "judge.model": "openai/sim",
        "judge.base_url": server.base_url,
    }
    words = [word for key, value in changes.items() for word in ("--set", f"{key}={value}")]
    done = ranker("train", "config.toml", "--out", "run", *words)
    assert done.returncode == 0, done.stderr[-3000:]
    steps = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert all(step["judge_calls"] > 0 and step["ground_truth_mean"] is not None for step in steps)
