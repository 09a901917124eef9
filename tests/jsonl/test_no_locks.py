"""A file system without file locks: nothing is written where nobody can know who else writes."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from ranker.errors import ConfigurationError
from ranker.runtime.file_lock import lock
from tests.cli.test_cli import ranker, write
from tests.conftest import make_groups, ranking

WITHOUT = "#include <errno.h>\nint flock(int file, int how) { errno = ENOLCK; return -1; }\n"


def test_a_lock_is_free_held_or_cannot_be(tmp_path):
    path = tmp_path / "file"
    first, second = (os.open(path, os.O_RDWR | os.O_CREAT) for _ in range(2))
    assert lock(first, path)
    assert not lock(second, path)
    os.close(first)
    assert lock(second, path)
    os.close(second)
    unlockable = os.open(path, os.O_PATH)
    with pytest.raises(ConfigurationError, match="cannot be locked"):
        lock(unlockable, path)
    os.close(unlockable)


@pytest.mark.skipif(shutil.which("cc") is None, reason="builds a library that stands for such a file system")
@pytest.mark.parametrize("kind", ["file", "folder", "shard"])
def test_without_locks_a_run_is_refused_and_says_so(serve, tmp_path, kind):
    """And never ends as if all were done."""
    (tmp_path / "no_locks.c").write_text(WITHOUT)
    library = tmp_path / "no_locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, tmp_path / "no_locks.c"], check=True)
    groups = make_groups(3)
    server = serve(groups)
    (tmp_path / "in").mkdir()
    file = write(tmp_path / "in" / "a.jsonl", groups)
    named = file if kind == "file" else file.parent
    more = ["--shard", "0/1"] if kind == "shard" else []
    done = ranker(*ranking(named, server, tmp_path / "out", *more), LD_PRELOAD=str(library))
    assert done.returncode == 2, done.stderr
    assert "no file locks" in done.stderr
    assert server.requests == 0
