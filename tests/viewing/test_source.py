"""What a path is taken for."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from ranker.errors import ConfigurationError
from ranker.viewing.source import source_of
from tests.viewing.viewer import make_run, ranked, write


def test_folders_and_files_are_told_apart(tmp_path):
    run = make_run(tmp_path / "run")
    bench, audit = tmp_path / "bench", tmp_path / "audit"
    for folder, name, text in ((bench, "observations.jsonl", ""), (audit, "audit.json", '{"lifts": []}')):
        folder.mkdir()
        (folder / name).write_text(text)
    (bench / "results.json").write_text("{}")
    groups = write(tmp_path / "g.jsonl", [ranked(0)])
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "config.json").write_text((run / "config.json").read_text())
    kinds = {
        path: source_of(path).kind
        for path in (run, run / "metrics.jsonl", run / "samples.jsonl", begun, bench, bench / "results.json", audit, audit / "audit.json", groups)
    }  # fmt: skip
    assert list(kinds.values()) == [
        "run",
        "run",
        "groups",
        "run",
        "bench",
        "bench",
        "audit",
        "audit",
        "groups",
    ]
    assert source_of(begun).file == begun / "samples.jsonl"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"hello\nworld\n", "holds no groups: line 1 is not JSON"),
        ("a.jsonl", b'{"a": 1}\n', 'line 1 has no list "trajectories"'),
        ("a.parquet", b"PAR1\x00\x00", "Parquet"),
        ("a.jsonl", "text".encode("utf-16"), "UTF-16"),
        ("a.jsonl", b"\x1f\x8b\x00broken", "cannot be read"),
    ],
)
def test_anything_else_is_refused_with_what_to_do(tmp_path, name, content, message):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        source_of(path)


def test_what_can_be_read_only_once_is_refused():
    with pytest.raises(ConfigurationError, match="/dev/null is read more than once"):
        source_of(Path("/dev/null"))


def test_a_folder_of_group_files_names_them(tmp_path):
    write(tmp_path / "one.jsonl", [ranked(0)])
    with pytest.raises(ConfigurationError, match=r"It holds one\.jsonl: name one of them"):
        source_of(tmp_path)
    with pytest.raises(ConfigurationError, match="does not exist"):
        source_of(tmp_path / "nothing")


def test_packed_files_and_arrays_are_laid_out_by_lines(tmp_path):
    packed = tmp_path / "g.jsonl.gz"
    packed.write_bytes(gzip.compress(b"".join(json.dumps(ranked(i)).encode() + b"\n" for i in range(3))))
    array = tmp_path / "g.json"
    array.write_text(json.dumps([ranked(i) for i in range(2)], indent=2))
    for path, count in ((packed, 3), (array, 2)):
        source = source_of(path)
        assert source.path == path
        assert source.file != path
        assert [json.loads(line)["id"] for line in source.file.read_text().splitlines()] == [
            f"g{i}" for i in range(count)
        ]


def test_bad_lines_before_the_first_group_are_no_reason_to_refuse(tmp_path):
    assert source_of(write(tmp_path / "g.jsonl", ["{bad", ranked(0)])).kind == "groups"
    assert source_of(write(tmp_path / "empty.jsonl", [])).kind == "groups"
