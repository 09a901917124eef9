"""`ranker show`: groups in the terminal."""

from __future__ import annotations

import json

from tests.viewing.viewer import failed, make_run, ranked, ranker, tied, write

PLAIN = {"COLUMNS": "100", "PYTHONIOENCODING": "utf-8"}


def test_a_list_and_a_group(tmp_path):
    other = ranked(0, judge="judge-b")
    file = write(
        tmp_path / "g.jsonl",
        [ranked(0), tied(1), failed(2), "{bad", other, *(ranked(i) for i in range(5, 60))],
    )
    listed = ranker("show", file, **PLAIN)
    assert listed.returncode == 0, listed.stderr
    lines = listed.stdout.splitlines()
    assert lines[1].split()[:3] == ["g0", "ranked", "100%"]
    assert lines[4].split()[:2] == ["line:4", "bad"]
    assert lines[-1].strip().startswith("40 groups and 20 more.")
    group = ranker("show", file, "g0", **PLAIN).stdout
    for text in (
        "Group g0",
        "judge judge-a",
        "6 of 6 pairs",
        "Question 0",
        "1  t0",
        "reward 1.00",
        "Reason 3.",
        "It is 3",
        "judge-b",
    ):
        assert text in group
    assert "The judge failed. JudgeCallError" in ranker("show", file, "g2", **PLAIN).stdout
    assert "Line 4 is not JSON" in ranker("show", file, "line:4", **PLAIN).stdout


def test_a_run_and_an_audit(tmp_path):
    run = make_run(tmp_path / "run")
    assert "2/4" in ranker("show", run, **PLAIN).stdout
    group = ranker("show", run, "2/4", **PLAIN).stdout
    assert "auditor" in group
    assert "Attempt 1 of step 2." in group
    folder = tmp_path / "audit"
    folder.mkdir()
    (folder / "audit.json").write_text(
        json.dumps({"judge": "j", "lifts": [{"edit": "padding", "flagged": True}]})
    )
    assert "falls for it" in ranker("show", folder, **PLAIN).stdout


def test_nothing_in_a_text_reaches_the_terminal_as_a_command(tmp_path):
    evil = "\x1b]0;owned\x07\x1b[2J\x9b5m\u202e[bold]x[/bold]"
    group = ranked(0, judge=evil, task=evil)
    group["reasons"]["t0"] = evil
    group["trajectories"][0]["messages"][1]["content"] = evil
    file = write(tmp_path / "g.jsonl", [group])
    for words in ((), ("g0",)):
        shown = ranker("show", file, *words, **PLAIN).stdout
        assert not set(shown) & set("\x1b\x07\x9b\u202e")
        assert "⟨U+001B⟩" in shown
    assert "[bold]x[/bold]" in shown


def test_narrow_terminals_and_those_without_letters(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0, task="Größe " * 40)])
    for words in ((), ("g0",)):
        done = ranker("show", file, *words, COLUMNS="40", PYTHONIOENCODING="ascii")
        assert done.returncode == 0, done.stderr
        assert all(len(line) <= 120 for line in done.stdout.splitlines())


def test_what_is_not_there_is_named(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0)])
    done = ranker("show", file, "nobody")
    assert (done.returncode, "holds no group 'nobody'" in done.stderr) == (2, True)
    assert "holds no groups yet" in ranker("show", write(tmp_path / "e.jsonl", [])).stdout
