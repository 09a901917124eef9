"""Replies kept on disk: nothing paid twice, no secret in it, many processes at once."""

from __future__ import annotations

import asyncio
import json
import os
import random
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ranker import LLMJudge, rank_group, rank_groups
from ranker.judges.servers import ENDINGS, server_of
from ranker.runtime.cache import Cache, cache_key, cache_path, open_cache
from tests.conftest import make_groups, truthful


def test_the_same_question_is_paid_for_once(serve, tmp_path):
    groups = make_groups(5)
    server = serve(groups)
    options = {"base_url": server.base_url, "cache": tmp_path / "c.sqlite", "progress": False}
    first = list(rank_groups(groups, "sim", passes=2, **options))
    second = list(rank_groups(groups, "sim", passes=2, **options))
    assert server.requests == 10
    assert [r.rewards for r in first] == [r.rewards for r in second]
    assert [r.reasons for r in first] == [r.reasons for r in second]
    assert all(r.usage.cached_calls == 2 and r.usage.calls == 0 and r.usage.cost_usd == 0.0 for r in second)
    list(rank_groups(groups, "sim", passes=2, seed=1, **options))
    assert server.requests == 20


def test_whatever_shapes_the_reply_is_in_the_key(serve, tmp_path):
    (group,) = make_groups(1)
    server, other = serve([group]), serve([group])
    path = tmp_path / "c.sqlite"
    variants = [
        ({}, server),
        ({"temperature": 0.5}, server),
        ({"max_tokens": 500}, server),
        ({"extra": {"top_p": 0.9}}, server),
        ({"structured": "text"}, server),
        ({}, other),
    ]
    for options, where in variants:
        rank_group(group, LLMJudge("sim", base_url=where.base_url, cache=path, **options))
    rank_group(group, LLMJudge("other", base_url=server.base_url, cache=path))
    rank_group(group, LLMJudge("sim", base_url=server.base_url, cache=path), rubric="Shorter is better.")
    assert server.requests + other.requests == len(variants) + 2
    for options, where in variants:
        rank_group(group, LLMJudge("sim", base_url=where.base_url, cache=path, **options))
    assert server.requests + other.requests == len(variants) + 2


def test_the_key_is_no_part_of_it(serve, tmp_path):
    (group,) = make_groups(1)
    server = serve([group])
    path = tmp_path / "c.sqlite"
    for key in ("first-key-0123456789", "second-key-0123456789"):
        rank_group(group, LLMJudge("sim", base_url=server.base_url, api_key=key, cache=path))
    assert server.requests == 1
    assert b"key-0123456789" not in b"".join(f.read_bytes() for f in tmp_path.iterdir())


def test_a_verdict_that_took_several_questions_is_kept_under_the_first(serve, tmp_path):
    (group,) = make_groups(1)
    server = serve([group], faults={"bad_json": 0.9}, seed=1)
    judge = LLMJudge("sim", base_url=server.base_url, cache=tmp_path / "c.sqlite", max_reasks=60)
    first = rank_group(group, judge)
    assert first.usage.calls == server.requests > 1
    again = rank_group(group, judge)
    assert again.rewards == first.rewards
    assert server.requests == first.usage.calls


def test_bad_replies_are_not_kept(serve, tmp_path):
    (group,) = make_groups(1)
    server = serve([group], faults={"missing_id": 1.0})
    judge = LLMJudge("sim", base_url=server.base_url, cache=tmp_path / "c.sqlite", max_reasks=1)
    for _ in range(2):
        with pytest.raises(Exception, match="no usable"):
            rank_group(group, judge)
    assert server.requests == 4


def test_many_processes_share_one_file(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from ranker.runtime.cache import Cache; c = Cache(Path(sys.argv[1]))\n"
        "for i in range(200):\n"
        "    c.put(f'{i}', 'j', {'text': sys.argv[2]})\n"
        "    while not c.get(f'{i}'): time.sleep(0.05)"  # while another process has it locked it counts as missing
    )
    path = tmp_path / "c.sqlite"
    running = [
        subprocess.Popen([sys.executable, "-W", "error", "-c", code, str(path), str(k)]) for k in range(4)
    ]
    assert [p.wait(60) for p in running] == [0] * 4
    assert Cache(path).summary().replies == {"j": 200}


@pytest.mark.parametrize("kind", ["garbage", "folder", "other database"])
def test_a_broken_cache_is_reported_and_left_alone(serve, tmp_path, caplog, kind):
    path = tmp_path / "c.sqlite"
    if kind == "garbage":
        path.write_bytes(b"not a database" * 1000)
    elif kind == "folder":
        path.mkdir()
    else:
        with sqlite3.connect(path) as db:
            db.execute("CREATE TABLE replies (something TEXT)")
        db.close()
    (group,) = make_groups(1)
    server = serve([group])
    judge = LLMJudge("sim", base_url=server.base_url, cache=path)
    for _ in range(2):
        assert truthful(group, rank_group(group, judge).rewards)
    assert caplog.text.count("cannot be used") == 1


@pytest.mark.parametrize("damage", [3, 30, 400])
def test_a_damaged_cache_ends_no_run(serve, tmp_path, damage):
    """Whatever its bytes are: what cannot be read counts as missing, and the group is ranked."""
    (group,) = make_groups(1)
    server = serve([group])
    sound = tmp_path / "sound.sqlite"
    cache = Cache(sound)
    for n in range(60):
        cache.put(cache_key(n=n), "m", {"text": '{"ranking": []}' * 20, "mode": "text"})
    cache._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    whole = sound.read_bytes()
    rng = random.Random(damage)
    for trial in range(60):
        raw = bytearray(whole)
        for _ in range(damage):
            raw[rng.randrange(100, len(raw))] = rng.randrange(256)
        path = tmp_path / f"{trial}.sqlite"
        path.write_bytes(raw)
        damaged = Cache(path)
        assert all(isinstance(damaged.get(cache_key(n=n)), dict | None) for n in range(20))
        damaged.put("new", "m", {"text": "x"})
        if trial < 5:
            judge = LLMJudge("sim", base_url=server.base_url, cache=path)
            assert truthful(group, rank_group(group, judge).rewards)


def test_an_entry_that_is_no_reply_counts_as_missing(tmp_path):
    cache = Cache(tmp_path / "c.sqlite")
    cache.put("key", "m", {"text": "x"})
    for entry in (b"\xff\xfe", "[" * 100_000, "7", "{", 7, 1.5):
        cache._db.execute("UPDATE replies SET reply = ?", (entry,))
        assert cache.get("key") is None
    cache.put("key", "m", {"text": "y"})
    assert cache.get("key") == {"text": "y"}


async def test_a_locked_cache_holds_up_nothing_and_loses_nothing(tmp_path):
    """While another process holds the file for a second, the event loop never waits longer than a tenth of one."""
    path = tmp_path / "c.sqlite"
    cache = Cache(path)
    cache.put("before", "m", {"text": "x"})
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    longest, wrote = 0.0, 0
    until = time.monotonic() + 1.0
    while time.monotonic() < until:
        started = time.monotonic()
        cache.put(f"during {wrote}", "m", {"text": "y"})
        assert cache.get(f"during {wrote}") is None
        longest = max(longest, time.monotonic() - started)
        wrote += 1
        await asyncio.sleep(0.01)
    other.execute("COMMIT")
    other.close()
    assert longest < 1.0  # 0.05, and what a machine at work adds
    assert wrote > 10
    for _ in range(300):
        if Cache(path).summary().replies == {"m": wrote + 1}:
            break
        await asyncio.sleep(0.1)
    assert Cache(path).summary().replies == {"m": wrote + 1}
    await asyncio.sleep(1.0)
    assert cache.get("before") == {"text": "x"}


def test_where_it_is(monkeypatch, tmp_path):
    monkeypatch.setenv("RANKER_CACHE", str(tmp_path))
    assert cache_path() == tmp_path / "replies.sqlite"
    monkeypatch.setenv("RANKER_CACHE", str(tmp_path / "my.db"))
    assert cache_path() == tmp_path / "my.db"
    monkeypatch.setenv("RANKER_CACHE", "OFF")
    assert cache_path() is None
    assert open_cache() is None
    assert open_cache("off") is None
    monkeypatch.delenv("RANKER_CACHE")
    assert cache_path().name == "replies.sqlite"
    assert isinstance(open_cache(Path(tmp_path / "x.sqlite")), Cache)


def test_keys_are_stable_and_tell_apart():
    assert cache_key(a=1, b="x") == cache_key(b="x", a=1)
    assert cache_key(a=1) != cache_key(a=2)
    assert cache_key(a="\ud800")


def test_a_name_that_leads_to_another_server_is_another_judge(tmp_path, monkeypatch):
    """OPENAI_BASE_URL and its kin decide who answers an openai/ judge; its verdict is not taken for another's."""
    from tests.scripted_server import GROUP, ScriptedServer, chat, verdict

    def replies(backwards):
        return lambda body, n: chat(json.dumps(verdict(body, backwards=backwards)))

    monkeypatch.setenv("OPENAI_API_KEY", "sk-test-0123456789")
    with ScriptedServer(replies(False)) as one, ScriptedServer(replies(True)) as two:
        for server, best in ((one, 1), (two, 0), (one, 1), (two, 0)):
            monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
            monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
            ranked = rank_group(GROUP, "openai/my-model", cache=tmp_path / "c.sqlite")
            assert ranked.rewards[best] == 1.0
        assert (len(one.requests), len(two.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("model", "variable"),
    [
        ("openai/m", "OPENAI_BASE_URL"),
        ("openai/m", "OPENAI_API_BASE"),
        ("gpt-5-mini", "OPENAI_BASE_URL"),
        ("claude-haiku", "ANTHROPIC_BASE_URL"),
        ("azure/m", "AZURE_API_BASE"),
        ("azure/m", "AZURE_API_VERSION"),
        ("bedrock/m", "AWS_REGION_NAME"),
        ("vertex_ai/m", "VERTEXAI_LOCATION"),
        ("hosted_vllm/m", "HOSTED_VLLM_API_BASE"),
        ("ollama_chat/m", "OLLAMA_API_BASE"),
        ("lm_studio/m", "LM_STUDIO_API_BASE"),
    ],
)
def test_every_variable_that_redirects_a_provider_is_part_of_the_key(monkeypatch, model, variable):
    """And what redirects another provider is not; without any the key is what it always was."""
    for name in [name for name in os.environ if name.endswith(ENDINGS)]:
        monkeypatch.delenv(name)
    before = server_of(model, None)
    assert before == {"base_url": None}
    monkeypatch.setenv("XINFERENCE_API_BASE", "http://elsewhere")
    assert server_of(model, None) == before
    monkeypatch.setenv(variable, "http://one")
    one = server_of(model, None)
    monkeypatch.setenv(variable, "http://two")
    assert before != one != server_of(model, None) != before


def test_the_query_of_an_address_tells_two_servers_apart_and_is_not_written_down():
    """A gateway may choose the backend by it, and it may hold a key."""
    one, two = (server_of("m", f"http://gateway/v1?backend={name}&key=SECRET") for name in "ab")
    assert one != two
    assert "SECRET" not in str(one)
    assert server_of("m", "http://gateway/v1/") == {"base_url": "http://gateway/v1"}
