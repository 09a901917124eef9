"""What a user may hand in, and what each malformed input is told."""

from __future__ import annotations

import json
import math
from enum import Enum, StrEnum

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types.chat import ChatCompletionMessage

from ranker import GroupError, RankerError, Trajectory, TrajectoryGroup, rank_group
from ranker.prompting.transcript import transcribe
from ranker.trajectory import as_group

law = settings(derandomize=True, deadline=None, max_examples=300)
HI = {"role": "user", "content": "Hi"}
YES = {"role": "assistant", "content": "yes"}


def sdk(**fields: object) -> ChatCompletionMessage:
    return ChatCompletionMessage.model_validate({"role": "assistant", "content": None, **fields})


def test_a_group_stays_as_it_is():
    """A TrajectoryGroup passes through; a task given with it is added, everything else kept."""
    group = TrajectoryGroup([Trajectory([HI])], "g", rubric="r", metadata={"x": 1})
    assert as_group(group) is group
    told = as_group(group, "Do it.")
    assert (told.task, told.id, told.rubric, told.metadata) == ("Do it.", "g", "r", {"x": 1})
    assert told.trajectories == group.trajectories


def test_lists_of_trajectories_message_lists_and_strings():
    """Every form gives the same attempts, in the order given."""
    by_lists = as_group([[HI, YES], (YES,)])
    assert by_lists == as_group([Trajectory([HI, YES]), Trajectory([YES])])
    assert as_group(([HI, YES], Trajectory([YES]))) == by_lists
    assert TrajectoryGroup([[HI, YES], Trajectory([YES])]) == by_lists
    strings = as_group(["yes", "no"], task="Well?")
    assert strings.task == "Well?"
    assert [t.messages[0] for t in strings.trajectories] == [
        {"role": "assistant", "content": "yes"},
        {"role": "assistant", "content": "no"},
    ]


def test_messages_of_the_openai_sdk():
    """What `client.chat.completions.create` returns can stand among dicts, tool calls included."""
    calls = [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}]
    with_sdk = Trajectory(
        [HI, sdk(tool_calls=calls), {"role": "tool", "tool_call_id": "c", "content": "7"}, sdk(content="7")]
    )
    plain = Trajectory(
        [
            HI,
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": "c", "content": "7"},
            {"role": "assistant", "content": "7"},
        ]
    )
    assert transcribe(with_sdk) == transcribe(plain)
    assert all(isinstance(m, dict) for m in with_sdk.messages)
    mixed = {"role": "assistant", "tool_calls": sdk(tool_calls=calls).tool_calls}
    assert transcribe(Trajectory([mixed])).text == '<call f>{"a": 1}\n'
    assert as_group([[sdk(content="a")], [sdk(content="b")]]).trajectories[1].messages[0]["content"] == "b"


def test_a_legacy_function_call_of_the_sdk_is_not_dropped():
    """A call given as an object inside a dict is shown like one given as a dict."""
    call = sdk(function_call={"name": "f", "arguments": "{}"})
    assert transcribe(Trajectory([call])).text == "<call f>{}\n"
    inside = {"role": "assistant", "content": None, "function_call": call.function_call}
    assert transcribe(Trajectory([inside])).text == "<call f>{}\n"


def test_messages_are_copied():
    """Changing a list afterwards does not change the trajectory."""
    messages = [dict(HI)]
    trajectory = Trajectory(messages)
    messages.append(YES)
    messages[0]["content"] = "changed"
    assert [m["content"] for m in trajectory.messages] == ["Hi"]


BAD_MESSAGES = {
    "unknown role": ({"role": "robot", "content": "x"}, "role 'robot'"),
    "no role": ({"content": "x"}, "role None"),
    "role is a list": ({"role": ["user"], "content": "x"}, "role"),
    "content is a number": ({"role": "user", "content": 7}, "int"),
    "content is bytes": ({"role": "user", "content": b"x"}, "bytes"),
    "content is an object": ({"role": "user", "content": {"text": "x"}}, "content"),
    "part is a number": ({"role": "user", "content": ["x", 7]}, "content part 1"),
    "part without text": ({"role": "user", "content": [{"type": "text"}]}, "content part 0"),
    "part with text null": ({"role": "user", "content": [{"type": "text", "text": None}]}, "content part 0"),
    "message is a string": ("Hi", "str"),
    "message is null": (None, "NoneType"),
    "calls are no list": ({"role": "assistant", "tool_calls": {"id": "c"}}, "tool_calls"),
    "call is a string": ({"role": "assistant", "tool_calls": ["f"]}, "tool call 0"),
    "call without name": ({"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}, "tool call 0"),
    "call with name 7": ({"role": "assistant", "tool_calls": [{"function": {"name": 7}}]}, "tool call 0"),
    "function call without name": ({"role": "assistant", "function_call": {"arguments": "{}"}}, "function"),
    "function call with name 7": ({"role": "assistant", "function_call": {"name": 7}}, "function"),
    "call id is a list": ({"role": "tool", "tool_call_id": ["c"], "content": "x"}, "tool_call_id"),
}


@pytest.mark.parametrize("name", BAD_MESSAGES)
def test_a_malformed_message_is_named_by_its_place(name):
    """Which trajectory, which message, and what is wrong with it."""
    bad, told = BAD_MESSAGES[name]
    with pytest.raises(GroupError) as caught:
        Trajectory([HI, bad], id="mine")
    assert "'mine'" in str(caught.value)
    assert "message 1" in str(caught.value)
    assert told in str(caught.value)
    with pytest.raises(GroupError, match=r"Member 1 .*message 0"):
        as_group([[HI], [bad]])


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"messages": []}, "no messages"),
        ({"messages": "Hi"}, "list of chat messages"),
        ({"messages": HI}, "list of chat messages"),
        ({"messages": None}, "list of chat messages"),
        ({"messages": iter([HI])}, "list of chat messages"),
        ({"ground_truth": math.nan}, "nan"),
        ({"ground_truth": math.inf}, "inf"),
        ({"ground_truth": "1"}, "'1'"),
        ({"ground_truth": 10**400}, "ground_truth"),
        ({"tools": "search"}, "tools"),
        ({"tools": {"name": "f"}}, "tools"),
        ({"tools": ["search"]}, "tool 0"),
        ({"metadata": [1]}, "metadata"),
        ({"metadata": None}, "metadata"),
        ({"histories": [[]]}, "history 0"),
        ({"histories": [[HI], [{"role": "robot"}]]}, "history 1, message 0"),
        ({"histories": "Hi"}, "histor"),
        ({"histories": 5}, "histor"),
        ({"histories": [None]}, "history 0"),
    ],
)
def test_a_malformed_trajectory_is_named(fields, told):
    """By its id, with the field at fault."""
    with pytest.raises(GroupError) as caught:
        Trajectory(**{"messages": [HI], "id": "mine", **fields})
    assert "mine" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("wrong", [7.0, True, ["a"], b"a"])
def test_an_id_must_be_text_or_an_integer(wrong):
    """An integer, as data frames count in, is written as text; anything else is refused."""
    assert Trajectory([HI], id=7).id == "7"
    assert TrajectoryGroup([[HI]], id=7).id == "7"
    with pytest.raises(GroupError, match="must be a string or an integer"):
        Trajectory([HI], id=wrong)
    with pytest.raises(GroupError, match="must be a string or an integer"):
        TrajectoryGroup([[HI]], id=wrong)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"trajectories": []}, "empty"),
        ({"trajectories": None}, "empty"),
        ({"trajectories": iter([])}, "empty"),
        ({"trajectories": 5}, "int"),
        ({"trajectories": "yes", "task": "Well?"}, "str"),
        ({"trajectories": {"id": "a"}, "task": "Well?"}, "dict"),
        (
            {"trajectories": [Trajectory([HI], id="a"), Trajectory([HI], id="b"), Trajectory([YES], id="a")]},
            "twice: 'a'",
        ),
        ({"task": 7}, "task must be a string"),
        ({"rubric": ["x"]}, "rubric must be a string"),
    ],
)
def test_a_malformed_group_is_named(fields, told):
    """By its id, with what is wrong."""
    with pytest.raises(GroupError) as caught:
        TrajectoryGroup(**{"trajectories": [Trajectory([HI])], "id": "g7", **fields})
    assert "'g7'" in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("given_group", "told"),
    [
        ([], "empty"),
        ("a string", "str"),
        (b"bytes", "bytes"),
        ({"trajectories": []}, "empty"),
        ({"id": "a"}, "dict"),
        ({"trajectories": [{"id": "a"}]}, 'trajectory 0: it has no "messages"'),
        (None, "NoneType"),
        (7, "int"),
        (iter([[HI]]), "list_iterator"),
        (["a", "b"], "task="),
        ([7], "Member 0"),
        ([[HI], None], "Member 1"),
        ([HI, YES], "Member 0"),
        ([[HI], []], "Member 1 of the group: trajectory has no messages"),
    ],
)
def test_what_is_no_group_is_told_so(given_group, told):
    """With what was given and what would do."""
    with pytest.raises(GroupError) as caught:
        as_group(given_group)
    assert told in str(caught.value)
    with pytest.raises(GroupError):
        rank_group(given_group, lambda ts: [[i] for i in range(len(ts))])


@law
@given(st.lists(st.sampled_from([None, "0", "1", "2", "#0", "#1", "##0", "x"]), min_size=1, max_size=5))
def test_every_trajectory_has_an_id_of_its_own(ids):
    """Positions stand in for missing ids and never meet a given one: no reward is lost in a dict by id."""
    if len([i for i in ids if i]) != len({i for i in ids if i}):
        return
    made = TrajectoryGroup([Trajectory([HI], id=i) for i in ids]).ids
    assert len(set(made)) == len(ids)
    assert all(isinstance(i, str) for i in made)
    assert [m for m, i in zip(made, ids, strict=True) if i] == [i for i in ids if i]


def test_a_bare_trajectory_hides_what_no_judge_may_see():
    """Id, ground truth and metadata are gone, the attempt is the same."""
    whole = Trajectory([HI], [{"name": "f"}], "secret", 0.5, {"x": "secret"}, [[YES]])
    bare = whole.bare()
    assert (bare.id, bare.ground_truth, dict(bare.metadata)) == (None, None, {})
    assert transcribe(bare) == transcribe(whole)
    assert (whole.id, whole.ground_truth) == ("secret", 0.5)


_LEAF = st.one_of(st.none(), st.booleans(), st.integers(-3, 3), st.floats(), st.text(max_size=5))
_JSON = st.recursive(
    _LEAF,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["type", "text", "name", "id", "function", "arguments", "image_url"]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)
_MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "function", "system"])},
    optional={
        key: st.one_of(_JSON, st.lists(_JSON, max_size=2))
        for key in (
            "content", "name", "tool_calls", "tool_call_id", "function_call", "reasoning_content", "refusal", "thinking",
        )
    },
)  # fmt: skip


@law
@given(st.lists(_MESSAGE, min_size=1, max_size=3), st.one_of(st.none(), st.lists(_JSON, max_size=2)))
def test_any_json_is_either_refused_or_shown(messages, tools):
    """Whatever a file may hold: a typed error at once, or a text that can be sent. Never another error."""
    try:
        trajectory = Trajectory(messages, tools)
    except RankerError:
        return
    assert transcribe(trajectory).text.encode("utf-8")


def arrays(value):
    """Lists as numpy arrays of objects, at any depth, as Parquet and data sets give them."""
    if isinstance(value, dict):
        return {key: arrays(member) for key, member in value.items()}
    if not isinstance(value, list):
        return value
    array = np.empty(len(value), dtype=object)
    array[:] = [arrays(member) for member in value]
    return array


class Role(StrEnum):
    USER = "user"
    ASSISTANT = "assistant"


class Kind(Enum):
    TEXT = "text"


def test_arrays_and_members_of_enums_are_what_they_hold():
    """A row of a data frame ranks as the same in lists; its transcript is the same to the letter."""
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": {"xs": [1, 2]}}}
    line = {
        "id": "g",
        "trajectories": [
            {
                "messages": [
                    {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
                    {"role": "assistant", "content": None, "tool_calls": [call]},
                ],
                "tools": [{"type": "function", "function": {"name": "f", "parameters": {"required": ["x"]}}}],
                "histories": [[HI]],
                "ground_truth": truth,
            }
            for truth in (0.5, 1.0)
        ],
    }
    plain = as_group(line)
    assert as_group(arrays(line)) == plain
    assert as_group(arrays(line)["trajectories"]).trajectories == plain.trajectories
    texts = [transcribe(t).text for t in as_group(arrays(line)).trajectories]
    assert texts == [transcribe(t).text for t in plain.trajectories]
    json.dumps([dict(m) for m in as_group(arrays(line)).trajectories[0].messages])
    spoken = [{"role": Role.USER, "content": [{"type": Kind.TEXT, "text": "Hi"}]}]
    assert Trajectory(spoken).messages == ({"role": "user", "content": [{"type": "text", "text": "Hi"}]},)
    for number in (np.float32(0.5), np.float64(0.5), np.array(0.5), np.float16(0.5)):
        assert type(Trajectory([HI], ground_truth=number).ground_truth) is float
    assert Trajectory([HI], ground_truth=np.int64(3), id=np.int32(4)).ground_truth == 3.0
    with pytest.raises(GroupError, match="nan"):
        Trajectory([HI], ground_truth=np.float32("nan"))


def test_a_line_of_a_group_file_is_a_group():
    """As a dict, and its trajectories as they stand, with what they know of themselves."""
    line = {
        "id": 3,
        "task": "Answer.",
        "rubric": "Be right.",
        "rewards": {"a": 1.0},
        "trajectories": [
            {"id": "a", "messages": [HI, YES], "ground_truth": 1, "metadata": None, "histories": None},
            {"id": 1, "conversations": [{"from": "human", "value": "Hi"}]},
            [HI, HI],
            "no",
        ],
    }
    group = as_group(line)
    assert (group.id, group.task, group.rubric) == ("3", "Answer.", "Be right.")
    assert group.ids == ["a", "1", "2", "3"]
    assert [t.ground_truth for t in group.trajectories] == [1.0, None, None, None]
    assert as_group(line["trajectories"], "Answer.").trajectories == group.trajectories
    ranked = rank_group(
        line, lambda ts: [[i for i, t in enumerate(ts) if len(t.messages) == n] for n in (2, 1)]
    )
    assert ranked.rewards == pytest.approx([5 / 6, 1 / 6, 5 / 6, 1 / 6])
    assert as_group(line, "Other.").task == "Other."


def test_text_that_holds_the_messages_is_refused_with_what_to_do():
    with pytest.raises(GroupError, match=r"json\.loads"):
        Trajectory(json.dumps([HI]))
    with pytest.raises(GroupError, match=r"json\.loads"):
        Trajectory([HI], tools="[]")
