"""Every program in README.md and docs/ runs, against a judge server."""

from __future__ import annotations

import sys

import pytest

from tests.doc_pages import blocks, run, small

# Pages whose programs are run beside the framework (tests/integrations/test_integration_trl.py), or between their commands.
ELSEWHERE = ("trl.md", "tutorial.md")


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
    run([sys.executable, "-W", "error", "-c", code])


def test_the_keyless_example_gives_what_it_says(place):
    (code,) = [code for name, code in blocks("python") if name == "README.md-0"]
    assert 'judge="local"' in code
    said = run([sys.executable, "-c", code])
    assert said == "[1.0, 0.5, 0.0]\n"
    assert f"# {said.strip()}" in code


def test_readme_example_gives_what_it_says(place):
    """The rewards in the README are those of a judge that ranks the attempts as a reader would."""
    (code,) = [code for name, code in blocks("python") if name == "README.md-1"]
    names: dict[str, object] = {}
    exec(code, names)
    ranked = names["ranked"]
    assert sorted(ranked.rewards) == [0.0, 0.5, 1.0]
    assert ranked.usage.calls == 1
    assert "[1.0, 0.5, 0.0]" in code
