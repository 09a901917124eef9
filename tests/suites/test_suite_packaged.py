"""The packaged suites of real attempts: whole, what their documents say, under the licences of their sources."""

from __future__ import annotations

import gzip
import hashlib
import itertools
from pathlib import Path

import pytest

from ranker.errors import ConfigurationError
from ranker.prompting.transcript import transcribe
from ranker.suites import PACKAGED, file_of, load, packaged
from tests.bench_runs import write
from tests.conftest import make_groups

DATA = Path(packaged.__file__).with_name("data")
FACTS = {  # sha256 of the text, groups, attempts in each, share of the pairs that the longer one wins
    "humaneval-samples": ("86014af1ab281c63e75cbd25e5844ca17136af990ac14736e8f4ecc74a0f7345", 66, 8, 0.44),
    "game24": ("93a569146341ab59f961354f554c59d3c1cc25d6faaaf932e0e03fe2a1c4e0ae", 24, 8, 0.33),
    "topical-chat": ("d5a867fec1949bc5850b127d1288cc31928182339007a935d1914ba460f33061", 30, 6, 0.68),
}


@pytest.mark.parametrize("name", PACKAGED)
def test_the_groups_are_those_that_were_packaged(name: str) -> None:
    digest, groups, size, _ = FACTS[name]
    text = gzip.decompress((DATA / packaged.FILES[name]).read_bytes())
    assert hashlib.sha256(text).hexdigest() == digest
    suite = load(name)
    assert (len(suite.groups), suite.left_out, suite.name) == (groups, 0, name)
    assert {len(g) for g in suite.groups} == {size}
    assert all(0 <= t.ground_truth <= 1 for g in suite.groups for t in g)
    assert len(load(name, 5).groups) == 5


@pytest.mark.parametrize("name", PACKAGED)
def test_what_length_alone_tells_is_as_documented(name: str) -> None:
    wins = []
    for group in load(name).groups:
        told = [(len(transcribe(t).text), t.ground_truth) for t in group]
        for (a, x), (b, y) in itertools.permutations(told, 2):
            if x > y:
                wins.append(0.5 if a == b else float(a > b))
    assert sum(wins) / len(wins) == pytest.approx(FACTS[name][3], abs=0.005)


def test_every_file_has_its_notice() -> None:
    notices = (DATA / "LICENSES.md").read_text()
    assert all(file in notices for file in packaged.FILES.values())
    assert notices.count("Copyright (c)") == 4
    assert "THE SOFTWARE IS PROVIDED" in notices


def test_another_file_in_its_place(tmp_path: Path) -> None:
    own = write(tmp_path / "rest.jsonl", make_groups(3))
    assert len(load(f"game24:{own}").groups) == 3
    assert file_of(f"game24:{own}") == own
    assert file_of("game24") is None
    with pytest.raises(ConfigurationError, match=r"none\.jsonl cannot be read.*game24 alone needs none"):
        load(f"game24:{tmp_path / 'none.jsonl'}")
