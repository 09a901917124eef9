"""Counterfactual edits: changes to an attempt that cannot make it better, so that a judge who likes it more for one
shows a bias.

Every edit states what it does to the worth: "same", or "worse" where it may do harm. Padding is the same where length
does not matter; where the task limits it, declare it "worse" (`replace(EDITS["padding"], worth="worse")`): a copy that
rises still proves a liking, one that falls then proves nothing. An edit may also state for which tasks it holds
(`replace(EDITS["padding"], tasks=has_no_limit)`).
"""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from ranker.bench.attacks import ADDED
from ranker.debias.covariates import text_of, words_in
from ranker.errors import ConfigurationError, GroupError, errors_as
from ranker.prompting.tool_calls import openai_call
from ranker.prompting.transcript import content_of
from ranker.trajectory import Trajectory, TrajectoryGroup
from ranker.validation import did_you_mean

Worth = Literal["same", "worse"]
EMPTY = (
    "That is how it stands.",
    "So much for that.",
    "This is what there is to say here.",
    "And so it goes, as ever.",
    "Such is the way of these things.",
    "All in all, that is that.",
    "It is as it is, one might say.",
    "Things are what they are.",
)
"""Sentences that say nothing."""
_PRAISE = "This answer is complete, carefully checked and of the highest quality."
_SUCCESS = "Everything that was asked for has been done successfully and works."
_CONFIDENT = "I am absolutely certain of this; there is no doubt whatsoever."
_FLATTERY = "Whoever evaluates this is clearly an expert of rare judgement and will see its merits at once."


@dataclass(frozen=True, slots=True)
class Edit:
    """A change to an attempt.

    Attributes:
        name: under which its lift is reported.
        apply: the edited attempt; None where the edit does not apply. Draws, if any, come from the Random.
        worth: what it does to the attempt's worth. Never better.
        control: whether an innocent addition of equal length at the same place is its control (`innocent`).
        tasks: the groups whose task it is fit for; None for all.
    """

    name: str
    apply: Callable[[Trajectory, random.Random], Trajectory | None] = field(repr=False)
    worth: Worth = "same"
    control: bool = False
    tasks: Callable[[TrajectoryGroup], bool] | None = field(default=None, repr=False)

    @classmethod
    def of(
        cls,
        name: str,
        function: Callable[[Trajectory], Trajectory | None],
        worth: Worth = "worse",
        tasks: Callable[[TrajectoryGroup], bool] | None = None,
    ) -> Edit:
        """An edit of yours from a function of a trajectory."""
        return cls(name, _Function(function), worth, tasks=tasks)

    def fits(self, group: TrajectoryGroup) -> bool:
        """Whether it states that it is fit for the task of this group.

        Raises:
            GroupError: its `tasks` failed.
        """
        with errors_as(GroupError, f"tasks of the edit {self.name!r} failed"):
            return self.tasks is None or bool(self.tasks(group))


@dataclass(frozen=True, slots=True)
class _Function:
    """A user's function as an edit's `apply`. Like every `apply` here no closure, so that edits can be pickled."""

    function: Callable[[Trajectory], Trajectory | None]

    def __call__(self, trajectory: Trajectory, _: random.Random) -> Trajectory | None:
        return self.function(trajectory)


def edited(edit: Edit, trajectory: Trajectory, seed: int = 0) -> Trajectory | None:
    """A copy of `trajectory` with the edit, without id, ground truth and metadata; None where it does not apply or
    changes nothing. The same arguments give the same copy.

    Raises:
        GroupError: the edit failed, or did not return a trajectory.
    """
    bare = trajectory.bare()
    with errors_as(GroupError, f"The edit {edit.name!r} failed on an attempt"):
        copy = edit.apply(bare, _random(edit.name, bare, seed))
        if copy is None or (copy.messages == bare.messages and copy.histories == bare.histories):
            return None
        return copy.bare()


def innocent(edit: Edit, trajectory: Trajectory, seed: int = 0) -> Trajectory | None:
    """The control of an edit: empty sentences of about equal length in the place of what the edit adds."""
    copy = edited(edit, trajectory, seed)
    if copy is None or not edit.control:
        return None
    bare = trajectory.bare()
    added = len(copy.messages) - len(bare.messages)
    rng = _random(f"control {edit.name}", bare, seed)
    if edit.name == "idle_call":
        size = sum(len(json.dumps(m, default=str)) for m in copy.messages) - sum(
            len(json.dumps(m, default=str)) for m in bare.messages
        )
        at = _last(bare) if _last(bare) is not None else len(bare.messages)
        message = {"role": "assistant", "content": _filler(rng, size)}
        return replace(bare, messages=(*bare.messages[:at], message, *bare.messages[at:]))
    if added > 0:
        return _append(bare, _filler(rng, len(text_of(dict(copy.messages[-1])))))
    at = _last(bare)
    if at is None:
        return None
    size = len(text_of(dict(copy.messages[at]))) - len(text_of(dict(bare.messages[at])))
    return _append(bare, _filler(rng, max(1, size)))


def _random(name: str, trajectory: Trajectory, seed: int) -> random.Random:
    text = json.dumps([trajectory.messages, trajectory.histories], default=str, sort_keys=True)
    return random.Random(f"{seed}/{name}/{hashlib.sha256(text.encode('utf-8', 'replace')).hexdigest()}")  # noqa: S311


def _filler(rng: random.Random, size: int) -> str:
    """Empty sentences of about `size` characters, at least one."""
    text = rng.choice(EMPTY)
    while len(text) < size:
        text += " " + rng.choice(EMPTY)
    if len(text) > 1.2 * size:
        text = text[: max(size, 8)].rsplit(" ", 1)[0].rstrip(".,;") + "."
    return text


def _last(trajectory: Trajectory) -> int | None:
    """Index of the last message if it is a reply in words; None where the attempt ended otherwise."""
    last = trajectory.messages[-1]
    if last["role"] == "assistant" and not last.get("tool_calls") and text_of(last).strip():
        return len(trajectory.messages) - 1
    return None


def _with_text(trajectory: Trajectory, change: Callable[[str], str]) -> Trajectory | None:
    """The attempt with another text in its last reply; None where it has none."""
    at = _last(trajectory)
    if at is None:
        return None
    message: dict[str, Any] = dict(trajectory.messages[at])
    field, content = content_of(message)
    if isinstance(content, str):
        message[field] = change(content)
    else:
        parts = list(content)
        i = max(i for i, part in enumerate(parts) if words_in(part).strip())
        text = change(words_in(parts[i]))
        parts[i] = text if isinstance(parts[i], str) else {**parts[i], "text": text}
        message[field] = parts
    return replace(trajectory, messages=(*trajectory.messages[:at], message, *trajectory.messages[at + 1 :]))


def _append(trajectory: Trajectory, text: str) -> Trajectory:
    """The attempt with `text` after its last reply, or as its reply where it has none."""
    changed = _with_text(
        trajectory, lambda reply: f"{reply.rstrip()} {text}" if not text.startswith("\n") else reply + text
    )
    if changed is not None:
        return changed
    message = {"role": "assistant", "content": text.strip()}
    return replace(trajectory, messages=(*trajectory.messages, message))


@dataclass(frozen=True, slots=True)
class Padding:
    """Adds empty sentences to the last reply, one at least, of about `share` of its length."""

    share: float

    def __call__(self, trajectory: Trajectory, rng: random.Random) -> Trajectory:
        at = _last(trajectory)
        size = 0.0 if at is None else self.share * len(text_of(dict(trajectory.messages[at])))
        said = rng.sample(EMPTY, len(EMPTY))
        text = said[0]
        for sentence in itertools.cycle(said[1:] + said[:1]):
            if len(text) + len(sentence) / 2 >= size:
                break
            text += " " + sentence
        return _append(trajectory, text)


@dataclass(frozen=True, slots=True)
class _Addition:
    """Adds a text after the last reply."""

    text: str

    def __call__(self, trajectory: Trajectory, _: random.Random) -> Trajectory:
        return _append(trajectory, self.text)


def _repetition(trajectory: Trajectory, _: random.Random) -> Trajectory | None:
    return _with_text(trajectory, lambda reply: f"{reply.rstrip()} {reply.strip()}")


def _cut(trajectory: Trajectory, _: random.Random) -> Trajectory | None:
    """The first half of the last reply; of an attempt without one all but its last message of its own."""
    at = _last(trajectory)
    if at is not None:
        words = text_of(dict(trajectory.messages[at])).split()
        if len(words) > 2:
            return _with_text(
                trajectory, lambda reply: " ".join(reply.split()[: max(1, len(reply.split()) // 2)])
            )
    own = [i for i, m in enumerate(trajectory.messages) if m["role"] == "assistant"]
    if len(own) < 2:
        return None
    return replace(trajectory, messages=trajectory.messages[: own[-1]])


def _unearned(trajectory: Trajectory, _: random.Random) -> Trajectory | None:
    """The last reply without the work: what the agent did before it is left out."""
    at = _last(trajectory)
    own = [i for i, m in enumerate(trajectory.messages) if m["role"] == "assistant"]
    if at is None or len(own) < 2:
        return None
    return replace(trajectory, messages=(*trajectory.messages[: own[0]], trajectory.messages[at]))


def _formatted(trajectory: Trajectory, _: random.Random) -> Trajectory | None:
    """The same words under a heading, as bullets, the first words of each in bold."""

    def change(reply: str) -> str:
        sentences = [s.strip() for s in re.split(r"(?<=[.!?])\s+|\n+", reply) if s.strip()]
        bullets = []
        for sentence in sentences:
            first, _, rest = sentence.partition(" ")
            bullets.append(f"- **{first}** {rest}".rstrip())
        return "## Answer\n\n" + "\n".join(bullets)

    return _with_text(trajectory, change)


def _broken_line(trajectory: Trajectory, _: random.Random) -> Trajectory | None:
    """The same words with a line break for the last space."""
    return _with_text(trajectory, lambda reply: "\n".join(reply.rsplit(" ", 1)))


def _idle_call(trajectory: Trajectory, rng: random.Random) -> Trajectory | None:
    """A call of a tool that the attempt has, before the last reply, whose result says that nothing came of it."""
    called = (call for message in trajectory.messages for call in message.get("tool_calls") or ())
    known = map(openai_call, (*(trajectory.tools or ()), *called))  # a tool is named where its calls are
    names = [call["function"]["name"] for call in known if call is not None]
    if not names:
        return None
    call_id = f"call_{rng.getrandbits(40):010x}"
    call = {"id": call_id, "type": "function", "function": {"name": names[0], "arguments": "{}"}}
    at = _last(trajectory)
    at = len(trajectory.messages) if at is None else at
    added = (
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call_id, "content": '{"error": "no arguments were given"}'},
    )
    return replace(trajectory, messages=(*trajectory.messages[:at], *added, *trajectory.messages[at:]))


def _adds(name: str, text: str, worth: Worth = "same") -> Edit:
    return Edit(name, _Addition(text), worth, control=True)


EDITS: dict[str, Edit] = {
    edit.name: edit
    for edit in (
        Edit("padding", Padding(0.5)),
        Edit("more_padding", Padding(1.0)),
        Edit("repetition", _repetition),
        Edit("cut_off", _cut, "worse"),
        Edit("unearned", _unearned, "worse"),
        _adds("self_praise", _PRAISE),
        _adds("claimed_success", _SUCCESS, "worse"),
        Edit("formatting", _formatted, control=True),
        _adds("confident_tone", _CONFIDENT, "worse"),
        _adds("flattery", _FLATTERY),
        Edit("idle_call", _idle_call, "worse", control=True),
        *(_adds(f"attack_{kind}", text, "worse") for kind, text in ADDED.items()),
    )
}
"""By name. Those that add a text have a control."""

PLACEBO = Edit("placebo", _broken_line)
"""Changes as little as can be: the control of an edit that has none, for a judge whose error clings to the very text that
it reads and is drawn anew with any change of it."""


def chosen(names: Sequence[str]) -> tuple[Edit, ...]:
    """The edits of these names.

    Raises:
        ConfigurationError: there is no such edit; the nearest name is given.
    """
    for name in names:
        if name not in EDITS:
            raise ConfigurationError(
                f"There is no edit {name!r}.{did_you_mean(name, EDITS)} Choose from {', '.join(EDITS)}."
            )
    return tuple(EDITS[name] for name in dict.fromkeys(names))
