"""The table of ways, from records that are read at different times."""

from __future__ import annotations

import json

import pytest

from benchmarks.judges.ways import MORE, merged, summary, with_reference
from ranker.judges.local.ways import Shown
from ranker.tuning.examples import Example


def records(n: int) -> list[dict]:
    """n groups of two, in the names of an earlier version, in which `expected_digit` is always right and `pointwise` never, and `number_likelihood` right, read later."""
    made = []
    for i in range(n):
        common = {"model": "m", "suite": "s", "truths": [0.0, 1.0]}
        scores = {"alone": [1.0, 0.0], "digits": [0.1, 0.2], "letter": [0.3, 0.3], "together": [0.0, 1.0]}
        seconds = {"alone+digits": 1.0, "letter+together": 2.0}
        tokens = {"alone+digits": 10, "letter+together": 20}
        made.append({"id": f"m/s/{i}", **common, "scores": scores, "seconds": seconds, "tokens": tokens})
        more = {
            "scores": {"numbers": [-2.0, -1.0]},
            "seconds": {"numbers": 0.5},
            "tokens": {"numbers": 5},
        }
        made.append({"id": f"m/s/{i}{MORE}", **common, **more})
    return made


def test_what_was_read_at_different_times_is_one_group():
    found = merged(records(3))
    assert [r["id"] for r in found] == ["m/s/0", "m/s/1", "m/s/2"]
    assert set(found[0]["scores"]) == {
        "pointwise",
        "expected_digit",
        "first_token",
        "pointwise_in_context",
        "number_likelihood",
    }


@pytest.mark.parametrize("lacking", [0, 1])
def test_a_way_counts_where_it_was_read_of_every_group(tmp_path, lacking):
    file = tmp_path / "scores.jsonl"
    kept = records(10)[: 20 - lacking]
    file.write_text("".join(json.dumps(r) + "\n" for r in kept))
    (row,) = summary([file])
    assert row["groups"] == 10
    assert {way: e["value"] for way, e in row["ways"].items()} == {
        "pointwise": 0.0,
        "expected_digit": 1.0,
        "first_token": 0.5,
        "pointwise_in_context": 1.0,
    } | ({} if lacking else {"number_likelihood": 1.0})
    assert row["cross_fitted"]["value"] == 1.0
    assert row["over_first_token"]["value"] == 0.5
    assert ("number_likelihood" in row["seconds"]) == (not lacking)
    assert row["seconds"]["first_token+pointwise_in_context"] == 2.0


def test_a_reference_is_the_last_number_of_a_wholly_right_attempt():
    shown = Shown("", ("It is 3.", "First 9, so 1,204.50."), (0, 0), "", "")
    examples = [Example("a", shown, (0.5, 1.0)), Example("b", shown, (0.5, 0.0))]
    (example,) = with_reference(examples)
    assert (example.id, example.shown.reference) == ("a", "1,204.50")
