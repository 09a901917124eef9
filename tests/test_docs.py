"""Every command and program in README.md and docs/ does what it says, against a judge server."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


# Pages whose programs are run beside the framework (tests/integrations/test_integration_trl.py), or between their commands.
ELSEWHERE = ("trl.md", "tutorial.md")
TOLD = (
    "training.md",
    "bench.md",
    "tutorial.md",
    "which-judge.md",
)  # pages whose commands go on where the one before stopped
COMMAND = (
    Path(sys.executable).parent / "ranker"
)  # not -m, which would take a folder `ranker` here for the package
QUICK_START = "README.md-0"  # its commands go on where the one before stopped
# Of the commands shown in docs/commands/: those that train, read a real model, or go on until they are stopped.
OWN_TESTS = {
    "calibrate": "calibration/test_calibrate.py",
    "tune-judge": "tuning/test_tune_command.py",
    "serve": "serving/test_serve.py",
    "view": "viewing/test_server.py",
}


def blocks(language: str) -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        for i, code in enumerate(
            re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE)
        ):
            found.append((f"{page.name}-{i}", code))
    return found


def commands() -> list[tuple[str, str]]:
    lines = [
        (name, line.strip()) for name, code in blocks("bash") for line in code.splitlines() if line.strip()
    ]
    lines = [
        (name, line) for name, line in lines if not line.startswith("ranker demo")
    ]  # tests/grpo/test_demo.py
    lines = [(name, line) for name, line in lines if not (name == QUICK_START and "make" not in line)]
    lines = [(name, line) for name, line in lines if name.rpartition("-")[0] not in TOLD or "pip" in line]
    inline = re.findall(r"`(pip install [^`]+)`", (ROOT / "README.md").read_text())
    return lines + [("README.md-inline", line) for line in inline]


@pytest.fixture
def place(serve, tmp_path, monkeypatch):
    """A folder with what the pages take for granted, and a server behind every judge they name."""
    server = serve(lambda text: float(len(text)))
    sample = (ROOT / "ranker" / "suites" / "data" / "sample.jsonl").read_text()
    (tmp_path / "groups.jsonl").write_text(sample)
    (tmp_path / "my_prompts").mkdir()
    (template,) = [code for _, code in blocks("jinja")]
    (tmp_path / "my_prompts" / "terse.v1.j2").write_text(template)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-for-the-documents-0000")
    return server


@pytest.mark.parametrize(
    "code",
    [
        pytest.param(code, id=name)
        for name, code in blocks("python")
        if name.rpartition("-")[0] not in ELSEWHERE
    ],
)
def test_programs_run(place, code):
    if "GRPOTrainer(" in code:
        code = small(code)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [pytest.param(line, id=f"{name}: {line[:60]}") for name, line in commands()])
def test_commands_run(place, line, monkeypatch):
    words = shlex.split(line, comments=True)
    if words[0] == "make":
        # The targets themselves are what CI and this very run are made of; here: they exist.
        done = subprocess.run([*words, "-n", "-C", str(ROOT)], capture_output=True, text=True, check=False)
    elif words[0] == "pip":
        where = [str(ROOT) + w[1:] if w.startswith(".") else w for w in words[1:]]
        done = subprocess.run(
            [sys.executable, "-m", "pip", *where, "--dry-run", "--no-deps"],
            capture_output=True,
            text=True,
            check=False,
        )
    elif words[0] == "printf":
        piped = line.replace("| ranker ", f"| {shlex.quote(sys.executable)} -m ranker ")
        done = subprocess.run(["sh", "-c", piped], capture_output=True, text=True, check=False)
    else:
        assert words[0] == "ranker"
        words = [place.base_url if w.startswith("http://localhost:") else w for w in words]
        if "cache" in words:
            monkeypatch.setenv("RANKER_CACHE", "cache")
        done = subprocess.run(
            [sys.executable, "-m", "ranker", *words[1:]],
            capture_output=True,
            text=True,
            env=dict(os.environ),
            check=False,
        )
    assert done.returncode == 0, done.stderr


def small(text: str) -> str:
    """The same with a model of some thousand weights and a step or two."""
    from tests.grpo_models import llama, tokenizer

    llama().save_pretrained("tiny")
    tokenizer().save_pretrained("tiny")
    text = re.sub(r'"smollm2"|"Qwen/[^"]*"', '"tiny"', text)
    return re.sub(r"max_steps\s*=\s*\d+", "max_steps = 2", text)


@pytest.mark.timeout(400)
def test_training_commands_run_one_after_the_other(place):
    """Those of the page on training, as a reader would type them; the runs are cut to two steps, and are audited as the page
    on watching says."""
    config, audit = (
        next(code for name, code in blocks("toml") if name.startswith(page))
        for page in ("training.md", "watching.md")
    )
    audit = audit.replace("share = 0.1", "share = 1.0")  # of two steps a tenth may be none
    Path("tasks.toml").write_text((small(config) + "\n" + audit).replace("max_cost_usd = 5.0\n", ""))
    Path("tasks.jsonl").write_text('{"prompt": [{"role": "user", "content": "w1 w2"}]}\n' * 3)
    lines = [
        line for name, code in blocks("bash") for line in code.splitlines() if name.startswith("training.md")
    ]
    lines = [line for line in lines if line and not line.startswith("pip")]
    assert len(lines) >= 4
    for line in lines:
        words = shlex.split(line, comments=True)
        if words[0] == "torchrun":
            words = [w if w != "run" else "run2" for w in words]
            start = ["-m", "torch.distributed.run", *words[1:]]
        else:
            start = ["-m", "ranker", *words[1:]]
        if "quick" in words:
            start = [w if w != "run" else "run-quick" for w in start] + ["--set", "max_steps=2"]
        done = subprocess.run(
            [sys.executable, *start],
            capture_output=True,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            check=False,
        )
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    steps = [json.loads(line) for line in Path("run/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert steps[-1]["audit_calls"] > 0
    assert Path("run/curves.png").stat().st_size > 10_000
    assert len(Path("run2/metrics.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("page", "results"), [("bench.md", "bench"), ("which-judge.md", "recommend")], ids=lambda name: name
)
def test_bench_commands_run_one_after_the_other(place, page, results):
    """Those of the pages on measuring and choosing judges, as a reader would type them."""
    lines = [line for name, code in blocks("bash") for line in code.splitlines() if name.startswith(page)]
    assert len(lines) >= 4
    for line in lines:
        words = [sys.executable, "-m", "ranker", *shlex.split(line, comments=True)[1:]]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert "openai/gpt-5-mini" in Path(results, "results.json").read_text()
    assert "<html" in Path(results, "report.html").read_text()


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_the_quick_start_is_short_and_goes_from_groups_to_a_trained_agent(place):
    """The commands a new user types first, one after the other; the training is cut to two steps."""
    (code,) = [code for name, code in blocks("bash") if name == QUICK_START]
    lines = [shlex.split(line, comments=True) for line in code.splitlines()]
    assert len(lines) <= 6
    assert lines[:2] == [["make", "install"], [".", ".venv/bin/activate"]]
    sample = Path("ranker/suites/data/sample.jsonl")
    sample.parent.mkdir(parents=True)
    sample.write_bytes((ROOT / sample).read_bytes())
    assert [words[1] for words in lines[2:]] == ["rank", "view", "demo", "view"]
    for words in lines[2:]:
        if words[1] == "view":
            _viewed(words)
            continue
        short = ["--set", "max_steps=2"] if words[1] == "demo" else []
        command = [COMMAND, *words[1:], *short]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{words}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    assert len(Path("ranked.jsonl").read_text().splitlines()) == 12
    assert Path("ranker-demo/curves.png").stat().st_size > 10_000


def _viewed(words: list[str]) -> None:
    """Start the viewer, fetch its page at the address that it prints, and end it as Ctrl-C does."""
    command = [COMMAND, *words[1:], "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as viewer:
        try:
            assert viewer.stdout is not None
            with urllib.request.urlopen(viewer.stdout.readline().strip()) as page:
                assert b"<html" in page.read()
        finally:
            viewer.send_signal(signal.SIGINT)


def test_the_keyless_example_gives_what_it_says(place):
    (code,) = [code for name, code in blocks("python") if name == "README.md-0"]
    assert 'judge="local"' in code
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[1.0, 0.5, 0.0]\n"
    assert f"# {done.stdout.strip()}" in code


@pytest.mark.timeout(600)
def test_tutorial_runs_from_its_first_command_to_its_last(place, monkeypatch):
    """As a reader would type it, programs between the commands; models are tiny, runs two steps, and a server is the judge."""
    from tests.grpo_models import llama, tokenizer

    page = (ROOT / "docs" / "tutorial.md").read_text()
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for language, code in re.findall(r"^```(bash|python)\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
        if language == "python":
            done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{code}\n{done.stderr[-4000:]}"
            assert done.stdout
            continue
        for line in code.splitlines():
            words = [w.replace("smollm2", "tiny") for w in shlex.split(line, comments=True)]
            words = ["openai/gpt-5-mini" if w == "local" else w for w in words]
            if words[0] == "pip":
                continue  # test_commands_run
            if words[0] == "cd":
                monkeypatch.chdir(words[1])
                config = small(Path("config.toml").read_text()).replace('"local"', '"openai/gpt-5-mini"')
                Path("config.toml").write_text(config)
                llama(max_position_embeddings=512).save_pretrained("tiny")
                tokenizer().save_pretrained("tiny")
                continue
            words += ["--set", "max_steps=2"] if "quick" in words else []
            words = [sys.executable, "-m", *words]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
    steps = [json.loads(line) for line in Path("watched/metrics.jsonl").read_text().splitlines()]
    assert len(steps) == 2
    assert all(step["ground_truth_mean"] is not None for step in steps)
    assert "pairwise_accuracy" in Path("bench/results.json").read_text()


@pytest.mark.timeout(600)
def test_commands_shown_in_the_help_run(place):
    """One after the other, in the order of `ranker --help`; what takes long is cut, or run by tests of its own."""
    order = re.findall(
        r"^\* \[([\w-]+)\]", (ROOT / "docs" / "commands" / "ranker.md").read_text(), re.MULTILINE
    )
    ran = []
    for name in order:
        page = (ROOT / "docs" / "commands" / f"{name}.md").read_text()
        for code in re.findall(r"^```console\n(.*?)^```", page, re.DOTALL | re.MULTILINE):
            for line in code.splitlines():
                command, *words = shlex.split(line)[1:]
                if command in OWN_TESTS:
                    assert (ROOT / "tests" / OWN_TESTS[command]).exists()
                    continue
                words = ["noisy:0.75" if w == "local" else w for w in words]
                words += {"bench": ["--groups", "2"]}.get(command, [])
                start = [sys.executable, "-m", "ranker", command, *words]
                done = subprocess.run(start, input="q\n", capture_output=True, text=True, check=False)
                assert done.returncode == 0, f"{line}\n{done.stdout[-2000:]}{done.stderr[-4000:]}"
                ran.append(command)
    assert {"init", "rank", "bench", "audit", "compare", "label", "report"} <= set(ran)


def test_readme_example_gives_what_it_says(place):
    """The rewards in the README are those of a judge that ranks the attempts as a reader would."""
    (code,) = [code for name, code in blocks("python") if name == "README.md-1"]
    names: dict[str, object] = {}
    exec(code, names)
    ranked = names["ranked"]
    assert sorted(ranked.rewards) == [0.0, 0.5, 1.0]
    assert ranked.usage.calls == 1
    assert "[1.0, 0.5, 0.0]" in code


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "examples" / "README.md"]:
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"
