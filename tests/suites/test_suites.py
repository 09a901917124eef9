"""What must hold of every generated suite, whatever it is about."""

from __future__ import annotations

import importlib
import itertools
import json
import os
import re
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from ranker import TrajectoryGroup
from ranker.errors import ConfigurationError
from ranker.prompting.transcript import transcribe
from ranker.suites import GENERATED, load

SETTINGS = [(2, 1.0), (3, 0.0), *itertools.product((4,), (0.0, 0.1, 0.5, 0.9, 1.0)), *itertools.product((8,), (0.1, 0.5, 0.9))]  # fmt: skip
MANY = {2: 20, 3: 20, 4: 70, 8: 24}  # groups of each size
SECRET = (
    r"ground.?truth|competence|held.?out|difficulty|checker|score|mistake|wrong|bug|off by one|tests passed|hidden test|"
    r"miscopied|misprint|dropped|missed|met\b|\bhair|owner|namesake"
)


class Laws(NamedTuple):
    """In what the suites differ."""

    opening: int  # the messages that all attempts of a group share
    turns: bool = False  # whether an attempt may be more than one reply
    step: float = 0.04  # by how much truths are closer at difficulty 0.5 than at 0
    narrowing: float = 1.5  # how often as far apart they are at difficulty 0 as at 1
    secret: str = SECRET + "|slip"


LAWS = {
    "toolenv": Laws(2, turns=True, step=0.0),
    "constraints": Laws(1, secret=SECRET),  # "slip" is a word of its clauses
    "arithmetic": Laws(1, narrowing=1.3),
    "code": Laws(2),
    "answers": Laws(1),
    "lookup": Laws(1),
}


class Attempt(NamedTuple):
    truth: float
    text: str


@dataclass
class Made:
    """A suite, with what was made of it: every test looks at the same groups."""

    name: str
    laws: Laws = field(init=False)
    module: Any = field(init=False)
    kept: dict[tuple[int, float, bool], list[TrajectoryGroup]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.laws = LAWS[self.name]
        self.module = importlib.import_module(f"ranker.suites.{self.name}")

    def groups(self, size: int = 4, difficulty: float = 0.5, held_out: bool = True) -> list[TrajectoryGroup]:
        key = (size, difficulty, held_out)
        if key not in self.kept:
            self.kept[key] = self.module.groups(
                MANY[size], size=size, difficulty=difficulty, held_out=held_out
            )
        return self.kept[key]

    def opening(self, group: TrajectoryGroup) -> str:
        [opening] = {json.dumps(t.messages[: self.laws.opening]) for t in group.trajectories}
        return opening


@pytest.fixture(scope="module", params=GENERATED)
def suite(request: pytest.FixtureRequest) -> Iterator[Made]:
    made = Made(request.param)
    yield made
    made.kept.clear()


def truths(group: TrajectoryGroup) -> list[float]:
    assert all(t.ground_truth is not None for t in group.trajectories)
    return [t.ground_truth or 0.0 for t in group.trajectories]


def test_the_same_arguments_give_the_same_groups(suite: Made) -> None:
    groups = suite.module.groups
    for held_out in (True, False):
        some = groups(5, 3, size=5, difficulty=0.2, held_out=held_out)
        assert some == groups(5, 3, size=5, difficulty=0.2, held_out=held_out)
    assert groups(12, 7, size=3)[:5] == groups(5, 7, size=3)
    assert groups(12, 1)[:5] == groups(5, 1)
    assert groups(3, 1) != groups(3, 2)
    assert [g.id for g in groups(2, 7)] == [f"{suite.name}-7-0", f"{suite.name}-7-1"]


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize(("size", "difficulty"), SETTINGS)
def test_groups_are_sound_and_length_tells_nothing(
    suite: Made, size: int, difficulty: float, held_out: bool
) -> None:
    groups = suite.groups(size, difficulty, held_out)
    seen: dict[str, float] = {}
    longer_is_better: list[float] = []
    for group in groups:
        assert list(group.ids) == [chr(97 + k) for k in range(size)]
        assert group.rubric == suite.module.RUBRIC
        suite.opening(group)
        attempts = [
            Attempt(truth, transcribe(t).text)
            for truth, t in zip(truths(group), group.trajectories, strict=True)
        ]
        assert len({truth for truth, _ in attempts}) > 1
        for truth, text in attempts:
            assert 0 <= truth <= 1
            assert seen.setdefault(text, truth) == truth  # nothing that is not shown decides it
        for a, b in itertools.combinations(attempts, 2):
            if a.truth != b.truth:
                longer = len(a.text) - len(b.text)
                longer_is_better.append(0.5 if not longer else float((longer > 0) == (a.truth > b.truth)))
    pairs = len(groups) * size * (size - 1) / 2
    assert len(longer_is_better) >= 2 / 3 * pairs
    if size > 3:
        assert len(set(seen.values())) >= 8
    if size > 3 and 0 < difficulty < 1:
        assert 0.4 < statistics.mean(longer_is_better) < 0.6


@pytest.mark.parametrize("held_out", [True, False])
def test_messages_are_those_of_a_conversation(suite: Made, held_out: bool) -> None:
    for t in (t for g in suite.groups(held_out=held_out) for t in g.trajectories):
        plain = {"role", "content"}
        opening, rest = t.messages[: suite.laws.opening], t.messages[suite.laws.opening :]
        assert [m["role"] for m in opening] == ["system", "user"][-suite.laws.opening :]
        assert all(set(m) == plain for m in (*opening, rest[-1]))
        assert rest[-1]["role"] == "assistant"
        assert len(rest) == 1 or suite.laws.turns


@pytest.mark.parametrize("held_out", [True, False])
def test_nothing_hidden_is_in_the_messages(suite: Made, held_out: bool) -> None:
    secret = re.compile(suite.laws.secret)
    for group in suite.groups(held_out=held_out):
        for t in group.trajectories:
            text = json.dumps(t.messages, ensure_ascii=False).lower()
            assert not secret.search(text), text
            assert str(group.id) not in text
            assert group.metadata["template"] + "-" not in text


@pytest.mark.parametrize("held_out", [True, False])
def test_difficulty_narrows_the_gap(suite: Made, held_out: bool) -> None:
    easy, middle, hard = (
        statistics.mean(
            abs(a - b)
            for group in suite.groups(difficulty=difficulty, held_out=held_out)
            for a, b in itertools.combinations(truths(group), 2)
        )
        for difficulty in (0.0, 0.5, 1.0)
    )
    assert easy > middle + suite.laws.step
    assert middle > hard + 0.05
    assert easy > suite.laws.narrowing * hard


def test_position_says_nothing(suite: Made) -> None:
    best = [0.0] * 4
    fours = [s for s in SETTINGS if s[0] == 4]
    for (size, difficulty), held_out in itertools.product(fours, (True, False)):
        for group in suite.groups(size, difficulty, held_out):
            known = truths(group)
            places = [k for k, truth in enumerate(known) if truth == max(known)]
            for k in places:
                best[k] += 1 / len(places)
    shares = [x / sum(best) for x in best]
    assert all(0.2 < share < 0.3 for share in shares), shares


def test_splits_share_no_template_and_no_task(suite: Made) -> None:
    one, other = suite.groups(held_out=True), suite.groups(held_out=False)
    for of in (lambda g: g.metadata["template"], suite.opening):
        assert not set(map(of, one)) & set(map(of, other))


@pytest.mark.parametrize("name", GENERATED)
def test_a_group_of_one_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="at least two"):
        Made(name).module.groups(1, size=1)


# By the names that users give them


def test_a_suite_is_loaded_by_its_name(suite: Made) -> None:
    made = load(suite.name)
    assert (made.name, made.left_out) == (suite.name, 0)
    assert len(made.groups) == 100
    assert list(made.groups[: MANY[4]]) == suite.groups()
    assert list(load(suite.name, 3, seed=2).groups) == suite.module.groups(3, 2)


def test_a_suite_is_loaded_with_settings(suite: Made) -> None:
    spec = f"{suite.name}:difficulty=0.8,size=8,split=train"
    made = load(spec, 3, seed=1)
    assert made.name == spec
    assert list(made.groups) == suite.module.groups(3, 1, size=8, difficulty=0.8, held_out=False)
    assert list(load(f"{suite.name}:split=test", 3).groups) == suite.groups()[:3]
    [group] = load(f"{suite.name}:size=64", 1).groups
    assert len(set(group.ids)) == 64


@pytest.mark.parametrize(
    "setting",
    ["size=1", "size=65", "size=4.5", "size=", "size", "difficulty=-0.1", "difficulty=nan", "difficulty=hard", "split=both", "seed=1", "size=4;split=train"],
)  # fmt: skip
def test_a_bad_setting_is_refused(suite: Made, setting: str) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"{suite.name}.*setting '{re.escape(setting)}'.*size=2\.\.64"
    ):
        load(f"{suite.name}:split=test,{setting}", 1)


_DIGEST = """
import hashlib, sys
from ranker.suites import load
for name in sys.argv[1:]:
    for spec in (name, name + ":split=train,difficulty=0.9,size=6"):
        told = repr([[(t.messages, t.ground_truth) for t in g.trajectories] for g in load(spec, 60).groups])
        print(spec, hashlib.sha256(told.encode()).hexdigest())
"""


def test_every_process_makes_the_same_groups() -> None:
    """Python orders sets by a hash that it draws anew in every process."""
    made = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST, *GENERATED],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert made[0].count("\n") == 2 * len(GENERATED)
