"""The program of docs/scale.md in the installed Ray Data, as printed: real actors, a judge server behind them."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from ranker.files import dump_line
from ranker.testing import JudgeServer
from ranker.trajectory import TrajectoryGroup
from tests.conftest import make_groups, truthful

pytest.importorskip("ray.data")

pytestmark = pytest.mark.timeout(900)  # a cluster of its own for each test

PAGE = (Path(__file__).parents[2] / "docs" / "scale.md").read_text()
(PROGRAM,) = re.findall(r"^```py\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)

# The page's own class under its own name, and which process ran it.
SIGNED = """

class Signed(Ranker):
    def __call__(self, batch):
        import os

        done = super().__call__(batch)
        return {**done, "worker": [os.getpid()] * len(done["text"])}


"""


def write(folder: Path, groups: list[TrajectoryGroup], shards: int) -> None:
    folder.mkdir()
    for s in range(shards):
        lines = [
            {"id": g.id, "trajectories": [{"id": t.id, "messages": t.messages} for t in g.trajectories]}
            for g in groups[s::shards]
        ]
        (folder / f"{s}.jsonl").write_bytes(b"".join(map(dump_line, lines)))


def run(place: Path, server: JudgeServer, program: str) -> subprocess.CompletedProcess[str]:
    (place / "rank_with_ray.py").write_text(program)
    told = {
        "OPENAI_API_BASE": server.base_url,
        "OPENAI_API_KEY": "sk-for-the-documents-0000",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    return subprocess.run(
        [sys.executable, "rank_with_ray.py"],
        cwd=place,
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        check=False,
    )


def rows(place: Path) -> list[dict]:
    import pyarrow.parquet as pq

    return pq.read_table(place / "ranked").to_pylist()


def test_the_program_of_the_page_runs_as_it_is_printed(serve, tmp_path):
    groups = make_groups(600)
    server = serve(groups)
    write(tmp_path / "shards", groups, 2)
    done = run(tmp_path, server, PROGRAM)
    assert done.returncode == 0, done.stderr
    assert "0 groups failed" in done.stdout.splitlines()
    made = {line["id"]: line for line in (json.loads(row["text"]) for row in rows(tmp_path))}
    assert made.keys() == {g.id for g in groups}
    assert all(truthful(g, [made[g.id]["rewards"][t] for t in g.ids]) for g in groups)
    assert server.requests == 600
    assert "deprecated" not in done.stderr


def test_two_actors_share_the_groups_and_what_fails_is_counted(serve, tmp_path):
    groups = make_groups(60)
    server = serve(groups[:50], latency=0.2)  # it refuses what it does not know
    write(tmp_path / "shards", groups, 6)
    program = PROGRAM.replace("groups = ray.data", f"{SIGNED}groups = ray.data").replace(
        "    Ranker,\n", "    Signed,\n"
    )
    done = run(tmp_path, server, program.replace("batch_size=256", "batch_size=5"))
    assert done.returncode == 0, done.stderr
    made = rows(tmp_path)
    assert len({row["worker"] for row in made}) == 2
    lines = {line["id"]: line for line in (json.loads(row["text"]) for row in made)}
    assert Counter(row["failed"] for row in made) == {False: 50, True: 10}
    assert "10 groups failed" in done.stdout.splitlines()
    for g in groups[:50]:
        assert truthful(g, [lines[g.id]["rewards"][t] for t in g.ids])
    for g in groups[50:]:
        assert lines[g.id]["error"]["type"] == "JudgeCallError"
        assert "rewards" not in lines[g.id]


def test_a_line_that_is_no_group_ends_the_job_with_the_reason(serve, tmp_path):
    server = serve(make_groups(1))
    write(tmp_path / "shards", make_groups(1), 1)
    (tmp_path / "shards" / "1.jsonl").write_text('{"id": "odd", "trajectories": 7}\n')
    done = run(tmp_path, server, PROGRAM)
    assert done.returncode != 0
    assert 'GroupError: the object has no list "trajectories".' in done.stderr
