"""The folder of a benchmark: its groups are made again."""

from __future__ import annotations

import itertools
from pathlib import Path

from ranker.bench.observation import Observation
from ranker.suites import load
from ranker.usage import Usage
from ranker.viewing.find import Filter
from ranker.viewing.groups import Groups
from ranker.viewing.source import source_of
from tests.viewing.viewer import ranked, write


def bench(out: Path, suites: list[str], seeds: tuple[int, ...] = (5,)) -> Path:
    """What `ranker bench` writes of two judges, one right, one wrong throughout, before it has its results."""
    records = []
    for name, seed in itertools.product(suites, seeds):
        for i, group in enumerate(load(name, 2, seed=seed).groups):
            truths = tuple(t.ground_truth for t in group.trajectories)
            for judge, way in (("right", 1), ("wrong", -1)):
                for condition in ("plain", "reversed"):
                    rewards = tuple(way * t + (way < 0) for t in truths)
                    n = (0,) * len(truths)
                    seen = Observation(f"{judge}{name}{seed}{i}{condition}", judge, name, str(group.id), i, condition, "s", truths, n, n, n, rewards, Usage(), 0.5)  # fmt: skip
                    records.append(seen.to_record())
    out.mkdir()
    write(out / "observations.jsonl", records)
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


def test_a_generated_suites_groups_are_those_of_the_seed_they_were_made_with(tmp_path):
    suites, seeds = ["arithmetic", "lookup:size=3"], (5, 0, -3)
    out = bench(tmp_path / "bench", suites, seeds)
    groups = Groups(source_of(out))
    found = 0
    for suite, seed in itertools.product(suites, seeds):
        for group in load(suite, 2, seed).groups:
            card = groups.card(groups.find(f"{suite}/{group.id}"))
            assert card.fault is None
            said = {t.messages[-1]["content"] for t in group.trajectories}
            assert {attempt.last[0].blocks[0].text for attempt in card.attempts} == said
            found += 1
    assert found == 12
    assert not (out / "results.json").exists()
