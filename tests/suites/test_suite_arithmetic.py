"""The arithmetic suite: the checker on hand-made solutions, and the stories it is made of."""

from __future__ import annotations

import random

import pytest

from ranker.suites import arithmetic
from ranker.suites.arithmetic import score
from ranker.suites.arithmetic_stories import HELD_OUT, TRAINING, Step, Story
from ranker.suites.arithmetic_words import HELD_OUT_WORDS, TRAINING_WORDS
from ranker.suites.arithmetic_work import Problem, draw_problem, work

CUPS = Problem(
    "12 boxes of 10 cups, 15 broken, the rest at $3. How much?",
    {"boxes": 12, "each": 10, "broken": 15, "price": 3},
    (
        Step("the number of cups", "*", "boxes", "each"),
        Step("the number of whole cups", "-", "#1", "broken"),
        Step("the money", "*", "#2", "price"),
    ),
    "$",
    (120, 105, 315),
)


@pytest.mark.parametrize(
    ("text", "worth"),
    [
        ("12 × 10 = 120, then 120 - 15 = 105, and 105 × 3 = 315. Answer: $315", 1.0),
        ("10 * 12 = 120\n120 − 15 = 105\n3 x 105 = 315\n**$315**\nThat is all.", 1.0),
        ("12 × 10 = 120. 120 - 15 = 105. 105 × 3 = 315. Answer: $351", 0.6),  # another number stated
        ("12 × 10 = 130. 130 - 15 = 115. 115 × 3 = 345. Answer: $345", 0.5),  # miscalculated, then consistent
        ("12 × 10 = 130. 120 - 15 = 105. 105 × 3 = 315. Answer: $315", 0.9),  # misprinted only
        ("12 + 10 = 22. 22 - 15 = 7. 7 × 3 = 21. Answer: $21", 0.4),  # wrong operation, then consistent
        ("12 × 10 = 120. 120 - 51 = 69. 69 × 3 = 207. Answer: $207", 0.4),  # copied wrongly
        ("12 × 10 = 120. 120 × 3 = 360. Answer: $360", 0.2),  # a step left out
        ("12 × 10 = 102. No: 12 × 10 = 120. 120 - 15 = 105. 105 × 3 = 315. Answer: $315", 0.95),  # mended
        ("12 × 10 = 120. 120 - 15 = 105. 105 × 3 = 315, rather 105 × 3 = 325. $325", 0.45),  # worsened
        ("Answer: $315", 0.4),
        ("120 - 15 = 105 and 15 + 15 = 30. It depends.", 0.2),
        ("It cannot be known.", 0.0),
        ("", 0.0),
    ],
)
def test_checker(text: str, worth: float) -> None:
    assert score(CUPS, text) == pytest.approx(worth)


def test_checker_reads_thousands_and_decimals() -> None:
    problem = Problem(
        "", {"a": 2500, "b": 4}, (Step("x", "*", "a", "b"), Step("y", "/", "#1", 3)), "", (10000, 3333.33)
    )
    assert score(problem, "2,500 × 4 = 10,000. 10,000 ÷ 3 = 3,333.33. So 3,333.33 it is, all told.") == 1.0


def test_checker_is_indifferent_to_further_calculations() -> None:
    more = "12 + 15 = 27. 12 × 10 = 120. 120 - 15 = 105. 105 × 3 = 315. 315 - 15 = 300. $315"
    assert score(CUPS, more) == 1.0


@pytest.mark.parametrize("story", [*TRAINING, *HELD_OUT], ids=lambda s: s.name)
def test_stories_can_be_solved(story: Story) -> None:
    for seed in range(5):
        problem = draw_problem(story, ("Ann",), random.Random(seed))
        assert 3 <= len(problem.steps) <= 6
        assert "{" not in problem.text
        assert all(str(v) in problem.text for v in problem.given.values())
        lines, answer = work(problem, {}, random.Random(0), 0.0)
        assert score(problem, arithmetic._equations(problem, lines, answer)) == 1.0


def test_splits_share_no_template() -> None:
    assert not {s.name for s in TRAINING} & {s.name for s in HELD_OUT}
    assert not {x.what for s in TRAINING for x in s.steps} & {x.what for s in HELD_OUT for x in s.steps} - {
        "the number of days"
    }
    for part in ("people", "lines", "again", "answers", "starts", "asides", "ends", "layouts"):
        assert not set(getattr(TRAINING_WORDS, part)) & set(getattr(HELD_OUT_WORDS, part))
