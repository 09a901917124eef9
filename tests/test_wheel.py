"""The built wheel, installed alone in a new environment."""

from __future__ import annotations

import json
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

from tests.cli.test_cli import write
from tests.conftest import make_groups

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(ROOT)],
        check=True,
        capture_output=True,
    )
    return next(out.glob("*.whl"))


@pytest.fixture(scope="module")
def python(wheel, tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("env")
    venv.create(home, with_pip=True)
    constraints = ROOT / "constraints.txt"
    subprocess.run(
        [home / "bin" / "python", "-m", "pip", "install", "-q", "-c", constraints, wheel],
        check=True,
        capture_output=True,
    )
    return home / "bin" / "python"


def test_only_the_two_packages_are_put_into_site_packages(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    tops = {n.split("/")[0] for n in names if ".dist-info/" not in n}
    assert tops == {"ranker", "grpo"}
    for needed in (
        "ranker/py.typed",
        "grpo/py.typed",
        "ranker/prompts/rank.v1.j2",
        "ranker/suites/data/sample.jsonl",
        "grpo/demo/desk_policy.safetensors",
        "ranker/suites/data/answers_train.toml",
        "ranker/prompts/ask.v1.j2",
        "ranker/serving/docs.html.j2",
        "ranker/labelling/page.js.j2",
        "ranker/starter/README.md",
        "ranker/starter/config.toml",
        "ranker/starter/groups.jsonl",
        "ranker/starter/rollout.py",
        "ranker/starter/tasks.jsonl",
        "ranker/pages/dom.js.j2",
        "ranker/viewing/page.html.j2",
        "ranker/watch/reward.py",
        "ranker/judges/embedded/CARD.md",
        "ranker/judges/embedded/judge.json",
        "ranker/judges/embedded/adapter/adapter_model.safetensors",
        "grpo/configs/demo.toml",
        "grpo/configs/quick.toml",
        "grpo/configs/smollm2.toml",
    ):
        assert needed in names
    assert any(n.endswith("LICENSE") for n in names)


@pytest.mark.timeout(600)
def test_the_command_works_from_the_wheel_alone(python, serve, tmp_path):
    groups = make_groups(3)
    server = serve(groups)
    out = tmp_path / "out.jsonl"
    done = subprocess.run(
        [python.parent / "ranker", "rank", write(tmp_path / "g.jsonl", groups), "--judge", "openai/sim", "--base-url",
         server.base_url, "--out", out],
        capture_output=True, text=True, cwd=tmp_path, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len([json.loads(line) for line in out.read_text().splitlines()]) == 3


@pytest.mark.timeout(600)
def test_importing_is_light_and_needs_neither_torch_nor_litellm(python, tmp_path):
    code = (
        "import sys, time; t = time.process_time(); import ranker; from ranker import rank_group, LLMJudge;"
        "print(time.process_time() - t, 'torch' in sys.modules, 'litellm' in sys.modules)"
    )
    runs = [
        subprocess.run(
            [python, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
        ).stdout.split()
        for _ in range(3)
    ]
    assert runs[-1][1:] == ["False", "False"]
    assert min(float(r[0]) for r in runs) < 0.3
    missing = subprocess.run(
        [python.parent / "ranker", "rank", write(tmp_path / "g.jsonl", make_groups(1)), "--judge", "local"],
        capture_output=True, text=True, cwd=tmp_path, check=False, env={"RANKER_MODELS": str(tmp_path / "m")},
    )  # fmt: skip
    assert missing.returncode == 2
    assert "ranker-rl[local]" in missing.stderr
    for command in (["train", "quick", "--out", tmp_path / "run"], ["demo"]):
        missing = subprocess.run(
            [python.parent / "ranker", *command], capture_output=True, text=True, cwd=tmp_path, check=False
        )
        assert missing.returncode == 2
        assert "ranker-rl[train]" in missing.stderr
