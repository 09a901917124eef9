"""One reader for group files and data sets: the forms that JSON files have, and what is none."""

from __future__ import annotations

import gzip
import json

import pytest

from grpo.config_file import read_examples
from ranker import ConfigurationError
from ranker.jsonl.group_file import Part, read_lines
from ranker.jsonl.objects import read_objects
from tests.cli.test_cli import ranker, records

ROWS = [{"id": i, "trajectories": [{"id": 7, "messages": [{"role": "user", "content": t}]}], "prompt": t}
        for i, t in enumerate(("a\u2028b", "ä"))]  # fmt: skip
LINES = "\n".join(json.dumps(row, ensure_ascii=False) for row in ROWS).encode()
ARRAY = json.dumps(ROWS).encode()
FORMS = {
    "lines": LINES,
    "a byte order mark": b"\xef\xbb\xbf" + LINES,
    "lines of Windows": b"\n" + LINES.replace(b"\n", b"\r\n") + b"\r\n",
    "an array": ARRAY,
    "an array over lines": b"\xef\xbb\xbf\n" + json.dumps(ROWS, indent=2).encode(),
    "objects over lines": "\n".join(json.dumps(row, indent=2) for row in ROWS).encode(),
    "packed": gzip.compress(LINES),
    "a packed array": gzip.compress(ARRAY),
}


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.jsonl.gz"])
@pytest.mark.parametrize("form", FORMS)
def test_a_file_is_read_by_what_it_holds_not_by_its_name(form, name, tmp_path):
    path = tmp_path / name
    path.write_bytes(FORMS[form])
    assert read_examples(path) == ROWS
    lines = list(read_lines(path))
    assert [line.error for line in lines] == [None, None]
    assert [line.id for line in lines] == ["0", "1"]
    assert [line.group.trajectories[0].id for line in lines] == ["7", "7"]
    assert [line.id for line in read_lines(path, Part(1, 2))] == ["1"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"PAR1\x15\x04", "a Parquet file"),
        (LINES.decode().encode("utf-16"), "UTF-16"),
        (b"PK\x03\x04", "an archive"),
        (b'[{"prompt": "a"},', "is none"),
        (b"[" * 100_000, "is none"),
        (gzip.compress(LINES)[:-12], "cannot be read"),
    ],
)
def test_what_is_no_such_file_is_named(raw, words, tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(raw)
    with pytest.raises(ConfigurationError, match=words) as caught:
        list(read_objects(path))
    assert str(path) in str(caught.value)


def test_a_bad_row_is_named_by_its_number(tmp_path):
    path = tmp_path / "rows.json"
    for raw, words in ((b'{"a": 1}\n\n{', "line 3 is not JSON"), (b'{"a": 1}\n7', "line 2 is a int"),
                       (b'[{"a": 1},\n\n 7]', "item 2 is a int")):  # fmt: skip
        path.write_bytes(raw)
        with pytest.raises(ConfigurationError, match=words):
            read_examples(path)


def test_an_array_with_integer_ids_ranks_and_resumes(serve, tmp_path):
    """The ids in the output are those of the input, as text."""
    server = serve(lambda text: float(len(text)))
    said = [[{"role": "assistant", "content": "x" * n}] for n in (1, 3)]
    source, out = tmp_path / "groups.json", tmp_path / "out.jsonl"
    source.write_text(
        json.dumps([{"id": i, "trajectories": [{"id": 5, "messages": said[0]}, said[1]]} for i in (1, 2)])
    )
    args = ["rank", source, "--judge", "sim", "--base-url", server.base_url, "--out", out]
    assert ranker(*args).returncode == 0
    assert sorted((r["id"], r["rewards"]["5"], r["rewards"]["1"]) for r in records(out)) == [
        ("1", 0.0, 1.0),
        ("2", 0.0, 1.0),
    ]
    calls = server.requests
    assert ranker(*args).returncode == 0
    assert server.requests == calls
