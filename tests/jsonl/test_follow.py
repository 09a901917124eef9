"""A file of groups read while another process writes it, and records taken back."""

from __future__ import annotations

import gzip
import json
from codecs import BOM_UTF8

import pytest

from ranker.errors import ConfigurationError
from ranker.jsonl.appender import Appender
from ranker.jsonl.follow import follow_lines


def line(name: str) -> bytes:
    return (
        json.dumps({"id": name, "trajectories": [[{"role": "assistant", "content": name}]]}).encode() + b"\n"
    )


def test_whole_lines_come_as_they_are_written(tmp_path):
    path = tmp_path / "queue.jsonl"
    lines = follow_lines(path)
    assert next(lines) is None
    path.write_bytes(line("a") + line("b")[:9])
    assert next(lines).id == "a"
    assert next(lines) is None
    with open(path, "ab") as file:
        file.write(line("b")[9:] + b"\n\nnonsense\n" + line("c"))
    assert next(lines).id == "b"
    bad = next(lines)
    assert "Line 5 is not JSON" in str(bad.error)
    assert (next(lines).id, next(lines)) == ("c", None)
    path.write_bytes(line("d"))
    with pytest.raises(ConfigurationError, match="became shorter"):
        next(lines)


def test_a_byte_order_mark_is_skipped_and_what_is_no_text_is_refused(tmp_path):
    path = tmp_path / "queue.jsonl"
    path.write_bytes(BOM_UTF8 + line("a") + line("b"))
    lines = follow_lines(path)
    assert [found and (found.id, found.error) for found in (next(lines), next(lines), next(lines))] == [
        ("a", None), ("b", None), None,
    ]  # fmt: skip
    for content, word in (
        (gzip.compress(line("a")), "unpack it"),
        (line("a").decode().encode("utf-16"), "UTF-16"),
    ):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match=word):
            next(follow_lines(path))


def test_a_file_that_vanishes_is_named(tmp_path):
    path = tmp_path / "queue.jsonl"
    path.write_bytes(line("a"))
    lines = follow_lines(path)
    assert [next(lines).id, next(lines)] == ["a", None]
    path.unlink()
    with pytest.raises(ConfigurationError, match="is gone"):
        next(lines)


def test_the_last_record_can_be_taken_back(tmp_path):
    path = tmp_path / "out.jsonl"
    out = Appender(path, holds=("x",))
    first = out.write({"id": "a", "x": 1})
    second = out.write({"id": "b", "x": 2})
    for name, start in (("a", first), ("b", first), ("a", second), ("b", second + 1), ("b", 999)):
        with pytest.raises(ConfigurationError, match="does not end with"):
            out.take_back(name, start)
    out.take_back("b", second)
    assert path.read_bytes() == b'{"id": "a", "x": 1}\n'
    assert "b" not in out.done
    assert out.write({"id": "b", "x": 3}) == second
    out.take_back("b", second)
    out.take_back("a", first)
    assert path.read_bytes() == b""
    out.close()
