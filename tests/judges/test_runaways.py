"""Replies without end, against a server that counts as vLLM does: named as what they are, and no group pays for another's."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ranker import LLMJudge, VerdictError, rank_group, rank_groups
from ranker.judges.llm import DEFAULT_WINDOW
from ranker.judges.reply_limit import MOST_REPLY
from ranker.judges.verdict import parse_verdict, rankings, schema
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict
from tests.vllm_judge import VLLMJudge

OPTIONS: dict[str, Any] = {"max_retries": 0, "cache": "off"}


def group(words: int, mark: str = "w") -> list[list[dict[str, str]]]:
    return [
        [
            {
                "role": "assistant",
                "content": f"worth {worth} " + " ".join(f"{mark}{worth}x{i}" for i in range(words)),
            }
        ]
        for worth in (1, 2)
    ]


def await_window(judge: LLMJudge) -> int:
    return asyncio.run(judge.window())


def right(body: dict[str, Any]) -> str:
    return json.dumps(verdict(body))


def invented(body: dict[str, Any]) -> str:
    """A reply of 400 tokens that ranks an id which was not shown."""
    ids = [item["id"] for item in verdict(body)["reasons"]]
    reasons = [{"id": name, "reason": "so good " * 90} for name in ids]
    return json.dumps({"reasons": reasons, "ranking": [["XYZ"], *([name] for name in ids)]})


@pytest.mark.parametrize("version", ["0.32", "0.11", "0.6"])
@pytest.mark.parametrize(("max_tokens", "words"), [(None, 380), (420, 330)])
def test_a_question_asked_again_fits_and_shrinks_nothing(version, max_tokens, words):
    """The first reply of each group is long and names an unknown id. Prompt and reply together leave too little for another
    one; before, that was a window of 1,628 tokens for all later groups, or a cut in this one."""

    def writes(body: dict[str, Any], n: int) -> str:
        return right(body) if len(body["messages"]) > 2 else invented(body)

    with VLLMJudge(writes, 2_048, version) as server:
        judge = LLMJudge("m", base_url=server.base_url, max_tokens=max_tokens, **OPTIONS)
        results = list(
            rank_groups(
                [group(words, mark) for mark in "abc"], judge, on_error="skip", progress=False, concurrency=1
            )
        )
        assert [r.error for r in results] == [None] * 3
        assert [r.rewards for r in results] == [[0.0, 1.0]] * 3
        assert not any(any(r.cut) for r in results)
        assert await_window(judge) == 2_048
        again = [b["messages"][2]["content"] for b in server.requests if len(b["messages"]) > 2]
        assert all(content.endswith("(too long to repeat)") for content in again)
        assert bool(server.refused) == (max_tokens is not None and version != "0.32")


def test_without_room_to_ask_again_the_fault_is_reported_not_the_window():
    with VLLMJudge(lambda body, n: invented(body)[:80], 1_330) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        with pytest.raises(VerdictError, match="no room to ask again") as caught:
            rank_group(group(300), judge)
        assert caught.value.usage.calls == len(server.requests) == 3
        assert await_window(judge) == 1_330


def test_a_server_that_counts_nothing_is_asked_again_without_the_reply_where_that_is_refused():
    def answer(body: dict[str, Any], n: int) -> Any:
        if sum(len(m["content"]) for m in body["messages"]) > 6_500:
            return 400, {"error": {"message": "This model's maximum context length is 2048 tokens."}}
        return chat(right(body) if len(body["messages"]) > 2 else invented(body), tokens=(0, 0))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        ranked = rank_group(group(280), judge)
        assert ranked.rewards == [0.0, 1.0]
        assert (ranked.usage.calls, ranked.usage.failed_calls) == (3, 2)
        assert [len(b["messages"]) for b in server.requests] == [2, 4, 4]
        assert server.requests[2]["messages"][2]["content"] == "(too long to repeat)"
        assert judge._window is None, "a question that is asked again says nothing of the window"


def test_a_short_unusable_reply_is_sent_back_whole():
    said = json.dumps({"reasons": [], "ranking": [["XYZ"]]})
    with VLLMJudge(lambda body, n: right(body) if n > 1 else said, 32_768) as server:
        assert rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS)).rewards == REWARDS
        assert server.requests[1]["messages"][2]["content"] == said


def test_a_server_is_given_a_bound_on_the_reply_where_its_window_has_room_for_more():
    for window, limit in ((32_768, MOST_REPLY), (8_192, None)):
        with VLLMJudge(lambda body, n: right(body), window) as server:
            assert rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS)).rewards == REWARDS
            assert server.limits == [limit]
    assert MOST_REPLY < DEFAULT_WINDOW


def test_the_users_limit_goes_before_ours():
    with VLLMJudge(lambda body, n: right(body), 32_768) as server:
        for options in ({"max_tokens": 700}, {"extra": {"max_completion_tokens": 700}}):
            judge = LLMJudge("m", base_url=server.base_url, **options, **OPTIONS)
            assert rank_group(GROUP, judge).rewards == REWARDS
        assert [(b.get("max_tokens"), b.get("max_completion_tokens")) for b in server.requests] == [
            (700, None),
            (None, 700),
        ]


def test_a_runaway_is_named():
    with VLLMJudge(lambda body, n: "and so on " * 30_000, 32_768) as server:
        with pytest.raises(VerdictError, match=r"ran away: 16,000 tokens is Ranker's limit.*max_tokens"):
            rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS))
        assert len(server.requests) == 1
    with (
        VLLMJudge(lambda body, n: "and so on " * 30_000, 2_048) as server,
        pytest.raises(VerdictError, match=r"ran away, to the end of the context of 2,048 tokens"),
    ):
        rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **OPTIONS))


def test_a_runaway_costs_no_other_group_anything():
    """Three groups, the second a runaway: the judge's window stays, and so do the prompts of the others."""
    groups = [group(280, mark) for mark in "abc"]

    def writes(body: dict[str, Any], n: int) -> str:
        return "and so on " * 9_000 if "b1x0" in body["messages"][1]["content"] else right(body)

    with VLLMJudge(writes, 2_048) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        results = list(rank_groups(groups, judge, on_error="skip", progress=False, concurrency=1))
        assert [r.rewards for r in results] == [[0.0, 1.0], [None, None], [0.0, 1.0]]
        assert isinstance(results[1].error, VerdictError)
        assert await_window(judge) == 2_048
        assert len(server.requests) == 3


REFUSALS = [
    ("a smaller limit", 400, "max_tokens is too large: 16000. This model supports at most 4096 completion tokens, whereas you provided 16000."),
    ("a smaller context", 422, "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4096. Given: 900 `inputs` tokens and 16000 `max_new_tokens`"),
    ("vLLM 0.32", 400, "max_tokens=16000 cannot be greater than max_model_len=4096. Please request fewer output tokens. (parameter=max_tokens, value=16000)"),
    ("no such option", 400, "Unrecognized request argument supplied: max_tokens"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "status", "words"), REFUSALS, ids=[r[0] for r in REFUSALS])
def test_a_server_that_refuses_our_bound_is_asked_without_it(name, status, words):
    def answer(body: dict[str, Any], n: int) -> Any:
        if "max_tokens" in body or "max_completion_tokens" in body:
            return status, {"error": {"message": words}}
        return chat(right(body))

    with ScriptedServer(answer) as server:
        judge = LLMJudge("m", base_url=server.base_url, **OPTIONS)
        before = judge.identity()
        for seed in range(2):
            assert rank_group(GROUP, judge, seed=seed).rewards == REWARDS
        asked = ["max_tokens" in b or "max_completion_tokens" in b for b in server.requests]
        assert asked in ([True, False, False], [True, True, False, False])
        assert judge._window is None
        assert judge.identity() == before


def test_our_bound_reserves_no_money():
    with VLLMJudge(lambda body, n: right(body), 131_072) as server:
        judge = LLMJudge("m", base_url=server.base_url, price=(1.0, 10.0), **OPTIONS)
        assert rank_group(GROUP, judge, max_cost_usd=0.02).rewards == REWARDS
        assert server.limits == [MOST_REPLY]


@pytest.mark.parametrize("form", ["ranking", "scores"])
def test_the_schema_may_name_the_ids(form):
    """Off unless asked for: the schema is then the same for every call."""
    ids = ("ABC", "DEF", "GHI")
    with VLLMJudge(lambda body, n: right(body), 32_768) as server:
        for options in ({}, {"ids_in_schema": True}):
            rank_group(GROUP, LLMJudge("m", base_url=server.base_url, **options, **OPTIONS))
        plain, named = (b["response_format"]["json_schema"]["schema"] for b in server.requests)
        shown = {item["id"] for item in verdict(server.requests[1])["reasons"]}
    assert plain == schema()
    assert all({i for tier in r for i in tier} == shown for r in named["properties"]["ranking"]["enum"])
    named = schema(form, ids)
    assert list(named["properties"]) == ["reasons", form]
    reasons = [{"id": i, "reason": "good"} for i in ids]
    good = {"ranking": [["ABC"], ["DEF", "GHI"]], "scores": [{"id": i, "score": 1} for i in ids]}
    check = Draft202012Validator(named)
    assert check.is_valid({"reasons": reasons, form: good[form]})
    assert not check.is_valid({"reasons": reasons[:2], form: good[form]})
    assert not check.is_valid({"reasons": [reasons[0], *reasons[:2]], form: good[form]})
    assert not check.is_valid({"reasons": [{"id": i, "reason": "x" * 500} for i in ids], form: good[form]})
    assert not check.is_valid({"reasons": reasons, form: [good[form][0], *good[form]]})
    assert not check.is_valid({"reasons": reasons, form: []})


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 8])
def test_a_schema_that_names_ids_takes_what_a_verdict_may_be(count):
    """Up to four ids exactly that: no id twice, none missing."""
    ids = [f"I{i}" for i in range(count)]
    check = Draft202012Validator(schema("ranking", ids))
    reasons = [{"id": i, "reason": ""} for i in ids]
    every = list(rankings(ids)) if count < 6 else [[[i] for i in reversed(ids)], [ids], [ids[:3], ids[3:]]]
    assert len({str(r) for r in every}) == len(every) == {1: 1, 2: 3, 3: 13, 4: 75, 5: 541}.get(count, 3)
    for ranking in every:
        assert check.is_valid({"reasons": reasons, "ranking": ranking})
        assert len(parse_verdict(json.dumps({"reasons": [], "ranking": ranking}), ids).tiers) == len(ranking)
    twice = [[ids[0]], ids]
    assert check.is_valid({"reasons": reasons, "ranking": twice}) == (count > 4)
    assert not check.is_valid({"reasons": reasons, "ranking": [["other"]]})


def test_what_a_server_leaves_for_a_prompt_is_no_window():
    """Where it names the window too, which is the one that is believed, the group alone is cut to what it leaves."""
    with VLLMJudge(lambda body, n: right(body), 4_096, "0.11") as server:
        judge = LLMJudge("m", base_url=server.base_url, max_tokens=1_500, **OPTIONS)
        long, short = rank_groups([group(1_500), group(200)], judge, progress=False, concurrency=1)
        assert [long.rewards, short.rewards] == [[0.0, 1.0]] * 2
        assert all(long.cut)
        assert not any(short.cut)
        assert server.refused
        assert await_window(judge) == 4_096
