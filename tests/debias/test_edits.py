"""Edits: on real attempts and on odd ones, the same for the same seed, and never a change to the attempt itself."""

from __future__ import annotations

import copy
import json

import pytest

from ranker import ConfigurationError, Trajectory
from ranker.debias.covariates import (
    check_covariates,
    formatting,
    length,
    measure,
    own_words,
    tool_calls,
    turns,
)
from ranker.debias.edits import EDITS, Edit, chosen, edited, innocent
from ranker.errors import GroupError
from ranker.jsonl.group_file import read_groups

CALL = {"id": "c1", "type": "function", "function": {"name": "look_up", "arguments": '{"order": 7}'}}
WORKED = Trajectory(
    [
        {"role": "system", "content": "Rules."},
        {"role": "user", "content": "My kettle is broken."},
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "tool", "tool_call_id": "c1", "content": '{"state": "faulty"}'},
        {"role": "assistant", "content": "Your kettle was replaced. It comes on Monday. Have a good day."},
    ],
    id="secret-id",
    ground_truth=1.0,
)
UNFINISHED = Trajectory(WORKED.messages[:4])


@pytest.mark.parametrize("name", EDITS)
def test_an_edit_is_the_same_for_the_same_seed_and_leaves_the_original_alone(name):
    before = copy.deepcopy(WORKED.messages)
    first, again = edited(EDITS[name], WORKED, 3), edited(EDITS[name], WORKED, 3)
    assert first == again
    assert WORKED.messages == before
    assert first is not None
    assert first.messages != WORKED.messages
    assert (first.id, first.ground_truth) == (None, None)


@pytest.mark.parametrize("name", EDITS)
def test_edits_take_real_attempts(name, real_groups):
    """Every edit applies to a real attempt or says that it does not; what comes out is a trajectory."""
    applied = 0
    groups = [group for file in sorted(real_groups.iterdir()) for group in read_groups(file)[:6]]
    for group in groups:
        for trajectory in group.trajectories[:2]:
            result = edited(EDITS[name], trajectory)
            applied += result is not None
            json.dumps([] if result is None else list(result.messages), default=str)
    assert applied > 0 or name in ("idle_call", "unearned"), "these need tools and turns"


def test_an_attempt_without_a_reply_gets_one_or_stays_as_it_is():
    padded = edited(EDITS["padding"], UNFINISHED)
    assert padded is not None
    assert padded.messages[-1]["role"] == "assistant"
    assert padded.messages[:-1] == UNFINISHED.messages
    assert edited(EDITS["repetition"], UNFINISHED) is None
    assert edited(EDITS["unearned"], UNFINISHED) is None


def test_unearned_keeps_the_claim_and_drops_the_work():
    bare = edited(EDITS["unearned"], WORKED)
    assert bare is not None
    assert [m["role"] for m in bare.messages] == ["system", "user", "assistant"]
    assert bare.messages[-1] == WORKED.messages[-1]


def test_cutting_off_makes_shorter():
    cut = edited(EDITS["cut_off"], WORKED)
    assert cut is not None
    assert length(cut) < length(WORKED)


@pytest.mark.parametrize("name", [n for n, e in EDITS.items() if e.control])
def test_a_control_is_about_as_long_as_what_its_edit_adds(name):
    result, control = edited(EDITS[name], WORKED), innocent(EDITS[name], WORKED)
    assert result is not None
    assert control is not None

    def size(t):
        return len(json.dumps(list(t.messages)))

    added, innocent_added = size(result) - size(WORKED), size(control) - size(WORKED)
    assert 0.5 * added <= innocent_added <= 1.5 * added


def test_parts_of_content_are_edited_in_their_text():
    trajectory = Trajectory(
        [
            {"role": "user", "content": "q"},
            {"role": "assistant", "content": [{"type": "text", "text": "One. Two."}]},
        ]
    )
    padded = edited(EDITS["padding"], trajectory)
    assert padded is not None
    assert padded.messages[-1]["content"][0]["text"].startswith("One. Two. ")


MIXED = [
    ["Your kettle was replaced:", {"type": "text", "text": "It comes on Monday. Have a good day."}],
    [{"type": "text", "text": "Your kettle was replaced."}, "It comes on Monday. Have a good day.", ""],
    [{"text": "Your kettle was replaced. It comes on Monday."}, {"image": "kettle.png", "text": None}],
]


@pytest.mark.parametrize("name", EDITS)
@pytest.mark.parametrize("content", MIXED)
@pytest.mark.parametrize("field", ["content", "parts"])
def test_parts_of_every_form_are_edited_and_the_others_stay(name, content, field):
    reply = {"role": "assistant", "content": None, field: content}
    attempt = Trajectory([*WORKED.messages[:4], reply])
    assert own_words(attempt) > 12
    copy = edited(EDITS[name], attempt)
    assert copy is not None
    Trajectory(copy.messages)  # valid
    assert (innocent(EDITS[name], attempt) is None) == (not EDITS[name].control)
    changed = copy.messages[-1]
    if name not in ("idle_call", "unearned"):
        assert changed.keys() == reply.keys()
        assert sum(a != b for a, b in zip(changed[field], content, strict=True)) == 1


@pytest.mark.parametrize(
    ("call", "more"),
    [
        ({"id": "c1", "function": "look_up", "arguments": {"order": 7}}, 0),
        ({"function": None, "name": "look_up", "arguments": {"order": 7}}, 2),
        (json.dumps(CALL), 0),
    ],
)
def test_calls_in_other_forms_are_edited_and_measured_as_the_usual_one(call, more):
    before, _, *after = WORKED.messages[1:]
    attempt = Trajectory([before, {"role": "assistant", "content": None, "tool_calls": [call]}, *after])
    idle = edited(EDITS["idle_call"], attempt)
    assert idle is not None
    assert idle.messages[3]["tool_calls"][0]["function"] == {"name": "look_up", "arguments": "{}"}
    assert innocent(EDITS["idle_call"], attempt) is not None
    assert own_words(attempt) == own_words(WORKED) + more, "an empty field is two words"


def test_a_tool_without_a_name_is_not_called():
    said = [{"role": "assistant", "content": "Your kettle was replaced."}]
    nameless = [{"type": "function", "function": {}}, {"type": "web_search"}]
    assert edited(EDITS["idle_call"], Trajectory(said, nameless)) is None
    idle = edited(EDITS["idle_call"], Trajectory(said, [*nameless, {"name": "look_up", "input_schema": {}}]))
    assert idle is not None
    assert idle.messages[0]["tool_calls"][0]["function"]["name"] == "look_up"


def test_edits_of_ones_own():
    shout = Edit.of("shout", lambda t: Trajectory([*t.messages, {"role": "assistant", "content": "!"}]))
    result = edited(shout, WORKED)
    assert result is not None
    assert result.messages[-1]["content"] == "!"
    assert shout.worth == "worse"


def test_an_unknown_edit_is_answered_with_the_nearest_name():
    with pytest.raises(ConfigurationError, match="Did you mean 'padding'"):
        chosen(["pading"])


def test_covariates_of_an_attempt():
    assert turns(WORKED) == 2
    assert tool_calls(WORKED) == 1
    bullets = Trajectory([{"role": "assistant", "content": "# Title\n- **one** two\n- three"}])
    assert formatting(bullets) > 0 == formatting(WORKED)
    assert own_words(Trajectory([{"role": "assistant", "content": "日本語です two words"}])) == 7
    assert length(WORKED) > length(UNFINISHED) > length(Trajectory(WORKED.messages[:2]))


def test_covariates_are_scaled_within_the_lineup():
    short, long = (Trajectory([{"role": "assistant", "content": "word " * n}]) for n in (1, 9))
    assert measure("length", [short, long, short]) == [0.0, 1.0, 0.0]
    assert measure("length", [short, short]) == [0.0, 0.0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "3", True])
def test_a_covariate_must_be_a_finite_number(value):
    def odd(_):
        return value

    with pytest.raises(GroupError, match="covariate odd"):
        measure(odd, [WORKED, UNFINISHED])


@pytest.mark.parametrize("wrong", [(), ("lenght",), ("length", "length"), (3,)])
def test_covariates_are_checked(wrong):
    with pytest.raises(ConfigurationError):
        check_covariates(wrong)
