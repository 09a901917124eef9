"""The wordings of the suite `code`. None of them says whether a function is right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

NAMES: Mapping[str, tuple[str, ...]] = {
    "out": ("result", "res", "answer"),
    "item": ("x", "entry", "element"),
    "total": ("acc", "amount"),
    "best": ("top", "current"),
    "ordered": ("arranged", "in_order"),
    "stack": ("todo", "pending"),
    "kept": ("cleaned", "relevant"),
    "counts": ("freq", "tally"),
    "places": ("index_of", "position"),
    "middle": ("mid", "half"),
    "share": ("each", "base"),
}


@dataclass(frozen=True, slots=True)
class Words:
    """Wordings of a split.

    Attributes:
        systems: system prompts.
        tasks: the user's message, with places for signature, asked, call and value.
        openers: first sentences of a reply.
        sentences: further ones.
        docstrings: lines that may open the function's body.
        comments: lines that may stand before a statement, by its first word.
    """

    systems: tuple[str, ...]
    tasks: tuple[str, ...]
    openers: tuple[str, ...]
    sentences: tuple[str, ...]
    docstrings: tuple[str, ...]
    comments: Mapping[str, tuple[str, ...]]


TRAINING = Words(
    systems=(
        "You are a programming assistant. Reply with one Python function and a few words.",
        "You write small Python functions. Put the code in one fenced block.",
        "You are a helpful assistant for Python programmers.",
        "Write what you are asked for in plain Python and keep your remarks short.",
        "You are an experienced engineer. People send you descriptions of functions; you send back code.",
        "Answer every request with exactly one function in a fenced block, and at most a short explanation.",
        "You are the coding helper of a small team that works in Python.",
        "Code first, then a sentence or two about it. Use the standard library only.",
        "You complete programming exercises. Show the finished function.",
        "Be brief. Users want a Python function that they can paste into their project.",
    ),
    tasks=(
        "Please write `{signature}` in Python. {asked}\n\nFor example, `{call}` gives `{value}`.",
        "I need a Python function `{signature}`.\n\n{asked}\n\nExample: `{call}` -> `{value}`",
        "Write a function `{signature}`. {asked} So `{call}` is `{value}`.",
        "Can you write me `{signature}`? What it has to do: {asked} As a check, `{call}` must come out as `{value}`.",
        "{asked}\n\nName it `{signature}`, please. `{call}` would then be `{value}`.",
        "Task: `{signature}`\n\n{asked}\n\nSample call: `{call}`\nSample result: `{value}`",
        "I am missing one helper in my script, `{signature}`. {asked} With this input, `{call}`, I expect `{value}`.",
        "Python exercise. {asked} Use the header `def {signature}:`. Calling `{call}` has to yield `{value}`.",
        "How would you code this?\n\n{asked}\n\nHeader: `{signature}`\nIn one case: `{call}` is `{value}`",
        "Fill in the body of `{signature}`.\n\nWhat it does: {asked}\n\n>>> {call}\n{value}",
        "We want `{signature}` in our utilities module. {asked} To illustrate: `{call}` produces `{value}`.",
        "Define `{signature}` such that the following holds. {asked} Among others, `{call}` equals `{value}`.",
        "Hi! Could I get a function for this: {asked} It should be `{signature}`, and `{call}` should be `{value}`.",
        "# Function\n`{signature}`\n\n# Description\n{asked}\n\n# Example\n`{call}` is `{value}`",
        "Give me Python code for `{signature}`. {asked} One example to go by: `{call}`, which is `{value}`.",
        'The ticket says: "{asked}" The function is `{signature}`; for `{call}` the answer is `{value}`.',
        "Here is a specification. {asked}\n\nPlease turn it into `{signature}`. (`{call}` -> `{value}`)",
    ),
    openers=(
        "Here is the function:",
        "This does it:",
        "A short version:",
        "Sure, here you are.",
        "One way to write it:",
        "Of course:",
        "My answer:",
        "You could use this:",
        "Here you go!",
        "The code:",
        "Let me write that down.",
        "I came up with the following.",
        "Something like this:",
        "Try this one:",
        "In plain Python that is:",
        "Okay, this is what I have:",
        "Happy to help.",
        "See the function in the block:",
    ),
    sentences=(
        "It uses nothing but the standard library.",
        "The name and the parameters are the ones you gave.",
        "Tell me if you would rather have it split into smaller helpers.",
        "You can paste it into a module as it is.",
        "I went for readable code over clever code.",
        "It should be fast enough for inputs of an ordinary size.",
        "I followed your description step by step.",
        "Your example was my starting point.",
        "It works on Python 3.9 and later.",
        "If you would like type hints, they are quickly added.",
        "There is no global state, so it is easy to test.",
        "I kept the special cases close to where they matter.",
        "Let me know if the requirements change.",
        "The function is short, so it should be quick to read.",
        "A doctest could go into the docstring later.",
        "I left out logging on purpose.",
        "You may want to put it next to your other helpers.",
        "It neither prints nor reads anything.",
        "Most of the work is done in a few lines.",
        "The names of the variables can of course be changed.",
        "I thought about the unusual inputs that you describe.",
        "Another solution would use more built-in functions, but this one is fine for reading.",
        "It can be called as often as you like.",
        "I did not add any checks of the argument types.",
        "The description left little open, which made this easy.",
        "With a linter you may get a remark on style, nothing more.",
        "Each line does one thing.",
        "If you work with larger data, a library such as NumPy may be worth a look.",
        "I would be glad to explain any of the lines.",
        "It takes its input as arguments and hands back a value.",
        "Should you need the same for other types, tell me.",
        "I tried to stay near the words of your request.",
        "The code does not depend on the operating system.",
        "Nothing needs to be installed for it.",
        "Memory should not be a concern here.",
        "You could also turn it into a method of a class.",
        "The structure mirrors the rules that you listed.",
        "I formatted it in the usual way, with four spaces.",
        "A colleague should be able to maintain it without much explanation.",
        "I have written similar functions before.",
        "The order of the steps is the one in which I would do it on paper.",
        "It is self-contained.",
        "Write to me again if something about it is unclear.",
        "A test with your example is a good first step.",
        "The header is unchanged.",
        "There would be shorter ways, though harder to follow.",
    ),
    docstrings=(
        '"""Do what the description asks."""',
        '"""See the task for details."""',
        '"""Return the result as described."""',
        '"""A small helper."""',
        '"""Work out the result for the given input."""',
        '"""Follow the rules of the description."""',
        '"""Plain Python, no imports from outside."""',
        '"""What it does is said in the task."""',
    ),
    comments={
        "for": (
            "# go through them one by one",
            "# each in turn",
            "# main loop",
            "# step through the input",
            "# one after the other",
            "# look at all of them",
        ),
        "while": (
            "# carry on as long as needed",
            "# keep going until done",
            "# again and again",
            "# until nothing is left to do",
        ),
        "if": (
            "# special case",
            "# check this first",
            "# decide what to do here",
            "# depends on the input",
            "# one of the rules",
            "# see the description",
            "# this case is treated on its own",
        ),
        "return": (
            "# done",
            "# hand the result back",
            "# this is what the caller gets",
            "# that is all",
            "# the answer",
        ),
        "out": ("# collect the result here", "# starts out empty", "# to be returned"),
        "result": ("# collect the result here", "# what will be returned", "# grows as we go"),
        "res": ("# collected so far", "# to be returned"),
        "answer": ("# collected so far", "# what we are after"),
        "total": ("# running value", "# so far"),
        "acc": ("# running value",),
        "amount": ("# so far",),
        "best": ("# remembered between the steps",),
        "top": ("# remembered between the steps",),
        "kept": ("# those that matter",),
        "left": ("# bounds of the search", "# changes as we go"),
    },
)

HELD_OUT = Words(
    systems=(
        "You help developers with short pieces of Python. Answer with a single fenced function and a brief remark.",
        "Act as a careful Python developer. Give the function in a code block, then comment briefly.",
        "You answer coding questions. Code goes into one ```python block.",
    ),
    tasks=(
        "Could you implement `{signature}`?\n\n{asked}\n\n`{call}` should return `{value}`.",
        "Implement the following in Python.\n\n`{signature}`\n\n{asked}\n\nE.g. `{call}` returns `{value}`.",
        "{asked}\n\nThe function is to be called as `{signature}`. With it, `{call}` evaluates to `{value}`.",
        "Looking for an implementation of `{signature}`. {asked} (Example: `{call}` == `{value}`.)",
    ),
    openers=(
        "Below is my implementation.",
        "Here's how I would do it:",
        "Certainly. My suggestion:",
        "The following should do what you describe:",
        "Implementation:",
        "I would write it like this:",
    ),
    sentences=(
        "No third-party packages are required.",
        "The signature matches the one in your request.",
        "I aimed for something that is easy to follow in a code review.",
        "The approach is straightforward and needs only a little extra memory.",
        "For very long inputs one could optimise further, but I would measure first.",
        "Feel free to rename the local variables to suit your conventions.",
        "The edge cases mentioned in the task are taken into account.",
        "I walked through your example by hand while writing it.",
        "Happy to add unit tests if you want them.",
        "It behaves the same on all recent Python versions.",
        "I avoided recursion limits and other surprises where I could.",
        "Each branch corresponds to one sentence of your specification.",
        "There are other ways to do this, but this one reads well.",
        "If your data comes from a file, strip it before the call.",
    ),
    docstrings=(
        '"""Implementation of the requested behaviour."""',
        '"""Compute the requested value from the given arguments."""',
        '"""Helper as specified in the request."""',
        '"""Short and self-contained."""',
    ),
    comments={
        "for": ("# process the input in sequence", "# iterate over the input", "# visit every element"),
        "while": ("# repeat while there is work left", "# loop until it is finished"),
        "if": ("# conditional part of the spec", "# handle this situation separately", "# guard"),
        "return": ("# final value", "# give back what was computed", "# nothing more to do"),
        "out": ("# accumulator", "# filled below"),
        "result": ("# accumulator", "# filled step by step"),
        "low": ("# current bounds",),
        "last": ("# lookup table",),
        "counts": ("# lookup table",),
    },
)
