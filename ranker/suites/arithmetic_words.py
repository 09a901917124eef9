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
    (
        "Anna", "Ben", "Clara", "David", "Emma", "Felix", "Grace", "Hugo", "Isabel", "Jonas", "Kenji", "Lena", "Mateo", "Nora",
        "Oscar", "Priya", "Quentin", "Rosa", "Samuel", "Tara", "Umar", "Vera", "Walter", "Ximena", "Yusuf", "Zoe", "Aisha", "Marek",
        "Ingrid", "Leon", "Fatima", "Paolo",
    ),
    (
        "{W}: {e}.", "{W} is {e}.", "First comes {w}: {e}.", "So {w} is {e}.", "To get {w}, we work out {e}.", "{e}", "{e}.",
        "{e} ({w}).", "{e}, which is {w}.", "{e}. This is {w}.", "{e} → {w}", "{e} yields what we look for, {w}.", "{e} tells us {w}.",
        "With {e} we have {w}.", "From {e} we learn {w}.", "**{W}:** {e}", "**{e}** ({w})", "*{W}*: {e}", "`{e}` – {w}",
        "{W} = **{e}**", "Step: {w}. {e}.", "Step – find {w}: {e}", "Find {w}. {e}.", "Calculate {w}: {e}", "Calculation: {e}.",
        "Working: {e} [{w}]", "[{w}] {e}", "{W} → {e}", "{w}: {e};", "Now {w}. That is {e}.", "Then {w} must be {e}.",
        "What is {w}? {e}.", "Let us find {w}: {e}.", "Next we compute {w} as {e}.", "I calculate {w}: {e}.",
        "I start from the numbers at hand and find {w}, {e}.", "This means that {w} equals {e}.", "{W} can be found like this: {e}.",
        "Since we are looking for {w}, we write {e}.", "Because {e}, we know {w}.", "As {e}, that settles {w}.",
        "Therefore {e}, and so we have {w}.", "{W}? Well, {e}.", "{W}\n{e}", "{W}:\n    {e}", "Ok, {w} → {e}.",
        "Using the numbers above, {w} is equal to {e}.", "After that, {w} can be determined: {e}.",
    ),
    (
        "{x}. No, that is not right: {e}", "{x}; checking again, {e}", "{x}. Correction: {e}", "{x} (sorry, I mean {e})",
        "{x}. Hmm, let me redo this: {e}", "{x}; I take that back, it is {e}", "{x} – scratch that, {e}", "{x}. On second thought {e}",
        "{x}, no: {e}", "{x}. Actually, {e}", "~~{x}~~ {e}", "{x}. Recalculating: {e}", "{x}? I do not think so. {e}",
        "{x}. Oops, {e}", "{x}; after another try I find {e}",
    ),
    (
        "Answer: {a}", "So the answer is {a}.", "The answer is therefore {a}.", "**{a}**", "**Answer:** {a}", "Answer = {a}",
        "#### {a}", "The final result is {a}.", "Therefore: {a}", "Hence the answer to the question is {a}.", "ANSWER: {a}",
        "\\boxed{{{a}}}", "Thus we arrive at {a}.", "My answer is {a}.", "=> {a}", "{a}", "It is {a}.", "Solution: **{a}**",
        "The number asked for is {a}.", "Altogether, the question is answered by {a}.", "This gives {a} as the answer.",
        "The correct answer should be {a}.",
    ),
    (
        "Let us go through it in order.", "We take one thing after another.", "It all follows from the numbers in the text.",
        "Let us write down what we know and work towards the question.", "This is best done step by step.",
        "The order of these lines follows the order of the story.", "Sure, here is the solution.", "Solution:", "## Solution",
        "Okay, let us solve this.", "I will work this out carefully.", "Let me think about what is being asked.",
        "To answer the question, we need several calculations.", "Here is my working.", "We begin with what the story tells us first.",
        "**Working**", "I read the story twice before starting.", "This can be solved with simple arithmetic.", "Let us begin.",
        "We look at each part of the story in turn.", "A calculation in several stages leads to the answer.",
        "First I collect the facts, then I calculate.", "Okay.", "This looks harder than it is.",
    ),
    (
        "That part is done.", "Now for the next part.", "This is what the following line builds on.", "Good.",
        "I looked at this line a second time before going on.", "With this we can go on.", "We keep this number in mind.",
        "One more thing has to be worked out.", "Nothing else in the story matters for this.", "That was the easy part.",
        "Wait – no, that is right.", "Checking again, yes.", "Okay.", "Right.", "Let us continue.", "This will be useful shortly.",
        "That sounds reasonable.", "The size of this number seems plausible.", "We are getting closer to the answer.",
        "Now we look at what the story says next.", "I write this down so as not to forget it.", "Moving along.",
        "Let me see what comes after that.", "The story gives us all we need for this.", "Here it pays to be attentive.",
        "Hmm, let me think about this for a moment.", "Actually, yes, this is fine.", "I did this in my head and then on paper.",
        "No surprises here.", "We carry this result over.", "That is only an intermediate result.", "The units agree as well.",
        "Is this right? I think so.", "Oops – no, all is well.", "On second thought, I would keep it as it is.",
        "The rest follows in the same manner.", "We can use this straight away.", "This detail is important.",
        "Now things become more interesting.", "Let us not rush.", "So much for that.", "We are not finished yet.",
        "I am fairly sure about this line.", "It helps to picture the situation.", "This was asked only indirectly.",
        "Recalculating it would lead to the same.", "No correction is needed here.", "Sorry if this is a little detailed.",
        "I see nothing to scratch here.",
    ),
    (
        "I have double-checked the working, and it holds.", "That is everything we were asked for.",
        "Nothing else has to be worked out.", "This is what the question wants to know.", "With that we can answer the question.",
        "My working is shown above.", "So we are done.", "The calculation is complete.", "That concludes the solution.",
        "I checked each line again.", "We only have to state the answer now.", "The result seems plausible for such a story.",
        "This settles the matter.", "Let us sum up.", "I hope this helps.", "The story asks for nothing more.",
        "The last line holds the answer.",
    ),
    (
        ("\n", "\n"), (" ", "\n\n"), (" ", " "), ("\n\n", "\n\n"), ("\n* ", "\n\n"), ("\n+ ", "\n"), ("\n• ", "\n\n"), ("\n> ", "\n\n"),
        ("\n", "\n\n---\n"),
    ),
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
