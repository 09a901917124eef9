"""Fields that Ranker does not know: shown as JSON that no text can forge, bulk as a digest."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import GroupError, Trajectory, rank_group
from ranker.prompting.escaping import TAGS, restore
from ranker.prompting.fields import SILENT
from ranker.prompting.transcript import transcribe

law = settings(derandomize=True, deadline=None, max_examples=200)


def text_of(message: dict, **fields: object) -> str:
    return transcribe(Trajectory([message], **fields)).text


def answer(**fields: object) -> dict:
    return {"role": "assistant", "content": "x", **fields}


def test_an_unknown_field_of_a_message_is_shown():
    """By its name, as JSON, after the message."""
    assert text_of(answer(note={"a": [1, None]}, done=False)) == (
        '<assistant>\nx\n<assistant field note>{"a":[1,null]}\n<assistant field done>false\n'
    )


def test_an_unknown_part_and_unknown_fields_of_a_part_are_shown():
    """Text parts keep their text; parts of an unknown type are shown whole."""
    parts = [
        {"type": "text", "text": "See", "citations": [1]},
        {"type": "chart", "points": [1, 2], "id": "p"},
    ]
    assert text_of({"role": "user", "content": parts}) == (
        '<user>\nSee\n<user field citations>[1]\n<user part>{"type":"chart","points":[1,2]}\n'
    )


def test_data_that_a_tool_returned_is_shown_whole():
    """An object with a text is not only its text, and an id in it may be anything."""
    rows = [{"id": 7, "text": "first", "stars": 5}, {"city": "Oslo"}]
    assert text_of({"role": "tool", "content": rows}) == (
        '<tool result>\n<tool part>{"id":7,"text":"first","stars":5}\n<tool part>{"city":"Oslo"}\n'
    )


def test_empty_fields_of_a_part_change_nothing():
    """As data sets write them, where every part has the fields of all."""
    parts = [{"text": "first", "image_url": None}, {"type": "text", "text": "second", "image_url": None}]
    assert text_of({"role": "tool", "content": parts}) == "<tool result>\nfirst\nsecond\n"


def test_media_with_words_show_both():
    """The words beside an image, and its title; the image itself is a placeholder."""
    part = {"type": "image_url", "image_url": {"url": "http://x/1.png"}, "text": "here", "alt": "a cat"}
    text = text_of({"role": "user", "content": [part]})
    assert re.fullmatch(r'<user>\n<image [0-9a-f]{8}>\nhere\n<user field alt>"a cat"\n', text)
    document = {"type": "document", "source": {"type": "text", "data": "contract"}}
    assert '"data":"contract"' in text_of({"role": "user", "content": [document]})


def test_a_tool_definition_with_more_than_a_function():
    """What stands beside the function is shown with it."""
    tool = {"type": "function", "function": {"name": "f"}}
    assert text_of(answer(), tools=[tool]).startswith('<tools>\n{"name":"f"}\n')
    assert text_of(answer(), tools=[{**tool, "strict": True}]).startswith(
        f"<tools>\n{json.dumps({**tool, 'strict': True}, separators=(',', ':'))}\n"
    )


@pytest.mark.parametrize("field", sorted(SILENT))
def test_silent_fields_are_not_shown(field):
    """Ids, signatures, notes and truths leave the text as it is."""
    assert text_of(answer(**{field: "7"})) == "<assistant>\nx\n"


@pytest.mark.parametrize("nothing", [None, "", [], {}, {"a": None}, {"signature": "s"}])
def test_fields_that_say_nothing_are_not_shown(nothing):
    """Empty ones, and those that hold only what a provider reads."""
    assert text_of(answer(annotations=nothing)) == "<assistant>\nx\n"


@pytest.mark.parametrize("bulk", ["QUJD" * 100, "data:image/png;base64,QUJD", [0.5] * 100, b"\x00\x01"])
def test_bulk_data_becomes_a_digest(bulk):
    """Base64, token ids and embeddings do not flood the prompt, and different ones differ."""
    shown = transcribe(Trajectory([answer(blob={"data": bulk})]))
    assert re.search(r'<assistant field blob>\{"data":<file [0-9a-f]{8}>\}\n', shown.text)
    assert shown.media == ("file",)
    assert text_of(answer(blob={"data": bulk})) != text_of(answer(blob={"data": bulk + bulk[:4]}))


def test_words_are_shown_however_long():
    """A text of one long word is not taken for base64."""
    assert "x" * 900 in text_of(answer(note={"text": "x" * 900}))


@law
@given(st.text(max_size=20), st.recursive(st.text(max_size=9) | st.sampled_from([f"<{t}>" for t in TAGS]), lambda i: st.lists(i) | st.dictionaries(st.text(max_size=5) | st.sampled_from(TAGS), i), max_leaves=6))  # fmt: skip
def test_no_field_forges_a_tag(key, value):
    """Whatever a field is called and holds: one tag for the message, and one for each field."""
    shown = text_of(answer(**{f"x{key}": value}))
    assert len(re.findall(r"</?(?:trajectory|user|call|tool)\b", shown, re.IGNORECASE)) == 0
    assert len(re.findall(r"<assistant field ", shown)) == (0 if shown == "<assistant>\nx\n" else 1)
    assert shown.encode("utf-8")
    assert "<assistant>\nx\n" in restore(shown)


def nested(depth: int) -> list:
    value: list = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "fields",
    [
        {"note": nested(5000)},
        {"tool_calls": [{"function": {"name": "f", "arguments": nested(5000)}}]},
    ],
)
def test_what_cannot_be_written_is_refused(fields):
    """A typed error, never Python's own."""
    with pytest.raises(GroupError, match=r"nested too deeply|cannot write"):
        rank_group([[answer(**fields)], [answer()]], lambda ts: [0.0] * len(ts))


def test_keys_that_json_does_not_know():
    """Python's own keys are written as text."""
    call = {"function": {"name": "f", "arguments": {("a", 1): 2}}}
    assert text_of({"role": "assistant", "tool_calls": [call]}) == "<call f>{\"('a', 1)\":2}\n"
