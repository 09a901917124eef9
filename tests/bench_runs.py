"""What the tests of `ranker bench` share: group files, runs in this process and in others, observations made up."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from ranker import TrajectoryGroup
from ranker.bench.observation import Answers, Observation
from ranker.bench.simulated_judges import SimulatedJudge
from ranker.cli import main
from ranker.jsonl.group_file import dump_line
from ranker.testing import JudgeServer
from ranker.usage import Usage


@dataclass(frozen=True, slots=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def told(self) -> str:
        return self.out + self.err


def here(*args: object) -> Done:
    """The command `ranker` in this process, without the page for people: drawing takes longer than all the rest."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.object(sys, "argv", ["ranker", *map(str, args)]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        mock.patch("ranker.bench.command.write_report"),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    return Done(code, out.getvalue(), err.getvalue())


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "ranker", *map(str, args)]


def apart(*args: object, **env: str) -> Done:
    """The command `ranker` as a process of its own."""
    done = subprocess.run(
        command(*args), capture_output=True, text=True, timeout=60, env={**os.environ, **env}, check=False
    )
    return Done(done.returncode, done.stdout, done.stderr)


def args_for(server: JudgeServer, source: object, out: object, *more: object) -> tuple[object, ...]:
    """A quiet `ranker bench` of one judge, that server, on one suite."""
    return (
        "bench",
        "--judge",
        "sim",
        "--base-url",
        server.base_url,
        "--suite",
        source,
        "--out",
        out,
        "-q",
        *more,
    )


def write(path: Path, groups: Iterable[TrajectoryGroup]) -> Path:
    lines = []
    for g in groups:
        members = [
            {"id": t.id, "messages": t.messages, "ground_truth": t.ground_truth, "metadata": dict(t.metadata)}
            | ({"tools": t.tools} if t.tools else {})
            | ({"histories": t.histories} if t.histories else {})
            for t in g.trajectories
        ]
        known = {"id": g.id, "task": g.task, "rubric": g.rubric, "metadata": dict(g.metadata)}
        lines.append({k: v for k, v in known.items() if v} | {"trajectories": members})
    path.write_bytes(b"".join(map(dump_line, lines)))
    return path


def knowing(groups: Sequence[TrajectoryGroup]) -> list[TrajectoryGroup]:
    """The groups, and each of them with its attack planted: what a judge server must know to judge them all."""
    return SimulatedJudge().known(groups)


def read(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "results.json").read_text())


def observed(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "observations.jsonl").read_text().splitlines()]


def cell(made: dict[str, Any], judge: str) -> dict[str, Any]:
    [found] = [c for c in made["cells"] if c["judge"] == judge]
    return found


def values(made: dict[str, Any], judge: str) -> dict[str, float | None]:
    return {name: e["value"] for name, e in cell(made, judge)["metrics"].items()}


def figures(made: Any) -> Any:
    """`results.json` without what two runs differ in: seconds, and the header's commit and machine."""
    if isinstance(made, dict):
        left = {"seconds_per_group", "commit", "machine"}
        return {k: figures(v) for k, v in made.items() if k not in left}
    return [figures(v) for v in made] if isinstance(made, list) else made


def seen(
    truths: Sequence[float],
    rewards: Sequence[float] | None,
    condition: str = "plain",
    *,
    index: int = 0,
    lengths: Sequence[int] | None = None,
    same: Sequence[int] | None = None,
    places: Sequence[float] | None = None,
    usage: Usage | None = None,
    **more: Any,
) -> Observation:
    """An observation; all texts different and shown in the order given, unless said otherwise."""
    n = len(truths)
    return Observation(
        id=f"{index}/{condition}",
        judge="j",
        suite="s",
        group=f"g{index}",
        index=index,
        condition=condition,
        settings="",
        truths=tuple(truths),
        lengths=tuple(lengths or [10] * n),
        same=tuple(same if same is not None else range(n)),
        places=tuple(places if places is not None else range(n)),
        rewards=None if rewards is None else tuple(rewards),
        usage=usage or Usage(1),
        seconds=0.1,
        error=None if rewards is not None else {"type": "VerdictError", "message": "none"},
        **more,
    )


def answers(*some: Observation) -> Answers:
    return Answers({o.condition: o for o in some})
