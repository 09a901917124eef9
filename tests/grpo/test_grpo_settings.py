"""Config files: what they may say, and what is said where they are wrong."""

from __future__ import annotations

import importlib
import inspect
import random
import sys
from pathlib import Path

import pytest

from grpo.config_file import _Judge, load_reference, make_settings, packaged, read_examples, read_settings
from ranker import ConfigurationError, TrajectoryGroup, rank_group
from ranker.judges.options import JudgeOptions
from ranker.suites import desk_world as desk
from ranker.testing import JudgeServer
from tests.cli.test_cli import ranker

PLAIN = 'model = "m"\ndataset = "d.jsonl"\n'


def written(folder: Path, text: str) -> str:
    (folder / "run.toml").write_text(text)
    return str(folder / "run.toml")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("model = ", "not TOML"),
        ('dataset = "d.jsonl"', "model is missing"),
        ('model = "m"', "dataset is missing"),
        (PLAIN + "learning_rat = 1e-5", "no setting 'learning_rat'.*'learning_rate'"),
        (PLAIN + "num_generation = 4", "'num_generations'"),
        (PLAIN + 'learning_rate = "fast"', "run.toml: learning_rate is 'fast'; it takes a number"),
        (PLAIN + "num_generations = 1", "at least 2"),
        (PLAIN + "rollout = 3", "rollout is 3; it takes text"),
        (PLAIN + "[judge]\nmodl = 'x'", "'modl'.*'model'"),
        (PLAIN + "[judge]\nconcurrency = 4", "judge: there is no setting 'concurrency'"),
        (PLAIN + "[judge]\napi_key = 'sk-1'", r"\$RANKER_API_KEY"),
        (PLAIN + "judge = 'gpt'", "judge is 'gpt'; it takes a table"),
        (PLAIN + "rewards = 3", "rewards is 3; it takes a list"),
        (PLAIN + "[[rewards]]\nname = 'a'", r"rewards\[0\] needs either function"),
        (PLAIN + "[judge]\npasses = 'two'", r"judge.passes is 'two'; it takes a whole number"),
        (PLAIN + "[[rewards]]\nfunction = 'a:b'", r"rewards\[0\].name is missing"),
        (PLAIN + "[[rewards]]\nname = 'a'\nfunction = 'a:b'\nwieght = 2.0", "'wieght'.*'weight'"),
        (PLAIN + "[[rewards]]\nname = 'a'\n[rewards.judge]\nmodle = 'x'", "'modle'.*'model'"),
        (PLAIN + "[[rewards]]\nname = 'a'\n[rewards.judge]\nmodel = 'x'\nweight = 0.1",
         r"rewards\[0\] has weight in its judge table: write weight beside name in \[\[rewards\]\]"),
        (PLAIN + "[[rewards]]\nname = 'a'\n[rewards.judge]\nname = 'b'", r"rewards\[0\] has name in its judge table"),
        (PLAIN + "[audit.judge]\nmodel = 'x'\nname = 'a'\nweight = 2.0", "audit has name and weight in its judge table"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_the_remedy(tmp_path, text, told):
    with pytest.raises(ConfigurationError, match=told):
        read_settings(written(tmp_path, text))


def test_changes_go_over_the_file(tmp_path):
    path = written(tmp_path, PLAIN + "learning_rate = 1e-5\n[judge]\nmodel = 'a'")
    changes = [
        "learning_rate=2e-5",
        "judge.model=openai/gpt-5-mini",
        "judge.passes=2",
        "bf16=true",
        'report_to=["wandb"]',
    ]
    settings = read_settings(path, changes)
    assert settings.config.learning_rate == 2e-5
    assert settings.config.bf16
    assert settings.config.report_to == ("wandb",)
    assert settings.said["judge"] == {"model": "openai/gpt-5-mini", "passes": 2}
    for bad in ("learning_rate", "=3", "model.x=1", "learning_rats=1"):
        with pytest.raises(ConfigurationError):
            read_settings(path, [bad])


def test_packaged_configs_are_whole():
    assert packaged() == ["demo", "quick", "smollm2"]
    for name in packaged():
        settings = read_settings(name)
        assert len(settings.examples()) > 100
        assert settings.function("checker") is not None
        (reward,) = settings.rewards()
        assert reward.name == "judge"
    with pytest.raises(ConfigurationError, match=r"demo, quick, smollm2.*'quick'"):
        read_settings("quik")


def test_modules_and_files_beside_the_config_are_found(tmp_path):
    (tmp_path / "mine_of_this_test.py").write_text(
        "def short(group):\n    return [0.0] * len(group)\nrows = [{'prompt': 'x'}]\n"
    )
    (tmp_path / "d.jsonl").write_text('{"prompt": "a"}\n\n{"prompt": "b"}\n')
    text = (
        PLAIN
        + "[judge]\nmodel = 'a'\nweight = 0.5\n[[rewards]]\nname = 'short'\nfunction = 'mine_of_this_test:short'\n"
    )
    settings = read_settings(written(tmp_path, text))
    assert [row["prompt"] for row in settings.examples()] == ["a", "b"]
    assert [(r.name, r.weight) for r in settings.rewards()] == [("judge", 0.5), ("short", 1.0)]
    other = read_settings(written(tmp_path, text), ["dataset=mine_of_this_test:rows"])
    assert other.examples() == [{"prompt": "x"}]
    for named, told in (
        ("mine_of_this_test:shrt", "'short'"),
        ("nowhere_at_all:x", "No module"),
        ("short", "module:name"),
    ):
        with pytest.raises(ConfigurationError, match=told):
            make_settings({**settings.said, "rollout": named}, tmp_path).function("rollout")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("import math\nmath.taau", r"cannot be imported: AttributeError: .*taau.*faulty_of_this_test\.py, line 2"),
        ("import no_such_library", "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'"),
        ("from math import taau", "cannot be imported: ImportError"),
        ("int('x')", "cannot be imported: ValueError"),
        ("def reward(", r"cannot be imported: SyntaxError: .*never closed \(faulty_of_this_test.py, line 1\)\.$"),
        ("class a:\n    reward = 1", "has no a.rewrd. Did you mean 'reward'"),
    ],
)  # fmt: skip
def test_a_fault_inside_a_users_module_is_told_as_what_it_is(tmp_path, source, told):
    (tmp_path / "faulty_of_this_test.py").write_text(source)
    importlib.invalidate_caches()
    sys.modules.pop("faulty_of_this_test", None)
    with pytest.raises(ConfigurationError, match=told) as caught:
        load_reference("faulty_of_this_test:a.rewrd", tmp_path, "rollout")
    assert "beside the config" not in str(caught.value)
    sys.path.remove(str(tmp_path))


def test_judges_are_asked_for_turns_where_their_table_or_the_credit_says_so(tmp_path):
    """The simulated judge of `quick` marks turns as rightly as it is told to."""
    settings = read_settings(written(tmp_path, PLAIN + "[judge]\nmodel = 'a'\ncredit = 'turns'\n"))
    assert settings.rewards()[0].function.keywords["credit"] == "turns"
    settings = read_settings(
        "quick", ["credit=process", "simulated.turn_accuracy=1.0", "simulated.noise=0.0"]
    )
    row = desk.rows(1)[0]
    attempts = [desk.clerk(row, competence, random.Random(1)) for competence in (0.0, 1.0)]
    ranked = settings.rewards()[0].function(TrajectoryGroup(attempts))
    for values, attempt in zip(ranked.turn_rewards, attempts, strict=True):
        assert [v or 0.0 for v in values] == [(w > 0) - (w < 0) for w in desk.turn_truths(attempt, row)]


def test_what_a_judge_table_may_say_is_what_rank_group_takes():
    taken = {*inspect.signature(rank_group).parameters, *JudgeOptions.__annotations__}
    assert _Judge.model_fields.keys() - {"model", "name", "weight"} <= taken
    left_out = {"cache", "prompt_folder", "record", "reason_tokens", "device", "dtype", "store"}
    assert JudgeOptions.__annotations__.keys() - left_out <= _Judge.model_fields.keys()


def test_a_judge_table_sets_price_and_window_of_a_server(tmp_path):
    with JudgeServer(len) as server:
        judge = f"""[judge]
model = "mine"
base_url = "{server.base_url}"
price = [0.25, 2]
context_window = 8192
rpm = 600
max_cost_usd = 1.0
cache = "off"
"""
        function = read_settings(written(tmp_path, PLAIN + judge)).rewards()[0].function
        ranked = function(["one attempt", "another attempt"], task="Say something.")
    assert ranked.usage.cost_usd > 0


def test_a_bad_line_of_a_dataset_is_named(tmp_path):
    path = tmp_path / "rows.jsonl"
    for line, told in (("{", "line 2 is not JSON"), ("[1]", "line 2 is a list, not an object")):
        path.write_text('{"prompt": "a"}\n' + line + "\n")
        with pytest.raises(ConfigurationError, match=told):
            read_examples(path)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_examples(tmp_path / "none.jsonl")


def test_the_command_refuses_with_exit_code_2(tmp_path):
    done = ranker("train", "quick", "--out", tmp_path / "run", "--set", "learning_rat=1")
    assert done.returncode == 2
    assert "'learning_rate'" in done.stderr
    assert not (tmp_path / "run").exists()
