"""Where the benchmarks' records come from."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from ranker.bench import provenance


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "benchmarks"
    (folder / "results").mkdir(parents=True)
    (folder / "one.py").write_text("1\n")
    (tmp_path / ".gitignore").write_text("site-packages/\n")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-q", "-m", "one")
    return folder


def git(folder, *arguments):
    return subprocess.run(
        ["git", "-C", str(folder), *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def test_a_commit_says_where_code_has_changed_since(checkout):
    head = git(checkout, "rev-parse", "HEAD")
    assert provenance.commit(checkout) == head
    (checkout / "results" / "new.json").write_text("{}")
    (checkout.parent / "notes.txt").write_text("not what runs")
    assert provenance.commit(checkout) == head
    (checkout / "two.py").write_text("2\n")
    assert provenance.commit(checkout) == f"{head}-dirty"


def test_an_installed_package_has_no_commit_even_inside_a_checkout(checkout, tmp_path, monkeypatch):
    installed = checkout.parent / "site-packages" / "ranker"
    installed.mkdir(parents=True)
    assert provenance.commit(installed) is None
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    shutil.rmtree(checkout.parent / ".git")
    assert provenance.commit(checkout) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance.commit(checkout) is None


def test_a_command_names_no_folder(monkeypatch):
    given = ["x.py", "--out", "/home/me/a b.json", "--tau=/home/me/t.jsonl", "--set", "seed=3", "-v"]
    monkeypatch.setattr(sys, "argv", given)
    assert provenance.command("quick_seeds") == (
        "python -m benchmarks.trainer.quick_seeds --out 'a b.json' --tau=t.jsonl --set seed=3 -v"
    )


def test_a_machine_tells_torch_only_when_asked():
    assert set(provenance.machine()) == {"system", "architecture", "cores", "python"}
    assert provenance.machine(torch=True)["torch"]
