"""The constraints suite: each checker on hand-made texts, and the material it is made of."""

from __future__ import annotations

import itertools
import random
import re
from typing import Any

import pytest

from ranker.suites.constraints import draw_task
from ranker.suites.constraints_checks import CHECKS, Constraint, met, score
from ranker.suites.constraints_text import words, write

TRAINING, HELD_OUT = words(False), words(True)
LIST = "- Boats rest.\n- Gulls cry.\n- Nets dry."

CASES: list[tuple[str, Any, str, bool]] = [
    ("sentences", 2, "It rains. We stay in!", True),
    ("sentences", 2, 'It rains. "We stay in."', True),
    ("sentences", 2, "It rains. 'We stay in.'", True),
    ("sentences", 2, "“It rains,” she said, ‘so we stay.’ We do.", True),
    ("sentences", 1, "The boats' nets, and the gulls'.", True),
    ("sentences", 2, "It rains at 3.30 today. We stay in. Good.", False),
    ("bullets", 3, LIST, True),
    ("bullets", 2, LIST, False),
    ("bullets", 3, "Boats rest.\nGulls cry.\nNets dry.", False),
    ("bullets", 3, "THE HARBOUR\n\n" + LIST, True),
    ("bullets", 3, LIST + "\nThat is all.", False),
    ("numbered", 2, "1. One boat.\n2. Two boats.", True),
    ("numbered", 2, "1. One boat.\n3. Two boats.", False),
    ("numbered", 2, "- One boat.\n- Two boats.", False),
    ("alphabetical", 3, "- boats rest.\n- Gulls cry.\n- Nets dry.", True),
    ("alphabetical", 3, "- The boats rest.\n- The gulls cry.\n- A net dries.", False),
    ("alphabetical", 2, "- The boats rest.\n- The gulls cry.", True),
    ("verbs", 2, "- Notice how it rains.\n- watch the boats.", True),
    ("verbs", 2, "- Notice how it rains.\n- The boats rest.", False),
    ("verbs", 2, "Notice how it rains.\nWatch the boats.", False),
    ("acrostic", "SALT", "Some boats.\nA gull.\nLow tide.\nThe nets.", True),
    ("acrostic", "SALT", "some boats.\na gull.\nlow tide.\nthe nets.", True),
    ("acrostic", "SALT", "Some boats.\nA gull.\nHigh tide.\nThe nets.", False),
    ("acrostic", "SALT", "Some boats.\nA gull.\nLow tide.", False),
    ("most", 5, "- It's a well-kept secret here.", True),
    ("most", 4, "- It's a well-kept secret here.", False),
    ("most", 4, "1. One two.\n2. Three four.", True),
    ("least", 4, "One two three four.", True),
    ("least", 5, "One two – three four.", False),
    ("between", (3, 4), "One two three.", True),
    ("between", (3, 4), "One two three four.", True),
    ("between", (3, 4), "One two.", False),
    ("between", (3, 4), "One two three four five.", False),
    ("each", 3, "One two three. Four five.", True),
    ("each", 3, "One two three. Four five six seven.", False),
    ("each", 3, "'One two three.' Four five six.", True),
    ("each", 3, "- One two three\n- Four five six", True),
    ("word", "calm", "In perfect Calm, it rains.", True),
    ("word", "calm", "It rains calmly.", False),
    ("twice", "habit", "Habit or no habit.", True),
    ("twice", "habit", "Out of habit.", False),
    ("twice", "habit", "Habit, habit, habit.", False),
    ("twice", "habit", "A habit of habits.", False),
    ("avoid", "just", "It justly rains.", True),
    ("avoid", "just", "Just rain.", False),
    ("comma", None, "It rains; we stay.", True),
    ("comma", None, "It rains, we stay.", False),
    ("exclaim", None, "It rains!", True),
    ("exclaim", None, "It rains! We stay.", False),
    ("start", "Today", "today, it rains.", True),
    ("start", "Today", "- Today it rains.", True),
    ("start", "Today", "It rains today.", False),
    ("end", "home", "We go home.", True),
    ("end", "home", "We are home now.", False),
    ("lower", None, "it rains in 1998.", True),
    ("lower", None, "it rains in London.", False),
    ("quoted", None, '"It rains."', True),
    ("quoted", None, "“It rains.”", True),
    ("quoted", None, '"It rains.', False),
    ("quoted", None, "'It rains.'", False),
    ("number", 1998, "It rained in 1998.", True),
    ("number", 1998, "It rained in 1989, and in 19980.", False),
    ("title", None, "THE RAIN\n\nIt falls.", True),
    ("title", None, "The Rain\n\nIt falls.", False),
    ("title", None, "It FALLS.", False),
    ("question", None, "Who knows? It rains.", True),
    ("question", None, "Who knows? Who cares?", False),
    ("question", None, "It rains.", False),
]


@pytest.mark.parametrize(("kind", "value", "text", "holds"), CASES)
def test_checker(kind: str, value: Any, text: str, holds: bool) -> None:
    assert met(text, Constraint(kind, value, "")) is holds
    assert not met("", Constraint(kind, value, ""))


def test_every_kind_is_tried_both_ways() -> None:
    assert {(kind, holds) for kind, _, _, holds in CASES} == set(itertools.product(CHECKS, (True, False)))
    assert set(CHECKS) == set(TRAINING.wordings) | set(HELD_OUT.wordings)
    assert len(CHECKS) >= 14


def test_score_counts_first_and_then_goes_by_order() -> None:
    asked = [Constraint(kind, None, "") for kind in ("comma", "lower", "exclaim", "question", "quoted")]
    two, one = score("it rains; we stay.", asked), score("It rains; we stay.", asked)
    earlier, later = score("It rains.", asked), score("It, rains!", asked)
    assert two > one == earlier > later > 0
    assert score("", asked) == 0
    weights = [14, 13, 12, 11, 10]
    for m in range(5):  # the best with m met is worse than the worst with one more
        assert sum(weights[:m]) < sum(sorted(weights)[: m + 1])


@pytest.mark.parametrize("material", [TRAINING, HELD_OUT], ids=["training", "held out"])
def test_texts_miss_what_they_are_to_miss(material: Any) -> None:
    """Truth is what the checkers find, whatever was meant; but what was meant is nearly always what is found."""
    right = total = 0
    for seed in range(150):
        random_ = random.Random(seed)
        task = draw_task(material, random_)
        kinds = [c.kind for c in task.constraints]
        assert 3 <= len(kinds) <= 5
        missed = frozenset(random_.sample(kinds, random_.randint(0, len(kinds))))
        text = write(task, missed, random_.random(), material, random_)
        right += sum(met(text, c) != (c.kind in missed) for c in task.constraints)
        total += len(kinds)
    assert right / total > 0.93


def test_every_task_can_be_met_in_full() -> None:
    for material in (TRAINING, HELD_OUT):
        for seed in range(60):
            random_ = random.Random(seed)
            task = draw_task(material, random_)
            tries = (write(task, frozenset(), 0.5, material, random_) for _ in range(40))
            assert any(score(text, task.constraints) == 1 for text in tries), task.text


def test_splits_share_no_material() -> None:
    for part in ("subjects", "openers", "tails", "must", "avoid", "leads", "questions"):
        assert not set(getattr(TRAINING, part)) & set(getattr(HELD_OUT, part)), part
    said = [{x for forms in m.wordings.values() for x in forms} for m in (TRAINING, HELD_OUT)]
    assert not said[0] & said[1]
    assert set(TRAINING.wordings) - set(HELD_OUT.wordings)
    assert set(HELD_OUT.wordings) - set(TRAINING.wordings)
    clauses = [{c for some in m.subjects.values() for c in some} for m in (TRAINING, HELD_OUT)]
    assert not clauses[0] & clauses[1]


def test_material_breaks_no_constraint_by_itself() -> None:
    """No clause, opener or tail holds a comma, or a word that a task may ask for or forbid."""
    for material in (TRAINING, HELD_OUT):
        parts = [
            *(c for some in material.subjects.values() for c in some),
            *material.openers,
            *material.tails,
        ]
        for word in (*material.must, *material.avoid):
            assert not [p for p in parts if word in p.lower().split()]
        assert not [p for p in parts if re.search(r"[,.!?\d]", p)]
        assert all(len(some) == 9 for some in material.subjects.values())
