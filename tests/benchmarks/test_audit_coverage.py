"""The intervals of an audit of a judge without a bias."""

from __future__ import annotations

from benchmarks.judges.audit_coverage import EDITS, held


def test_intervals_hold_nothing_where_there_is_nothing():
    rows = [held((30, 6, seed)) for seed in range(8)]
    assert all(len(row) == len(EDITS) for row in rows)
    assert sum(map(sum, rows)) >= 0.85 * 8 * len(EDITS)
    assert held((30, 6, 0)) == rows[0], "the same audit"
