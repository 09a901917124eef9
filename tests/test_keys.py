"""A key never leaves the process but to its server: not in errors and what they came from, logs, records and caches,
whatever fails and whatever the server says back."""

from __future__ import annotations

import base64
import io
import json
import logging
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from ranker import LLMJudge, RankerError, rank_group, rank_groups
from ranker.bench.judge_spec import judge_spec
from ranker.bench.recommend import Candidate
from ranker.bench.recommend_text import command
from ranker.runtime.call_log import CallLog
from ranker.secrets import bare_url, scrub, unhidden
from tests.bench_runs import here
from tests.scripted_server import GROUP, REWARDS, ScriptedServer, chat, verdict

KEY = 'zq7+Key/CANARY"9981&xWvUt%SrQpOnMl'  # of no usual shape, with what JSON, HTML and addresses escape
SPELLINGS = [
    KEY,
    json.dumps(KEY)[1:-1],
    quote(KEY, safe=""),
    quote(KEY),
    KEY.replace("&", "&amp;").replace('"', "&quot;"),
]
SPELLINGS += [base64.b64encode(f"{user}:{KEY}".encode()).decode() for user in ("u", "us", "use")]


def held(text: str) -> str:
    """The longest piece of the key in a text, in any spelling; "" where it is no longer than chance."""
    pieces = (
        s[i:j] for s in SPELLINGS for i in range(len(s)) for j in range(i + 8, len(s) + 1) if s[i:j] in text
    )
    return max(pieces, key=len, default="")


def everything(error: BaseException) -> str:
    """An error as Python prints it, and all that it and what it came from hold."""
    parts, seen = traceback.format_exception(error), []
    queue: list[BaseException | None] = [error]
    while queue:
        one = queue.pop()
        if one is None or one in seen:
            continue
        seen.append(one)
        parts += [repr(one), str(one.args), repr(vars(one))]
        queue += [one.__cause__, one.__context__]
    return "\n".join(parts)


def said(text: str, status: int = 200, **headers: str) -> Callable[[ScriptedServer, dict[str, Any]], Any]:
    return lambda server, body: (status, text.replace("HEAD", server.raw_heads[-1]).encode(), headers)


def reply(**message: Any) -> Callable[[ScriptedServer, dict[str, Any]], Any]:
    def answer(server: ScriptedServer, body: dict[str, Any]) -> Any:
        whole = {**verdict(body), "note": server.raw_heads[-1]}
        return chat(message.pop("content", None) or json.dumps(whole), **message)

    return answer


ECHO = " ".join(SPELLINGS)
ANSWERS: dict[str, Callable[[ScriptedServer, dict[str, Any]], Any]] = {
    **{f"HTTP {status}": said("HEAD " + ECHO, status) for status in (400, 401, 403, 404, 413, 422, 429, 500, 503, 529)},
    **{f"cut at {n}": said("x" * n + " " + KEY + " yz", 400) for n in (262, 270, 280, 290, 298, 299)},
    "HTTP 400, too long": said("maximum context length is 9000 HEAD " + ECHO, 400),
    "a redirect": said("", 307, Location=f"http://127.0.0.1:1/?k={quote(KEY)}"),
    "no JSON": said("HEAD " + ECHO),
    "no JSON, cut": said("x" * 1_990 + KEY),
    "JSON of something else": said(json.dumps({"message": ECHO})),
    "an error in the body": said(json.dumps({"error": {"message": ECHO, "code": 401}})),
    "an unusable reply": lambda server, body: chat(ECHO + server.raw_heads[-1]),
    "a broken ranking": lambda server, body: chat(json.dumps({"ranking": [[KEY]]})),
    "a refusal": lambda server, body: chat("", refusal=ECHO),
    "a cut reply": lambda server, body: chat(ECHO, "length"),
    "an odd end": lambda server, body: chat(ECHO, "error " + KEY),
    "a verdict that quotes it": reply(),
    "reasoning that quotes it": lambda server, body: chat("", reasoning_content=json.dumps(verdict(body)) + ECHO),
    "half a body": said("{}" + ECHO, **{"Content-Length": "9000"}),
    "packed badly": said(ECHO, **{"Content-Encoding": "gzip"}),
    "a long header": said("{}", **{"X-Echo": KEY * 400}),
    "no words": lambda server, body: None,
}  # fmt: skip
PLACES: dict[str, Callable[[str], dict[str, Any]]] = {
    "argument": lambda url: {"base_url": url, "api_key": KEY},
    "environment": lambda url: {"base_url": url},
    "query": lambda url: {"base_url": f"{url}?api-version=2024-10-21&api-key={quote(KEY, safe='')}"},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", ANSWERS)
def test_no_error_path_lets_the_key_out(kind, place, tmp_path, monkeypatch):
    """Looked for in the result, the error and what it came from, the log at its most verbose, the record, the cache."""
    log = io.StringIO()
    handler = logging.StreamHandler(log)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    if place == "environment":
        monkeypatch.setenv("RANKER_API_KEY", KEY)
    try:
        with ScriptedServer(lambda body, n: ANSWERS[kind](server, body)) as server:
            results = rank_groups(
                [GROUP], "m", **PLACES[place](server.base_url), max_retries=0, max_reasks=1, timeout=2.0, on_error="skip",
                record=tmp_path / "record.jsonl", cache=tmp_path / "cache.sqlite", progress=False,
            )  # fmt: skip
            error, ranked = None, None
            try:
                (ranked,) = results
                error = ranked.error
            except RankerError as fatal:
                error = fatal
            assert any(s in server.raw_heads[0] for s in SPELLINGS), "the server has it"
    finally:
        root.removeHandler(handler)
        root.setLevel(level)
    assert (error is None) == (kind in {"a verdict that quotes it", "reasoning that quotes it"})
    files = {p.name: p.read_bytes().decode("latin1") for p in tmp_path.iterdir()}
    assert "record.jsonl" in files
    shown = {"result": repr(ranked), "log": log.getvalue(), **files}
    if error is not None:
        shown["error"] = everything(error)
    assert {name: piece for name, text in shown.items() if (piece := held(text))} == {}


@pytest.mark.parametrize(
    "url",
    [
        "HTTP://user:{}@127.0.0.1:1/v1", "user:{}@127.0.0.1:1/v1", "htps://user:{}@127.0.0.1/v1", "http://user:a/{}@127.0.0.1:1/v1",
        "http://127.0.0.1:99999999/v1?api-key={}", "http://127.0.0.1:1/v1?api-key={}", "http://127.0.0.1 :1/v1?key={}",
        "http://[::1/v1?token={}", "//x?key={}", "http://:{}@", "http://h/v1?{}", "ftp://h/?key={}", "{}",
    ],
)  # fmt: skip
@pytest.mark.parametrize("key", [KEY, KEY.replace("/", "_").replace("%", "_")])
def test_an_address_is_not_repeated_with_its_credentials(url, key):
    """A malformed one neither."""
    with pytest.raises(RankerError) as caught:
        list(
            rank_groups(
                [GROUP], "m", base_url=url.format(key), api_key="another-key-1", max_retries=0, timeout=2.0
            )
        )
    assert not held(everything(caught.value).replace(key, KEY))


@pytest.mark.parametrize("command", ["rank", "bench"])
def test_the_command_line_keeps_it_too(command, tmp_path):
    groups = tmp_path / "groups.jsonl"
    members = [{"id": str(i), "messages": messages, "ground_truth": i} for i, messages in enumerate(GROUP)]
    groups.write_text(json.dumps({"id": "g", "trajectories": members}) + "\n")
    words = {
        "rank": [
            "rank",
            str(groups),
            "--judge",
            "m",
            "--out",
            str(tmp_path / "out.jsonl"),
            "--on-error",
            "skip",
        ],
        "bench": ["bench", "--suite", str(groups), "--judge", "m", "--out", str(tmp_path / "out")],
    }[command]
    with ScriptedServer(lambda body, n: (400, ("y" * 270 + KEY + server.raw_heads[-1]).encode())) as server:
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ranker",
                *words,
                "--base-url",
                f"{server.base_url}?sig={quote(KEY, safe='')}",
            ],
            env={**os.environ, "RANKER_CACHE": str(tmp_path / "cache.sqlite"), "RANKER_API_KEY": KEY},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert server.raw_heads, done.stderr
    shown = {"said": done.stdout + done.stderr}
    shown |= {str(p): p.read_bytes().decode("latin1") for p in tmp_path.rglob("*") if p.is_file()}
    assert {name: piece for name, text in shown.items() if (piece := held(text))} == {}


def test_ordinary_words_stay():
    """What is no credential is not taken out: the version in an address, a short dummy key, plain text."""
    text = "ollama said on 2024-10-21: EMPTY, none"
    with ScriptedServer(lambda body, n: chat(json.dumps({**verdict(body), "note": text}))) as server:
        for key in ("ollama", "EMPTY", "none"):
            url = f"{server.base_url}?api-version=2024-10-21"
            list(rank_groups([GROUP], "m", base_url=url, api_key=key, cache="off", progress=False))
    assert unhidden(text) == text
    assert bare_url("https://gateway.example:8443/a/@cf/v1?x=1") == "https://gateway.example:8443/a/@cf/v1"
    assert scrub("Authorization: Bearer abcdefgh12345") == "Authorization: [key removed]"
    assert scrub(r'{"a": "Bearer abcdefgh\/12345\""}') == r'{"a": "[key removed]\""}'


@pytest.mark.parametrize("model", ["m", "openai/gpt-5-mini"])
@pytest.mark.parametrize(
    "words", ["It sends a Bearer credential", 'He wrote "Bearer abcdefgh12345" and \\', "Bearer a1b2c3\\d4e5"]
)
def test_what_looks_like_a_key_breaks_neither_a_verdict_nor_a_record(model, words, tmp_path, monkeypatch):
    def answer(body: dict[str, Any], n: int) -> dict[str, Any]:
        said = verdict(body)
        said["reasons"] = [{**one, "reason": words} for one in said["reasons"]]
        return chat(json.dumps(said))

    with ScriptedServer(answer) as server:
        if model == "m":
            judge = LLMJudge(model, base_url=server.base_url, record=tmp_path / "record.jsonl")
        else:  # through LiteLLM
            monkeypatch.setenv("OPENAI_API_BASE", server.base_url)
            judge = LLMJudge(model, api_key="sk-aaaaaaaaaaaaaaaaaaa", record=tmp_path / "record.jsonl")
        assert rank_group(GROUP, judge).rewards == REWARDS
        assert len(server.requests) == 1
    (line,) = (tmp_path / "record.jsonl").read_text().splitlines()
    (raw,) = {json.loads(line)["raw"]}
    assert len(json.loads(raw)["reasons"]) == 3
    assert "abcdefgh12345" not in line


def test_what_is_in_the_environment_breaks_no_record(tmp_path, monkeypatch):
    """A value that happens to be a number or a word of the notation is taken out of texts alone."""
    monkeypatch.setenv("SOME_TOKEN", "123456")
    monkeypatch.setenv("SORT_KEY", "prompt_tokens")
    CallLog(tmp_path / "r.jsonl").write(
        {"time": 1234567.5, "judge": "of 123456", "raw": Path("123456"), "usage": {"prompt_tokens": 7}}
    )
    assert json.loads((tmp_path / "r.jsonl").read_text()) == {
        "time": 1234567.5, "judge": "of [key removed]", "raw": "[key removed]", "usage": {"prompt_tokens": 7},
    }  # fmt: skip


def test_a_key_in_the_path_is_not_shown():
    """Gateways that take one there are rare; a path that is none stays."""
    key = "zq7KeyCANARYkey9981xWvUtSrQpOnMl"
    with pytest.raises(RankerError) as caught:
        list(rank_groups([GROUP], "m", base_url=f"http://127.0.0.1:1/{key}/v1", max_retries=0, timeout=2.0))
    assert key not in everything(caught.value)
    deployment = "https://h/openai/deployments/gpt-4o-mini-2024-07-18"
    assert bare_url(deployment) == deployment


def test_a_benchmark_s_files_hold_neither_keys_of_the_address_nor_of_the_request(tmp_path):
    in_path, in_field = "zq7KeyCANARYkey9981xWvUtSrQpOnMl", "CANARYfield"
    members = [{"id": str(i), "messages": messages, "ground_truth": i} for i, messages in enumerate(GROUP)]
    groups = tmp_path / "groups.jsonl"
    groups.write_text(json.dumps({"id": "g", "trajectories": members}) + "\n")
    with ScriptedServer(lambda body, n: chat(json.dumps(verdict(body)))) as server:
        address = f"{server.base_url}/{in_path}/v1?key=CANARYquery"
        extra = json.dumps({"top_p": 0.5, "api_key": in_field, "extra_headers": {"X-Auth": [in_field]}})
        words = ("--judge", f"m@{address}", "--suite", groups, "--extra", extra, "--accuracy-only")
        done = here("bench", *words, "--out", tmp_path / "out")
        assert done.code == 0, done.told
        assert server.requests[0]["api_key"] == in_field
    told = done.told + "".join(p.read_text() for p in (tmp_path / "out").iterdir())
    assert "CANARY" not in told
    assert '"top_p": 0.5' in told


def test_recommend_prints_no_key_of_an_address(tmp_path):
    judge = judge_spec("m@http://127.0.0.1:1/v1?key=CANARYquery", None, {})
    told = command(Candidate(judge, (1.0, 1.0), 0.0), tmp_path / "g.jsonl", 1, None, None)
    assert "--base-url http://127.0.0.1:1/v1 --out" in told


def test_a_benchmark_knows_its_observations_by_addresses_and_requests_without_keys_as_before():
    extra = {
        "max_tokens": 9,
        "stop_token_ids": [1],
        "prompt_cache_key": "run 7",
        "tokenizer": "mistral",
        "chat_template_kwargs": {"a": "b"},
    }
    for address in ("http://Host:8000/v1", "http://[::1]:80/openai/deployments/gpt-4o-mini-2024-07-18"):
        judge = judge_spec(f"m@{address}/", None, {"extra": extra})
        assert judge.name == f"m@{address}"
        assert judge.shape() == {"extra": extra, "base_url": address}


def test_a_key_among_extra_fields_is_kept_out_of_what_a_server_says_back():
    key = "plum7-orchard-93517"
    LLMJudge(
        "m",
        base_url="http://127.0.0.1:1/v1",
        extra={"auth": [{"value": key}], "tokenizer": "an ordinary one"},
    )
    assert key not in scrub(f"unknown field auth: {key}")
    assert unhidden("an ordinary one") == "an ordinary one"
