"""What a user may say of the requests: more fields, headers, the form of the reply, what follows the address."""

from __future__ import annotations

import json
import logging
import sqlite3
from urllib.parse import parse_qs

import pytest

from grpo.config_file import make_settings
from ranker import Budget, ConfigurationError, JudgeCallError, LLMJudge, rank_group
from ranker.cli.judge_options import judge_options
from ranker.judges.headers import parse_header
from ranker.judges.registry import resolve
from ranker.secrets import scrub
from ranker.testing import JudgeServer
from tests.cli.test_cli import ranker, records
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

SECRET = "swordfish-7788"


def ranks(body, n):
    return chat(json.dumps(verdict(body)))


def test_headers_fields_and_the_query_go_with_every_request():
    with ScriptedServer(ranks) as server:
        ranked = rank_group(
            GROUP,
            "m",
            base_url=f"{server.base_url}?api-version=2024-10-21&team=a%20b",
            headers={"api-key": SECRET, "X-Team": "a b"},
            extra={"top_p": 0.5, "provider": {"order": ["a"]}},
            structured="json_object",
        )
        assert ranked.rewards == REWARDS
        ((path, head),) = server.heads
        assert parse_qs(path.partition("?")[2]) == {"api-version": ["2024-10-21"], "team": ["a b"]}
        assert path.startswith("/v1/chat/completions?")
        assert (head["api-key"], head["x-team"]) == (SECRET, "a b")
        assert "authorization" not in head
        (body,) = server.requests
        assert (body["top_p"], body["provider"]) == (0.5, {"order": ["a"]})
        assert body["response_format"] == {"type": "json_object"}


@pytest.mark.parametrize("name", ["authorization", "Authorization", "AUTHORIZATION"])
def test_an_authorization_of_ones_own_goes_before_the_key(name, monkeypatch):
    monkeypatch.setenv("MY_KEY", f"Token {SECRET}")
    with ScriptedServer(ranks) as server:
        options = {"base_url": server.base_url, "headers": {name: "$MY_KEY"}}
        rank_group(GROUP, LLMJudge("m", api_key="other-key", **options))
        rank_group(GROUP, LLMJudge("m", **options))
        rank_group(GROUP, LLMJudge("m", api_key="other-key", base_url=server.base_url))
        rank_group(GROUP, LLMJudge("m", base_url=server.base_url))
        sent = [head.get("authorization") for _, head in server.heads]
    assert sent == [f"Token {SECRET}"] * 2 + ["Bearer other-key", None]


def test_values_of_headers_are_nowhere(tmp_path, caplog):
    """Not in errors and what they came from, logs, records or caches, although the server sends them back."""
    caplog.set_level(logging.DEBUG)
    record, cache = tmp_path / "calls.jsonl", tmp_path / "cache.sqlite"
    header = {"Authorization": f"Basic {SECRET}", "x-gateway": SECRET + "-2"}

    def answer(body, n):
        if n == 1:
            return ranks(body, n)
        return 418, {"error": {"message": f"who is {SECRET} or {SECRET}-2?"}}

    with ScriptedServer(answer) as server:
        judge = LLMJudge(
            "m", base_url=server.base_url, headers=header, record=record, cache=cache, max_retries=0
        )
        rank_group(GROUP, judge)
        with pytest.raises(JudgeCallError) as caught:
            rank_group(GROUP[:2], judge)
    assert "who is [key removed]" in str(caught.value)
    assert SECRET not in f"{caught.value!r} {judge!r} {vars(judge)['_options']}"
    assert SECRET not in record.read_text()
    assert SECRET not in caplog.text
    sqlite3.connect(cache).execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert SECRET.encode() not in cache.read_bytes()


def test_headers_that_are_no_credentials_take_no_words_out_of_replies(tmp_path, monkeypatch):
    monkeypatch.setenv("OUR_SITE", "https://site.example/app")
    monkeypatch.setenv("OUR_ROUTE", "marlin-5566-route")
    headers = {
        "x-team": "research", "X-Title": "trajectories ranked", "HTTP-Referer": "https://app.example/x",
        "x-site": "$OUR_SITE", "x-route": "$OUR_ROUTE", "x-gateway-key": "halibut-4455-gate",
    }  # fmt: skip
    reason = "It cites research on trajectories, https://example.com/paper."

    def answer(body, n):
        said = verdict(body)
        said["reasons"] = [{**one, "reason": reason} for one in said["reasons"]]
        return chat(json.dumps(said))

    record = tmp_path / "calls.jsonl"
    with ScriptedServer(answer) as server:
        ranked = rank_group(GROUP, "m", base_url=server.base_url, headers=headers, record=record)
    assert ranked.reasons == [reason] * len(GROUP)
    assert reason in json.loads(record.read_text())["raw"]
    assert scrub(f"marlin-5566-route halibut-4455-gate {reason}") == f"[key removed] [key removed] {reason}"


def test_credentials_do_not_change_the_caches_key_and_other_headers_do(tmp_path):
    """Without headers the identity is what it was."""
    plain = LLMJudge("m", base_url="http://127.0.0.1:1/v1").identity()
    assert "headers" not in plain
    for name in ("Authorization", "api-key", "X-Auth-Token", "Cookie"):
        assert LLMJudge("m", base_url="http://127.0.0.1:1/v1", headers={name: SECRET}).identity() == plain
    routed = [
        LLMJudge("m", base_url="http://127.0.0.1:1/v1", headers={"x-route": r}).identity()
        for r in ("aaaaaa", "b")
    ]
    assert len({json.dumps(i) for i in (plain, *routed)}) == 3
    assert "aaaaaa" not in json.dumps(routed)


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"": "x"}, "no name of a header"),
        ({"a b": "x"}, "no name of a header"),
        ({"a": "x\r\nb: y"}, "on one line"),
        ({"a": "$NOT_SET_AT_ALL"}, "which is not set"),
        ({"a": 7}, "on one line"),
        ("a: b", "names and values"),
    ],
)
def test_what_is_no_header_is_refused(headers, words):
    with pytest.raises(ConfigurationError, match=words) as caught:
        LLMJudge("m", base_url="http://127.0.0.1:1/v1", headers=headers)
    assert "y" not in str(caught.value).split()


@pytest.mark.parametrize("base_url", ["http://127.0.0.1:1/v1", None])
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"stop": {"a"}}, "set is not JSON"),
        ({"top_p": float("nan")}, "JSON"),
        ({"user": "\ud800"}, "JSON"),
        ({"messages": []}, "prompt"),
        ({1: 2}, "names and values"),
        ([("top_p", 1)], "names and values"),
    ],
)
def test_what_no_request_can_hold_is_refused_before_any(base_url, extra, words):
    with pytest.raises(ConfigurationError, match=words):
        LLMJudge("openai/gpt-5-mini", base_url=base_url, extra=extra)


def test_the_users_fields_go_before_ours_through_litellm(monkeypatch):
    extra = {
        "drop_params": True, "caching": True, "num_retries": 1, "timeout": 20, "extra_headers": {"x-b": "2"}, "seed": 7,
    }  # fmt: skip
    with ScriptedServer(ranks) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        judge = LLMJudge("openai/gpt-5-mini", api_key="sk-" + SECRET, extra=extra, headers={"x-a": "1"})
        assert rank_group(GROUP, judge, budget=Budget(max_calls=1)).rewards == REWARDS
        ((_, head),) = server.heads
        assert (head["x-a"], head["x-b"]) == ("1", "2")
        assert server.requests[0]["seed"] == 7


def test_the_commands_options(tmp_path, monkeypatch):
    assert parse_header(" api-key : a:b ") == ("api-key", "a:b")
    assert judge_options({"extra": '{"n": 1}', "headers": ["a:b", "c:$D"], "structured": "text", "judge": "x"}) == {
        "extra": {"n": 1}, "headers": {"a": "b", "c": "$D"}, "structured": "text"}  # fmt: skip
    assert judge_options({"headers": [], "extra": None}) == {}
    source = tmp_path / "g.jsonl"
    source.write_text(json.dumps({"id": "g", "trajectories": [{"messages": m} for m in GROUP]}) + "\n")
    out = tmp_path / "out.jsonl"
    with ScriptedServer(ranks) as server:
        args = ["rank", source, "--judge", "m", "--base-url", server.base_url + "?api-version=1"]
        done = ranker(*args, "--out", out, "--header", "api-key:$OUR_KEY", "--header", "x: 1", "--extra", '{"top_k": 3}',
                      "--structured", "text", OUR_KEY=SECRET)  # fmt: skip
        assert done.returncode == 0, done.stderr
        ((path, head),) = server.heads
        assert (path, head["api-key"], head["x"]) == ("/v1/chat/completions?api-version=1", SECRET, "1")
        assert server.requests[0]["top_k"] == 3
        assert "response_format" not in server.requests[0]
        assert list(records(out)[0]["rewards"].values()) == REWARDS
        assert SECRET not in out.read_text()
        for wrong, words in ((["--header", "abc"], "NAME:VALUE"), (["--extra", "{"], "is no JSON"),
                             (["--extra", "[1]"], "a JSON object"), (["--structured", "xml"], "json_object")):  # fmt: skip
            done = ranker(*args, *wrong)
            assert done.returncode == 2
            assert words in done.stderr.replace("\n", " ")
    bench = ranker("bench", "--help").stdout
    serve = ranker("serve", "--help").stdout
    assert all(name in page for name in ("--extra", "--header", "--structured") for page in (bench, serve))


def test_a_judge_file_says_how_a_model_is_asked(tmp_path, monkeypatch):
    """Options of the caller go before it; keys stay out of it."""
    monkeypatch.setenv("OUR_KEY", SECRET)
    path = tmp_path / "judge.json"
    with ScriptedServer(ranks) as server:
        content = {"schema_version": 1, "judge": "api", "model": "m", "base_url": server.base_url, "extra": {"top_p": 0.1},
                   "headers": {"api-key": "$OUR_KEY"}, "structured": "text", "temperature": 0}  # fmt: skip
        path.write_text(json.dumps(content))
        assert rank_group(GROUP, str(path)).rewards == REWARDS
        rank_group(GROUP, str(path), extra={"top_p": 0.2})
        assert [body["top_p"] for body in server.requests] == [0.1, 0.2]
        assert server.requests[0]["temperature"] == 0
        assert server.heads[0][1]["api-key"] == SECRET
    for change, words in (({"headers": {"api-key": SECRET}}, "environment variable"), ({"modle": "x"}, "'model'"),
                          ({"structured": "xml"}, "json_object")):  # fmt: skip
        path = tmp_path / f"{next(iter(change))}.json"
        path.write_text(json.dumps(content | change))
        with pytest.raises(ConfigurationError, match=words) as caught:
            rank_group(GROUP, str(path))
        assert SECRET not in str(caught.value)


def test_a_variable_or_a_file_that_has_changed_since_is_read_again(tmp_path, monkeypatch):
    """A judge is kept by its name, and a name that leads elsewhere is another judge."""
    file, cascade, prompts = tmp_path / "j.json", tmp_path / "c.json", tmp_path / "prompts"
    prompts.mkdir()
    with ScriptedServer(ranks) as server:
        content = {
            "schema_version": 1,
            "judge": "api",
            "base_url": server.base_url,
            "headers": {"api-key": "$OUR_KEY"},
        }
        small = content | {"model": "small", "headers": {}}
        (tmp_path / "small.json").write_text(json.dumps(small))
        both = {
            "schema_version": 1,
            "judge": "cascade",
            "threshold": 2,
            "small": "small.json",
            "strong": "j.json",
        }
        cascade.write_text(json.dumps(both))
        options = {"base_url": server.base_url, "headers": content["headers"], "prompt_folder": prompts}
        judges = []
        for key, model, words in (("1" * 12, "one", "Be strict."), ("2" * 12, "two", "Be polite.")):
            monkeypatch.setenv("OUR_KEY", key)
            file.write_text(json.dumps(content | {"model": model}))
            text = '{% extends "rank.v1.j2" %}{% block rubric %}' + words + "{% endblock %}"
            (prompts / "own.v1.j2").write_text(text)
            for name, more in ((str(file), {}), (str(cascade), {}), ("m", options | {"template": "own.v1"})):
                judges.append(resolve(name, cache="off", **more))
                assert resolve(name, cache="off", **more) is judges[-1]
            assert judges[-2].strong.name == model
            rank_group(GROUP, judges[-3])
            rank_group(GROUP, judges[-1])
            assert [body["model"] for body in server.requests[-2:]] == [model, "m"]
            assert [head["api-key"] for _, head in server.heads[-2:]] == [key, key]
            assert words in json.dumps(server.requests[-1])


def test_the_strong_judge_of_a_cascade_may_be_such_a_file(tmp_path):
    from ranker.judges.cascade import cascade_from

    strong = {"schema_version": 1, "judge": "api", "model": "strong", "base_url": "http://127.0.0.1:1/v1"}
    (tmp_path / "strong.json").write_text(json.dumps(strong))
    small = {"schema_version": 1, "judge": "api", "model": "small", "base_url": "http://127.0.0.1:1/v1"}
    (tmp_path / "small.json").write_text(json.dumps(small))
    content = {"small": "small.json", "strong": "strong.json", "threshold": 0.5}
    cascade = cascade_from(content, "c", resolve, tmp_path)
    assert (cascade.small.name, cascade.strong.name) == ("small", "strong")


def test_training_takes_them_from_its_file_without_keys(monkeypatch):
    monkeypatch.setenv("OUR_KEY", SECRET)
    said = {"model": "smollm2", "dataset": "rows.jsonl"}
    with ScriptedServer(ranks) as server:
        table = {
            "model": "m",
            "base_url": server.base_url,
            "headers": {"api-key": "$OUR_KEY"},
            "extra": {"top_p": 0.1},
        }
        (reward,) = make_settings({**said, "judge": table}, None).rewards()
        assert reward.function(GROUP).rewards == REWARDS
        assert server.heads[0][1]["api-key"] == SECRET
    table["headers"] = {"api-key": SECRET}
    with pytest.raises(ConfigurationError, match="environment variable"):
        make_settings({**said, "judge": table}, None).rewards()


def test_no_key_no_header_at_all():
    """Neither of `Bearer none`, nor of a key of the environment for somebody else's server."""
    with JudgeServer(lambda text: float(len(text))) as server, ScriptedServer(ranks) as scripted:
        assert rank_group(GROUP, "m", base_url=server.base_url).rewards
        rank_group(GROUP, "m", base_url=scripted.base_url)
        assert "authorization" not in scripted.heads[0][1]
