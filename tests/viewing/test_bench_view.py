"""The folder of a benchmark: its groups are made again."""

from __future__ import annotations

import json
from pathlib import Path

from ranker.bench.observation import Observation
from ranker.suites import load
from ranker.usage import Usage
from ranker.viewing.find import Filter
from ranker.viewing.groups import Groups
from ranker.viewing.source import source_of
from tests.viewing.viewer import ranked, write


def bench(out: Path, suites: list[str]) -> Path:
    """What `ranker bench` writes of two judges: one right, one wrong throughout."""
    records = []
    for name in suites:
        for i, group in enumerate(load(name, 2, seed=5).groups):
            truths = tuple(t.ground_truth for t in group.trajectories)
            for judge, way in (("right", 1), ("wrong", -1)):
                for condition in ("plain", "reversed"):
                    rewards = tuple(way * t + (way < 0) for t in truths)
                    n = (0,) * len(truths)
                    seen = Observation(f"{judge}{name}{i}{condition}", judge, name, str(group.id), i, condition, "s", truths, n, n, n, rewards, Usage(), 0.5)  # fmt: skip
                    records.append(seen.to_record())
    out.mkdir()
    write(out / "observations.jsonl", records)
    (out / "results.json").write_text(json.dumps({"seed": 5}))
    return out


def test_a_benchmarks_groups_have_texts_and_all_its_judges(tmp_path):
    own = write(tmp_path / "own.jsonl", [ranked(i) for i in range(3)])
    out = bench(tmp_path / "bench", ["arithmetic", str(own)])
    groups = Groups(source_of(out))
    facts = groups.facts()
    assert facts.judges == {"right": 4, "wrong": 4}  # in the plain condition alone
    rows = groups.page(Filter()).rows
    for suite in ("arithmetic", str(own)):
        line = next(row.line for row in rows if row.id.startswith(suite))
        card = groups.card(line)
        assert [(o.judge, o.right == o.pairs) for o in card.opinions] == [("right", True), ("wrong", False)]
        assert all(attempt.last for attempt in card.attempts)
        assert card.title
    own.unlink()
    card = Groups(source_of(out)).card(line)
    assert "not in the benchmark's folder" in card.fault
    assert [a.place for a in card.attempts] == ["1", "2", "3", "4"]


def test_other_groups_than_the_judge_saw_are_not_shown(tmp_path):
    own = write(tmp_path / "own.jsonl", [ranked(i) for i in range(3)])
    out = bench(tmp_path / "bench", [str(own)])
    write(own, [ranked(i, size=3) for i in range(3)])
    card = Groups(source_of(out)).card(1)
    assert "holds other groups now" in card.fault
    assert not card.attempts[0].last
