"""`ranker tune-judge`, as a user types it: two commands from a strong judge to a free one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ranker import ConfigurationError
from ranker.aggregate.agreement import agreeing
from ranker.cli.tune import judge_to_continue
from ranker.jsonl.group_file import read_lines
from tests.tuning_models import command, group, tiny, write_groups


@pytest.fixture(scope="module")
def base(tmp_path_factory) -> str:
    return tiny(tmp_path_factory.mktemp("tiny"))


def accuracy(ranked: Path) -> float:
    pairs = []
    for line in read_lines(ranked):
        truths = [t.ground_truth for t in line.group.trajectories]
        pairs.append(agreeing(truths, [line.fields["rewards"][name] for name in line.group.ids]))
    return sum(right for right, _ in pairs) / sum(n for _, n in pairs)


@pytest.mark.timeout(400)
def test_pay_a_strong_judge_once_then_judge_for_free(serve, base, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    server = serve([group(g) for g in range(100)])
    write_groups(Path("groups.jsonl"), 100)
    strong = ["--judge", "openai/sim", "--base-url", server.base_url]
    monkeypatch.setenv("RANKER_API_KEY", "sk-for-the-test-0000")
    command("rank", "groups.jsonl", *strong, "--out", "ranked.jsonl", "--quiet")
    asked = server.requests
    done = command(
        "tune-judge",
        "ranked.jsonl",
        "--base",
        f"local:{base}",
        "--out",
        "my-judge",
        "--epochs",
        5,
        "--learning-rate",
        0.01,
    )
    assert "It learned" in done.stdout
    assert "ranker rank GROUPS.jsonl --judge local:my-judge" in done.stdout
    assert "the ranking of sim" in done.stdout.replace("\n", " ")
    told = json.loads(Path("my-judge/judge.json").read_text())
    assert told["measured"]["trained_on"] == {
        "file": "ranked.jsonl", "truth": "ranking", "judge": "sim", "groups": 77
    }  # fmt: skip
    write_groups(Path("new.jsonl"), 30, seed=7)
    command("rank", "new.jsonl", "--judge", "local:my-judge", "--out", "free.jsonl", "--quiet")
    further = command("tune-judge", "new.jsonl", "--start", "my-judge", "--out", "further", "--epochs", 1)
    assert "accuracy before" in further.stdout
    told = json.loads(Path("further/judge.json").read_text())["measured"]
    assert told["before"]["value"] > 0.7  # it begins with what it learned before
    assert told["trained_on"]["start"] == "my-judge"
    assert server.requests == asked  # nobody was paid
    assert accuracy(Path("free.jsonl")) > 0.7  # more in float32 than in bfloat16


def test_it_says_plainly_that_nothing_was_learned_and_what_to_do(base, tmp_path):
    file = write_groups(tmp_path / "noise.jsonl", 40, rule=False)
    out = tmp_path / "[judge]:x:"
    done = command("tune-judge", file, "--base", f"local:{base}", "--out", out, "--epochs", 1)
    said = " ".join(done.stdout.split())
    assert "It did not learn" in said
    assert "on 6 groups that it did not see" in said
    assert "Give more groups: it saw 31" in said
    assert "--way pointwise_in_context" in said
    assert f"(--judge local:{out}); do not train on its rankings" in said
    assert "step 1 of 4" in done.stderr


def test_local_names_the_embedded_judge_as_a_start(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    *asked, adapter = judge_to_continue(Path("local"), "local", "pointwise")
    assert asked == ["smollm2-135m-instruct", "pointwise_with_numbers", "brief.v2"]
    assert (adapter / "adapter_model.safetensors").is_file()
    Path("local").mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):  # what is there is what is meant
        judge_to_continue(Path("local"), "local", "pointwise")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--base", "openai/gpt-5"], "only a model in this process"),
        (["--base", "local:./none"], "no model at"),
        (["--base", "local:smollm2@pointwise"], "--way"),
        (["--way", "compared"], "'compared' was removed"),
        (["--way", "generated"], "not tuned in the way generated"),
        (["--base", "local:."], "judge already"),
        (["--start", "."], "no judge file of ours"),
        (["--start", "nowhere"], "cannot be read"),
        (["--way", "generated"], "generated"),
        (["--learning-rate", "0"], "learning_rate is 0.0; it takes more than 0"),
        (["--rate", "nan"], "learning_rate is nan"),
        (["--rate", "nan"], "--rate is now called --learning-rate"),
        (["--minutes", "-1"], "minutes is -1.0; it takes more than 0"),
        (["--epochs", "0"], "epochs"),
        (["--truth", "ranking"], "no ranking"),
        (["--loss", "mse"], "loss"),
    ],
)
def test_bad_input_is_one_message_and_exit_2(tmp_path, monkeypatch, words, says, capsys):
    from ranker.cli import main

    monkeypatch.chdir(tmp_path)
    write_groups(Path("groups.jsonl"), 30)
    Path("judge.json").write_text("{}")
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("sys.argv", ["ranker", "tune-judge", "groups.jsonl", "--out", "judge", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert not Path("judge").exists()


def test_too_few_groups_and_a_bad_line_are_exit_2(tmp_path, monkeypatch, capsys):
    from ranker.cli import main

    few = write_groups(tmp_path / "few.jsonl", 5)
    monkeypatch.setattr("sys.argv", ["ranker", "tune-judge", str(few), "--out", str(tmp_path / "judge")])
    for says in ("Too few groups", "Line 6 is not JSON"):
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 2
        assert says in capsys.readouterr().err
        few.write_text(few.read_text() + "{\n")
