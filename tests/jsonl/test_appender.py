"""Files of records: whatever byte a kill comes at they go on, and what Ranker did not write is never cut."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker import ConfigurationError, FunctionJudge
from ranker.cli.ranking import RankSettings, run
from ranker.jsonl.appender import FAILED, RANKED, Appender
from ranker.jsonl.group_file import dump_line, read_lines
from ranker.jsonl.shards import plan_of
from ranker.jsonl.torn_line import begins_record, is_cut_off, opening_first
from ranker.runtime.budget import Budget
from tests.cli.test_cli import write
from tests.conftest import make_groups

HOSTILE = {
    "id": 'gä😀"\\x\x01',
    "task": "\u2028 日本 \\u12 tru",
    "trajectories": [{"id": "a", "n": [0, -1, 1.5, -2e-7, 1e30, 10**25, True, False, None, [], {}]}],
    "wide": [float("nan"), float("inf"), float("-inf")],
}
RECORDS = {
    "ranked": ({**HOSTILE, "rewards": {"a": 0.5}}, RANKED),
    "failed": ({**HOSTILE, "error": {"type": "JudgeError", "message": "“no”"}}, RANKED),
    "surrogate": ({**HOSTILE, "rewards": {"\ud800": 1.0}, "last": "\udcff x"}, RANKED),
    "nested": ({"id": "n", "rewards": json.loads("[" * 300 + "]" * 300)}, RANKED),
    "study": ({"seed": 0, "id": "one", "arm": "truth"}, ("arm",)),
    "scores": ({"id": "s", "family": "code", "scores": [0.1, 0.9]}, ("scores",)),
}
WHOLE = b'{"id": "w", "rewards": {"a": 1.0}}\n'
FOREIGN = {
    "one object": b'{"precious": 1}',
    "an id alone": b'{"id": "g"}',
    "a group": b'{"id": "g", "trajectories": [{"messages": [{"role": "user", "content": "x"}]}]}',
    "text": b"my notes",
    "a list": b"[1, 2]",
    "a number": b"17",
    "spaces": b"   ",
    "nothing but zeros": b"\0" * 40,
    "packed": gzip.compress(b'{"id": "g", "rewards": {}}'),
    "not UTF-8": '{"id": "ä"'.encode("latin-1"),
    "a record and more": b'{"id": "g", "rewards": {"a": 1.0}} # mine',
    "no JSON inside": b'{"id": "g", "rewards": {oops',
    "an id that is a number": b'{"id": 7, "rewards": {}}',
}
BEGUN = {
    "an object cut off": b'{"precious": [1, 2',
    "a group cut off": b'{"id": "g", "trajectories": [{"messages": [',
    "another order": b'{"rewards": {"a": 1.0}, "id": "g',
    "another spacing": b'{"id":"g","rewards":{',
    "another key": b'{"id": "g", "reward": 1',
    "an id cut off at a number": b'{"id": 7',
    "a list cut off": b"[1, 2",
    "several lines": b'{"id": "g", "rewards": {\n"a": 1.0',
}


@pytest.mark.parametrize("before", [b"", WHOLE], ids=["first record", "later record"])
@pytest.mark.parametrize("name", RECORDS)
def test_a_record_cut_off_at_any_byte_is_written_again(tmp_path, name, before):
    record, holds = RECORDS[name]
    if before:
        before = dump_line(opening_first({**RECORDS[name][0], "id": "w"}, holds))
    path = tmp_path / "out.jsonl"
    line = dump_line(opening_first(record, holds))
    assert json.loads(line).keys() == record.keys()
    for cut in range(len(line) + 1):
        path.write_bytes(before + line[:cut])
        sink = Appender(path, holds=holds)
        whole = cut >= len(line) - 1
        assert (record["id"] in sink.done) == whole, line[:cut]
        assert path.read_bytes() == (before + line if whole else before), line[:cut]
        if not whole:
            sink.write(record)
        sink.close()
        assert path.read_bytes() == before + line


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=60, deadline=None)
@given(st.text(), JSON, st.dictionaries(st.text(), JSON, max_size=3), st.sampled_from(RANKED))
def test_every_beginning_of_a_record_is_known_and_no_whole_one_is_taken_for_cut_off(name, value, more, key):
    own = {k: v for k, v in more.items() if k not in RANKED}
    line = dump_line(opening_first({**own, key: value, "id": name}, RANKED)).removesuffix(b"\n")
    assert not is_cut_off(line)
    for cut in range(1, len(line)):
        assert is_cut_off(line[:cut]), line[:cut]
        assert begins_record(line[:cut], RANKED), line[:cut]
    assert not is_cut_off(line + b" {")


@pytest.mark.parametrize("end", [b"", b"\n"], ids=["no line break", "line break"])
@pytest.mark.parametrize("name", [*FOREIGN, *BEGUN])
def test_what_ranker_did_not_write_is_refused_and_left_as_it_is(tmp_path, name, end):
    path = tmp_path / "notes.json"
    content = {**FOREIGN, **BEGUN}[name] + end
    for before in (b"", WHOLE):
        if before and not end and name in BEGUN and content.startswith(b"{") and b"\n" not in content:
            continue  # after a whole record, the beginning of an object is one that a kill cut off
        path.write_bytes(before + content)
        with pytest.raises(ConfigurationError, match="name another"):
            Appender(path)
        assert path.read_bytes() == before + content


def test_a_record_that_an_earlier_version_was_killed_in_is_cut_after_whole_ones_only(tmp_path):
    path, line = tmp_path / "out.jsonl", b'{"id": "g", "trajectories": [{"messages": [{"role": "us'
    path.write_bytes(WHOLE + line)
    Appender(path).close()
    assert path.read_bytes() == WHOLE
    path.write_bytes(line)
    with pytest.raises(ConfigurationError, match="delete the line"):
        Appender(path)
    assert path.read_bytes() == line


def test_nothing_is_cut_where_a_line_before_is_not_ranker_s(tmp_path):
    path = tmp_path / "mixed.jsonl"
    path.write_bytes(WHOLE + b"my note\n" + WHOLE + b'{"id": "torn", "rewards": {')
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="line 2"):
        Appender(path)
    assert path.read_bytes() == before


def test_trying_failed_groups_again_takes_the_place_of_no_other_file(tmp_path):
    path, beside = tmp_path / "out.jsonl", tmp_path / "out.jsonl.partial"
    sink = Appender(path)
    for record in ({"id": "a", "rewards": {}}, {"id": "b", "error": {}}):
        sink.write(record)
    before = path.read_bytes()
    beside.write_text("my own")
    with pytest.raises(ConfigurationError, match="name another"):
        sink.drop_failed()
    assert (beside.read_text(), path.read_bytes()) == ("my own", before)
    beside.write_bytes(before[:20])  # what a kill leaves
    assert sink.drop_failed() == 1
    assert sink.done.count(FAILED) == 0
    assert [line.id for line in read_lines(path)] == ["a"]
    assert not beside.exists()
    sink.close()


def test_trying_failed_groups_again_changes_the_file_that_a_link_leads_to(tmp_path):
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk" / "real.jsonl", tmp_path / "out.jsonl"
    link.symlink_to(real)
    sink = Appender(link)
    for record in ({"id": "a", "rewards": {}}, {"id": "b", "error": {}}):
        sink.write(record)
    assert sink.drop_failed() == 1
    sink.write({"id": "c", "rewards": {}})
    sink.close()
    assert link.is_symlink()
    assert [line.id for line in read_lines(real)] == ["a", "c"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["disk", "out.jsonl", "real.jsonl"]


def test_no_room_for_the_end_of_the_last_line_is_said(tmp_path):
    path = tmp_path / "out.jsonl"
    path.write_bytes(WHOLE.removesuffix(b"\n"))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, before[1]))
    try:
        with pytest.raises(
            ConfigurationError, match=r"cannot be written \(File too large\).*free some space"
        ):
            Appender(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() + b"\n" == WHOLE


def test_a_ranking_killed_at_any_byte_ends_as_one_that_was_not(tmp_path):
    """The whole of the command's work, in this process, from every beginning of its output."""
    source, out = write(tmp_path / "in.jsonl", make_groups(2, size=2)), tmp_path / "out.jsonl"
    asked: list[int] = []

    def judge(attempts):
        asked.append(1)
        return [len(t.messages[-1]["content"]) for t in attempts]

    def rank() -> int:
        job = RankSettings(
            plan_of([source], out), out, True, False, True, lambda: FunctionJudge(judge), Budget, {"concurrency": 1}
        )  # fmt: skip
        return asyncio.run(run(job))

    assert rank() == 0
    whole = out.read_bytes()
    first = whole.index(b"\n") + 1
    assert whole.startswith(b'{"id": "g0", "rewards": {"t0": ')
    for cut in range(len(whole)):
        out.write_bytes(whole[:cut])
        asked.clear()
        assert rank() == 0
        assert out.read_bytes() == whole
        assert len(asked) == 2 - (cut >= first - 1) - (cut >= len(whole) - 1)
