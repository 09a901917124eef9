"""Judge files, and the names by which local judges are called."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import given as drawn
from hypothesis import strategies as st

from ranker import ConfigurationError, LocalJudge
from ranker.judges.local import open_local
from ranker.judges.local.judge_file import FILE, Setup, read_judge, setup_from, write_judge
from ranker.judges.local.logprob_judge import LogprobJudge
from ranker.judges.local.ways import FORMER, WAYS
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
    template=st.none() | st.text(min_size=1, max_size=5),
    measured=st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=2),
)


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


GOOD = {"schema_version": 1, "judge": "local", "base": None, "way": "pointwise"}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"way": "loud"}, "way is 'loud'; it takes .*'pointwise'"),
        ({"toleranse": 1}, "'tolerance'"),
        ({"way": ["pointwise"]}, "way is"),
        ({"base": 7}, "base is 7"),
        ({"adapter": 7}, "adapter is 7"),
        ({"adapter": "nowhere"}, "nowhere"),
        ({"tolerance": -1}, "tolerance is -1"),
        ({"tolerance": float("nan")}, "tolerance is nan"),
        ({"tolerance": True}, "tolerance is True"),
        ({"way": "compared"}, "'compared' was removed.*Use 'pointwise_in_context'"),
        ({"way": "first_token", "orders": 2}, "sets orders, which was removed.*--passes 2"),
        ({"content_free": True}, "sets content_free, which was removed"),
        ({"template": 3}, "template is 3"),
        ({"measured": [1]}, "measured is"),
        ({"temperature": 0.5}, "no setting 'temperature'"),
        ({"schema_version": 2}, "schema_version is 2"),
        ({"judge": "oracle"}, "judge is 'oracle'"),
    ],
)
def test_a_wrong_judge_file_says_what_is_wrong(tmp_path, change, fault):
    file = tmp_path / FILE
    file.write_text(json.dumps({**GOOD, **change}))
    with pytest.raises(ConfigurationError, match=fault):
        resolve(str(file))


@pytest.mark.parametrize(
    ("content", "fault"),
    [(b"", "no JSON"), (b"{", "no JSON"), (b"[1]", "no JSON object"), (b"\xff\xfe{}", "no JSON"), (b"[" * 100_000, "no JSON")],
)  # fmt: skip
def test_a_file_that_is_no_judge_file_says_so(tmp_path, content, fault):
    (tmp_path / FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=fault):
        read_judge(tmp_path)


def test_settings_of_earlier_versions_that_did_nothing_are_passed_over(tmp_path):
    content = {**GOOD, "orders": 1, "content_free": False}
    assert setup_from(content, tmp_path) == Setup(None)


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
        Setup(None, "generated", adapter=Path("x"))


def test_names_of_local_judges(model, tmp_path):
    probe = open_local(f"{model}@expected_digit", cache="off")
    assert isinstance(probe, LogprobJudge)
    assert probe.setup.way == "expected_digit"
    assert probe.name == f"local:{model}@expected_digit"
    for name in (model, f"{model}@generated"):
        assert isinstance(open_local(name, cache="off"), LocalJudge)
    write_judge(tmp_path / FILE, Setup(model, "first_token", 0.5).to_dict(tmp_path))
    for name in (f"local:{tmp_path}", f"local:{tmp_path / FILE}", str(tmp_path / FILE)):
        made = resolve(name, cache="off")
        assert isinstance(made, LogprobJudge)
        assert made.name == name
        assert made.setup == Setup(model, "first_token", 0.5)
    write_judge(tmp_path / "g.json", Setup(model, "generated").to_dict(tmp_path))
    assert isinstance(resolve(str(tmp_path / "g.json"), cache="off"), LocalJudge)
    with pytest.raises(ConfigurationError, match="called 'loud'"):
        open_local(f"{model}@loud")


def test_an_adapter_or_model_that_was_trained_anew_is_read_again(model, tmp_path):
    """And logs that grow beside it make no difference."""
    copied, adapter = tmp_path / "model", tmp_path / "judge" / "adapter"
    shutil.copytree(model, copied)
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    write_judge(adapter.parent / FILE, Setup(str(copied), adapter=adapter).to_dict(adapter.parent))
    files, plain = [f"local:{adapter.parent}", str(adapter.parent / FILE)], [f"local:{copied}@pointwise"]
    before = {name: resolve(name, cache="off") for name in files + plain}
    for file, changes in ((adapter / "adapter_model.safetensors", files), (copied / "config.json", files + plain),
                          (copied / "log.jsonl", []), (adapter / "log.jsonl", [])):  # fmt: skip
        file.write_text((file.read_text() if file.exists() else "") + "\n")
        after = {name: resolve(name, cache="off") for name in before}
        assert [name for name in before if after[name] is not before[name]] == changes
        before = after


def test_names_of_earlier_versions_are_taken_with_a_warning(model, tmp_path):
    (tmp_path / FILE).write_text(json.dumps({**GOOD, "base": model, "way": "digits"}))
    for former, way in FORMER.items():
        with pytest.warns(FutureWarning, match=f"{former!r} is now called {way!r}"):
            judge = open_local(f"{model}@{former}", cache="off")
        assert judge.setup == Setup(model, way)
    with pytest.warns(FutureWarning, match="'digits' is now called 'expected_digit'"):
        assert resolve(str(tmp_path / FILE), cache="off").setup.way == "expected_digit"


def test_a_renamed_way_keeps_its_cache_key(model):
    keys = {former: LogprobJudge(Setup(model, way)).identity()["way"] for former, way in FORMER.items()}
    assert keys == {former: former for former in FORMER}


def test_options_that_a_judge_does_not_take_are_named(model):
    with pytest.raises(ConfigurationError, match="does not take temperature, record; it takes"):
        resolve(f"local:{model}@pointwise", temperature=0.5, record="x.jsonl")
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
        open_local(f"{model}@pointwise", **settings)


def test_setups_that_cannot_be_are_refused(model, tmp_path):
    for setup, fault in (
        (Setup(model, "generated"), "generated"),
        (Setup(model, "pointwise", adapter=tmp_path), "adapter_config"),
    ):
        with pytest.raises(ConfigurationError, match=fault):
            LogprobJudge(setup)
