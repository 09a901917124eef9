"""Judges of `ranker bench` that are files: what is asked anew when one has changed, and what of a group reaches them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ranker.bench.conditions import prepare
from ranker.bench.judge_spec import judge_spec
from ranker.bench.observation import PLAIN
from ranker.bench.simulated_judges import SimulatedJudge
from tests.bench_runs import here, read, values, write
from tests.conftest import make_groups


def saved(path: Path, **content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"schema_version": 1, **content}))
    return path


def contents(name: object, **options: Any) -> str | None:
    made = judge_spec(str(name), None, options)
    assert made.shape().get("contents") == made.contents
    return made.contents


def test_a_judge_file_that_has_changed_is_asked_anew(serve: Any, tmp_path: Path) -> None:
    groups = make_groups(4)
    right, wrong = serve(groups), serve(SimulatedJudge(truth=-1.0).known(groups, attacks=False))
    source, out, judge = write(tmp_path / "g.jsonl", groups), tmp_path / "out", tmp_path / "judge.json"
    words = ("bench", "--judge", judge, "--suite", source, "--out", out, "--accuracy-only", "-q")
    api = {"judge": "api", "model": "sim"}
    saved(judge, **api, base_url=right.base_url)
    for _ in range(2):
        assert here(*words).code == 0
        assert values(read(out), str(judge))["pairwise_accuracy"] == 1.0
        os.utime(judge, (1, 1))  # only when it was written
        saved(judge, **api, base_url=right.base_url, timeout=50.0)
    saved(judge, **api, base_url=wrong.base_url)
    assert here(*words).code == 0
    assert values(read(out), str(judge))["pairwise_accuracy"] == 0.0
    assert (right.requests, wrong.requests) == (4, 4)


def _judges(home: Path) -> None:
    """A tuned judge, a cascade of it and a model, and a prompt folder."""
    adapter = home / "tuned" / "adapter"
    saved(home / "tuned" / "judge.json", judge="local", base="b/m", adapter="adapter")
    saved(adapter / "adapter_config.json", r=8)
    (adapter / "adapter_model.safetensors").write_bytes(bytes(range(200)))
    saved(
        home / "cascade.json", judge="cascade", small="tuned/judge.json", strong="local:base", threshold=0.7
    )
    saved(home / "base" / "config.json", model_type="llama")
    with (home / "base" / "model.safetensors").open("wb") as file:
        file.truncate(100 << 20)  # more than is read in full
    (home / "prompts").mkdir()
    (home / "prompts" / "rank.v9.j2").write_text("{% block user %}Which is best?{% endblock %}")


def _retuned(home: Path) -> None:
    weights = home / "tuned" / "adapter" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[::-1])  # as long as before


def _asked_otherwise(home: Path) -> None:
    saved(home / "tuned" / "judge.json", judge="local", base="b/m", adapter="adapter", tolerance=0.5)


def _another_base(home: Path) -> None:
    weights = home / "base" / "model.safetensors"
    with weights.open("r+b") as file:
        file.seek(-9, os.SEEK_END)
        file.write(b"retrained")


def _another_template(home: Path) -> None:
    (home / "prompts" / "rank.v9.j2").write_text("{% block user %}Which is worst?{% endblock %}")


@pytest.mark.parametrize(
    ("judge", "change"),
    [
        ("local:tuned", _retuned),
        ("local:tuned/judge.json@pointwise", _retuned),
        ("cascade.json", _retuned),
        ("cascade.json", _asked_otherwise),
        ("local:tuned", _asked_otherwise),
        ("cascade.json", _another_base),
        ("local:base", _another_base),
        ("openai/gpt-5-mini", _another_template),
        ("noisy:0.7", _another_template),
    ],
)
def test_what_a_name_points_to_is_known_by_what_it_holds(
    judge: str, change: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for home in (tmp_path / "first", tmp_path / "second"):
        _judges(home)
    monkeypatch.chdir(tmp_path / "first")
    before = contents(judge, prompt_folder="prompts")
    monkeypatch.chdir(tmp_path / "second")
    assert contents(judge, prompt_folder="prompts") == before
    measured = json.loads(Path("tuned/judge.json").read_text()) | {"measured": {"groups": 60}}
    saved(Path("tuned/judge.json"), **measured)
    assert contents(judge, prompt_folder="prompts") == before
    change(tmp_path / "second")
    assert contents(judge, prompt_folder="prompts") not in (before, None)


def test_a_name_that_points_to_no_file_is_all_there_is_to_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("local", "local:smollm2-135m-instruct", "openai/gpt-5-mini", "noisy:0.7", "missing.json"):
        assert contents(name) is None
    saved(tmp_path / "loop.json", judge="cascade", small="loop.json", strong="loop.json", threshold=0.7)
    assert contents("loop.json") is not None


@pytest.mark.slow
def test_a_judge_that_weighs_by_a_reference_gets_it(tmp_path: Path) -> None:
    from tests.local_models import saved as saved_model

    source, out = write(tmp_path / "g.jsonl", make_groups(3)), tmp_path / "out"
    lines = [json.loads(line) | {"reference": "blue 12"} for line in source.read_text().splitlines()]
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    judge = f"local:{saved_model(tmp_path / 'tiny')}@reference_likelihood"
    words = ("bench", "--judge", judge, "--suite", source, "--out", out, "--accuracy-only", "-q")
    done = here(*words)
    assert done.code == 0, done.told
    assert values(read(out), judge)["failure_rate"] == 0.0


def test_another_reference_is_another_trial() -> None:
    [group] = make_groups(1)
    ids = [
        prepare("j", "s", 0, PLAIN, "", replace(group, reference=answer)).id for answer in (None, "12", "13")
    ]
    assert len(set(ids)) == 3
    assert prepare("j", "s", 0, PLAIN, "", group).id == ids[0]
