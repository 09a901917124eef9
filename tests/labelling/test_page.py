"""`ranker label --browser`: the server, over HTTP as the page asks it."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess

import pytest

from tests.labelling.people import command, group, page, records, right, write


@pytest.fixture
def files(tmp_path):
    return write(tmp_path / "groups.jsonl", [group(i) for i in range(3)]), tmp_path / "labels.jsonl"


async def ended(server) -> tuple[int, str]:
    _, err = await asyncio.to_thread(server.process.communicate, timeout=60)
    return server.process.returncode, err


async def test_groups_are_ordered_skipped_and_taken_back_until_all_are_done(files):
    source, out = files
    with page(source, out) as server:
        state = await server.get()
        assert state["state"] == "group"
        assert state["progress"] == {"done": 0, "total": 3, "minutes": None}
        assert state["names"] == ["A", "B", "C", "D"]
        assert state["view"]["shared"] == [
            {"kind": "user", "who": "user", "text": "Question 0: which number?"}
        ]
        assert "secret" not in json.dumps(state)
        assert "hush" not in json.dumps(state)
        first = state["task"]
        status, told = await server.post("order", task=first, order="A > B")
        assert (status, told["error"]["type"]) == (400, "OrderError")
        assert "missing: C, D" in told["error"]["message"]
        status, told = await server.post("order", task=first, order="ABCD")
        assert (status, told["said"]) == (200, "Saved A > B > C > D.")
        status, told = await server.post("undo")
        assert (told["task"], told["said"], out.read_bytes()) == (first, "Taken back.", b"")
        status, told = await server.post("order", task=first, order=right(0))
        assert told["undo"] is True
        status, stale = await server.post("order", task=first, order=right(0))
        assert (status, stale["error"]["type"]) == (409, "Answered")
        status, told = await server.post("skip", task=told["task"])
        status, told = await server.post("order", task=told["task"], order=right(2))
        assert (status, told["state"]) == (200, "done")
        code, err = await ended(server)
    assert code == 0
    assert "2 groups labelled, 1 skipped; 0 left" in err
    assert [(r["id"], r["ranking"][0]) for r in records(out)] == [("g0", ["secret-0"]), ("g2", ["secret-0"])]


async def test_requests_without_the_token_or_for_another_host_are_refused(files):
    with page(*files) as server:
        for path in ("", "state"):
            assert (await server.ask("GET", path, token="wrong"))[0] == 401
        for query in ("", "?token=", "?token=wrong"):
            assert (await server.ask("GET", query, token="wrong"))[0] == 401
        assert (await server.ask("GET", f"state?token={server.token}", token="wrong"))[0] == 401
        for path in ("order", "skip", "undo", "stop"):
            assert (await server.ask("POST", path, token="wrong", json={"task": 1, "order": "ABCD"}))[
                0
            ] == 401
        there = f"?token={server.token}"
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}, {"Origin": "null"}):
            assert (await server.ask("GET", there, headers=headers))[0] == 403
            assert (await server.ask("POST", "undo", headers=headers, json={}))[0] == 403
        assert (await server.ask("POST", "undo", data="{}", headers={"Content-Type": "text/plain"}))[0] == 415
        assert (await server.ask("POST", "undo", data="[", headers={"Content-Type": "application/json"}))[
            0
        ] == 400
        assert (await server.post("order", task="1", order="ABCD"))[0] == 400
        assert (await server.post("order", task=1, order="A" * 200_000))[0] == 413
        assert (await server.ask("GET", "openapi.json"))[0] == 404
        assert (await server.ask("GET", there))[0] == 200
    assert files[1].read_bytes() == b""


async def test_the_page_runs_its_own_script_alone_and_loads_nothing(files):
    with page(*files) as server:
        status, headers, html = await server.ask("GET", f"?token={server.token}")
    assert status == 200
    policy = headers["content-security-policy"]
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    assert re.findall(r"<(?:script|style)[^>]*>", html) == [
        f'<style nonce="{nonce}">',
        f'<script nonce="{nonce}">',
    ]
    assert not re.search(
        r"(?:src|href|action)\s*=|https?://|\burl\(|@import|innerHTML|insertAdjacent|eval\(| style=", html
    )
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert 'name="viewport"' in html
    assert "prefers-color-scheme" in html


async def test_a_growing_file_is_waited_for_and_stop_ends(tmp_path):
    source, out = tmp_path / "queue.jsonl", tmp_path / "labels.jsonl"
    with page(source, out, "--follow") as server:
        assert (await server.get())["state"] == "waiting"
        write(source, [group(0)])
        state = await server.get()
        assert state["state"] == "group"
        assert (await server.post("order", task=state["task"], order=right(0)))[1]["state"] == "waiting"
        assert (await server.post("stop"))[1]["state"] == "stopped"
        assert (await ended(server))[0] == 0
    assert len(records(out)) == 1


async def test_ctrl_c_ends_with_130_and_a_kill_loses_nothing_finished(files):
    source, out = files
    with page(source, out) as server:
        state = await server.get()
        await server.post("order", task=state["task"], order=right(0))
        server.process.send_signal(signal.SIGINT)
        code, err = await ended(server)
        assert code == 130
        assert "what was finished is saved" in err
    with page(source, out) as server:
        state = await server.get()
        assert state["progress"]["done"] == 1
        await server.post("order", task=state["task"], order=right(1))
        server.process.kill()
    assert [r["id"] for r in records(out)] == ["g0", "g1"]


def test_a_taken_port_is_named(files):
    source, out = files
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            command("label", source, "--out", out, "--browser", "--no-open", "--port", port),
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
    assert done.returncode == 2
    assert "cannot be listened on" in done.stderr
