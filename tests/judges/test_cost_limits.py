"""Dollar limits hold against what a provider charges, not against what its replies happen to tell."""

from __future__ import annotations

import asyncio
import copy
import json
import math
import pickle
import threading
import time

import pytest

from ranker import BudgetExceeded, ConfigurationError, JudgeCallError, rank_group, rank_groups
from ranker.prompting.truncation import most_tokens
from ranker.runtime.budget import Budget
from ranker.runtime.shared_budget import SharedBudget
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

PRICE = (1_000.0, 1_000.0)  # dollars for a million tokens: a tenth of a cent each


class Provider:
    """Charges for every prompt it reads, whatever becomes of the reply."""

    def __init__(self, reply, *, bytes_a_token: int = 4, completion: int = 60):
        self.billed = 0.0
        self._reply, self._bytes, self._completion = reply, bytes_a_token, completion
        self._lock = threading.Lock()

    def __call__(self, body, n):
        read = sum(len(m["content"].encode()) for m in body["messages"]) // self._bytes
        with self._lock:
            self.billed += (read + self._completion) / 1_000
        return self._reply(body, (read, self._completion))


def good(body, tokens):
    return chat(json.dumps(verdict(body)), tokens=tokens)


def too_late(body, tokens):
    time.sleep(1.2)
    return good(body, tokens)


def cut_body(body, tokens):
    return (
        200,
        json.dumps(good(body, tokens)).encode()[:50],
        {"Content-Length": "9999", "Connection": "close"},
    )


def no_word(body, tokens):
    return None


def no_message(body, tokens):
    return {
        "choices": [{"message": None}],
        "usage": {"prompt_tokens": tokens[0], "completion_tokens": tokens[1]},
    }


def not_json(body, tokens):
    return 200, b"<html>"


def failing(status):
    return lambda body, tokens: (status, {"error": {"message": "lost"}})


def groups(n: int, text: str = ""):
    return [
        [[m[0], {"role": "assistant", "content": f"{text} group {k} {m[1]['content']}"}] for m in GROUP]
        for k in range(n)
    ]


def rank_all(provider, n, limit, concurrency=4, text="", **options):
    options = {"timeout": 30.0, "max_retries": 3, "cache": "off", **options}
    with ScriptedServer(provider) as server:
        ranked = list(
            rank_groups(
                groups(n, text),
                "m",
                base_url=server.base_url,
                on_error="skip",
                progress=False,
                concurrency=concurrency,
                max_cost_usd=limit,
                price=PRICE,
                **options,
            )
        )
        time.sleep(0.05)
    return ranked


@pytest.mark.parametrize(
    "reply", [too_late, cut_body, no_word, no_message, not_json, failing(500), failing(504)]
)
def test_calls_that_fail_after_the_provider_did_the_work_count_against_the_limit(reply):
    """The bill stays within the limit although hardly any reply says what it cost."""
    provider = Provider(reply)
    ranked = rank_all(provider, 20, 5.0, timeout=0.4 if reply is too_late else 30.0)
    assert provider.billed <= 5.0
    assert all(r.rewards == [None] * 3 for r in ranked)
    assert "max_cost_usd" in str(ranked[-1].error)


@pytest.mark.parametrize("per_token", [4, 2, 1])
def test_the_estimate_bounds_what_any_tokenizer_makes_of_a_text(per_token):
    """Down to a token for every byte (digits, hashes, byte-level models) the bill stays within the limit."""
    provider = Provider(good, bytes_a_token=per_token)
    ranked = rank_all(provider, 30, 10.0, text="9f8a7c6b5d4e3f2a1b0c" * 20)
    assert 0 < provider.billed <= 10.0
    assert sum(r.usage.cost_usd for r in ranked) == pytest.approx(provider.billed)
    assert any(r.error is None for r in ranked)


def test_most_tokens_counts_bytes():
    assert most_tokens("abc") == 3
    assert most_tokens("ü€😀") == 2 + 3 + 4


def test_long_replies_are_expected_once_one_was_seen():
    """Without max_tokens a reply can exceed what was expected of it: by one call for each in flight at the most."""
    provider = Provider(good, completion=3_000)
    concurrency = 3
    rank_all(provider, 30, 10.0, concurrency=concurrency)
    assert provider.billed <= 10.0 + concurrency * 3.9
    bounded = Provider(good, completion=3_000)
    rank_all(bounded, 30, 10.0, concurrency=concurrency, max_tokens=3_000)
    assert bounded.billed <= 10.0
    named = Provider(good, completion=3_000)
    rank_all(named, 30, 10.0, concurrency=concurrency, extra={"max_completion_tokens": 3_000})
    assert named.billed <= 10.0


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 429, 503, 529])
def test_what_a_provider_refuses_costs_nothing(status):
    budget = Budget(max_cost_usd=5.0)
    with (
        ScriptedServer(lambda body, n: (status, {"error": {"message": "no"}})) as server,
        pytest.raises(JudgeCallError) as caught,
    ):
        rank_group(
            GROUP, "m", base_url=server.base_url, cache="off", max_retries=0, price=PRICE, budget=budget,
            structured="text",
        )  # fmt: skip
    assert budget.cost_usd == 0.0
    assert (caught.value.usage.cost_usd, caught.value.usage.unconfirmed_usd) == (0.0, 0.0)


def test_a_server_that_cannot_be_reached_costs_nothing():
    budget = Budget(max_cost_usd=5.0)
    with pytest.raises(JudgeCallError):
        rank_group(
            GROUP,
            "m",
            base_url="http://127.0.0.1:1/v1",
            cache="off",
            max_retries=0,
            price=PRICE,
            budget=budget,
        )
    assert budget.cost_usd == 0.0


def test_a_lost_call_is_reported_as_an_upper_bound_never_as_a_fact():
    """What is known goes into cost_usd, what may have been charged into unconfirmed_usd."""
    first = Provider(good)
    lost = iter([True, False])
    with ScriptedServer(lambda b, n: None if next(lost) else first(b, n)) as server:
        ranked = rank_group(GROUP, "m", base_url=server.base_url, cache="off", price=PRICE, max_retries=2)
    usage = ranked.usage
    assert (usage.calls, usage.failed_calls) == (2, 1)
    assert usage.cost_usd == pytest.approx(first.billed)
    assert usage.unconfirmed_usd >= first.billed  # the same prompt, once more
    assert usage.to_dict()["unconfirmed_usd"] == usage.unconfirmed_usd
    assert "unconfirmed_usd" not in (usage + usage).__class__().to_dict()


def test_tokens_that_a_failed_reply_tells_are_charged_at_their_price():
    """A body without a message that still reports its tokens: their price, not the estimate."""
    provider = Provider(no_message)
    with ScriptedServer(provider) as server, pytest.raises(JudgeCallError) as caught:
        rank_group(GROUP, "m", base_url=server.base_url, cache="off", price=PRICE, max_retries=1)
    assert caught.value.usage.cost_usd == pytest.approx(provider.billed)
    assert caught.value.usage.unconfirmed_usd == 0.0


@pytest.mark.parametrize("limit", [math.nan, -1.0, math.inf, "5"])
def test_a_limit_that_stops_nothing_is_refused(limit, tmp_path):
    with ScriptedServer(lambda body, n: chat(json.dumps(verdict(body)))) as server:
        options = {"base_url": server.base_url, "price": PRICE, "cache": "off"}
        for name in ("max_cost_usd", "max_calls"):
            with pytest.raises(ConfigurationError, match=f"{name}=.* at least 0"):
                rank_group(GROUP, "m", **options, **{name: limit})
            with pytest.raises(ConfigurationError, match=f"{name}=.* at least 0"):
                list(rank_groups([GROUP], "m", **options, on_error="skip", progress=False, **{name: limit}))
            with pytest.raises(ConfigurationError, match=name):
                SharedBudget(tmp_path / "spent.sqlite", **{name: limit})
        with pytest.raises(ConfigurationError, match=r"max_calls=1\.5; give a whole number"):
            rank_group(GROUP, "m", **options, max_calls=1.5)
        for price in ((limit, 1.0), (1.0, limit), (1.0,), 1.0):
            with pytest.raises(ConfigurationError, match="price="):
                rank_group(GROUP, "m", **{**options, "price": price}, max_cost_usd=1.0)
        assert not server.requests
        assert rank_group(GROUP, "m", **options, max_calls=1.0, max_cost_usd=5).rewards == REWARDS


async def test_a_budget_wakes_who_waits_in_another_event_loop():
    """Also where one that waited is gone with its loop."""
    budget = Budget(max_cost_usd=1.0)

    async def waits():
        async with budget.reserve(0.8) as reserved:
            reserved.cost_usd = 0.1

    async with budget.reserve(0.8) as reserved:
        reserved.cost_usd = 0.1
        with pytest.raises(TimeoutError):
            await asyncio.to_thread(asyncio.run, asyncio.wait_for(waits(), 0.05))
        other = asyncio.create_task(asyncio.to_thread(asyncio.run, asyncio.wait_for(waits(), 5)))
        await asyncio.sleep(0.2)
        assert budget.calls == 1
    ended = time.monotonic()
    await other
    assert time.monotonic() - ended < 2
    assert (budget.calls, budget.cost_usd) == (2, pytest.approx(0.2))
    assert copy.deepcopy(budget) == pickle.loads(pickle.dumps(budget)) == budget


async def test_a_cost_that_is_no_number_fits_no_limit():
    for budget in (Budget(max_cost_usd=1.0), Budget(max_cost_usd=1.0, cost_usd=math.nan)):
        with pytest.raises(BudgetExceeded):
            async with budget.reserve(math.nan if budget.cost_usd == 0 else 0.1):
                pass
