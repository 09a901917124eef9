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
    ),
    tasks=(
        "Please write `{signature}` in Python. {asked}\n\nFor example, `{call}` gives `{value}`.",
        "I need a Python function `{signature}`.\n\n{asked}\n\nExample: `{call}` -> `{value}`",
        "Write a function `{signature}`. {asked} So `{call}` is `{value}`.",
    ),
    openers=(
        "Here is the function:",
        "This does it:",
        "A short version:",
        "Sure, here you are.",
        "One way to write it:",
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
    ),
    docstrings=(
        '"""Do what the description asks."""',
        '"""See the task for details."""',
        '"""Return the result as described."""',
    ),
    comments={
        "for": ("# go through them one by one", "# each in turn", "# main loop"),
        "while": ("# carry on as long as needed", "# keep going until done"),
        "if": ("# special case", "# check this first", "# decide what to do here"),
        "return": ("# done", "# hand the result back", "# this is what the caller gets"),
        "out": ("# collect the result here", "# starts out empty"),
        "result": ("# collect the result here", "# what will be returned"),
        "total": ("# running value",),
        "left": ("# bounds of the search",),
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
