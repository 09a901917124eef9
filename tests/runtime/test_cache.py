"""Replies kept on disk: nothing paid twice, no secret in it, many processes at once."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from ranker import LLMJudge, rank_group, rank_groups
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
        "import sys; from pathlib import Path; from ranker.runtime.cache import Cache; c = Cache(Path(sys.argv[1]))\n"
        "for i in range(200): c.put(f'{i}', 'j', {'text': sys.argv[2]}); assert c.get(f'{i}')"
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
