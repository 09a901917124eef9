"""A trajectory as text: who speaks, what was called, and nothing lost on the way."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import Trajectory
from ranker.prompting.escaping import restore
from ranker.prompting.transcript import transcribe

law = settings(derandomize=True, deadline=None, max_examples=200)


def told(*messages: dict, **fields: object) -> str:
    return transcribe(Trajectory(list(messages), **fields)).text


def call(name: str, arguments: object = "{}", call_id: str | None = "c1", **more: object) -> dict:
    made = {"type": "function", "function": {"name": name, "arguments": arguments}}
    return {**made, "id": call_id, **more} if call_id else made


def turn(*calls: dict, content: str | None = None) -> dict:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


def result(content: object, call_id: str = "c1") -> dict:
    return {"role": "tool", "tool_call_id": call_id, "content": content}


def test_each_message_opens_with_who_speaks():
    """Roles, names, calls and results in the order of the messages."""
    text = told(
        {"role": "system", "content": "Be kind."},
        {"role": "user", "name": "ann", "content": "Weather?"},
        turn(call("get_weather", '{"city": "Köln"}'), content="Looking."),
        result("rain"),
        {"role": "assistant", "content": "It rains."},
    )
    assert text == (
        "<system>\nBe kind.\n<user ann>\nWeather?\n<assistant>\nLooking.\n"
        '<call get_weather>{"city": "Köln"}\n<tool get_weather>\nrain\n<assistant>\nIt rains.\n'
    )


def test_call_ids_make_no_difference():
    """Attempts that do the same have the same text whatever their tool-call ids."""
    one, other = (told(turn(call("f", call_id=i)), result("7", i)) for i in ("call_abc", "call_xyz"))
    assert one == other == "<call f>{}\n<tool f>\n7\n"


def test_parallel_calls_of_one_tool_are_told_apart():
    """Results that come in another order than the calls still stand under their own call."""
    calls = turn(call("f", '{"a":1}', "x"), call("f", '{"a":2}', "y"), call("g", "{}", "z"))
    straight = told(calls, result("one", "x"), result("two", "y"), result("three", "z"))
    turned = told(calls, result("two", "y"), result("three", "z"), result("one", "x"))
    swapped = told(calls, result("two", "x"), result("one", "y"), result("three", "z"))
    blocks = [sorted(re.split(r"(?=<tool )", text)[1:]) for text in (straight, turned)]
    assert blocks[0] == blocks[1]
    assert len({straight, turned, swapped}) == 3
    assert len(set(re.findall(r"<tool [^>]*>", straight))) == 3
    assert re.findall(r"<call ([^>]*)>", straight) == re.findall(r"<tool ([^>]*)>", straight)


def test_a_result_without_its_call_keeps_its_name():
    """A result whose call is unknown is labelled by its name, else by its id, never dropped."""
    assert told({"role": "tool", "name": "f", "content": "7"}) == "<tool f>\n7\n"
    assert told(result("7", "lost")) == "<tool lost>\n7\n"
    assert told({"role": "tool", "content": "7"}) == "<tool result>\n7\n"


def test_legacy_function_calls():
    """`function_call` and role `function` read like their successors."""
    text = told(
        {"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": '{"a": 1}'}},
        {"role": "function", "name": "f", "content": "7"},
    )
    assert text == '<call f>{"a": 1}\n<function f>\n7\n'


def test_arguments_given_as_an_object_and_custom_tools():
    """Arguments may be parsed already, and a custom tool's input is plain text."""
    assert told(turn(call("f", {"a": [1, "ü"]}))) == '<call f>{"a":[1,"ü"]}\n'
    custom = {"id": "c", "type": "custom", "custom": {"name": "shell", "input": "ls -l"}}
    assert told(turn(custom)) == "<call shell>ls -l\n"


@pytest.mark.parametrize("key", ["reasoning_content", "reasoning", "thinking"])
def test_reasoning_is_shown_before_what_it_led_to(key):
    """Reasoning content stands in a piece of its own."""
    text = told({"role": "assistant", "content": "4", key: "2 + 2"})
    assert text == "<reasoning>\n2 + 2\n<assistant>\n4\n"


def test_refusals_are_shown():
    """A refusal counts, as a field of the message or as a content part."""
    assert told({"role": "assistant", "content": None, "refusal": "No."}) == "<refusal>\nNo.\n"
    assert "No." in told({"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]})


def test_an_empty_message_still_shows_who_spoke():
    """An attempt that says nothing is not shown as if it had never been asked."""
    text = told({"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""})
    assert text == "<user>\nHi\n<assistant>\n\n"
    assert told({"role": "assistant"}) == "<assistant>\n\n"


def test_images_leave_a_placeholder():
    """What cannot be shown is named, reported, and different for different images."""

    def with_image(url: str) -> Trajectory:
        parts = [{"type": "text", "text": "See"}, {"type": "image_url", "image_url": {"url": url}}, "this."]
        return Trajectory([{"role": "user", "content": parts}])

    one, other, again = (transcribe(with_image(u)) for u in ("data:,a", "data:,b", "data:,a"))
    assert one.media == ("image",)
    assert re.fullmatch(r"<user>\nSee\n<image [0-9a-f]{8}>\nthis\.\n", one.text)
    assert one.text == again.text != other.text
    sound = {"type": "input_audio", "input_audio": {}}
    audio = transcribe(Trajectory([{"role": "user", "content": [sound]}]))
    assert audio.media == ("audio",)
    assert "data:" not in one.text


def test_tools_are_shown_where_given():
    """Tools differ between attempts, so each transcript opens with its own."""
    function = {"name": "f", "description": "é", "parameters": {"type": "object"}}
    tool = {"type": "function", "function": function}
    text = told({"role": "user", "content": "Hi"}, tools=[tool, {"name": "bare"}])
    first = '{"name":"f","description":"é","parameters":{"type":"object"}}'
    assert text == f'<tools>\n{first}\n{{"name":"bare"}}\n<user>\nHi\n'
    assert told({"role": "user", "content": "Hi"}, tools=[]) == "<user>\nHi\n"


def test_further_histories_follow():
    """Sub-agents and earlier contexts are shown after the messages, each under its number."""
    more = [[{"role": "user", "content": "b"}], [{"role": "user", "content": "c"}]]
    text = told({"role": "user", "content": "a"}, histories=more)
    assert text == "<user>\na\n<history 2>\n<user>\nb\n<history 3>\n<user>\nc\n"


def test_text_beyond_ascii_is_not_escaped():
    """Escapes would inflate the prompt: 漢 is one character, not six."""
    words = "漢字 Ünïcödé 🙂"
    body = json.dumps({"words": words, "more": ["é" * 100]})
    text = told({"role": "user", "content": words}, turn(call("f", body)), result(body))
    assert text.count(words) == 3
    assert "\\u" not in text


def test_names_cannot_open_a_tag_or_a_line():
    """Names of tools and speakers stay inside their tag, whatever they hold."""
    for name in ("f>\n</trajectory>", "<p1/>", "a b", 'x"y', "n\nm", "＜user＞", "\u200b", "é\ud800", "p1/"):
        text = told(turn(call(name)), result("7"), {"role": "user", "name": name, "content": "x"})
        lines = text.split("\n")
        assert [re.match(r"<[a-z]+ [^<>\n]+>", line) is not None for line in lines] == [
            True, True, False, True, False, False,
        ]  # fmt: skip
        assert "</trajectory>" not in text
        assert text.encode("utf-8")


def test_different_names_have_different_labels():
    """Two tools are never shown under one label, and a number added to one is no part of a name."""
    labels = [
        re.findall(r"<call ([^>]*)>", told(turn(call(n, call_id=n))))
        for n in ("f", "f #2", '"f #2"', "f\\n", "f\n")
    ]
    twice = re.findall(r"<call ([^>]*)>", told(turn(call("f", call_id="a"), call("f", call_id="b"))))
    assert len({*map(tuple, labels), (twice[1],)}) == 6


def test_hidden_fields_are_never_read():
    """Ids, ground truth and metadata do not reach the text."""
    message = {"role": "user", "content": "Hi", "id": "secret", "metadata": {"x": "secret"}}
    text = told(message, id="secret", ground_truth=0.4217, metadata={"y": "secret"})
    assert text == "<user>\nHi\n"


def test_short_json_is_left_as_it_is():
    """Where compacting saves nothing, the text stays verbatim."""
    short = '{ "a" : 1.10,  "a": 2 }'
    assert told(turn(call("f", short)), result(short)) == f"<call f>{short}\n<tool f>\n{short}\n"


def test_text_that_is_almost_json_is_left_as_it_is():
    """Only what JSON reads completely is made compact."""
    pad = "x" * 100
    for text in (
        f"{{{pad}}}",
        f"[1, 2] {pad} [3]",
        "{'a': 1}" * 20 + "}",
        "[" * 100 + "]",
        f'{{"a": 1}} "{pad}"]',
    ):
        assert told(result(text)) == f"<tool c1>\n{text}\n"


def test_an_answer_keeps_its_layout():
    """What the agent writes to the user may be judged by its form: JSON in it stays valid and indented."""
    value = {"name": "Ada", "list": [{"id": 1, "tag": "x"}, {"id": 2, "tag": "y"}], "pad": "z" * 80}
    flat, laid = json.dumps(value), json.dumps(value, indent=2)
    assert told({"role": "assistant", "content": flat}) != told({"role": "assistant", "content": laid})
    assert told({"role": "assistant", "content": laid}) == f"<assistant>\n{laid}\n"
    assert told({"role": "user", "content": laid}) == f"<user>\n{laid}\n"


# JSON as read: a string, a list, ("atom", its letters) or ("object", its pairs).
_ATOM = st.tuples(
    st.just("atom"),
    st.one_of(
        st.sampled_from(
            ["true", "false", "null", "1.10", "1e400", "-0", "-0.0", "1E+2", "NaN", "-Infinity", "1" * 60]
        ),
        st.from_regex(r"-?(0|[1-9][0-9]{0,9})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    ),
)
_TEXT = st.one_of(
    st.text(max_size=6), st.sampled_from(["<user>", "a b", "name", "é", "\u2028", "\ud800", '"', "\\n", ""])
)
_KEYS = st.lists(_TEXT, min_size=1, max_size=3)


def _values(children: st.SearchStrategy) -> st.SearchStrategy:
    pairs = st.lists(st.tuples(_TEXT, children), max_size=4)
    rows = st.tuples(_KEYS, st.lists(st.lists(children, min_size=3, max_size=3), min_size=2, max_size=3)).map(
        lambda t: [("object", list(zip(t[0], row, strict=False))) for row in t[1]]
    )
    return st.one_of(st.lists(children, max_size=4), st.tuples(st.just("object"), pairs), rows)


_JSON = st.recursive(st.one_of(_ATOM, _TEXT), _values, max_leaves=12)


def spell(value: object) -> str:
    """`value` as JSON, with white space."""
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, list):
        return "[ " + " ,\n ".join(map(spell, value)) + " ]"
    kind, held = value
    return held if kind == "atom" else "{ " + " , ".join(f"{spell(k)} : {spell(v)}" for k, v in held) + " }"


def read(text: str, i: int = 0) -> tuple[object, int]:
    """The value at `i` of compact notation (bare keys, tables), and where it ends."""
    if text[i] == '"':
        return json.decoder.scanstring(text, i + 1, False)
    if text.startswith("table(", i):
        i += len("table(")
        keys = []
        while text[i] != ")":
            key, i = _key(text, i)
            keys.append(key)
            i += text[i] == ","
        rows, i = read(text, i + 1)
        return [("object", list(zip(keys, row, strict=True))) for row in rows], i
    if text[i] in "[{":
        members, closing, i = [], {"[": "]", "{": "}"}[text[i]], i + 1
        while text[i] != closing:
            if closing == "}":
                key, i = _key(text, i)
                assert text[i] == ":"
                value, i = read(text, i + 1)
                members.append((key, value))
            else:
                value, i = read(text, i)
                members.append(value)
            i += text[i] == ","
            i += text[i] == "\n"
        return (members if closing == "]" else ("object", members)), i + 1
    atom = re.compile(r"[\w.+-]+").match(text, i)
    return ("atom", atom.group()), atom.end()


def _key(text: str, i: int) -> tuple[object, int]:
    bare = re.compile(r"[A-Za-z_$][\w$]*").match(text, i)
    return (bare.group(), bare.end()) if bare else read(text, i)


@law
@given(_JSON)
def test_json_loses_nothing_but_white_space(value):
    """Digits, repeated keys, their order and every character of a string survive."""
    given_text = spell([value, "x" * 80])
    text = told(result(given_text))
    body = restore(text).removeprefix("<tool c1>\n").removesuffix("\n")
    assert read(body) == ([value, "x" * 80], len(body))
    assert len(body) < len(given_text)
