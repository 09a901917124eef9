"""The audit of local models: what it reads once is what the judges read."""

from __future__ import annotations

import pytest

from benchmarks.judges.audit_local import GROUPS, SUITES, judge_of, read_ahead, row
from ranker import audit_judge, rank_group
from ranker.debias.edits import EDITS
from ranker.suites import load


@pytest.mark.timeout(600)
@pytest.mark.parametrize("suite", ["arithmetic", "answers"])
def test_the_embedded_judges_scores_are_its_own(tmp_path, suite):
    (group,) = load(suite, 1).groups
    judge = judge_of("local", tmp_path / "cache.sqlite")
    ranked = rank_group(group, judge, reward="score")
    plain = rank_group(group, "local", reward="score")
    assert ranked.rewards == pytest.approx(plain.rewards, abs=1e-4)
    assert rank_group(group, judge).usage.cached_calls == 1


@pytest.mark.timeout(600)
def test_an_audit_reads_nothing_that_was_read_ahead(tmp_path):
    groups = load("answers", 1).groups
    judge = judge_of("local", tmp_path / "cache.sqlite")
    read_ahead(groups, judge)
    audit = audit_judge(groups, judge, edits=[EDITS["padding"], EDITS["self_praise"]], progress=False)
    assert audit.usage.calls == 0
    assert audit.usage.cached_calls == 4  # the group twice, and an edit each
    figures = row("answers", audit)
    assert figures["groups"] == 1
    assert set(figures["lifts"]) == {"padding", "self_praise"}


def test_every_judge_has_a_number_of_groups_for_each_suite():
    assert all(len(groups) == len(SUITES) for groups in GROUPS.values())
