"""What is shown of a group."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ranker.labelling.view import Block, View, view_of
from ranker.pages import visible
from ranker.trajectory import Trajectory, TrajectoryGroup


def shown(*conversations, **more) -> View:
    members = [Trajectory(messages) for messages in conversations]
    return view_of(TrajectoryGroup(members, **more), range(len(members)))


def say(text, role="assistant", **more):
    return {"role": role, "content": text, **more}


def texts(view: View) -> list[str]:
    blocks = [*view.shared, *(b for a in view.attempts for b in (*a.steps, *a.last))]
    return [text for b in blocks for text in (b.who, b.text)]


def test_shared_beginnings_are_shown_once_and_the_last_message_apart():
    ask, call = (
        say("Why?", "user"),
        say("Look.", tool_calls=[{"id": "c", "function": {"name": "look", "arguments": "{}"}}]),
    )
    found = say('{"a":1}', "tool", tool_call_id="c")
    view = shown([ask, call, found, say("So.")], [ask, call, found, say("Thus."), say("Thanks.", "user")])
    assert [b.who for b in view.shared] == ["user", "assistant", "calls look", "result of look"]
    assert [a.steps for a in view.attempts] == [(), ()]
    assert [[b.text for b in a.last] for a in view.attempts] == [["So."], ["Thus.", "Thanks."]]


def test_equal_attempts_keep_a_message_each():
    view = shown([say("Same.")], [say("Same.")])
    assert view.shared == ()
    assert [a.last for a in view.attempts] == [(Block("assistant", "assistant", "Same."),)] * 2


def test_every_part_of_a_message_is_shown():
    message = {
        "role": "assistant", "content": [{"type": "text", "text": "Words."}, {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 5000}}],
        "reasoning_content": "Thought.", "refusal": "Refused.", "annotations": [{"note": "Noted."}], "function_call": {"name": "old", "arguments": '{"x": 2}'},
    }  # fmt: skip
    both = texts(shown([message], [say("Other.")]))
    for part in ("Words.", "Thought.", "Refused.", "Noted.", "calls old", '"x": 2', "5,022 characters"):
        assert any(part in text for text in both), part
    assert max(map(len, both)) < 500


@pytest.mark.parametrize(
    ("parts", "shows"),
    [
        (2, ["assistant", "", "assistant, parts", "2"]),
        (
            {"text": "The whole answer."},
            ["assistant", "", "assistant, parts", '{\n  "text": "The whole answer."\n}'],
        ),
        (["The whole ", {"text": "answer."}], ["assistant", "The whole ", "assistant", "answer."]),
        ([], ["assistant", ""]),
    ],
)
def test_parts_are_the_content_or_a_field_like_any_other(parts, shows):
    assert texts(shown([say(None, parts=parts)], [say("Other.")]))[:-2] == shows
    both = texts(shown([say("Said.", parts=parts)], [say("Other.")]))
    assert both[:2] == ["assistant", "Said."]
    assert ("assistant, parts" in both) == (parts != [])


def test_tools_and_further_conversations_are_shown():
    tools = [{"type": "function", "function": {"name": "look", "description": "Looks."}}]
    same = view_of(
        TrajectoryGroup([Trajectory([say("a")], tools=tools), Trajectory([say("b")], tools=tools)]), (1, 0)
    )
    assert [b.who for b in same.shared] == ["1 tool available"]
    assert [a.last[0].text for a in same.attempts] == ["b", "a"]
    other = view_of(
        TrajectoryGroup(
            [Trajectory([say("a")], tools=tools, histories=[[say("inner")]]), Trajectory([say("b")])]
        ),
        (0, 1),
    )
    assert other.shared == ()
    assert [b.text for b in other.attempts[0].steps][1:] == ["", "inner"]
    assert "Looks." in other.attempts[0].steps[0].text


ANY = st.text(st.characters(exclude_categories=()), max_size=40)


@given(ANY, ANY, ANY)
def test_no_text_keeps_characters_that_do_something(text, name, arguments):
    message = say(
        text, name=name, tool_calls=[{"id": "c", "function": {"name": name, "arguments": arguments}}]
    )
    view = shown([message, say(text, "tool", tool_call_id="c")], [say("b")], task=text, rubric=text)
    for part in (*texts(view), view.task, view.rubric):
        assert part == visible(part)
        assert not {c for c in part if ord(c) < 32} - {"\n", "\t"}
        json.dumps(part, ensure_ascii=False).encode()
    assert all("\n" not in b.who for a in view.attempts for b in (*a.steps, *a.last))
