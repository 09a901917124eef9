"""The sandbox: accidents and clumsy cheats cost a candidate its tests and nothing else."""

from __future__ import annotations

import json
import math
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranker.suites.sandbox import Case, Tests, encoded, same, share_passed, shares_passed

DOUBLE = Tests("double", (Case((2,), 4), Case((0,), 0), Case((-3,), -6), Case((10,), 20)))
RIGHT = "def double(x):\n    return 2 * x\n"


def test_right_wrong_and_half_right() -> None:
    half = "def double(x):\n    return 2 * abs(x) if x < 10 else 0\n"
    assert shares_passed([(RIGHT, DOUBLE), ("def double(x): return None", DOUBLE), (half, DOUBLE)]) == [
        1,
        0,
        0.5,
    ]


def test_no_candidates() -> None:
    assert shares_passed([]) == []


@pytest.mark.parametrize(
    ("value", "other"),
    [(1, True), (1, 1.0), ((1,), [1]), ({1}, frozenset({1})), ("a", b"a"), (None, False), ({1: 2}, {"1": 2})],
)
def test_types_count(value: object, other: object) -> None:
    assert same(encoded(value), encoded(value))
    assert not same(encoded(value), encoded(other))


def test_floats_may_be_off_by_rounding() -> None:
    assert same(encoded([0.1 + 0.2]), encoded([0.3]))
    assert not same(encoded(0.3001), encoded(0.3))
    assert same(encoded(math.nan), encoded(math.nan))
    assert same(encoded(math.inf), encoded(math.inf))


def test_order_counts_in_lists_not_in_sets_and_dicts() -> None:
    assert not same(encoded([1, 2]), encoded([2, 1]))
    assert same(encoded({"a": 1, "b": 2}), encoded({"b": 2, "a": 1}))


HOSTILE = {
    "raises": "def double(x):\n    raise ValueError",
    "raises what is no Exception": "def double(x):\n    raise KeyboardInterrupt",
    "exits": "import sys\ndef double(x):\n    sys.exit(0)",
    "exits at import": "import sys\nsys.exit(0)",
    "leaves": "import os\ndef double(x):\n    os._exit(0)",
    "leaves at import": "import os\nos._exit(0)\ndef double(x): return 2 * x",
    "recursion": "def double(x):\n    return double(x)",
    "deep recursion": "import sys\nsys.setrecursionlimit(10**9)\ndef double(x):\n    return double(x) + 1",
    "memory": "def double(x):\n    return len([0] * 10**10)",
    "memory by doubling": "def double(x):\n    y = 'x'\n    while True:\n        y += y",
    "prints what could be results": (
        'def double(x):\n    print(\'[[["int", "4"], []]]\', flush=True)\n    return None'
    ),
    "writes into every file it finds open": (
        "import os\n"
        "def double(x):\n"
        "    for fd in range(20):\n"
        "        try:\n"
        '            os.write(fd, b\'\\n0 0 [["int", "4"], []]\\nxx\')\n'
        "        except OSError:\n"
        "            pass\n"
    ),
    "reads stdin": "def double(x):\n    return int(input())",
    "equal to everything": (
        "class All:\n    def __eq__(self, other): return True\n    def __repr__(self): return '4'\n"
        "def double(x): return All()"
    ),
    "a subclass": "class I(int):\n    pass\ndef double(x): return I(2 * x)",
    "cyclic": "def double(x):\n    y = []\n    y.append(y)\n    return y",
    "no such function": "def triple(x): return 3 * x",
    "no Python": "def double(x)\n    return",
    "null byte": "def double(x):\x00 return 2 * x",
    "signal": "import os, signal\ndef double(x):\n    os.kill(os.getpid(), signal.SIGKILL)",
}


def test_hostile_candidates_pass_nothing_and_harm_no_other() -> None:
    jobs = [job for source in HOSTILE.values() for job in ((source, DOUBLE), (RIGHT, DOUBLE))]
    shares = shares_passed(jobs)
    assert dict(zip(HOSTILE, shares[::2], strict=True)) == dict.fromkeys(HOSTILE, 0)
    assert set(shares[1::2]) == {1}


def test_a_loop_ends_in_time() -> None:
    began = time.monotonic()
    loops = "def double(x):\n    while x == 0: pass\n    return 2 * x"
    sleeps = "import time\ntime.sleep(60)\ndef double(x): return 2 * x"
    assert shares_passed([(loops, DOUBLE), (sleeps, DOUBLE), (RIGHT, DOUBLE)], seconds=0.4) == [0.25, 0, 1]
    assert time.monotonic() - began < 4


def test_what_dies_in_one_call_may_answer_the_next() -> None:
    source = "import os\ndef double(x):\n    if x == 0: os._exit(0)\n    return 2 * x"
    assert share_passed(source, DOUBLE) == 0.75


def test_no_file_is_written(tmp_path: Path) -> None:
    file = tmp_path / "written"
    source = (
        "def double(x):\n"
        f"    with open({str(file)!r}, 'w') as f:\n"
        "        f.write('x' * 100)\n"
        "    return 2 * x"
    )
    assert share_passed(source, DOUBLE) == 0
    assert not file.exists() or file.read_text() == ""


def test_the_folder_and_the_environment_are_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_SECRET", "x")
    source = "import os\ndef look(): return [os.listdir('.'), 'SOME_SECRET' in os.environ]"
    assert share_passed(source, Tests("look", (Case((), [[], False]),))) == 1


def test_arguments_must_be_kept_where_asked() -> None:
    source = "def last(xs):\n    return xs.pop()"
    assert (
        share_passed(source, Tests("last", (Case(([1, 2],), 2), Case(([1, 2],), 2, unchanged=True)))) == 0.5
    )


def test_printing_does_no_harm() -> None:
    assert share_passed("def double(x):\n    print('x' * 10**6)\n    return 2 * x", DOUBLE) == 1


# Each returns 4 only where it got what it must not get; {0} is the process that runs the tests, {1} a folder of the user's.
REACHES = {
    "its parent's environment": "return 4 if b'CANARY' in open('/proc/{0}/environ', 'rb').read() else 0",
    "any environment": "import glob\n    for p in glob.glob('/proc/[0-9]*/environ'):\n        try:\n            "
    "if b'CANARY' in open(p, 'rb').read(): return 4\n        except OSError: pass",
    "its parent": "import os\n    os.kill({0}, 0)\n    return 4",
    "a new folder": "import os\n    os.mkdir('{1}/new')\n    return 4",
    "a file's content": "open('{1}/kept', 'w')\n    return 4",
    "a file's name": "import os\n    os.rename('{1}/kept', '{1}/moved')\n    return 4",
    "a file's mode": "import os\n    os.chmod('{1}/kept', 0)\n    return 4",
    "a file's end": "import os\n    os.unlink('{1}/kept')\n    return 4",
    "the network": "import socket\n    socket.create_connection(('127.0.0.1', {2}), 1)\n    return 4",
}
WITH_LANDLOCK = {
    "its parent's environment",
    "any environment",
    "a new folder",
    "a file's content",
    "a file's name",
    "a file's end",
}
LEAVES = """
import os, time
def f(x):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            os.setsid()
            time.sleep(60)
        os._exit(0)
    return 4
"""
SANDBOXED = """
import json, logging, os, sys
logging.basicConfig(format="%(message)s")
from ranker.suites.sandbox import Case, Tests, shares_passed
sources = json.load(sys.stdin)
print(json.dumps(shares_passed([(s.format(os.getpid(), *sys.argv[1:]), Tests("f", (Case((0,), 4),))) for s in sources], 5.0)))
"""


def sandboxed(sources: list[str], folder: Path, port: int, *before: str) -> tuple[list[float], str]:
    """What candidates pass, run by a process that has a key in its environment; and what it says."""
    done = subprocess.run(
        [*before, sys.executable, "-c", SANDBOXED, str(folder), str(port)],
        input=json.dumps(sources), capture_output=True, text=True, check=True, env={**os.environ, "A_KEY": "CANARY"},
    )  # fmt: skip
    return json.loads(done.stdout), done.stderr


def namespaces() -> bool:
    return (
        shutil.which("unshare") is not None
        and not subprocess.run(["unshare", "-Urmpn", "--fork", "true"], check=False).returncode
    )


@pytest.mark.skipif(not namespaces(), reason="this system lets no user make namespaces")
@pytest.mark.parametrize("landlock", [False, True], ids=["namespaces", "Landlock alone"])
def test_a_candidate_reaches_nothing_of_the_user_and_leaves_nothing_behind(
    tmp_path: Path, landlock: bool
) -> None:
    """Not the environment and life of other processes, nor files to change; not the network, where there are namespaces."""
    (tmp_path / "kept").write_text("kept")
    before = (
        ("unshare", "-Ur", "sh", "-c", 'echo 0 > /proc/sys/user/max_user_namespaces; exec "$@"', "sh")
        if landlock
        else ()
    )
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        sources = [f"def f(x):\n    {body}" for body in REACHES.values()]
        shares, said = sandboxed([*sources, LEAVES], tmp_path, port, *before)
    reached = {name for name, share in zip(REACHES, shares, strict=False) if share}
    if landlock and "leave processes behind" in said:
        pytest.skip("this system has no Landlock")
    assert reached & (WITH_LANDLOCK if landlock else set(REACHES)) == set()
    assert ("no user make namespaces" in said) == landlock
    assert (tmp_path / "kept").read_text() == "kept"
    time.sleep(0.2)
    folders = [_folder(p) for p in Path("/proc").glob("[0-9]*/cwd")]
    assert [f for f in folders if "sandbox-" in f and f.endswith("(deleted)")] == [], (
        "processes that it has left"
    )


def _folder(link: Path) -> str:
    try:
        return os.readlink(link)
    except OSError:
        return ""
