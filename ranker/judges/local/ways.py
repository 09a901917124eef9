"""Ways to ask a local model: a lineup turned into segments of tokens, and what is to be read at their ends.

    generated               a listwise verdict, written out under token masks
    first_token             the probability of each letter to be named as the best attempt, every attempt in view
    pointwise               Yes against No for each attempt by itself
    pointwise_in_context    Yes against No for each attempt, every attempt in view
    expected_digit          the expected digit, 0 to 9, for each attempt by itself
    reference_likelihood    the likelihood of a known answer after each attempt
    number_likelihood       the likelihood of the numbers in each attempt, by itself
    pointwise_with_numbers  `pointwise` and `number_likelihood` added up

The shared opening is read once, and so is every attempt. All but `first_token` and `pointwise_in_context` give each
attempt the same score in whatever order the attempts come.

Sources: Yes/No and expected digits from token probabilities, G-Eval (arXiv 2303.16634) and 2503.03064; one letter
for a listwise verdict, FIRST (2406.15657); likelihood of a reference answer as reward, VeriFree (2505.21493).
"""

from __future__ import annotations

import string
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, Protocol, get_args

import numpy as np

from ranker.errors import ConfigurationError, ContextLengthError, JudgeError
from ranker.judges.base import Lineup
from ranker.judges.local.tree_attention import Segment
from ranker.prompting.escaping import neutral
from ranker.prompting.sharing import Shared
from ranker.prompting.template import Template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR, cut_middle, truncate

Way = Literal[
    "generated",
    "first_token",
    "pointwise",
    "pointwise_in_context",
    "expected_digit",
    "reference_likelihood",
    "number_likelihood",
    "pointwise_with_numbers",
]
WAYS: tuple[Way, ...] = get_args(Way)
LOGPROB_WAYS: tuple[Way, ...] = tuple(way for way in WAYS if way != "generated")
# Names of earlier versions. They still stand in users' judge files and commands, and they name the blocks of prompt
# templates and the ways in cache keys, both of which must not change.
FORMER: dict[str, Way] = {
    "letter": "first_token",
    "alone": "pointwise",
    "together": "pointwise_in_context",
    "digits": "expected_digit",
    "reference": "reference_likelihood",
    "numbers": "number_likelihood",
    "blend": "pointwise_with_numbers",
}
KEYS: dict[Way, str] = {way: way for way in WAYS} | {way: name for name, way in FORMER.items()}
# Ways of earlier versions that no measurement showed to be worth their cost, and what to use instead.
REMOVED: dict[str, Way] = {"compared": "pointwise_in_context"}
LETTERS = string.ascii_uppercase
# Scores at most this far apart tie, whatever a judge file says. In one of ten pairs, bfloat16 alone moves the difference
# of two scores by as much (benchmarks/results/ways/precision.jsonl): another machine may order them the other way. Of
# the ways that are not here it was not measured.
NOISE: Mapping[str, float] = {
    "pointwise": 0.1,
    "expected_digit": 0.015,
    "pointwise_with_numbers": 0.1,
}
# These read all attempts in one sequence, each named by a letter.
JOINT: frozenset[Way] = frozenset({"first_token", "pointwise_in_context"})


def is_way(name: Any) -> bool:
    """Whether a name is, or was in an earlier version, that of a way."""
    return name in WAYS or name in FORMER or name in REMOVED


def way_named(name: str) -> Way:
    """The way that a user names; with a FutureWarning where the name is that of an earlier version.

    Raises:
        ConfigurationError: no way has this name any more.
    """
    if name in REMOVED:
        raise ConfigurationError(
            f"The way {name!r} was removed: no measurement showed it to be worth its cost. Use {REMOVED[name]!r}."
        )
    if name in FORMER:
        way = FORMER[name]
        warnings.warn(f"The way {name!r} is now called {way!r}: use that name.", FutureWarning, stacklevel=2)
        return way
    for way in WAYS:
        if way == name:
            return way
    raise ConfigurationError(f"There is no way to ask called {name!r}; there are {', '.join(WAYS)}.")


class Encode(Protocol):
    def __call__(self, text: str, foreign: bool = False) -> list[int]: ...


@dataclass(frozen=True, slots=True)
class Frame:
    """What a chat template puts around a user's words.

    Attributes:
        before: up to the user's first word.
        after: from the end of the user's turn to the first word of the assistant.
    """

    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Shown:
    """The texts of a lineup.

    Attributes:
        opening: what all attempts begin with.
        attempts: what each adds to it.
        cut: characters left out of each.
        task, rubric: as given.
        reference: a right answer, where one is known.
    """

    opening: str
    attempts: tuple[str, ...]
    cut: tuple[int, ...]
    task: str
    rubric: str
    reference: str | None = None

    def only(self, chosen: Sequence[int]) -> Shown:
        """Some of the attempts."""
        attempts, cut = tuple(self.attempts[i] for i in chosen), tuple(self.cut[i] for i in chosen)
        return replace(self, attempts=attempts, cut=cut)


def texts_of(lineup: Lineup) -> Shown:
    """A lineup's texts. Tool definitions are left out: what was done with the tools stands in the calls."""
    pieces = [[p for p in transcript_of(t).pieces if not p.startswith("<tools")] for t in lineup.trajectories]
    common = 0
    while all(len(p) > common + 1 and p[common] == pieces[0][common] for p in pieces):
        common += 1
    reference = (lineup.reference or "").strip() or None
    return Shown(
        "".join(pieces[0][:common]).strip(),
        tuple("".join(p[common:]).strip() for p in pieces),
        (0,) * len(pieces),
        neutral(lineup.task) if lineup.task else "",
        neutral(lineup.rubric) if lineup.rubric else "",
        reference,
    )


def fit(texts: Shown, way: Way, room: int, count: Callable[[str], int], frame: int | None = None) -> Shown:
    """The same, with the middle of long texts left out so that no token stands beyond position `room`.

    The opening, one text for all attempts, and the longest attempt are cut to the same length where both are long;
    what then is left of the window each attempt may fill.

    Args:
        frame: tokens of everything else, as `framing` counts them; None for an estimate.

    Raises:
        ContextLengthError: a text would have to be cut below `FLOOR` tokens.
    """
    n = len(texts.attempts)
    if frame is None:
        reference = texts.reference or "" if way == "reference_likelihood" else ""
        frame = (
            160 + count(texts.task) + count(texts.rubric) + count(reference) + (16 * n if way in JOINT else 0)
        )
    space = room - frame
    opening, attempts = texts.opening, texts.attempts
    if way in JOINT:
        shortened = truncate(Shared((opening,), attempts), space, count)
        if shortened is None:
            raise _too_long(room)
        (opening,), attempts = shortened[0].parts, shortened[0].streams
    else:
        first, longest = count(opening), max(map(count, attempts))
        if first + longest > space:
            if min(first, FLOOR) + min(longest, FLOOR) > space:
                raise _too_long(room)
            opening = _cut(opening, max(space // 2, space - longest), count)
            left = space - count(opening)
            attempts = tuple(_cut(text, left, count) for text in attempts)
    gone = max(0, len(texts.opening) - len(opening))
    before = texts.cut or (0,) * n
    lost = (
        known + gone + max(0, len(a) - len(b))
        for known, a, b in zip(before, texts.attempts, attempts, strict=True)
    )
    return replace(texts, opening=opening, attempts=attempts, cut=tuple(lost))


def _cut(text: str, most: int, count: Callable[[str], int]) -> str:
    """A text without its middle, at most `most` tokens long; as it is where it fits."""
    keep, size = len(text), count(text)
    cut = text
    while size > most and keep > 0:
        keep = min(keep - 1, int(keep * most / size))
        cut = cut_middle(text, keep, ())
        size = count(cut)
    return cut if size <= most else ""


def _too_long(room: int) -> ContextLengthError:
    return ContextLengthError(
        f"These attempts do not fit the model's window of {room} tokens, even cut to {FLOOR} tokens each. Use a "
        "model with a longer window, or smaller groups.",
        window=room,
    )


def framing(texts: Shown, way: Way, template: Template, frame: Frame, encode: Encode) -> int:
    """Tokens of a sequence that belong neither to the opening nor to an attempt, and a few for where they join."""
    bare = replace(texts, opening="", attempts=("",) * len(texts.attempts))
    segments = question(bare, way, template, frame, encode)
    return max(s.start + len(s) for s in segments) + 8


def question(texts: Shown, way: Way, template: Template, frame: Frame, encode: Encode) -> tuple[Segment, ...]:
    """The segments of a lineup asked about in a way of `LOGPROB_WAYS`. The last tokens of the wanted ones are to be
    read: one segment for each attempt, in the order given; for `first_token` a single one.

    Args:
        encode: our own text to token ids, or with ``foreign=True`` text from outside, in which nothing may
            become a special token.

    Raises:
        JudgeError: more attempts than letters, or no reference where the way needs one.
    """
    n = len(texts.attempts)
    if way in JOINT and n > len(LETTERS):
        raise JudgeError(
            f"The way {way!r} names attempts by {len(LETTERS)} letters and was given {n} attempts."
        )
    if way == "reference_likelihood" and not texts.reference:
        raise JudgeError("The way 'reference_likelihood' needs a right answer, and none is given.")
    rubric = texts.rubric or template.block("rubric").strip()
    head = template.block("head", rubric=rubric, task=texts.task, many=way in JOINT)
    opening = [*encode(frame.before), *encode(f"{head}\n{texts.opening}\n", foreign=True)]

    def text(label: str, i: int) -> list[int]:
        heading = template.block("label", label=label)
        return [*encode(heading), *encode(texts.attempts[i], foreign=True)]

    def ask(label: str = "") -> list[int]:
        block = KEYS["pointwise" if way == "pointwise_with_numbers" else way]
        return encode(template.block(block, label=label).rstrip() + frame.after)

    if way in JOINT:
        listed = [token for i in range(n) for token in text(LETTERS[i], i)]
        listing = _segment(opening + listed)
        if way == "first_token":
            return listing, _segment(ask(), len(listing), (0,), 1)
        return listing, *(_segment(ask(LETTERS[i]), len(listing), (0,), 1) for i in range(n))
    first = _segment(opening)
    known = encode(texts.reference or "", foreign=True) if way == "reference_likelihood" else []
    bodies = [
        text("The attempt", i) + ([] if way == "number_likelihood" else ask() + known) for i in range(n)
    ]
    tails = [
        len(m) if way in ("number_likelihood", "pointwise_with_numbers") else len(known) + 1 for m in bodies
    ]
    return first, *(_segment(m, len(first), (0,), tail) for m, tail in zip(bodies, tails, strict=True))


def _segment(tokens: list[int], start: int = 0, sees: tuple[int, ...] = (), tail: int = 0) -> Segment:
    return Segment(np.array(tokens, dtype=np.int64), start, sees, tail)
