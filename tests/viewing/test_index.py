"""The index of a file: filters, growth, kills, torn and bad lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from ranker.viewing.find import Filter, match_of
from ranker.viewing.index import Index
from ranker.viewing.lines import Stale
from tests.viewing.viewer import failed, ranked, tied, write, write_many


def indexed(path) -> Index:
    index = Index(path)
    while index.grow():
        pass
    return index


def lines(index: Index, **wanted) -> list[int]:
    return [entry.line for entry in index.find(Filter(**wanted), most=1_000)]


@pytest.fixture
def file(tmp_path):
    groups = [
        ranked(0),
        tied(1),
        failed(2),
        ranked(3, judge="judge-b", step=7),
        {"id": "g4", "trajectories": [["no"]]},
    ]
    wrong = ranked(5, judge="judge-b", step=9)
    wrong["rewards"] = {"t0": 0.0, "t1": 0.1, "t2": 0.2, "t3": 0.3}
    return write(tmp_path / "groups.jsonl", [*groups, wrong, "{not json", "[1]", '{"id": "x"}'])


def test_every_filter_finds_what_it_says(file):
    index = indexed(file)
    assert lines(index) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert lines(index, descending=True) == [9, 8, 7, 6, 5, 4, 3, 2, 1]
    assert lines(index, judge="judge-b") == [4, 6]
    assert lines(index, judge="nobody") == []
    states = {state: lines(index, state=state) for state in ("ranked", "tied", "failed", "unranked", "bad")}
    assert states == {"ranked": [1, 4, 6], "tied": [2], "failed": [3], "unranked": [5], "bad": [7, 8, 9]}
    assert lines(index, agreement=(1.0, None)) == [1, 4]
    assert lines(index, agreement=(None, 0.4)) == [6]
    assert lines(index, spread=(None, 0.5)) == [2, 6]
    assert lines(index, steps=[7, 8]) == [4]
    assert lines(index, steps=[]) == []
    assert lines(index, words="g3 question") == [4]
    assert lines(index, words="NUMB", judge="judge-b") == [4, 6]
    assert lines(index, words='meant" OR "') == []
    assert index.count(Filter(judge="judge-b", words="meant")) == (2, False)
    facts = index.facts()
    assert facts.groups == 9
    assert facts.judges == {"judge-a": 3, "judge-b": 2}
    assert facts.steps == (7, 9)
    assert facts.done
    assert [line for line, _ in facts.bad] == [7, 8, 9]
    assert "is not JSON" in facts.bad[0][1]


@pytest.mark.parametrize("order", ["file", "agreement", "spread", "step"])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("words", ["", "meant"])
def test_pages_follow_each_other_in_every_order(tmp_path, order, descending, words):
    groups = [ranked(i) if i % 3 else {**tied(i), "step": i // 2} for i in range(40)]
    index = indexed(write(tmp_path / "g.jsonl", groups))
    wanted = Filter(order=order, descending=descending, words=words)
    whole = [e.line for e in index.find(wanted, most=100)]
    found, after = [], None
    while page := index.find(wanted, after, 7):
        found += [e.line for e in page]
        after = (None if order == "file" else getattr(page[-1], order), page[-1].line)
    assert found == whole
    assert sorted(whole) == list(range(1, 41))


def test_words_are_never_operators():
    assert match_of('a" OR NEAR(b)') == ('"a" "OR" "NEAR" "b"', "")
    assert match_of("for refund") == ('"for" "refund"', '"for" "refund"*')
    assert match_of("re") == ('"re"', "")
    assert match_of("refund ") == ('"refund"', "")
    assert match_of('"*-') == ("", "")


def test_beginnings_of_words_are_looked_for_where_no_group_has_the_word(tmp_path):
    groups = [ranked(0, task="a refund"), ranked(1, task="refunds"), ranked(2, task="reform")]
    index = indexed(write(tmp_path / "g.jsonl", groups))
    assert lines(index, words="refund") == [1]
    assert lines(index, words="refun") == [1, 2]
    assert lines(index, words="ref") == [1, 2, 3]
    assert lines(index, words="ref ") == []


def test_a_growing_file_is_read_on_and_its_torn_last_line_waited_for(tmp_path):
    file = tmp_path / "g.jsonl"
    index = Index(file)  # which is still to come
    assert not index.grow()
    write(file, [ranked(0)])
    index.grow()
    half = json.dumps(ranked(1))
    with open(file, "a") as out:
        out.write(half[:50])
    index.grow()
    assert (index.facts().groups, index.facts().torn) == (1, True)
    with open(file, "a") as out:
        out.write(half[50:] + "\n" + json.dumps(ranked(2)))  # without its newline, but whole
    index.grow()
    assert (index.facts().groups, index.facts().torn, index.facts().done) == (3, False, True)
    with open(file, "a") as out:
        out.write("\n" + json.dumps(ranked(3)) + "\n")
    index.grow()
    assert lines(index) == [1, 2, 3, 4]
    for line in lines(index):
        entry = index.entry(line)
        assert json.loads(index.read(entry))["id"] == f"g{line - 1}"


def test_a_changed_file_is_noticed(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0), ranked(1)])
    index = indexed(file)
    entry = index.entry(2)
    write(file, [ranked(0)])
    with pytest.raises(Stale):
        index.read(entry)
    with pytest.raises(Stale):
        index.grow()
    index.restart()
    index.grow()
    assert lines(index) == [1]


def test_an_index_is_kept_and_used_again(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKER_CACHE", str(tmp_path / "cache" / "replies.sqlite"))
    file = write(tmp_path / "g.jsonl", [ranked(i) for i in range(5)])
    first = indexed(file)
    assert first.path.parent == tmp_path / "cache" / "views"
    second = Index(file)
    assert second.path == first.path
    assert second.facts().groups == 5  # before anything is read
    write(file, [ranked(9)])  # the same file, written again
    assert indexed(file).facts().groups == 1
    first.path.write_bytes(b"no database")
    assert indexed(file).facts().groups == 1


def test_without_a_cache_nothing_stays(tmp_path):
    file = write(tmp_path / "g.jsonl", [ranked(0)])
    (tmp_path / "tmp").mkdir()
    script = f"from ranker.viewing.index import Index; i = Index(__import__('pathlib').Path({str(file)!r})); i.grow(); print(i.path)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True,
        env={**os.environ, "RANKER_CACHE": "off", "TMPDIR": str(tmp_path / "tmp")},
    )  # fmt: skip
    assert str(tmp_path / "tmp") in done.stdout
    assert not list((tmp_path / "tmp").iterdir())


def test_a_kill_while_indexing_loses_nothing(tmp_path):
    file = write_many(tmp_path / "g.jsonl", 8_000)
    cache = tmp_path / "cache" / "replies.sqlite"
    script = (
        "import sys; from pathlib import Path; from ranker.viewing.index import Index\n"
        f"index = Index(Path({str(file)!r}))\nwhile index.grow(0.0): print(index.facts().groups, flush=True)"
    )
    environment = {**os.environ, "RANKER_CACHE": str(cache)}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, env=environment
    ) as child:
        assert child.stdout is not None
        for _ in range(3):
            child.stdout.readline()
        child.send_signal(signal.SIGKILL)
    before = subprocess.run(
        [sys.executable, "-c", script.replace("while index.grow(0.0): ", "")],
        capture_output=True, text=True, check=True, env=environment,
    )  # fmt: skip
    assert 2_000 <= int(before.stdout) < 8_000
    environment_of_test = os.environ.get("RANKER_CACHE")
    os.environ["RANKER_CACHE"] = str(cache)
    try:
        index = indexed(file)
    finally:
        os.environ["RANKER_CACHE"] = environment_of_test or "off"
    assert lines(index)[-1] == 1_000
    assert index.facts().groups == 8_000
    assert index.count(Filter(words="group 7999")) == (1, False)


def test_two_processes_index_one_file(tmp_path, monkeypatch):
    monkeypatch.setenv("RANKER_CACHE", str(tmp_path / "cache.sqlite"))
    file = write_many(tmp_path / "g.jsonl", 5_000)
    script = f"from pathlib import Path; from ranker.viewing.index import Index\nindex = Index(Path({str(file)!r}))\nwhile index.grow(0.0): pass"
    children = [subprocess.Popen([sys.executable, "-c", script]) for _ in range(2)]
    assert [child.wait(60) for child in children] == [0, 0]
    assert indexed(file).facts().groups == 5_000


def test_text_that_utf8_cannot_hold_is_found_too(tmp_path):
    group = ranked(0, judge="j\ud800", task="lone \udc00 surrogate")
    index = indexed(write(tmp_path / "g.jsonl", [group, ranked(1)]))
    assert lines(index, words="surrogate") == [1]
    assert lines(index, judge="j\ud800") == [1]
    assert [e.line for e in index.of_id("g0")] == [1]


def test_a_byte_order_mark_and_empty_lines_are_passed_over(tmp_path):
    file = tmp_path / "g.jsonl"
    file.write_bytes(
        b"\xef\xbb\xbf"
        + json.dumps(ranked(0)).encode()
        + b"\n\n  \n"
        + json.dumps(ranked(1)).encode()
        + b"\n"
    )
    index = indexed(file)
    assert lines(index) == [1, 4]
    assert json.loads(index.read(index.entry(4)))["id"] == "g1"


def test_the_first_groups_are_there_at_once(tmp_path):
    file = write_many(tmp_path / "g.jsonl", 20_000)
    index = Index(file)
    started = time.monotonic()
    assert index.grow(0.0)
    assert len(index.find(Filter())) == 50
    assert time.monotonic() - started < 5
    assert index.facts().groups == 1_000


@pytest.mark.parametrize("field", ["content", "parts"])
def test_words_in_parts_of_every_form_are_found(tmp_path, field):
    group = ranked(0)
    for attempt in group["trajectories"]:
        attempt["messages"][-1] = {
            "role": "assistant",
            field: ["a kettle", {"type": "text", "text": "a toaster"}],
        }
    index = indexed(write(tmp_path / "g.jsonl", [group]))
    assert lines(index, words="kettle toaster") == [1]
