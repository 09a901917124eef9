"""The API judge against a server that misbehaves: faults, formats, keys, limits, records."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import math
import os
import socket
import threading
import time
from typing import Any

import pytest

from ranker import (
    ConfigurationError,
    ContextLengthError,
    JudgeCallError,
    LLMJudge,
    RankerError,
    Trajectory,
    VerdictError,
    rank_group,
    rank_groups,
)
from ranker.judges.transport import LiteLLMTransport, call_error, read_completion
from ranker.testing import FAULTS, Behaviour
from tests.conftest import make_groups, truthful
from tests.scripted_server import GROUP, ScriptedServer, chat, verdict

REPLIES = ["bad_json", "empty", "prose", "unknown_id", "missing_id", "repeated_id", "nan", "wrong_turns"]
FAILURES = ["429", "500", "503", "disconnect", "half_body", "wrong_encoding", "not_json"]


@pytest.fixture
def group():
    return make_groups(1)[0]


@pytest.mark.parametrize("fault", REPLIES)
def test_a_judge_that_never_gives_a_verdict_is_an_error_never_a_reward(serve, group, fault):
    server = serve([group], faults={fault: 1.0}, keep_prompts=True)
    with pytest.raises(VerdictError, match="no usable ranking") as caught:
        rank_group(group, LLMJudge("sim", base_url=server.base_url, max_reasks=2))
    assert server.requests == 3
    assert caught.value.usage.calls == caught.value.usage.failed_calls == 3
    assert caught.value.raw_text is not None
    first, second = server.prompts[:2]
    assert len(first) == 2
    assert second[2]["role"] == "assistant"
    assert "cannot be used" in second[3]["content"]


@pytest.mark.parametrize("fault", FAILURES)
def test_a_server_that_always_fails_is_a_typed_retryable_error(serve, group, fault):
    server = serve([group], faults={fault: 1.0})
    with pytest.raises(JudgeCallError) as caught:
        rank_group(group, LLMJudge("sim", base_url=server.base_url, max_retries=1))
    assert caught.value.retryable
    assert caught.value.usage.calls == 2
    assert caught.value.status_code == (int(fault) if fault.isdigit() else None)


def test_a_hanging_server_ends_in_a_timeout(serve, group):
    server = serve([group], faults={"hang": 1.0})
    with pytest.raises(JudgeCallError, match="in time"):
        rank_group(group, LLMJudge("sim", base_url=server.base_url, timeout=0.3, max_retries=1))


def test_every_fault_is_known_here():
    assert {*REPLIES, *FAILURES, "hang", "truncated"} == FAULTS.keys()


def test_a_third_of_all_replies_faulty_gives_no_wrong_reward(serve):
    groups = make_groups(300)
    kinds = REPLIES + FAILURES
    server = serve(groups, faults={kind: 1 / 3 / len(kinds) for kind in kinds})
    options = {"base_url": server.base_url, "concurrency": 64, "on_error": "skip", "progress": False}
    ranked = list(rank_groups(groups, "sim", **options))
    failed = [r for r in ranked if r.error is not None]
    assert all(truthful(g, r.rewards) for g, r in zip(groups, ranked, strict=True) if r.error is None)
    assert all(isinstance(r.error, RankerError) and r.rewards == [None] * 4 for r in failed)
    assert len(failed) < 3
    faults = sum(n for kind, n in server.counts.items() if kind != "ok")
    assert sum(r.usage.failed_calls for r in ranked) == faults > 100
    assert sum(r.usage.calls for r in ranked) == server.requests


@pytest.mark.parametrize("dress", ["plain", "fenced", "think", "prose"])
def test_a_dressed_up_verdict_is_read(serve, group, dress):
    server = serve([group], dress=dress)
    assert truthful(group, rank_group(group, "sim", base_url=server.base_url).rewards)
    assert server.requests == 1


@pytest.mark.parametrize(
    ("formats", "mode", "asked"),
    [
        (("json_object", "text"), "json_object", 2),
        (("text",), "text", 3),
        (("json_schema",), "json_schema", 1),
    ],
)
def test_the_response_format_a_server_takes_is_found_and_remembered(serve, formats, mode, asked):
    groups = make_groups(3)
    server = serve(groups, formats=formats)
    judge = LLMJudge("sim", base_url=server.base_url)
    for group in groups:
        assert truthful(group, rank_group(group, judge).rewards)
    assert judge.mode == mode
    assert server.requests == asked + 2


def test_a_format_that_is_refused_late_is_asked_for_otherwise():
    """After another call has found out what the server takes, and was answered."""
    answered = threading.Event()

    def answer(body: dict[str, Any], n: int) -> Any:
        if body["response_format"]["type"] == "json_object":
            answered.set()
            return chat(json.dumps(verdict(body)))
        if n > 1:
            answered.wait(10)
            time.sleep(0.3)  # until that answer has been read
        return 400, {"error": {"message": "response_format json_schema is not supported"}}

    with ScriptedServer(answer, models={"data": [{"id": "m"}]}) as server:
        judge = LLMJudge("m", base_url=server.base_url, max_retries=0)
        asyncio.run(judge.check())  # the first call need not go alone
        groups = [GROUP, GROUP[:2], GROUP[1:]]
        ranked = list(rank_groups(groups, judge, on_error="skip", progress=False))
    assert [r.error for r in ranked] == [None] * 3
    assert judge.mode == "json_object"
    assert len(server.requests) == 6


def test_a_wrong_key_says_so_and_shows_no_key(serve, group, caplog):
    server = serve([group], api_key="sk-right-0123456789abcdef")
    with caplog.at_level(logging.DEBUG), pytest.raises(JudgeCallError) as caught:
        rank_group(group, "sim", base_url=server.base_url, api_key="not-the-key-0123456789")
    assert caught.value.status_code == 401
    assert not caught.value.retryable
    assert "api_key" in str(caught.value)
    assert "not-the-key" not in str(caught.value) + caplog.text.replace("Bearer", "")
    assert server.requests <= 3
    ranked = rank_group(group, "sim", base_url=server.base_url, api_key="sk-right-0123456789abcdef")
    assert truthful(group, ranked.rewards)


def test_no_key_but_the_given_one_is_sent_to_a_base_url(serve, group, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-openai-must-not-travel")
    server = serve([group], api_key="sk-openai-must-not-travel")
    with pytest.raises(JudgeCallError) as caught:
        rank_group(group, "sim", base_url=server.base_url)
    assert caught.value.status_code == 401
    monkeypatch.setenv("RANKER_API_KEY", "sk-openai-must-not-travel")
    assert truthful(group, rank_group(group, "sim", base_url=server.base_url).rewards)


def test_a_wrong_model_name_says_so(serve, group):
    server = serve([group], model="right")
    with pytest.raises(JudgeCallError, match="model's name") as caught:
        rank_group(group, "openai/wrong", base_url=server.base_url)
    assert caught.value.status_code == 404


def test_a_server_that_is_down_says_so(group):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(JudgeCallError, match="cannot be reached") as caught:
        rank_group(group, LLMJudge("sim", base_url=f"http://127.0.0.1:{port}/v1", max_retries=1))
    assert caught.value.retryable


def test_a_window_smaller_than_believed_is_learned(serve):
    def long(i: int) -> Trajectory:
        return Trajectory([{"role": "assistant", "content": " ".join(f"w{i}x{k}" for k in range(3_000))}])

    server = serve(lambda text: float(hash(text) % 97), window=5_000)
    judge = LLMJudge("sim", base_url=server.base_url)
    ranked = rank_group([long(i) for i in range(3)], judge)
    assert all(n > 0 for n in ranked.cut)
    assert server.counts == {"refused": 1, "ok": 1}
    assert (ranked.usage.calls, ranked.usage.failed_calls) == (2, 1)
    rank_group([long(i) for i in range(3, 6)], judge)
    assert server.counts == {"refused": 1, "ok": 2}
    tiny = serve(lambda text: 0.0, window=100)
    with pytest.raises(ContextLengthError):
        rank_group([long(0), long(1)], "sim", base_url=tiny.base_url)


def test_a_server_that_cuts_prompts_in_silence_is_found_out(serve):
    """Its token counts tell; the group is then shortened to what it does read."""

    def long(i: int) -> Trajectory:
        return Trajectory([{"role": "assistant", "content": " ".join(f"w{i}x{k}" for k in range(6_000))}])

    group = [long(i) for i in range(3)]
    server = serve(lambda text: float(len(text)), cuts_at=4_096)
    ranked = rank_group(group, LLMJudge("sim", base_url=server.base_url))
    assert all(ranked.cut)
    assert server.requests == 2
    assert ranked.usage.failed_calls == 1


def test_retry_after_is_obeyed(serve, group):
    server = serve([group], faults={"429": 1.0})
    server.seed = 0
    started = time.monotonic()
    with pytest.raises(JudgeCallError):
        rank_group(group, LLMJudge("sim", base_url=server.base_url, max_retries=2))
    assert time.monotonic() - started >= 2 * 0.05


def test_requests_a_minute_are_held(serve):
    groups = make_groups(4)
    server = serve(groups)
    judge = LLMJudge("sim", base_url=server.base_url, tpm=60_000)
    started = time.monotonic()
    assert len(list(rank_groups(groups * 17, judge, progress=False, concurrency=64))) == 68
    assert time.monotonic() - started > 1.0


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("rpm", (0, -1, math.nan, math.inf, 0.5)),
        ("tpm", (0, -1, math.nan, math.inf)),
        ("timeout", (0, -1, math.nan, "soon")),
        ("max_retries", (-1, math.nan, 1.5, math.inf)),
        ("max_reasks", (-1, math.nan, 1.5)),
        ("max_group", (1, 0, -1, math.nan, 2.5)),
        ("max_tokens", (0, -1, math.nan, 1.5)),
        ("context_window", (0, -1, math.nan)),
        ("temperature", (-1, math.nan, math.inf)),
        ("concurrency", (0, -1, math.nan, 1.5)),
    ],
)
def test_a_number_that_a_setting_cannot_be_is_refused(serve, group, name, values):
    server = serve([group])
    options = {"base_url": server.base_url, "progress": False, "on_error": "skip"}
    for value in values:
        with pytest.raises(ConfigurationError, match=f"{name}={value!r}; give a"):
            list(rank_groups([group], "sim", **options, **{name: value}))
        if name != "concurrency":
            with pytest.raises(ConfigurationError, match=name):
                LLMJudge("sim", base_url=server.base_url, **{name: value})
    assert server.requests == 0


def test_numbers_at_the_edge_of_their_ranges_are_taken(serve, group):
    server = serve([group])
    judge = LLMJudge(
        "sim",
        base_url=server.base_url,
        timeout=math.inf,
        rpm=1,
        max_retries=0,
        max_reasks=0,
        price=(0, 0),
        temperature=0,
    )
    (ranked,) = rank_groups([group], judge, concurrency=1, max_cost_usd=0, progress=False)
    assert truthful(group, ranked.rewards)


def test_cost_is_counted_where_the_price_is_known(serve, group):
    server = serve([group])
    ranked = rank_group(group, LLMJudge("sim", base_url=server.base_url, price=(1.0, 10.0)), passes=2)
    usage = ranked.usage
    assert usage.cost_usd == pytest.approx((usage.prompt_tokens + 10 * usage.completion_tokens) / 1e6)


def test_every_call_can_be_recorded(serve, group, tmp_path):
    server = serve([group], faults={"bad_json": 0.5}, seed=3)
    path = tmp_path / "calls.jsonl"
    rank_group(
        group,
        LLMJudge("sim", base_url=server.base_url, record=path, api_key="secret-key-123456"),
        passes=6,
        seed=5,
    )
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) == server.requests
    assert {r["fault"] is None for r in records} == {True, False}
    good = next(r for r in records if r["fault"] is None)
    assert sorted(n for tier in good["ranking"] for n in tier) == sorted(good["ids"])
    assert good["structured"] == "json_schema"
    assert good["usage"]["calls"] == 1
    assert good["raw"].startswith("{")
    assert good["seconds"] > 0
    assert good["prompt_id"].startswith("rank.v1:")
    assert isinstance(good["seed"], int)
    assert "secret-key" not in path.read_text()


@pytest.mark.parametrize("model", ["sim", "openai/gpt-5-mini"])
def test_a_call_may_take_for_ever(serve, group, monkeypatch, model):
    server = serve([group])
    monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
    url = server.base_url if model == "sim" else None
    judge = LLMJudge(model, base_url=url, api_key="sk-any-0123456789", timeout=math.inf, max_retries=0)
    assert truthful(group, rank_group(group, judge).rewards)


def test_a_record_is_closed_with_its_judge(tmp_path):
    """Also one that is refused."""
    other = tmp_path / "other.jsonl"
    other.write_text("{}\n")
    before = len(os.listdir("/dev/fd"))
    for _ in range(20):
        LLMJudge("m", base_url="http://127.0.0.1:1/v1", record=tmp_path / "calls.jsonl", cache="off")
        with pytest.raises(ConfigurationError, match="no record"):
            LLMJudge("m", base_url="http://127.0.0.1:1/v1", record=other, cache="off")
    gc.collect()
    assert len(os.listdir("/dev/fd")) < before + 10


def test_spans_are_emitted_where_opentelemetry_is_installed(serve, group):
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    server = serve([group])
    rank_group(group, "sim", base_url=server.base_url)
    (span,) = [s for s in exporter.get_finished_spans() if s.name == "ranker.judge"]
    assert span.attributes["gen_ai.request.model"] == "sim"
    assert span.attributes["gen_ai.usage.input_tokens"] > 0


def test_through_litellm(serve, group, monkeypatch):
    """A provider name goes through LiteLLM; here its OpenAI provider is pointed at our server."""
    server = serve([group], api_key="sk-litellm-0123456789")
    monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
    monkeypatch.setenv("OPENAI_API_KEY", "sk-litellm-0123456789")
    ranked = rank_group(group, "openai/gpt-5-mini")
    assert truthful(group, ranked.rewards)
    assert ranked.usage.cost_usd > 0
    monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-9876543210")
    with pytest.raises(JudgeCallError) as caught:
        rank_group(group, LLMJudge("openai/gpt-5-mini", max_retries=0))
    assert caught.value.status_code == 401
    assert "sk-wrong" not in str(caught.value)


async def test_litellm_knows_windows_and_prices():
    known = LiteLLMTransport("gpt-4o-mini", None, 1.0)
    assert await known.window() == 128_000
    assert known.price() == pytest.approx((0.15, 0.6))
    unknown = LiteLLMTransport("nobody/nothing", None, 1.0)
    assert await unknown.window() is None
    assert unknown.price() is None


def test_an_error_inside_a_reply_with_status_200_is_an_error():
    with pytest.raises(JudgeCallError, match="overloaded") as caught:
        read_completion(json.dumps({"error": {"message": "overloaded", "code": 503}}).encode(), "x")
    assert caught.value.retryable


def test_an_empty_account_is_not_retried():
    import httpx
    import openai

    response = httpx.Response(429, request=httpx.Request("POST", "http://x"))
    error = openai.RateLimitError("quota", response=response, body={"code": "insufficient_quota"})
    translated = call_error(error, "m", None)
    assert isinstance(translated, JudgeCallError)
    assert not translated.retryable
    assert "credit" in str(translated)


def test_position_bias_is_what_passes_take_away(serve):
    """The simulated judge's flaw is real: one pass errs, balanced passes err less."""
    groups = make_groups(60)
    server = serve(groups, Behaviour(position_bias=0.5))
    from ranker.aggregate.agreement import agreement

    value = {}
    for passes in (1, 4):
        options = {"base_url": server.base_url, "progress": False, "concurrency": 32}
        value[passes] = agreement(list(rank_groups(groups, "sim", passes=passes, **options))).value
    assert value[1] < 0.9 < value[4]
