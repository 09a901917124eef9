"""`ranker view` over HTTP, as its page asks it."""

from __future__ import annotations

import json
import re
import signal
import time

from tests.viewing.viewer import (
    ESTIMATE,
    failed,
    make_run,
    metrics,
    process,
    ranked,
    ranker,
    sample,
    tied,
    viewer,
    write,
    write_audit,
    write_many,
)


def until(view, found, seconds: float = 30.0):
    """The state, once it is as wanted."""
    end = time.monotonic() + seconds
    while not found(state := view.json("state")):
        assert time.monotonic() < end, state
        time.sleep(0.05)
    return state


def test_groups_are_listed_filtered_and_opened(tmp_path):
    file = write(
        tmp_path / "g.jsonl", [ranked(0), tied(1), failed(2), "{bad", *(ranked(i) for i in range(4, 70))]
    )
    with viewer(file) as view:
        state = until(view, lambda s: s["indexed"]["done"])
        assert (state["kind"], state["name"], state["indexed"]["groups"]) == ("groups", "g.jsonl", 70)
        assert state["indexed"]["states"]["bad"] == 1
        page = view.json("groups")
        assert (len(page["rows"]), page["count"], page["next"]) == (50, 70, [None, 50])
        more = view.json("groups", line=page["next"][1])
        assert [row["line"] for row in more["rows"]] == list(range(51, 71))
        assert [r["id"] for r in view.json("groups", state="tied")["rows"]] == ["g1"]
        assert [r["id"] for r in view.json("groups", words="g69")["rows"]] == ["g69"]
        assert view.json("groups", sort="-agreement", agreement_low=1.0)["count"] == 67
        (bad,) = view.json("groups", state="bad")["rows"]
        assert bad["fault"].startswith("Line 4 is not JSON")
        card = view.json("group/1")
        assert [a["name"] for a in card["attempts"]] == ["t0", "t1", "t2", "t3"]
        assert view.json("group/4")["fault"].startswith("Line 4 is not JSON")
        assert view.ask("group/71")[0] == 404
        for query in ({"sort": "evil"}, {"state": "evil"}, {"step": "x"}, {"words": "w" * 2_000}):
            status, _, body = view.ask("groups", **query)
            assert (status, json.loads(body)["error"]["type"]) == (400, "MalformedRequest")


def test_only_who_has_the_token_gets_in(tmp_path):
    with viewer(write(tmp_path / "g.jsonl", [ranked(0)])) as view:
        right = {"Authorization": f"Bearer {view.token}"}
        for path in ("", "state", "groups", "group/1", "curves", "export"):
            assert view.ask(path, headers={})[0] == 401
            assert view.ask(path, headers={"Authorization": "Bearer wrong"})[0] == 401
            assert view.ask(path, headers={**right, "Host": "evil.example"})[0] == 403
            assert view.ask(path, headers={**right, "Origin": "http://evil.example"})[0] == 403
        assert view.ask(f"state?token={view.token}", headers={})[0] == 401
        status, headers, page = view.ask("", headers={}, token=view.token)
    assert status == 200
    policy = headers["content-security-policy"]
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    html = page.decode()
    assert re.findall(r"<(?:script|style)[^>]*>", html) == [
        f'<style nonce="{nonce}">',
        f'<script nonce="{nonce}">',
    ]
    assert not re.search(
        r"(?:src|action)\s*=\s*[\"']|https?://(?!www\.w3\.org/2000/svg)|\burl\(|@import|innerHTML|insertAdjacent|eval\(| style=",
        html,
    )
    assert headers["cache-control"] == "no-store"


def test_a_file_that_grows_is_followed(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0)])
    with viewer(file) as view:
        assert view.json("groups")["count"] == 1
        with open(file, "a") as out:
            out.write(json.dumps(ranked(1)) + "\n" + json.dumps(ranked(2))[:99])
        state = until(view, lambda s: s["indexed"]["groups"] == 2 and s["indexed"]["torn"])
        assert state["indexed"]["done"]
        write(file, [ranked(7)])  # another file in its place
        until(view, lambda s: s["indexed"]["groups"] == 1)
        assert view.json("group/1")["id"] == "g7"


def test_the_first_page_is_there_while_the_file_is_indexed_and_a_kill_loses_nothing(tmp_path):
    file = write_many(tmp_path / "g.jsonl", 12_000)
    cache = str(tmp_path / "cache.sqlite")
    with process(file, RANKER_CACHE=cache) as view:
        assert len(view.json("groups")["rows"]) == 50
        state = until(view, lambda s: s["indexed"]["groups"] >= 2_000)
        assert not state["indexed"]["done"]
    with process(file, RANKER_CACHE=cache) as view:
        assert view.json("state")["indexed"]["groups"] >= 2_000
        until(view, lambda s: s["indexed"]["done"], 120)
        assert view.json("groups", words="g11999")["rows"][0]["line"] == 12_000


def test_a_run_has_curves_steps_and_alarms_and_is_live(tmp_path):
    run = make_run(tmp_path / "run")
    with viewer(run) as view:
        state = view.json("state")
        assert (state["kind"], state["run"]["last"], state["run"]["alarmed"]) == ("run", 5, 2)
        assert state["run"]["alarms"] == [{"step": 4, "text": "agreement fell to 0.70"}]
        curves = view.json("curves")
        assert (curves["first"], curves["last"], curves["alarmed"]) == (1, 5, [[4, 5]])
        titles = [panel["title"] for panel in curves["panels"]]
        assert "KL to the reference" not in titles  # it was not measured
        (agreement,) = (
            p["lines"][0] for p in curves["panels"] if p["title"] == "Judge's agreement with its auditor"
        )
        assert agreement["low"][0] == 0.75
        assert [r["step"] for r in view.json("groups", step=3)["rows"]] == [3, 3]
        assert {r["step"] for r in view.json("groups", alarm="true")["rows"]} == {4, 5}
        assert view.json("groups", alarm="true", step=2)["count"] == 0
        with open(run / "metrics.jsonl", "a") as out, open(run / "samples.jsonl", "a") as more:
            out.write(json.dumps(metrics(6)) + "\n")
            more.write(json.dumps(sample(6, 99)) + "\n")
        until(view, lambda s: s["run"]["last"] == 6 and s["indexed"]["groups"] == 11)
        write(run / "metrics.jsonl", [metrics(s) for s in (1, 2)])  # resumed from an earlier step
        write(run / "samples.jsonl", [sample(s, 2 * s) for s in (1, 2)])
        until(view, lambda s: s["run"]["last"] == 2 and s["indexed"]["groups"] == 2)


def test_a_run_that_has_not_finished_a_step_waits_for_it(tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    (run / "config.json").write_text('{"format": 1, "ranker_version": "0"}')
    with viewer(run) as view:
        assert view.json("groups") == {"rows": [], "count": 0, "more": False, "next": None}
        assert view.json("curves")["steps"] == []
        write(run / "samples.jsonl", [sample(1, 0)])
        until(view, lambda s: s["indexed"]["groups"] == 1)


def test_an_audits_figures_are_shown(tmp_path):
    folder = tmp_path / "audit"
    folder.mkdir()
    write_audit(folder, edit="padding\u202e")
    with viewer(folder) as view:
        audit = view.json("state")["audit"]
        assert audit["lifts"][0]["edit"] == "padding⟨U+202E⟩"
        assert audit["accuracy"] == ESTIMATE
        assert view.json("groups")["rows"] == []
        assert view.ask("curves")[0] == 404


def test_signals_end_it(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0)])
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        with process(file) as view:
            view.json("state")
            view.process.send_signal(number)
            _, err = view.process.communicate(timeout=30)
            assert (view.process.returncode, err) == (code, "")


def test_what_cannot_be_looked_at_is_refused(tmp_path):
    for path, message in ((tmp_path, "is no folder of"), (tmp_path / "no", "does not exist")):
        done = ranker("view", path, "--no-open")
        assert done.returncode == 2
        assert message in done.stderr
        assert "Name a group file" in done.stderr
    done = ranker("view", write(tmp_path / "g.jsonl", [ranked(0)]), "--id", "g0")
    assert (done.returncode, "--export" in done.stderr) == (2, True)


def test_what_people_label_and_the_queue_of_an_audit_can_be_looked_at(tmp_path):
    group = {k: ranked(0)[k] for k in ("id", "trajectories")}
    queue = write(tmp_path / "queue.jsonl", [group])
    with viewer(queue) as view:
        assert view.json("groups")["rows"][0]["state"] == "unranked"
    from tests.labelling.people import label

    out = tmp_path / "labels.jsonl"
    label(queue, out, "A > B > C > D\n")
    with viewer(out) as view:
        card = view.json("group/1")
        assert card["judge"] == "person"
        assert [round(a["reward"], 2) for a in card["attempts"]] == [1.0, 0.67, 0.33, 0.0]
