"""The words in which the arithmetic suite's solutions are told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Words:
    """How solutions are worded. `{w}` is what a step finds, `{W}` the same with a capital, `{e}` its equation.

    Attributes:
        lines: ways to tell a step.
        again: ways to take the step's first equation back and give another.
        answers: ways to state the answer `{a}`.
        starts, asides, ends: sentences without any number, as fitting in a bad solution as in a good one, that
            make one longer: before, between and after the steps.
        layouts: what stands between the sentences, and before the answer.
    """

    people: tuple[str, ...]
    lines: tuple[str, ...]
    again: tuple[str, ...]
    answers: tuple[str, ...]
    starts: tuple[str, ...]
    asides: tuple[str, ...]
    ends: tuple[str, ...]
    layouts: tuple[tuple[str, str], ...]


TRAINING_WORDS = Words(
    ("Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo"),
    ("{W}: {e}.", "{W} is {e}.", "First comes {w}: {e}.", "So {w} is {e}.", "To get {w}, we work out {e}."),
    ("{x}. No, that is not right: {e}", "{x}; checking again, {e}"),
    ("Answer: {a}", "So the answer is {a}.", "The answer is therefore {a}.", "**{a}**"),
    (
        "Let us go through it in order.", "We take one thing after another.", "It all follows from the numbers in the text.",
        "Let us write down what we know and work towards the question.", "This is best done step by step.",
        "The order of these lines follows the order of the story.",
    ),
    (
        "That part is done.", "Now for the next part.", "This is what the following line builds on.", "Good.",
        "I looked at this line a second time before going on.", "With this we can go on.", "We keep this number in mind.",
        "One more thing has to be worked out.", "Nothing else in the story matters for this.", "That was the easy part.",
        "Wait – no, that is right.", "Checking again, yes.",
    ),
    (
        "I have double-checked the working, and it holds.", "That is everything we were asked for.",
        "Nothing else has to be worked out.", "This is what the question wants to know.",
    ),
    (("\n", "\n"), (" ", "\n\n"), (" ", " ")),
)  # fmt: skip
HELD_OUT_WORDS = Words(
    ("Amina", "Bruno", "Chen", "Daria", "Elif", "Farid", "Gita", "Henrik"),
    ("{e} gives {w}.", "For {w} I get {e}.", "We need {w}, and that is {e}.", "Next, {w}: {e}.", "Here {w} comes to {e}."),
    ("{x} – wait, that should be {e}", "{x}, or rather, looking closer, {e}"),
    ("Final answer: {a}.", "That makes {a}.", "Result: {a}", "In the end it comes to {a}."),
    (
        "The problem falls into a few small pieces.", "I will handle them one at a time.", "Everything needed for this is given.",
        "The question only asks for one number, but there are a few things to find on the way.",
        "There is no shortcut here that I would trust.", "Let me be careful with this one.",
    ),
    (
        "So far, so good.", "That leaves the rest of the question.", "On to the next piece.", "Fine.",
        "This value is used further down.", "From here on it is a matter of care.", "I set this aside for a moment.",
        "All other details of the story are only there to set the scene.", "Let me be careful at this point.",
        "I compared these figures with the problem statement.",
        "Hold on, wait – yes, that holds.", "Looking closer, it holds.",
    ),
    (
        "A quick look back shows that the pieces fit together.", "I am confident in this result.",
        "Now the last piece is in place.", "There is nothing left to find.",
    ),
    (("\n", "\n\n"), (" ", "\n"), ("\n- ", "\n")),
)  # fmt: skip
