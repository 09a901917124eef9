"""What providers say where they give no verdict: read by kind, mended where the judge can, and the end of a run where
nothing can."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ranker import (
    ConfigurationError,
    ContextLengthError,
    JudgeCallError,
    LLMJudge,
    VerdictError,
    rank_group,
    rank_groups,
)
from ranker.judges.completion import read_completion
from ranker.judges.llm import DEFAULT_WINDOW
from ranker.judges.provider_error import status_error
from tests.judges.overflow_wordings import MORE, OTHERS, WORDINGS, openai
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

OPTIONS: dict[str, Any] = {"max_retries": 0, "cache": "off"}


def text(body: dict[str, Any]) -> str:
    return json.dumps(verdict(body))


def size(body: dict[str, Any]) -> int:
    return sum(len(m["content"]) for m in body["messages"])


def mode(body: dict[str, Any]) -> str:
    return (body.get("response_format") or {}).get("type", "text")


def long_group(words: int = 5_000) -> list[list[dict[str, str]]]:
    return [
        [
            {
                "role": "assistant",
                "content": f"worth {worth} " + " ".join(f"w{worth}x{i}" for i in range(words)),
            }
        ]
        for worth in (1, 2)
    ]


@pytest.mark.parametrize(("name", "status", "said", "window"), WORDINGS, ids=[w[0] for w in WORDINGS])
def test_a_prompt_that_is_too_long_is_cut_and_the_window_learned_where_it_is_named(
    name, status, said, window
):
    """Servers of 30,000 characters, each with words of its own. What is not named is not guessed for other groups."""

    def answer(body, n):
        return (status, said) if size(body) > 30_000 else chat(text(body))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        ranked = rank_group(long_group(), judge)
        assert ranked.rewards == [0.0, 1.0]
        assert all(ranked.cut)
        believed = judge._window
        assert believed == (window if window is not None and window < DEFAULT_WINDOW else None)


@pytest.mark.parametrize(("status", "words", "window"), MORE)
def test_other_words_for_it_are_read_too(status, words, window):
    error = status_error(status, json.dumps(openai(words)), "m", {})
    assert isinstance(error, ContextLengthError)
    assert error.window == window


@pytest.mark.parametrize(("name", "status", "said"), OTHERS, ids=[o[0] for o in OTHERS])
def test_other_limits_are_no_overflow(name, status, said):
    error = status_error(status, json.dumps(said), "m", {})
    assert isinstance(error, JudgeCallError)


def test_a_class_of_litellm_says_that_the_prompt_is_too_long():
    error = status_error(400, "no words for it", "m", {}, kind="ContextWindowExceededError")
    assert isinstance(error, ContextLengthError)
    assert error.window is None


def test_a_group_too_long_by_a_little_does_not_shrink_the_window_of_the_others():
    """366 tokens over the limit: the next groups, which fit, are shown whole."""
    limit = 60_000

    def answer(body, n):
        if size(body) > limit:
            return 400, {"error": {"message": "prompt too long; exceeded max context length by 366 tokens"}}
        return chat(text(body))

    groups = [long_group(3_850), long_group(1_000), long_group(2_500)]
    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        over, small, large = rank_groups(groups, judge, on_error="skip", progress=False, concurrency=1)
        assert size(server.requests[0]) > limit
    assert [r.rewards for r in (over, small, large)] == [[0.0, 1.0]] * 3
    assert all(over.cut)
    assert small.cut == large.cut == (0, 0)
    assert judge._window is None


def test_a_window_that_is_stated_is_kept():
    def answer(body, n):
        if size(body) > 24_000:
            return 400, openai(
                "This model's maximum context length is 8192 tokens. However, you requested 9000."
            )
        return chat(text(body))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        for _ in range(2):
            assert rank_group(long_group(), judge).rewards == [0.0, 1.0]
        assert judge._window == 8192
    assert len(server.requests) == 3  # the second group was cut before it was sent


# What no retry and no other group can mend: status, body, reason, and a word of the remedy.
FATAL: list[tuple[str, int, Any, str, str]] = [
    ("401", 401, {"error": {"message": "bad key"}}, "key", "RANKER_API_KEY"),
    ("403", 403, {"error": {"message": "You have no access to this model"}}, "key", "RANKER_API_KEY"),
    ("Gemini key", 400, {"error": {"message": "API key not valid. Please pass a valid API key.", "code": 400}}, "key", "RANKER_API_KEY"),
    ("OpenRouter 200", 200, {"error": {"message": "No auth credentials found", "code": 401}}, "key", "RANKER_API_KEY"),
    ("a code in 200", 200, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, "key", "RANKER_API_KEY"),
    ("402", 402, openai("Insufficient Balance"), "credit", "out of credit"),
    ("Anthropic", 400, openai("Your credit balance is too low to access the Anthropic API."), "credit", "out of credit"),
    ("no credit", 400, openai("The account has no credit left for this API."), "credit", "out of credit"),
    ("OpenAI", 429, openai("You exceeded your current quota, please check your plan and billing details.", "insufficient_quota"), "credit", "out of credit"),
    ("xAI", 403, {"error": "Your newly created team doesn't have any credits yet. Insufficient credits."}, "credit", "out of credit"),
    ("OpenAI's limit", 400, openai("Billing hard limit has been reached", "billing_hard_limit_reached"), "credit", "out of credit"),
    ("LiteLLM's budget", 400, openai("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", "budget_exceeded"), "credit", "out of credit"),
    ("404", 404, openai("The model `m` does not exist", "model_not_found"), "model", "model's name"),
    ("OpenRouter", 400, {"error": {"message": "m is not a valid model ID", "code": 400}}, "model", "model's name"),
    ("DeepSeek", 400, openai("Model Not Exist"), "model", "model's name"),
    ("Mistral", 400, {"message": "Invalid model: m", "type": "invalid_model", "code": "1500"}, "model", "model's name"),
    ("a redirect", 308, {}, "address", "redirects"),
    ("405", 405, {"detail": "Method Not Allowed"}, "address", "base URL"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "said", "reason", "remedy"), FATAL, ids=[f[0] for f in FATAL])
def test_what_every_group_would_fail_of_ends_a_run_after_one_call(name, status, said, reason, remedy):
    with ScriptedServer(lambda body, n: (status, said)) as server:
        groups = [GROUP] * 200
        options = {**OPTIONS, "max_retries": 5, "base_url": server.base_url}
        with pytest.raises(JudgeCallError, match=remedy) as caught:
            list(rank_groups(groups, LLMJudge("m", **options), on_error="skip", progress=False))
    assert caught.value.fatal
    assert caught.value.reason == reason
    assert not caught.value.retryable
    assert len(server.requests) == 1
    assert caught.value.usage.calls == 1


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (429, {"error": {"message": "You exceeded your current quota, please check your plan and billing details. Please retry in 34.5s.",
                         "status": "RESOURCE_EXHAUSTED"}}),
        (429, openai("Rate limit reached for requests", "rate_limit_exceeded")),
        (403, {"error": {"message": "Your chosen model requires moderation and your input was flagged"}}),
        (400, openai("The response was filtered due to the prompt triggering our content management policy", "content_filter")),
        (400, openai("Unsupported value: 'temperature' does not support 0.0 with this model.", "unsupported_value")),
        (500, openai("The server had an error")),
    ],
)  # fmt: skip
def test_what_may_pass_or_concerns_one_group_ends_no_run(status, said):
    """And is no refusal of the response format either: one request is all."""
    with ScriptedServer(lambda body, n: (status, said) if n == 1 else chat(text(body))) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        first, second = rank_groups([GROUP] * 2, judge, on_error="skip", progress=False, concurrency=1)
        assert [mode(b) for b in server.requests] == ["json_schema"] * 2
    assert isinstance(first.error, JudgeCallError)
    assert not first.error.fatal
    assert second.rewards == REWARDS


def test_credit_that_ends_during_a_run_ends_it_and_loses_no_verdict():
    def answer(body, n):
        return chat(text(body)) if n <= 20 else (402, {"error": {"message": "Insufficient Balance"}})

    ranked = []
    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        results = rank_groups([GROUP] * 500, judge, on_error="skip", progress=False, concurrency=8)
        with pytest.raises(JudgeCallError, match="out of credit"):
            ranked.extend(results)
    assert [r.rewards for r in ranked] == [REWARDS] * 20
    assert len(server.requests) <= 28


def test_json_that_the_provider_finds_unfit_is_a_reply_that_is_no_verdict():
    """Groq's own check: the model is asked again, in the format that is settled."""

    def answer(body, n):
        if n == 2:
            told = openai(
                "Failed to generate JSON. See 'failed_generation' for more.", "json_validate_failed"
            )
            told["error"]["failed_generation"] = text(body)[:-2]
            return 400, told
        return chat(text(body))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        assert rank_group(GROUP, judge).rewards == REWARDS
        ranked = rank_group(GROUP, judge, seed=2)
        assert ranked.rewards == REWARDS
        assert (ranked.usage.calls, ranked.usage.failed_calls) == (2, 1)
        assert [mode(b) for b in server.requests] == ["json_schema"] * 3
        assert "cannot be used" in server.requests[2]["messages"][-1]["content"]


def test_a_model_whose_json_is_never_fit_is_asked_in_plain_text():
    def answer(body, n):
        if mode(body) != "text":
            return 400, openai("Failed to generate JSON.", "json_validate_failed")
        return chat(text(body))

    with ScriptedServer(answer) as server:
        assert rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS)).rewards == REWARDS
        assert [mode(b) for b in server.requests] == ["json_schema", "json_object", "text"]
    never = openai("Failed to generate JSON.", "json_validate_failed")
    with ScriptedServer(lambda body, n: (400, never)) as server:
        judge = LLMJudge("m", base_url=server.base_url, structured="json_object", max_reasks=2, **OPTIONS)
        with pytest.raises(VerdictError, match="asked 3 times"):
            rank_group(GROUP, judge)


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (404, {"error": {"message": "No endpoints found that can handle the requested parameters.", "code": 404}}),
        (400, openai("This response_format type is unavailable now")),
        (422, {"detail": [{"loc": ["body", "response_format", "type"], "msg": "unexpected value"}]}),
        (400, {"error": "Bad Request"}),
        (400, {"detail": "Unsupported parameter"}),
        (500, {"error": "grammar: unexpected token"}),
    ],
)  # fmt: skip
def test_a_refused_format_is_followed_by_a_plainer_one(status, said):
    with ScriptedServer(lambda b, n: (status, said) if mode(b) != "text" else chat(text(b))) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        assert rank_group(GROUP, judge).rewards == REWARDS
        assert rank_group(GROUP, judge, seed=1).rewards == REWARDS
        assert [mode(b) for b in server.requests] == ["json_schema", "json_object", "text", "text"]


LIMIT_WORDS = [
    ("max_tokens", "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."),
    ("max_completion_tokens", "Unrecognized request argument supplied: max_completion_tokens"),
    ("max_completion_tokens", "[{'type': 'extra_forbidden', 'loc': ('body', 'max_completion_tokens'), 'msg': 'Extra inputs are not permitted'}]"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "words"), LIMIT_WORDS)
def test_the_limit_is_given_by_the_name_that_the_server_takes(name, words):
    other = ({"max_tokens", "max_completion_tokens"} - {name}).pop()
    with ScriptedServer(lambda b, n: (400, openai(words)) if name in b else chat(text(b))) as server:
        judge = LLMJudge("m", base_url=server.base_url, extra={name: 500}, **OPTIONS)
        before = judge.identity()
        for seed in range(2):
            assert rank_group(GROUP, judge, seed=seed).rewards == REWARDS
        assert [b.get(other) for b in server.requests] == [None, 500, 500]
        assert judge.identity() == before  # the same cache keys


@pytest.mark.parametrize(
    "words",
    [
        "System role not supported",
        "Developer instruction is not enabled for models/gemma-3-27b-it",
        "Unsupported value: 'messages[0].role' does not support 'system' with this model.",
        "Conversation roles must alternate user/assistant/user/assistant/...",
        "Only user and assistant roles are supported!",
    ],
)
def test_a_refused_system_role_is_folded_into_the_users_turn(words):
    def answer(body, n):
        if body["messages"][0]["role"] == "system":
            return 400, openai(words)
        return chat(text({"messages": [{}, *body["messages"]]}))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        for seed in range(2):
            assert rank_group(GROUP, judge, seed=seed).rewards == REWARDS
        whole, first, second = server.requests
    assert [m["role"] for m in second["messages"]] == ["user"]
    assert first["messages"][0]["content"] == "\n\n".join(m["content"] for m in whole["messages"])


def events(*events: Any, end: str = "data: [DONE]\n\n") -> bytes:
    return ("".join(f"data: {json.dumps(e)}\n\n" for e in events) + end).encode()


def piece(finish: str | None = None, **delta: Any) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def test_a_reply_that_was_streamed_unasked_is_read():
    def answer(body, n):
        told = text(body)
        parts = [piece(role="assistant"), piece(content=told[:40]), piece("stop", content=told[40:])]
        return 200, events(*parts, {"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 9}})

    with ScriptedServer(answer) as server:
        ranked = rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS))
    assert ranked.rewards == REWARDS
    assert (ranked.usage.prompt_tokens, ranked.usage.completion_tokens) == (7, 9)


def test_a_stream_that_breaks_off_is_no_verdict():
    """Nor is one that tells of an error, or that was cut off by the limit."""
    with pytest.raises(JudgeCallError, match="not a chat completion") as caught:
        read_completion(events(piece(content="{}"), end=""), "m")
    assert caught.value.retryable
    with pytest.raises(JudgeCallError, match="overloaded"):
        read_completion(events(piece(content="{"), {"error": {"message": "overloaded"}}), "m")
    assert read_completion(events(piece("length", content="{")), "m").finish_reason == "length"
    call = piece(tool_calls=[{"index": 0, "function": {"name": "v", "arguments": '{"a"'}}])
    rest = piece("tool_calls", tool_calls=[{"index": 0, "function": {"arguments": ": 1}"}}])
    assert read_completion(events(call, rest), "m").arguments == ('{"a": 1}',)


@pytest.mark.parametrize("given_by", ["api_key", "variable", "provider"])
def test_a_key_with_a_line_break_is_refused_before_any_call(given_by, monkeypatch):
    key = "my-key-0123456789\n"
    if given_by == "variable":
        monkeypatch.setenv("RANKER_API_KEY", key)
    if given_by == "provider":
        monkeypatch.setenv("OPENAI_API_KEY", key)
    with ScriptedServer(lambda body, n: chat(text(body))) as server:
        here = {} if given_by == "provider" else {"base_url": server.base_url}
        given = {"api_key": key} if given_by == "api_key" else {}
        with pytest.raises(ConfigurationError, match="line break") as caught:
            rank_group(GROUP, "openai/gpt-5-mini", **here, **given)
        assert not server.requests
    assert "0123456789" not in str(caught.value)


def test_a_missing_key_is_named_before_any_call(monkeypatch):
    with pytest.raises(ConfigurationError, match=r"\$GROQ_API_KEY"):
        rank_group(GROUP, "groq/llama-3.3-70b")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("loca", "'local'"),
        ("lokal:smollm2", "'local:smollm2'"),
        ("opnai/gpt-5", "'openai/gpt-5'"),
        ("gtp-4o", "'gpt-4o'"),
    ],
)
def test_a_name_that_no_judge_has_is_refused_with_the_one_that_was_meant(name, meant):
    with pytest.raises(ConfigurationError, match=f"Did you mean {meant}"):
        rank_group(GROUP, name)


def test_a_local_model_that_is_none_is_refused_with_the_one_that_was_meant():
    with pytest.raises(ConfigurationError, match="Did you mean 'smollm2"):
        rank_group(GROUP, "local:smolm")


def test_litellm_tells_a_wrong_key_from_a_server_that_fails(monkeypatch):
    """A wrong key of a provider is named by its variable."""
    with ScriptedServer(lambda body, n: (401, openai("Incorrect API key provided: sk-wr****"))) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-0123456789")
        with pytest.raises(JudgeCallError, match=r"\$OPENAI_API_KEY") as caught:
            rank_group(GROUP, LLMJudge("openai/gpt-5-mini", cache="off"))
        assert len(server.requests) == 1
    assert caught.value.fatal
