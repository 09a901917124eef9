"""The command that installs an extra, for every place that the package may have come from."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ranker.extras import _of_origin, install

ROOT = Path(__file__).parents[1]


def test_a_checkout_is_installed_from_itself(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(Path(sys.executable).parent))
    monkeypatch.chdir(ROOT)
    assert install("serve") == "pip install -e '.[serve]'"
    monkeypatch.chdir(tmp_path)
    assert install("serve") == f"pip install -e '{ROOT}[serve]'"


def test_the_pip_named_is_that_of_the_environment(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(ROOT)
    python = Path(sys.executable)
    here = python.relative_to(ROOT) if python.is_relative_to(ROOT) else python
    assert install("serve") == f"{here} -m pip install -e '.[serve]'"
    monkeypatch.chdir(Path(sys.executable).parent.parent)
    assert install("serve").startswith("bin/python")


def test_torch_is_named_where_the_extra_brings_it():
    for extra in ("local", "train"):
        assert "on a machine without a GPU" in install(extra)
        assert "torch==2.13.0 first" in install(extra)
    assert "torch" not in install("bench")


@pytest.mark.parametrize(
    ("origin", "said"),
    [
        (None, "'ranker-rl[serve]'"),
        ({"url": "file:///nowhere/ranker_rl-0.1.0-py3-none-any.whl", "archive_info": {}}, "'ranker-rl[serve]'"),
        ({"url": "https://example.org/r.whl", "archive_info": {}}, "'ranker-rl[serve]'"),
        (
            {
                "url": "https://example.org/ranker.git",
                "vcs_info": {"vcs": "git", "requested_revision": "main", "commit_id": "abc"},
            },
            "'ranker-rl[serve] @ git+https://example.org/ranker.git@main'",
        ),
    ],
)  # fmt: skip
def test_an_installed_package_is_installed_from_where_it_came(origin, said):
    assert _of_origin(origin and json.dumps(origin), "serve") == said


def test_a_folder_or_a_wheel_on_the_disk_is_named(tmp_path, monkeypatch):
    folder = json.dumps({"url": tmp_path.as_uri(), "dir_info": {}})
    assert _of_origin(folder, "serve") == f"'{tmp_path}[serve]'"
    monkeypatch.chdir(tmp_path)
    assert _of_origin(folder, "serve") == "'.[serve]'"
    wheel = tmp_path / "ranker_rl-0.1.0-py3-none-any.whl"
    wheel.touch()
    said = _of_origin(json.dumps({"url": wheel.as_uri(), "archive_info": {}}), "serve")
    assert said == f"'ranker-rl[serve] @ {wheel.as_uri()}'"


def test_a_copy_outside_the_checkout_asks_its_metadata(tmp_path):
    """An installation as pip leaves it: the package, and a dist-info whose direct_url.json names the checkout."""
    package, info = tmp_path / "ranker", tmp_path / "ranker_rl-0.1.0.dist-info"
    package.mkdir()
    info.mkdir()
    (package / "__init__.py").touch()
    (package / "extras.py").write_text((ROOT / "ranker" / "extras.py").read_text())
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: ranker-rl\nVersion: 0.1.0\n")
    run = [sys.executable, "-S", "-c", "from ranker.extras import install; print(install('serve'))"]
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": ""})
    assert done.stdout.endswith("pip install 'ranker-rl[serve]'\n")
    (info / "direct_url.json").write_text(json.dumps({"url": ROOT.as_uri(), "dir_info": {}}))
    done = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=True, env={"PATH": ""})
    assert done.stdout.endswith(f"pip install '{ROOT}[serve]'\n")


def test_no_message_names_the_index_by_itself():
    """Every message asks `install`, so that its advice works from a checkout too."""
    for top in ("ranker", "grpo"):
        for path in (ROOT / top).rglob("*"):
            if path.suffix in (".py", ".j2") and path.name != "extras.py":
                text = path.read_text().partition('"""')[2].partition('"""')[2] or path.read_text()
                assert "pip install 'ranker-rl" not in text, path
