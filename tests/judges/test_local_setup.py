"""Judge files, and the names by which local judges are called."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from ranker import ConfigurationError, LocalJudge
from ranker.judges.local import open_local
from ranker.judges.local.probe import ProbeJudge
from ranker.judges.local.setup import FILE, Setup, check, read_judge, setup_from, write_judge
from ranker.judges.local.ways import JOINT, WAYS
from ranker.judges.registry import resolve
from tests.local_models import saved


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return saved(tmp_path_factory.mktemp("tiny"))


SETUPS = st.builds(
    Setup,
    base=st.none() | st.text(max_size=8),
    way=st.sampled_from(WAYS),
    tolerance=st.floats(0, 1e5),
    orders=st.integers(1, 64),
    content_free=st.booleans(),
    template=st.none() | st.text(min_size=1, max_size=5),
    measured=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
).map(lambda s: s if s.way in JOINT else replace(s, orders=1, content_free=False))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@drawn(SETUPS, st.booleans())
def test_a_judge_file_keeps_a_setup(tmp_path, setup, tuned):
    home = tmp_path / "a" / "b"
    if tuned and setup.way != "generated":
        (home / "adapter").mkdir(parents=True, exist_ok=True)
        (home / "adapter" / "adapter_config.json").write_text("{}")
        setup = replace(setup, adapter=home / "adapter")
    write_judge(home / FILE, setup.to_dict(home))
    for path in (home, home / FILE):
        assert setup_from(*read_judge(path)) == setup
    if setup.adapter is not None:
        assert json.loads((home / FILE).read_text())["adapter"] == "adapter"


GOOD = {"schema_version": 1, "judge": "local", "base": None, "way": "alone"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"way": "loud"}, "way is 'loud'"),
        ({"way": ["alone"]}, "way is"),
        ({"base": 7}, "base is 7"),
        ({"adapter": 7}, "adapter is 7"),
        ({"adapter": "nowhere"}, "nowhere"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"tolerance": True}, "tolerance is True"),
        ({"way": "letter", "orders": 0}, "orders is 0"),
        ({"way": "letter", "orders": 1.5}, "orders is 1.5"),
        ({"orders": 2}, "orders is for the ways letter and together"),
        ({"content_free": "yes"}, "content_free is 'yes'"),
        ({"content_free": True}, "content_free is for"),
        ({"template": 3}, "template is 3"),
        ({"measured": [1]}, "measured is"),
        ({"temperature": 0.5}, "no temperature"),
        ({"schema_version": 2}, "schema_version is 2"),
        ({"judge": "oracle"}, "judge is 'oracle'"),
    ],
)
def test_a_wrong_judge_file_says_what_is_wrong(tmp_path, change, fault):
    file = tmp_path / FILE
    file.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(ConfigurationError, match=fault):
        open_local(str(file))


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "no JSON"), (b"{", "no JSON"), (b"[1]", "no JSON object"), (b"\xff\xfe{}", "no JSON"), (b"[" * 100_000, "no JSON")],
)  # fmt: skip
def test_a_file_that_is_no_judge_file_says_so(tmp_path, content, fault):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=fault):
        read_judge(tmp_path)


def test_a_judge_file_that_is_not_there_or_cannot_be_written_says_so(tmp_path):
    with pytest.raises(ConfigurationError, match="cannot be read"):
        resolve(str(tmp_path / "none.json"))
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_judge(tmp_path / "file" / FILE, GOOD)


def test_an_adapter_is_told_by_its_content(tmp_path):
    digests = set()
    for text in ("a", "b"):
        (tmp_path / "adapter_model.safetensors").write_text(text)
        digests.add(Setup(None, adapter=tmp_path).adapter_digest)
    assert len(digests) == 2
    assert Setup(None).adapter_digest is None


def test_a_writing_judge_has_no_adapter():
    with pytest.raises(ConfigurationError, match="adapter"):
        check(Setup(None, "generated", adapter=Path("x")))


def test_names_of_local_judges(model, tmp_path):
    probe = open_local(f"{model}@digits", cache="off")
    assert isinstance(probe, ProbeJudge)
    assert probe.setup.way == "digits"
    assert probe.name == f"local:{model}@digits"
    for name in (model, f"{model}@generated"):
        assert isinstance(open_local(name, cache="off"), LocalJudge)
    write_judge(tmp_path / FILE, Setup(model, "letter", 0.5, 2, True).to_dict(tmp_path))
    for name in (f"local:{tmp_path}", f"local:{tmp_path / FILE}", str(tmp_path / FILE)):
        made = resolve(name, cache="off")
        assert isinstance(made, ProbeJudge)
        assert made.name == name
        assert made.setup == Setup(model, "letter", 0.5, 2, True)
    write_judge(tmp_path / "g.json", Setup(model, "generated").to_dict(tmp_path))
    assert isinstance(resolve(str(tmp_path / "g.json"), cache="off"), LocalJudge)
    with pytest.raises(ConfigurationError, match="called 'loud'"):
        open_local(f"{model}@loud")


def test_options_that_a_judge_does_not_take_are_named(model):
    with pytest.raises(ConfigurationError, match="does not take temperature, record; it takes"):
        resolve(f"local:{model}@alone", temperature=0.5, record="x.jsonl")
    with pytest.raises(ConfigurationError, match="temperature"):
        resolve(f"local:{model}", temperature=0.5)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"dtype": "float16"}, "float16"),
        ({"template": "rank.v1"}, "no block"),
    ],
)
def test_settings_that_cannot_be_are_refused(model, settings, fault):
    with pytest.raises(ConfigurationError, match=fault):
        open_local(f"{model}@alone", **settings)


def test_setups_that_cannot_be_are_refused(model, tmp_path):
    for setup, fault in (
        (Setup(model, "generated"), "generated"),
        (Setup(model, "alone", orders=2), "orders"),
        (Setup(model, "alone", adapter=tmp_path), "adapter_config"),
    ):
        with pytest.raises(ConfigurationError, match=fault):
            ProbeJudge(setup)
