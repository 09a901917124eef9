"""Two attempts are one only if they are equal; else the judge sees the difference, or a warning names it."""

from __future__ import annotations

import json

import pytest

from ranker import Trajectory, TrajectoryGroup, rank_group
from ranker.aggregate.dedupe import distinct_of
from ranker.judges.base import Lineup
from ranker.prompting.prompt import build_prompt
from ranker.prompting.template import load_template
from ranker.prompting.transcript import transcript_of
from ranker.testing.simulated import blocks

U = {"role": "user", "content": "q"}
LONG = "x" * 90


def called(arguments: object, call_id: str = "c") -> list[dict]:
    return [
        U,
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": call_id, "function": {"name": "f", "arguments": arguments}}],
        },
    ]


def returned(content: object, call_id: str = "c") -> list[dict]:
    return [*called("{}", call_id), {"role": "tool", "tool_call_id": call_id, "content": content}]


def said(content: object, **fields: object) -> list[dict]:
    return [U, {"role": "assistant", "content": content, **fields}]


def ranked(*attempts: list[dict]):
    """Ranked by how the texts sort."""

    def judge(ts: list[Trajectory]) -> list[float]:
        texts = [transcript_of(t).text for t in ts]
        return [float(sorted(texts).index(text)) for text in texts]

    return rank_group([Trajectory(a) for a in attempts], judge)


ALIKE = {
    "valid and invalid JSON": (called(f'{{"path":"{LONG}","mode":1}}'), called(f'{{path:"{LONG}",mode:1}}')),
    "a table and its text": (
        returned(json.dumps([{"a": LONG, "b": 1}, {"a": "y", "b": 2}])),
        returned(f'table(a,b)[["{LONG}",1],["y",2]]'),
    ),
    "white space of JSON": (returned(f'{{"a": "{LONG}"}}'), returned(f'{{"a":"{LONG}"}}')),
    "two parts and one": (said(["a", "b"]), said("a\nb")),
    "a part and a string": (said([{"type": "text", "text": "a"}]), said("a")),
    "arguments and their text": (called({"a": 1}), called('{"a":1}')),
    "a surrogate and its escape": (said("\ud800"), said("\\ud800")),
    "a refusal and its text": (said([{"type": "refusal", "refusal": "No."}]), said("No.")),
    "one message and two": (
        [U, {"role": "assistant", "content": "a", "tool_calls": [{"name": "f", "args": {}}]}],
        [U, {"role": "assistant", "content": "a"}, {"role": "assistant", "content": "", "tool_calls": [{"name": "f", "args": {}}]}],
    ),
    "arguments under another name": (
        [U, {"role": "assistant", "tool_calls": [{"name": "f", "args": {"a": 1}}]}],
        [U, {"role": "assistant", "tool_calls": [{"name": "f", "input": {"a": 1}}]}],
    ),
    "a result of another call": (
        [*called("{}"), {"role": "tool", "tool_call_id": "c", "name": "f", "content": "7"}],
        [*called("{}"), {"role": "tool", "tool_call_id": "d", "name": "f", "content": "7"}],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALIKE)
def test_attempts_of_one_look_are_shown_verbatim(name):
    """One call is made; the texts differ, and only where the attempts do."""
    one, other = ALIKE[name]
    assert transcript_of(Trajectory(one)).text == transcript_of(Trajectory(other)).text
    result = ranked(one, other)
    assert (result.usage.calls, result.warnings) == (1, ())
    assert sorted(result.rewards) == [0.0, 1.0]
    distinct = distinct_of(TrajectoryGroup([Trajectory(one), Trajectory(other)]))
    texts = [transcript_of(t).text for t in distinct.trajectories]
    assert len(set(texts)) == 2
    assert all(text.startswith("<user>\nq\n") for text in texts)
    prompt = build_prompt(Lineup(distinct.trajectories), load_template(), room=None, count=len)
    assert [text.strip() for _, text in blocks(prompt.messages[1]["content"])] == [
        text.strip() for text in texts
    ]


def test_verbatim_attempts_keep_what_they_have_in_common():
    """Before and after the difference the text is as ever; the difference is JSON after a tag of its own."""
    group = TrajectoryGroup([said("a\nb") + said("end"), said(["a", "b"]) + said("end")])
    texts = {transcript_of(t).text for t in distinct_of(group).trajectories}
    frame = "<user>\nq\n<assistant as JSON>\n{}\n<user>\nq\n<assistant>\nend\n"
    shown = ('{"role":"assistant","content":"a\\nb"}', '{"role":"assistant","content":["a","b"]}')
    assert texts == {frame.replace("{}", exact) for exact in shown}


def test_no_text_passes_for_a_verbatim_message():
    """A third attempt that writes what the verbatim ones show is still another."""
    exact = '<assistant as JSON>\n{"role":"assistant","content":"a\\nb"}'
    group = TrajectoryGroup(
        [
            said("a\nb"),
            said(["a", "b"]),
            said(exact),
            [U, {"role": "assistant", "content": exact, "name": "as JSON"}],
        ]
    )
    distinct = distinct_of(group)
    assert len({transcript_of(t).text for t in distinct.trajectories}) == 4


@pytest.mark.parametrize(
    ("one", "other", "fields"),
    [
        (said("x", id="a"), said("x", id="b"), "id"),
        (said("x", usage={"total": 1}), said("x", usage={"total": 2}), "usage.total"),
        (said("x", logprobs={"content": [{"token": "a"}]}), said("x"), "logprobs"),
        (said("x", metadata={"note": 1}), said("x", metadata={"note": 2}), "metadata.note"),
        (said("x", reward=1.0), said("x", reward=0.0), "reward"),
        (said("x", refusal=None), said("x"), "refusal"),
        (said(None), said(""), "content"),
        (
            said([{"type": "thinking", "thinking": "t", "signature": "a"}]),
            said([{"type": "thinking", "thinking": "t", "signature": "b"}]),
            "content.signature",
        ),
    ],
)
def test_a_difference_that_no_judge_is_shown_is_warned_of(one, other, fields):
    """They tie without a call, and the warning names the attempts and the field."""
    result = ranked(one, other)
    assert (result.rewards, result.usage.calls) == ([0.5, 0.5], 0)
    assert result.warnings == (
        f"Attempts 0, 1 tie: they differ in nothing that judges are shown, only in {fields}.",
    )
    assert result.to_dict()["warnings"] == list(result.warnings)


def test_warnings_reach_a_group_that_was_judged():
    """Beside the verdict, and only on those that tie."""
    result = ranked(said("x", id="a"), said("y"), said("x", id="b"), said("x", id="a"))
    assert result.usage.calls == 1
    assert result.warnings == (
        "Attempts 0, 2, 3 tie: they differ in nothing that judges are shown, only in id.",
    )
    assert result.rewards[0] == result.rewards[2] == result.rewards[3] != result.rewards[1]


def test_tools_are_compared_as_well():
    """A definition that differs in a silent field is warned of, one that differs in more is shown."""
    tool = {"type": "function", "function": {"name": "f"}}
    one, other = (
        Trajectory(said("x"), [tool]),
        Trajectory(said("x"), [{**tool, "cache_control": {"type": "ephemeral"}}]),
    )
    result = rank_group([one, other], lambda ts: [0.0] * len(ts))
    assert result.usage.calls == 0
    assert "tools.cache_control" in result.warnings[0]
    assert (
        rank_group([one, Trajectory(said("x"), [{"name": "f"}])], lambda ts: [0.0] * len(ts)).usage.calls == 1
    )


@pytest.mark.parametrize("form", ["openai", "text", "anthropic", "bedrock", "hidden"])
def test_call_ids_may_be_named_anew(form):
    """Attempts that differ only in the ids of their calls are one, silently."""

    def attempt(i: str, j: str) -> list[dict]:
        calls = [{"id": n, "type": "function", "function": {"name": "f", "arguments": "{}"}} for n in (i, j)]
        results = [{"role": "tool", "tool_call_id": n, "content": "7"} for n in (j, i)]
        if form == "text":
            return [U, {"role": "assistant", "tool_calls": [json.dumps(call) for call in calls]}, *results]
        if form == "anthropic":
            used = [{"type": "tool_use", "id": n, "name": "f", "input": {}} for n in (i, j)]
            got = [{"type": "tool_result", "tool_use_id": n, "content": "7"} for n in (j, i)]
            return [U, {"role": "assistant", "content": used}, {"role": "user", "content": got}]
        if form == "bedrock":
            used = [{"toolUse": {"toolUseId": n, "name": "f", "input": {}}} for n in (i, j)]
            got = [{"toolResult": {"toolUseId": n, "content": [{"text": "7"}]}} for n in (j, i)]
            return [U, {"role": "assistant", "content": used}, {"role": "user", "content": got}]
        hidden = {"additional_kwargs": {"tool_calls": calls}} if form == "hidden" else {"tool_calls": calls}
        return [U, {"role": "assistant", "content": "", **hidden}, *results]

    result = ranked(attempt("a", "b"), attempt("c", "d"), attempt("b", "a"))
    assert (result.rewards, result.usage.calls, result.warnings) == ([0.5] * 3, 0, ())


def test_the_order_of_a_group_does_not_matter():
    """The same attempts in another order are the same to the judge, verbatim ones included."""
    attempts = [said("a\nb"), said(["a", "b"]), said("c"), said("c", id="1")]
    one, other = distinct_of(TrajectoryGroup(attempts)), distinct_of(TrajectoryGroup(attempts[::-1]))
    assert one.digest == other.digest
    assert one.member == other.member[::-1]
    assert [transcript_of(t).text for t in one.trajectories] == [
        transcript_of(t).text for t in other.trajectories
    ]


def test_images_in_verbatim_attempts_are_still_reported():
    """A judge cannot see them there either."""
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,QUJD"}}
    group = TrajectoryGroup([said([image, "a", "b"]), said([image, "a\nb"])])
    assert all(transcript_of(t).media for t in distinct_of(group).trajectories)
