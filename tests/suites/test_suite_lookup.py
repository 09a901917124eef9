"""The lookup suite: hand-made replies and their truths, what stands in its materials, and how the splits differ."""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import statistics
import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ranker.suites import lookup
from ranker.suites.lookup import draw_task, slip
from ranker.suites.lookup_score import credit, invented, read, score
from ranker.suites.lookup_text import Item, Rows, Task, padded, tell
from ranker.suites.lookup_words import HELD_OUT, TRAINING, Domain, Field

DOMAIN = Domain(
    "hills", "hill", "hills", "hills", "hill",
    ("Ash Hill", "Birch Hill", "Cedar Hill", "Elm Hill", "Fir Hill", "Ghost Hill"),
    (Field("height", "int", 100, 900, unit="m"), Field("soil", "cat", values=("clay", "sand", "red sand"))),
)  # fmt: skip
ROWS = (
    ("Ash Hill", "310", "clay"),
    ("Birch Hill", "120", "sand"),
    ("Cedar Hill", "455", "clay"),
    ("Elm Hill", "288", "red sand"),
    ("Fir Hill", "600", "sand"),
)
ITEMS = {
    "value": Item("value", "Elm Hill", ("the height of Elm Hill", "Elm Hill's height"), "288", 0, "m"),
    "word": Item("value", "Elm Hill", ("the soil of Elm Hill",), "red sand", 1),
    "count": Item("count", "Ash Hill", ("the number of hills with soil clay",), "2", 1),
    "list": Item("list", "Birch Hill", ("the hills with soil sand",), ("Birch Hill", "Fir Hill"), 1),
    "most": Item("most", "Fir Hill", ("the hill with the highest height",), "Fir Hill", 0),
    "order": Item("order", "Birch Hill", ("the first three by height",), ("Birch Hill", "Elm Hill", "Ash Hill")),
    "rows": Item("rows", "Ash Hill", ("the entries as CSV",), Rows("csv", (ROWS[0], ROWS[3]))),
}  # fmt: skip
CASES: list[tuple[str, str, float]] = [
    ("value", "The height of Elm Hill is 288.", 1),
    ("value", "Elm Hill's height: 288 m", 1),
    ("value", "- **Height of Elm Hill:** 288 m.", 1),
    ("value", "| the height of Elm Hill | 288 |", 1),
    ("value", '{\n  "height of Elm Hill": "288"\n}', 1),
    ("value", "1. 288", 1),
    ("value", "2. 288", 0),
    ("value", "You asked about the height of Elm Hill. Fine. The height of Elm Hill is 288.", 1),
    ("value", "The height of Elm Hill is 288. You asked about the height of Elm Hill.", 1),
    ("value", "The height of Elm Hill is 455. No: the height of Elm Hill is 288.", 1),
    ("value", "The height of Elm Hill is 828.", 0),
    ("value", "The height of Elm Hill is 288 or 455.", 0),
    ("value", "The height of Elm Hill is not given.", 0),
    ("value", "The height of Ash Hill is 288.", 0),
    ("value", "288", 0),
    ("value", "The height of Elm Hill is 288. Ghost Hill is lower.", 0.95),
    ("word", "The soil of Elm Hill is red sand.", 1),
    ("word", "The soil of Elm Hill is sand.", 0),
    ("count", "The number of hills with soil clay is 2.", 1),
    ("count", "The number of hills with soil clay is 3.", 0),
    ("list", "The hills with soil sand are Fir Hill and Birch Hill.", 1),
    ("list", "The hills with soil sand are Fir Hill, Elm Hill and Birch Hill.", 0.6667),
    ("list", "The hills with soil sand are Fir Hill and Elm Hill.", 0.3333),
    ("list", "The hills with soil sand are Fir Hill.", 0.5),
    ("list", "The hills with soil sand are Fir Hill, Birch Hill and Ghost Hill.", 0.6167),
    ("most", "Fir Hill is the hill with the highest height.", 1),
    ("most", "Ash Hill is the hill with the highest height.", 0),
    ("order", "The first three by height are Birch Hill, Elm Hill and Ash Hill.", 1),
    ("order", "The first three by height are Birch Hill, Ash Hill and Elm Hill.", 0.6667),
    ("order", "The first three by height are Ash Hill, Elm Hill and Birch Hill.", 0),
    ("order", "The first three by height are Birch Hill and Elm Hill.", 0.3333),
    ("rows", "The entries as CSV:\nAsh Hill,310,clay\nElm Hill,288,red sand", 1),
    ("rows", "```\nElm Hill,288,red sand\nAsh Hill,310,clay\n```", 1),
    ("rows", "Ash Hill,310,clay\nElm Hill,310,red sand", 0.8333),
    ("rows", "Ash Hill,310,clay", 0.5),
    ("rows", "Ash Hill;310;clay\nElm Hill;288;red sand", 0.5),
    ("rows", "| Ash Hill | 310 | clay |\n| Elm Hill | 288 | red sand |", 0.5),
    ("rows", "Ash Hill,310,clay\nBirch Hill,120,sand\nElm Hill,288,red sand", 0.6667),
    ("rows", "The entries as CSV: not stated.", 0),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "truth"), CASES)
def test_truth_of_hand_made_replies(kind: str, text: str, truth: float) -> None:
    task = Task("", DOMAIN, ROWS, (ITEMS[kind],), "csv")
    assert score(task, text) == truth
    assert score(task, "") == 0


def test_truth_is_the_mean_over_what_is_asked() -> None:
    task = Task("", DOMAIN, ROWS, tuple(ITEMS[k] for k in ("value", "count", "list", "rows")), "csv")
    text = (
        "Elm Hill's height is 288 m. The number of hills with soil clay is 3.\n"
        "The hills with soil sand: Birch Hill\nAsh Hill,310,clay\nElm Hill,288,red sand"
    )
    assert score(task, text) == (1 + 0 + 0.5 + 1) / 4
    assert score(task, text + "\nGhost Hill and Ghost Hill.") == pytest.approx(0.575)
    assert score(task, "1. 288\n2. 2\n3. Fir Hill, Birch Hill") == 0.75


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans(), st.sampled_from([0.0, 0.5, 1.0]))
def test_a_reply_says_what_it_was_meant_to_say(seed: int, held_out: bool, subtle: float) -> None:
    """In every style, whatever stands around it, the text reads as the answers that it was made of."""
    random_ = random.Random(seed)
    words = HELD_OUT if held_out else TRAINING
    task = draw_task(words, random_)
    assert 3 <= len(task.items) <= 5
    right = [item.truth for item in task.items]
    meant = [slip(task, x, random_.random() < subtle, random_) if random_.random() < 0.5 else x.truth for x in task.items]  # fmt: skip
    bare = [tell(task, said, style, words, random_) for style in words.shapes for said in (right, meant)]
    for text, said in zip(padded(bare, task, words, random_), itertools.cycle((right, meant)), strict=False):
        credits_ = [credit(x, a) for x, a in zip(task.items, read(task, text), strict=True)]
        assert credits_ == pytest.approx([credit(x, a) for x, a in zip(task.items, said, strict=True)]), text
        assert 0 <= score(task, text) <= 1
    assert all(score(task, text) == 1 for text in padded(bare[:1], task, words, random_))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.booleans())
def test_the_right_answers_stand_in_the_message(seed: int, held_out: bool) -> None:
    task = draw_task(HELD_OUT if held_out else TRAINING, random.Random(seed))
    assert 5 <= len(task.rows) <= 9
    for item in task.items:
        assert item.asked in task.text
    for row in task.rows:
        assert all(value in task.text for value in row)
    assert not invented(task, task.text)


def made(held_out: bool, **more: Any) -> list[Any]:
    return lookup.groups(250, 11, held_out=held_out, **more)


def reply(t: Any) -> str:
    return str(t.messages[1]["content"])


@pytest.mark.parametrize("held_out", [True, False])
@pytest.mark.parametrize("more", [{}, {"difficulty": 0.0}, {"difficulty": 1.0}, {"size": 8}])
def test_length_says_nothing(held_out: bool, more: dict[str, Any]) -> None:
    longer = []
    for group in made(held_out, **more):
        texts = [reply(t) for t in group.trajectories]
        assert len(set(texts)) == len(texts)
        for a, b in itertools.combinations(group.trajectories, 2):
            if a.ground_truth != b.ground_truth:
                longer.append((len(reply(a)) > len(reply(b))) == (a.ground_truth > b.ground_truth))
    near = 0.06 if not more else 0.1
    assert 0.5 - near < statistics.mean(longer) < 0.5 + near


@pytest.mark.parametrize("held_out", [True, False])
def test_no_layout_and_no_remark_goes_with_the_truth(held_out: bool) -> None:
    groups = made(held_out) + lookup.groups(250, 12, held_out=held_out)
    words = HELD_OUT if held_out else TRAINING
    truths = [(reply(t), t.ground_truth) for g in groups for t in g.trajectories]
    mean = statistics.mean(truth for _, truth in truths)
    for sign in ("```json", "| asked |", "\n- ", "\n1. ", *words.starts, *words.asides, *words.ends):
        some = [truth for text, truth in truths if sign in text]
        if len(some) > 60:
            assert abs(statistics.mean(some) - mean) < 4 * 0.27 / len(some) ** 0.5, sign


@pytest.mark.parametrize("held_out", [True, False])
def test_prompts_and_replies_are_varied_and_short(held_out: bool) -> None:
    groups = made(held_out)
    words = [len(str(g.trajectories[0].messages[0]["content"]).split()) for g in groups]
    assert 90 < statistics.mean(words) < 180
    assert 25 < statistics.mean(len(reply(t).split()) for g in groups for t in g.trajectories) < 80
    told = HELD_OUT if held_out else TRAINING
    assert {g.metadata["template"] for g in groups} == {d.name for d in told.domains}
    assert {g.metadata["material"] for g in groups} == set(told.materials)
    assert {k for g in groups for k in g.metadata["kinds"]} == set(told.asks) == set(told.cores)


def test_splits_share_no_words() -> None:
    assert len(TRAINING.domains) >= 25
    assert len(TRAINING.materials) >= 8
    assert not {d.name for d in TRAINING.domains} & {d.name for d in HELD_OUT.domains}
    names = [{n for d in w.domains for n in d.names} for w in (TRAINING, HELD_OUT)]
    fields = [{f.name for d in w.domains for f in d.fields} for w in (TRAINING, HELD_OUT)]
    assert not names[0] & names[1]
    assert not fields[0] & fields[1]
    for part in ("leads", "turns", "conds", "one", "many", "nothing", "restate", "starts", "asides", "ends", "records", "pairs"):  # fmt: skip
        assert not set(getattr(TRAINING, part)) & set(getattr(HELD_OUT, part)), part
    for part in ("asks", "cores"):
        one, other = ({x for some in getattr(w, part).values() for x in some} for w in (TRAINING, HELD_OUT))
        assert not one & other
    assert set(HELD_OUT.materials) - set(TRAINING.materials)
    assert set(HELD_OUT.shapes) - set(TRAINING.shapes)


@pytest.mark.parametrize("domain", [*TRAINING.domains, *HELD_OUT.domains], ids=lambda d: d.name)
def test_no_name_or_value_hides_another(domain: Domain) -> None:
    names, fields = domain.names, [f.name for f in domain.fields]
    assert len(names) >= 10
    for a, b in itertools.permutations((*names,), 2):
        assert a not in b
    for a, b in itertools.permutations(fields, 2):
        assert a not in b
    for text in (*names, *fields, *(v for f in domain.fields for v in f.values)):
        assert not re.search(r"[,|;=/.]", text)
    for f in domain.fields:
        assert f.kind != "int" or f.high - f.low >= 10  # nine records with different numbers


_DIGEST = """
import hashlib, json
from ranker.suites import lookup
for held_out in (True, False):
    some = lookup.groups(40, 5, held_out=held_out, size=5)
    told = json.dumps([[(t.messages, t.ground_truth) for t in g.trajectories] for g in some])
    print(hashlib.sha256(told.encode()).hexdigest())
"""


def test_every_process_makes_the_same_groups() -> None:
    told = [
        subprocess.run(
            [sys.executable, "-c", _DIGEST],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert told[0] == told[1]
    assert len(told[0].split()) == 2
    assert lookup.groups(9, 2)[:4] == lookup.groups(4, 2)


@pytest.mark.parametrize("size", [2, 3, 8, 26])
def test_sizes_and_difficulty(size: int) -> None:
    gaps = []
    for difficulty in (0.0, 1.0):
        groups = lookup.groups(60, 4, size=size, difficulty=difficulty)
        for group in groups:
            assert len(group.trajectories) == size
            truths = [t.ground_truth or 0.0 for t in group.trajectories]
            assert len(set(truths)) > 1
            gaps.append((difficulty, max(truths) - min(truths)))
            assert json.dumps(group.metadata)
    easy, hard = (statistics.mean(gap for d, gap in gaps if d == want) for want in (0.0, 1.0))
    assert easy > hard + 0.1
    with pytest.raises(ValueError, match="at least two"):
        lookup.groups(1, size=1)


def test_a_changed_copy_is_unlike_its_source() -> None:
    random_ = random.Random(1)
    seen = 0
    for _ in range(200):
        task = draw_task(TRAINING, random_)
        for item in task.items:
            if item.kind == "change" and isinstance(item.truth, Rows):
                seen += 1
                [row] = item.truth.rows
                source = next(r for r in task.rows if r[0] == row[0])
                assert sum(a != b for a, b in zip(row, source, strict=True)) == 1
                unchanged = replace(item.truth, rows=(source,))
                assert credit(item, unchanged) < 1
    assert seen > 10
