"""The programs and notebooks of examples/ run, small. `train_with_trl.py` is run in tests/integrations/test_integration_trl.py."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.doc_pages import small
from tests.tuning_models import tiny, write_groups

ROOT = Path(__file__).parents[1]
EXAMPLES = ROOT / "examples"
PROGRAMS = sorted(EXAMPLES.glob("*.py"))
NOTEBOOKS = sorted((EXAMPLES / "notebooks").glob("*.ipynb"))
SIZES = {
    "GROUPS = 100": "GROUPS = 4",
    "STEPS = 60": "STEPS = 2",
    "GROUPS = 8 ": "GROUPS = 2 ",
    "[:16]": "[:2]",
}  # of the notebooks


@pytest.fixture
def place(serve, tmp_path, monkeypatch):
    """An empty folder, and a server behind the judge that the examples take."""
    server = serve(lambda text: float(len(text)))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-examples-0000")
    monkeypatch.setenv("RANKER_JUDGE", "openai/gpt-5-mini")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    return server


def run(name: str, *words: str, source: str | None = None) -> str:
    """What a program printed; `source` stands in for its text."""
    path = EXAMPLES / name
    if source is not None:
        path = Path(name)
        path.write_text(source)
    command = [sys.executable, "-W", "error::ResourceWarning", str(path), *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=dict(os.environ))
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


def test_there_are_five_short_programs_that_say_what_they_do():
    assert len(PROGRAMS) == 5
    for path in PROGRAMS:
        text = path.read_text()
        assert len(text.splitlines()) <= 60
        assert f"examples/{path.name}" in text.split('"""')[1]
        assert f"]({path.name})" in (EXAMPLES / "README.md").read_text()


def test_rank_a_group(place):
    printed = run("rank_a_group.py").splitlines()
    assert printed[0].startswith("openai/gpt-5-mini: 1 call, $0.")
    assert [line[:4] for line in printed[1:]] == ["1.00", "0.50", "0.00"]


def test_agent_with_tools(place):
    source = small((EXAMPLES / "agent_with_tools.py").read_text())
    run("agent_with_tools.py", source=source)
    steps = [json.loads(line) for line in Path("agent-run/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert all(step["judge_calls"] > 0 for step in steps)


def test_choose_a_judge(place):
    printed = run("choose_a_judge.py", "openai/gpt-5-mini", "--count", "3").splitlines()
    assert [line.split()[0] for line in printed] == ["judge", "longest", "openai/gpt-5-mini"]
    assert printed[1].split()[1] == printed[2].split()[1]  # the server behind it goes by length, too
    assert place.requests == 3
    write_groups(Path("mine.jsonl"), 2)
    assert "openai/gpt-5-mini" in run("choose_a_judge.py", "openai/gpt-5-mini", "--groups", "mine.jsonl")


@pytest.mark.timeout(400)
def test_tune_a_judge(place):
    write_groups(Path("groups.jsonl"), 60)
    base = f"local:{tiny(Path('tiny'))}"
    printed = run("tune_a_judge.py", "groups.jsonl", "--strong", "openai/gpt-5-mini", "--base", base)
    assert "the ranking of openai/gpt-5-mini: 46 groups" in printed
    assert "accuracy after" in printed
    assert len(Path("tuned/by_the_small_judge.jsonl").read_text().splitlines()) == 60


@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_notebooks_are_kept_without_outputs(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(cell.outputs == [] and cell.execution_count is None for cell in cells)
    assert f"](notebooks/{path.name})" in (EXAMPLES / "README.md").read_text()


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", [pytest.param(path, id=path.stem) for path in NOTEBOOKS])
def test_notebooks_run(place, path):
    text = path.read_text()
    for usual, less in SIZES.items():
        text = text.replace(usual, less)
    notebook = nbformat.reads(text, as_version=4)
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": "."}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", ())]
    assert outputs
    printed = "".join(output.get("text", "") for output in outputs)
    assert "Traceback" not in printed
    expected = {
        "rank_a_group": "consistency 1.0",
        "choose_a_judge": "noisy:0.75",
        "train_the_demo_policy": "true reward on 2 held-out letters",
    }
    assert expected[path.stem] in printed
