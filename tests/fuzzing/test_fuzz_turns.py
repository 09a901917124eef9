"""The fuzzer of turns in its short form; `make fuzz` runs the long one."""

from __future__ import annotations

import json

import pytest

from ranker.judges import turn_marks
from ranker.prompting import prompt
from tests.fuzzing import replies, turns


def test_no_number_is_taken_for_a_turn_that_is_none():
    """No forged tag in a prompt, no wrong number accepted, and every kind of group and of reply occurs."""
    record = turns.run(700, seed=3)
    assert record["faults"] == 0, record
    outcomes = record["trajectories"]["outcomes"]
    assert outcomes["whole"] > 300
    assert outcomes["cut"] > 10
    kinds = {name.partition(":")[0] for name in record["replies"]["outcomes"]}
    assert kinds == {kind.__name__ for kind in (*replies.KINDS, replies.wrong_turns)}


def test_the_oracle_sees_numbers_that_a_careless_reader_takes(monkeypatch):
    """A reader that believes every number it is given is caught."""

    def believing(reply, ids, shown, raw):
        items = {item["id"]: item for item in reply["turns"]}
        return tuple({k - 1: 1.0 for k in items.get(name, {}).get("helped", ())} for name in ids)

    monkeypatch.setattr("ranker.judges.verdict.read_turns", believing)
    monkeypatch.setattr(replies, "RankerError", Exception)
    monkeypatch.setattr(replies, "KINDS", ())
    assert replies.run(400, 1, credit=True)["faults"] > 50
    assert believing is not turn_marks.read_turns


@pytest.mark.parametrize("flaw", ["one too many", "all of one number"])
def test_the_oracle_sees_wrong_numbers_in_a_prompt(monkeypatch, flaw):
    right = prompt.numbered

    def wrong(transcripts):
        if flaw == "one too many":
            return [("<turn 9>\n", *pieces) for pieces in right(transcripts)]
        return [
            tuple(piece.replace("<turn 2>", "<turn 1>") for piece in pieces) for pieces in right(transcripts)
        ]

    monkeypatch.setattr(prompt, "numbered", wrong)
    found = [turns.outcome(attempts, long) for _, attempts, long in (turns.drawn(1, n) for n in range(60))]
    assert sum(result.startswith("fault") for result in found) > 15


def test_the_oracle_sees_a_forged_tag(monkeypatch):
    """Text that is not neutralised is caught."""
    monkeypatch.setattr(
        "ranker.prompting.transcript.neutral", lambda text: text.encode("utf-8", "replace").decode()
    )
    found = [turns.outcome(attempts, False) for _, attempts, _ in (turns.drawn(1, n) for n in range(120))]
    assert any("a forged tag" in result or "numbered" in result for result in found)


def test_a_run_is_drawn_from_its_seed():
    assert json.dumps(turns.drawn(3, 5)) == json.dumps(turns.drawn(3, 5)) != json.dumps(turns.drawn(4, 5))
