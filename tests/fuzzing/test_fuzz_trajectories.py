"""The short form of the fuzzer of trajectories; the long one is `make fuzz`."""

from __future__ import annotations

from ranker.prompting.escaping import neutral
from tests.fuzzing import trajectories
from tests.fuzzing.dialects import DIALECTS


def test_no_difference_vanishes():
    """1,500 pairs in eleven dialects: shown, warned of by name, or refused by name. No pair is left to chance."""
    record = trajectories.run(1_500, seed=7)
    assert record["faults"] == 0, record["examples"]
    assert len(record["outcomes"]) == len(DIALECTS) == 11
    assert sum(record["total"].values()) == 1_500
    assert all(counts["shown"] >= 30 for counts in record["outcomes"].values()), record["outcomes"]
    assert record["total"]["warned"] > 20


def test_a_run_is_drawn_from_its_seed():
    """The same seed gives the same pairs, another seed others."""
    assert trajectories.pair(3, 5) == trajectories.pair(3, 5)
    assert trajectories.pair(3, 5) != trajectories.pair(4, 5)


def test_the_oracle_sees_a_silent_tie():
    """A difference that is really the same attempt is no renaming, so a tie on it counts as a fault."""
    one = {"messages": [{"role": "user", "content": "x"}]}
    change = trajectories.Change(one, one, ("messages", 0, "content"), "change")
    assert trajectories.outcome(change).startswith("fault: a silent tie, content is named nowhere")
    swapped = {"messages": [{"role": "user", "content": "y"}]}
    assert (
        trajectories.outcome(trajectories.Change(one, swapped, ("messages", 0, "content"), "change"))
        == "shown"
    )


def test_the_texts_it_draws_hold_hostile_ones():
    """Some of what is drawn must be neutralised, or the check of structure checks nothing."""
    texts = [str(trajectories.pair(0, number)[1].one) for number in range(60)]
    assert any(neutral(text) != text for text in texts)
