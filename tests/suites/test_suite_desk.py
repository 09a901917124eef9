"""Attempts at the returns desk as groups to tune judges on."""

from __future__ import annotations

import pytest

from ranker.prompting.transcript import transcript_of
from ranker.suites import desk_world as desk
from ranker.suites import load


@pytest.mark.parametrize("spec", ["desk", "desk:split=train", "desk:size=8,difficulty=1"])
def test_groups_differ_in_text_and_truth(spec):
    for group in load(spec, 40).groups:
        assert len({t.ground_truth for t in group.trajectories}) > 1
        assert len({transcript_of(t).text for t in group.trajectories}) > len(group) // 2


def test_truth_is_the_checkers_and_groups_are_the_same_however_many_are_made():
    few, many = load("desk", 3, seed=5).groups, load("desk", 9, seed=5).groups
    for a, b in zip(few, many, strict=False):
        assert [t.messages for t in a.trajectories] == [t.messages for t in b.trajectories]
    # An attempt without a call cannot have looked anything up.
    for group in many:
        for t in group.trajectories:
            if not any(m["role"] == "tool" for m in t.messages):
                assert t.ground_truth == 0.0


def test_held_out_letters_are_in_wordings_of_their_own():
    def letters(spec: str) -> set[str]:
        return {str(g.trajectories[0].messages[1]["content"]).split(":")[0] for g in load(spec, 200).groups}

    assert not letters("desk") & letters("desk:split=train")
    assert not set(desk.letters(True)) & set(desk.letters(False))
