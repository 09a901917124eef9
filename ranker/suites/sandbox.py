"""Runs small Python functions against tests, in a process of their own.

    tests = Tests("double", (Case((2,), 4), Case((0,), 0)))
    share_passed("def double(x):\\n    return 2 * x", tests)  # 1.0

What a candidate prints, that it exits, loops, recurses, raises or eats memory costs that candidate its tests and
nothing else. It runs in a forked child with an empty environment and an empty working folder, limits on CPU time,
wall time and memory, no room to write files, and nothing open but a pipe on which lines without a secret token are
ignored. What a function returned is compared outside, so the candidate's process never holds what is expected.

Where Linux lets users make namespaces, it sees no other process and no network, cannot change any file, and whatever
it starts ends with it. Where there is only Landlock, it cannot change files nor look into other processes. Elsewhere
(and that is logged once) neither holds: it can read this process's environment and change the user's files. Nowhere is
it kept from reading files, nor from looking for the token in its own process. Do not run hostile code with it.
"""

from __future__ import annotations

import json
import logging
import math
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ranker.suites import isolation

log = logging.getLogger("ranker")

MEMORY = 256 * 2**20  # bytes of address space of a candidate


@dataclass(frozen=True, slots=True)
class Case:
    """One call: positional arguments and what it must return, of built-in types.

    Types count (`True` is not 1, a tuple is not a list); floats may be off by rounding. With `unchanged`,
    the arguments must be after the call what they were before.
    """

    arguments: tuple[Any, ...]
    expected: Any
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Tests:
    """The cases that the function of this name must meet."""

    __test__ = False  # no test class for pytest

    function: str
    cases: tuple[Case, ...]


def share_passed(source: str, tests: Tests, seconds: float = 2.0) -> float:
    """The share of the cases that the function defined by `source` meets, run for at most `seconds` in all."""
    return shares_passed([(source, tests)], seconds)[0]


def shares_passed(candidates: Iterable[tuple[str, Tests]], seconds: float = 2.0) -> list[float]:
    """`share_passed` of many candidates with one process started for all of them."""
    jobs = list(candidates)
    if not jobs:
        return []
    results = _run(jobs, seconds)
    return [_share(tests, result) for (_, tests), result in zip(jobs, results, strict=True)]


def encoded(value: Any) -> Any:
    """A value of built-in types as JSON that keeps the types apart."""
    return _ENCODE(value)


def same(left: Any, right: Any) -> bool:
    """Whether two encoded values are equal, floats up to rounding."""
    if left[0] != right[0]:
        return False
    if left[0] == "float":
        return _close(float(left[1]), float(right[1]))
    if not isinstance(left[1], list):
        return bool(left[1] == right[1])
    return len(left[1]) == len(right[1]) and all(map(same, left[1], right[1]))


def _close(a: float, b: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(a, b, rel_tol=1e-9, abs_tol=1e-12)


def _share(tests: Tests, results: Sequence[Any]) -> float:
    passed = 0
    for case, result in zip(tests.cases, results, strict=True):
        if result is None:
            continue
        returned, arguments = result
        passed += same(returned, encoded(case.expected)) and (
            not case.unchanged or same(arguments, encoded(case.arguments))
        )
    return passed / len(tests.cases)


def _run(jobs: Sequence[tuple[str, Tests]], seconds: float) -> list[list[Any]]:
    """For each job and case: None, or what was returned and the arguments after the call, encoded."""
    encoded_jobs = [
        {"source": source, "function": t.function, "calls": [repr(case.arguments) for case in t.cases]}
        for source, t in jobs
    ]
    request = json.dumps({"jobs": encoded_jobs, "seconds": seconds, "memory": MEMORY})
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        done = subprocess.run(
            [
                sys.executable,
                "-I",
                "-S",
                "-c",
                Path(isolation.__file__).read_text("utf-8") + _ENCODER + _RUNNER,
            ],
            input=request.encode(),
            stdout=subprocess.PIPE,
            cwd=folder,
            env={},
            timeout=20 + (seconds + 1) * len(jobs),
            check=True,
        )
    reply = json.loads(done.stdout)
    _warn_once(reply["isolation"])
    results: list[list[Any]] = reply["results"]
    return results


@cache
def _warn_once(kind: str) -> None:
    missing = {
        "landlock": "see the names of other processes, and reach the network",
        "none": "read this process's environment, change your files, reach the network and leave processes behind",
    }.get(kind)
    if missing:
        log.warning(
            "This system lets no user make namespaces, so the code of candidates could %s. It is harmless in the suites "
            "that Ranker generates; run others in a container of your own.", missing,
        )  # fmt: skip


_ENCODER = """
import json


def encode(value, depth=0):
    kind = type(value)
    if depth > 50:
        raise ValueError("nested too deeply")
    if value is None or kind in (bool, str):
        return [kind.__name__, value]
    if kind in (int, float, bytes):
        return [kind.__name__, repr(value)]
    if kind in (list, tuple):
        return [kind.__name__, [encode(item, depth + 1) for item in value]]
    if kind in (set, frozenset):
        return [kind.__name__, sorted((encode(item, depth + 1) for item in value), key=json.dumps)]
    if kind is dict:
        pairs = [["pair", [encode(k, depth + 1), encode(v, depth + 1)]] for k, v in value.items()]
        return ["dict", sorted(pairs, key=json.dumps)]
    raise TypeError("not a built-in type")
"""

_RUNNER = '''
import ast, os, resource, secrets, select, signal, sys, time

FLOOD = 2**20  # bytes that a candidate may send


def limit(seconds, memory):
    cpu = int(seconds) + 1
    for kind, most in (
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (getattr(resource, "RLIMIT_NPROC", None), 0),
    ):
        try:
            resource.setrlimit(kind, (most, most))
        except (TypeError, ValueError, OSError):
            pass


def child(job, start, out, token, seconds, memory):
    """Run the calls from `start` on. Every answer is a line: token, number of the call, what came of it."""
    write, dumps, literal, leave = os.write, json.dumps, ast.literal_eval, os._exit
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    out = os.dup2(out, 3, inheritable=False)
    os.closerange(4, 256)
    sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")
    limit(seconds, memory)
    isolation.shut_in()

    def send(i, text):
        data = ("\\n" + token + " " + str(i) + " " + text + "\\n").encode()
        while data:
            data = data[write(out, data):]

    space = {"__name__": "candidate"}
    calls = [(i, text) for i, text in enumerate(job["calls"]) if i >= start]
    try:
        send(-1, "null")
        exec(compile(job["source"], "<candidate>", "exec"), space)
        function = space[job["function"]]
    except BaseException:
        leave(0)
    for i, text in calls:
        try:
            send(i, "null")  # begun: should the process die in this call, the next one goes on after it
            arguments = literal(text)
            returned = function(*arguments)
            answer = dumps([encode(returned), encode(arguments)])
        except BaseException:
            continue
        send(i, answer)
    leave(0)


def listen(fd, pid, deadline):
    """All that the child sends until it ends or its time is up, and whether it was up."""
    data = b""
    while len(data) < FLOOD:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([fd], [], [], left)[0]:
            break
        piece = os.read(fd, 65536)
        if not piece:
            break
        data += piece
    isolation.end(pid)
    return data


def run(job, seconds, memory):
    results = [None] * len(job["calls"])
    deadline = time.monotonic() + seconds
    start = 0
    while start < len(results) and time.monotonic() < deadline:
        token = secrets.token_hex(16)
        ours, theirs = os.pipe()
        pid = isolation.fork()
        if pid == 0:
            try:
                os.close(ours)
                child(job, start, theirs, token, seconds, memory)
            finally:
                os._exit(1)
        os.close(theirs)
        data = listen(ours, pid, deadline)
        os.close(ours)
        begun = -1
        for line in data.decode(errors="replace").split("\\n"):
            parts = line.split(" ", 2)
            if len(parts) == 3 and parts[0] == token:
                try:
                    begun, answer = int(parts[1]), json.loads(parts[2])
                except ValueError:
                    continue  # cut off
                if answer is not None and start <= begun < len(results):
                    results[begun] = answer
        if begun < 0:
            break  # the source itself fails
        start = max(begun, start) + 1
    return results


request = json.loads(sys.stdin.buffer.read())
isolation = Isolation()
results = [run(job, request["seconds"], request["memory"]) for job in request["jobs"]]
print(json.dumps({"results": results, "isolation": isolation.kind}))
'''


def _encoder() -> Any:
    space: dict[str, Any] = {}
    exec(compile(_ENCODER, "<encoder>", "exec"), space)
    return space["encode"]


_ENCODE = _encoder()
