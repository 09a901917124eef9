"""The fuzzer of replies in its short form; `make fuzz` runs the long one."""

from __future__ import annotations

import pytest

from tests.fuzzing import replies


@pytest.mark.parametrize("seed", [11, 12])
def test_no_reply_is_read_for_what_it_does_not_mean(seed):
    """No wrong verdict, and none refused that leaves no doubt; every kind of reply occurs."""
    record = replies.run(4_000, seed)
    assert record["faults"] == 0, record["examples"]
    assert {name.partition(":")[0] for name in record["outcomes"]} == {
        kind.__name__ for kind in replies.KINDS
    }


@pytest.mark.parametrize("blind", ["check_finished", "parse_verdict"])
def test_the_oracle_sees_what_a_careless_reader_gets_wrong(monkeypatch, blind):
    """A reader that ignores finish_reason, or takes the last ranking it can find, is caught."""
    import json

    from ranker.judges.verdict import Verdict

    def last_ranking(text, ids):
        start = text.rfind('"ranking":')
        tiers, _ = json.JSONDecoder().raw_decode(text, text.index("[", start)) if start >= 0 else ([], 0)
        return Verdict(tuple(tuple(ids.index(name) for name in tier) for tier in tiers))

    monkeypatch.setattr(
        replies, blind, {"check_finished": lambda *_: None, "parse_verdict": last_ranking}[blind]
    )
    kinds = {"check_finished": (replies.unfinished,), "parse_verdict": (replies.contradicting,)}
    monkeypatch.setattr(replies, "KINDS", kinds[blind])
    monkeypatch.setattr(replies, "RankerError", Exception)
    assert replies.run(500, 1)["faults"] > 50
