"""What the benchmarks share."""

from __future__ import annotations

import json

from benchmarks.harness import rows_with


def test_a_row_takes_the_place_of_the_one_it_measures_anew(tmp_path):
    record = tmp_path / "record.json"
    assert rows_with(record, {"model": "a", "ids": True}, "model") == [{"model": "a", "ids": True}]
    record.write_text(json.dumps({"rows": [{"model": "a", "ids": True}, {"model": "a", "ids": False}]}))
    fresh = {"model": "a", "ids": False, "value": 1}
    assert rows_with(record, fresh, "model", "ids") == [{"model": "a", "ids": True}, fresh]
