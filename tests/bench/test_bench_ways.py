"""The table of ways, from records that are read at different times."""

from __future__ import annotations

import json

import pytest

from benchmarks.judges.ways import MORE, merged, show, summary


def records(n: int) -> list[dict]:
    """n groups of two in which `digits` is always right and `alone` never, and `numbers` right, read later."""
    made = []
    for i in range(n):
        common = {"model": "m", "suite": "s", "truths": [0.0, 1.0]}
        scores = {"alone": [1.0, 0.0], "digits": [0.1, 0.2], "letter": [0.3, 0.3], "together": [0.0, 1.0]}
        seconds = {"alone+digits": 1.0, "letter+together": 2.0}
        tokens = {"alone+digits": 10, "letter+together": 20}
        made.append({"id": f"m/s/{i}", **common, "scores": scores, "seconds": seconds, "tokens": tokens})
        more = {"scores": {"numbers": [-2.0, -1.0]}, "seconds": {"numbers": 0.5}, "tokens": {"numbers": 5}}
        made.append({"id": f"m/s/{i}{MORE}", **common, **more})
    return made


def test_what_was_read_at_different_times_is_one_group():
    found = merged(records(3))
    assert [r["id"] for r in found] == ["m/s/0", "m/s/1", "m/s/2"]
    assert set(found[0]["scores"]) == {"alone", "digits", "letter", "together", "numbers"}


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_way_counts_where_it_was_read_of_every_group(tmp_path, lacking):
    file = tmp_path / "scores.jsonl"
    kept = records(10)[: 20 - lacking]
    file.write_text("".join(json.dumps(r) + "\n" for r in kept))
    (row,) = summary([file])
    assert row["groups"] == 10
    assert {way: e["value"] for way, e in row["ways"].items()} == {
        "alone": 0.0,
        "digits": 1.0,
        "letter": 0.5,
        "together": 1.0,
    } | ({} if lacking else {"numbers": 1.0})
    assert row["cross_fitted"]["value"] == 1.0
    assert row["over_letter"]["value"] == 0.5
    assert ("numbers" in row["seconds"]) == (not lacking)
    assert "| alone+digits 1.0, letter+together 2.0" in show([row])
