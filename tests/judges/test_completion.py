"""What a reply says about itself decides whether a verdict may be read from it."""

from __future__ import annotations

import json

import pytest

from ranker import JudgeCallError, VerdictError, rank_group
from ranker.judges.completion import check_finished, read_completion
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

OPTIONS = {"cache": "off", "max_retries": 2}


def text(body) -> str:
    return json.dumps(verdict(body))


def draft(body) -> str:
    return json.dumps(verdict(body, backwards=True))


READ = {
    "plain": lambda b: chat(text(b)),
    "no finish reason": lambda b: chat(text(b), None),
    "reasoning channel alone": lambda b: chat(None, reasoning_content=text(b)),
    "reasoning channel, other name": lambda b: chat("", reasoning="Thinking. " + text(b)),
    "drafts in the reasoning channel, an answer beside it": lambda b: chat(text(b), reasoning_content=draft(b)),
    "tool call": lambda b: chat(None, "tool_calls", tool_calls=[{"function": {"name": "v", "arguments": text(b)}}]),
    "tool call after words": lambda b: chat("Here it is.", tool_calls=[{"function": {"name": "v", "arguments": verdict(b)}}]),
    "function call": lambda b: chat(None, function_call={"name": "v", "arguments": text(b)}),
    "parts": lambda b: chat([{"type": "thinking", "thinking": draft(b)}, {"type": "text", "text": text(b)}]),
    "parts with thoughts in parts": lambda b: chat(
        [{"type": "thinking", "thinking": [{"type": "text", "text": draft(b)}]}, text(b)]
    ),
    "a part without text": lambda b: chat([{"type": "reasoning", "text": None}, {"type": "text", "text": text(b)}]),
    "parsed content": lambda b: chat(verdict(b)),
    "byte order mark": lambda b: (200, b"\xef\xbb\xbf" + json.dumps(chat(text(b))).encode()),
    "trailing commas": lambda b: chat(text(b)[:-1] + ",}"),
    "raw line break in a reason": lambda b: chat(text(b).replace('"r"', '"one\ntwo\tthree"')),
    "an escape that is none": lambda b: chat(text(b).replace('"r"', r'"uses \( x \) and \u12"')),
    "wrapper": lambda b: chat(json.dumps({"verdict": verdict(b)})),
    "written tool call": lambda b: chat(json.dumps({"name": "verdict", "arguments": text(b)})),
    "written tool call, parameters": lambda b: chat(json.dumps({"name": "verdict", "parameters": verdict(b)})),
    "answer in the schema's place": lambda b: chat(json.dumps({"type": "object", "properties": verdict(b)})),
    "schema repeated first": lambda b: chat(
        json.dumps({"type": "object", "properties": {"ranking": {"type": "array"}}}) + text(b)
    ),
    "thought": lambda b: chat(f"<think>{draft(b)}</think>{text(b)}"),
    "thought opened by the template": lambda b: chat(f'I think {{"ranking": maybe}} {draft(b)}</think>{text(b)}'),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_a_finished_reply_is_read_wherever_it_stands(case):
    """Content, reasoning channel, tool arguments, one wrapper: the verdict in one call."""
    with ScriptedServer(lambda body, n: READ[case](body)) as server:
        ranked = rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS)
    assert ranked.rewards == REWARDS
    assert ranked.usage.calls == len(server.requests) == 1


CUT_OFF = ("length", "max_tokens", "MAX_TOKENS", "model_length", "max_output_tokens", "incomplete")


@pytest.mark.parametrize("reason", CUT_OFF)
@pytest.mark.parametrize(
    "content",
    [
        lambda b: "First: " + draft(b) + "\nOn reflection:\n" + text(b)[:-20],
        lambda b: '{"draft": ' + draft(b) + ', "ranking": [["',
        lambda b: f"<think>{draft(b)}",
        text,
        lambda b: "",
        lambda b: None,
    ],
)
def test_a_reply_that_was_cut_off_is_no_verdict_and_is_not_asked_again(reason, content):
    """Whatever it holds up to there; the message names the cause and the remedy, the tokens are counted."""
    with (
        ScriptedServer(lambda body, n: chat(content(body), reason, tokens=(700, 64))) as server,
        pytest.raises(VerdictError, match=r"cut off after 64 tokens.*max_tokens") as caught,
    ):
        rank_group(GROUP, "m", base_url=server.base_url, price=(1.0, 1.0), **OPTIONS)
    assert len(server.requests) == 1
    usage = caught.value.usage
    assert (usage.calls, usage.failed_calls, usage.prompt_tokens, usage.completion_tokens) == (1, 1, 700, 64)
    assert usage.cost_usd == pytest.approx(764e-6)


def test_a_gateway_that_hides_the_providers_reason_is_seen_through():
    """`native_finish_reason` and `finish_details` tell of a cut that `finish_reason` does not."""
    for more in ({"native_finish_reason": "MAX_TOKENS"}, {"finish_details": {"type": "max_tokens"}}):

        def answer(body, n, more=more):
            reply = chat(text(body))
            reply["choices"][0].update(more)
            return reply

        with ScriptedServer(answer) as server, pytest.raises(VerdictError, match="cut off"):
            rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS)


@pytest.mark.parametrize(
    "reply",
    [
        lambda b: chat(None, "content_filter"),
        lambda b: chat(text(b), "content_filter"),
        lambda b: chat(text(b)[:40], "SAFETY"),
        lambda b: chat(None, "PROHIBITED_CONTENT"),
        lambda b: chat(None, "refusal"),
        lambda b: chat(None, "guardrail_intervened"),
        lambda b: chat(None, refusal="I can't help with that."),
        lambda b: chat([{"type": "refusal", "refusal": "I can't help with that."}]),
    ],
)
def test_a_filter_or_a_refusal_is_said_and_not_asked_again(reply):
    with (
        ScriptedServer(lambda body, n: reply(body)) as server,
        pytest.raises(VerdictError, match="declined to answer"),
    ):
        rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS)
    assert len(server.requests) == 1


def broken_choice(code):
    def answer(body, n):
        if n > 1:
            return chat(text(body))
        reply = chat(draft(body), "error")
        reply["choices"][0]["error"] = {"code": code, "message": "Upstream"}
        return reply

    return answer


@pytest.mark.parametrize("code", [502, "429", None])
def test_an_error_inside_a_choice_is_a_call_error_asked_again_by_its_code(code):
    """What stands beside it is no verdict."""
    with ScriptedServer(broken_choice(code)) as server:
        assert rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS).rewards == REWARDS
    assert len(server.requests) == 2


@pytest.mark.parametrize("code", [401, "402", 404])
def test_an_error_inside_a_choice_that_will_not_pass_is_raised_at_once(code):
    with (
        ScriptedServer(broken_choice(code)) as server,
        pytest.raises(JudgeCallError, match="Upstream") as caught,
    ):
        rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS)
    assert len(server.requests) == 1
    assert caught.value.status_code == int(code)


@pytest.mark.parametrize("reason", ["error", "abort", "insufficient_system_resource", "network_error"])
def test_a_reply_that_the_server_broke_off_is_asked_again(reason):
    with ScriptedServer(lambda b, n: chat(draft(b), reason) if n == 1 else chat(text(b))) as server:
        assert rank_group(GROUP, "m", base_url=server.base_url, **OPTIONS).rewards == REWARDS
    assert len(server.requests) == 2


def test_two_channels_that_contradict_each_other_are_no_verdict():
    """An answer in words and another in a tool call: which one is meant cannot be known."""

    def answer(body, n):
        return chat(text(body), tool_calls=[{"function": {"name": "v", "arguments": draft(body)}}])

    with ScriptedServer(answer) as server, pytest.raises(VerdictError, match="differ"):
        rank_group(GROUP, "m", base_url=server.base_url, max_reasks=0, **OPTIONS)


def test_errors_in_bodies_are_told_by_name():
    """Whatever shape servers give them."""
    for body in (
        {"error": {"message": "gone", "code": 404}},
        {"object": "error", "message": "gone", "code": 404},
        {"choices": None, "error": {"message": "gone", "code": "404"}},
    ):
        with pytest.raises(JudgeCallError, match="gone") as caught:
            read_completion(json.dumps(body).encode(), "m")
        assert caught.value.status_code == 404
        assert not caught.value.retryable
    for raw in (b"", b"[]", b"null", b"{}", b'{"choices": []}', b'{"choices": [7]}', b"\xff", b"[" * 200_000):
        with pytest.raises(JudgeCallError, match="not a chat completion"):
            read_completion(raw, "m")


def test_counts_that_are_no_counts_are_none():
    """A number of tokens beyond all reason, negative, or of another type is not counted."""
    for count in (10**400, -1, True, "7", None, 1.5):
        reply = {**chat("x"), "usage": {"prompt_tokens": count, "completion_tokens": count}}
        completion = read_completion(json.dumps(reply).encode(), "m")
        assert (completion.prompt_tokens, completion.completion_tokens) == (0, 0)
        check_finished(completion, "m")
