"""The groups that `benchmarks.tuned_judge` tunes on and measures with."""

from __future__ import annotations

from benchmarks.judges.tuned_judge import line
from ranker.files import read_groups
from ranker.suites import load
from ranker.tuning.examples import from_groups


def test_a_line_holds_the_truth_and_nothing_else_that_is_known(tmp_path):
    groups = load("constraints", 4, seed=1).groups
    file = tmp_path / "groups.jsonl"
    file.write_bytes(b"".join(map(line, groups)))
    read = read_groups(file)
    assert not any(t.metadata for g in read for t in g.trajectories)
    kept = [(e.id, e.shown, e.truths_G) for e in from_groups(groups)]
    assert [(e.id, e.shown, e.truths_G) for e in from_groups(read)] == kept
