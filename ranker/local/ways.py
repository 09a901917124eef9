"""Ways to ask a local model: a lineup turned into segments of tokens, and what is to be read at their ends.

    generated  a listwise verdict, written out under token masks
    letter     the probability of each letter to be named as the best attempt, every attempt in view
    alone      Yes against No for each attempt by itself
    together   Yes against No for each attempt, every attempt in view
    compared   Yes against No for each attempt, read again with the other attempts before it
    digits     the expected digit, 0 to 9, for each attempt by itself
    reference  the likelihood of a known answer after each attempt
    numbers    the likelihood of the numbers in each attempt, by itself
    blend      `alone` and `numbers` added up

The shared opening is read once, and so is every attempt; only `compared` reads each twice. All but `letter` and
`together` give each attempt the same score in whatever order the attempts come.

Sources: Yes/No and expected digits from token probabilities, G-Eval (arXiv 2303.16634) and 2503.03064; one letter
for a listwise verdict, FIRST (2406.15657); likelihood of a reference answer as reward, VeriFree (2505.21493).
"""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, Protocol, get_args

import numpy as np

from ranker.errors import ContextLengthError
from ranker.fit import shorten
from ranker.judge import Lineup
from ranker.local.segments import Segment
from ranker.neutral import neutral
from ranker.share import Shared
from ranker.template import Template
from ranker.transcript import transcript_of

Way = Literal["generated", "letter", "alone", "together", "compared", "digits", "reference", "numbers", "blend"]
WAYS: tuple[Way, ...] = get_args(Way)
PROBED: tuple[Way, ...] = tuple(way for way in WAYS if way != "generated")
LETTERS = string.ascii_uppercase
_JOINT = frozenset({"letter", "together"})


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


def shown(lineup: Lineup) -> Shown:
    """A lineup's texts. Tool definitions are left out: what was done with the tools stands in the calls."""
    pieces = [
        [p for p in transcript_of(t).pieces if not p.startswith("<tools>")] for t in lineup.trajectories
    ]
    common = 0
    while all(len(p) > common + 1 and p[common] == pieces[0][common] for p in pieces):
        common += 1
    return Shown(
        "".join(pieces[0][:common]).strip(),
        tuple("".join(p[common:]).strip() for p in pieces),
        (0,) * len(pieces),
        neutral(lineup.task) if lineup.task else "",
        neutral(lineup.rubric) if lineup.rubric else "",
        lineup.reference,
    )


def fit(given: Shown, way: Way, room: int, count: Callable[[str], int]) -> Shown:
    """The same, with the middle of long texts left out so that every sequence takes at most `room` tokens.

    Raises:
        ContextLengthError: a text would have to be cut too short.
    """
    n = len(given.attempts)
    frame = 160 + count(given.task) + count(given.rubric) + count(given.reference or "")
    if way == "compared":
        # What stands before an attempt are the others, side by side: the longest of them counts.
        texts = Shared((given.opening,), given.attempts)
        sizes = [count(t) for t in given.attempts]
        if frame + count(given.opening) + 2 * max(sizes) <= room:
            return given
        alone = [shorten(Shared((given.opening,), (t, t)), room - frame, count) for t in texts.streams]
        fitted = [None if a is None else (a[0].parts[0], a[0].streams[0]) for a in alone]
    elif way in _JOINT:
        made = shorten(Shared((given.opening,), given.attempts), room - frame - 16 * n, count)
        fitted = [None] * n if made is None else [(made[0].parts[0], text) for text in made[0].streams]
    else:
        one = [shorten(Shared((given.opening,), (t,)), room - frame, count) for t in given.attempts]
        fitted = [None if a is None else (a[0].parts[0], a[0].streams[0]) for a in one]
    if any(f is None for f in fitted):
        raise ContextLengthError(
            f"These attempts do not fit the model's window of {room} tokens, even cut to a few hundred tokens "
            "each. Use a model with a longer window, or smaller groups.",
            window=room,
        )
    parts = [f for f in fitted if f is not None]
    opening = min((p for p, _ in parts), key=len)
    lost = [
        len(given.opening) - len(opening) + len(whole) - len(text)
        for whole, (_, text) in zip(given.attempts, parts, strict=True)
    ]
    return Shown(
        opening, tuple(t for _, t in parts), tuple(lost), given.task, given.rubric, given.reference
    )


def question(
    given: Shown, way: Way, template: Template, frame: Frame, encode: Encode, order: Sequence[int] = ()
) -> tuple[Segment, ...]:
    """The segments of a lineup asked about in a way of `PROBED`. The last tokens of the wanted ones are to be
    read: one segment for each attempt, in the order given; for `letter` a single one.

    Args:
        encode: our own text to token ids, or with ``foreign=True`` text from outside, in which nothing may
            become a special token.
        order: for `letter` and `together`, in which the attempts stand.
    """
    n = len(given.attempts)
    rubric = given.rubric or template.block("rubric").strip()
    head = template.block("head", rubric=rubric, task=given.task, many=way in _JOINT)
    opening = [*encode(frame.before), *encode(f"{head}\n{given.opening}\n", foreign=True)]

    def text(label: str, i: int) -> list[int]:
        told = template.block("label", label=label)
        return [*encode(told), *encode(given.attempts[i], foreign=True)]

    def ask(label: str = "") -> list[int]:
        block = "alone" if way == "blend" else way
        return encode(template.block(block, label=label).rstrip() + frame.after)

    if way in _JOINT:
        order = tuple(order) or tuple(range(n))
        listed = [token for place, i in enumerate(order) for token in text(LETTERS[place], i)]
        listing = _segment(opening + listed)
        if way == "letter":
            return listing, _segment(ask(), len(listing), (0,), 1)
        letters = {i: LETTERS[place] for place, i in enumerate(order)}
        return listing, *(_segment(ask(letters[i]), len(listing), (0,), 1) for i in range(n))
    first = _segment(opening)
    if way == "compared":
        others = [_segment(text("Another attempt", i), len(first), (0,)) for i in range(n)]
        start = len(first) + max(map(len, others))
        sees = [(0, *(1 + j for j in range(n) if j != i)) for i in range(n)]
        own = [_segment(text("This attempt", i) + ask(), start, sees[i], 1) for i in range(n)]
        return first, *others, *own
    known = encode(given.reference or "", foreign=True) if way == "reference" else []
    made = [text("The attempt", i) + ([] if way == "numbers" else ask() + known) for i in range(n)]
    tails = [len(m) if way in ("numbers", "blend") else len(known) + 1 for m in made]
    return first, *(_segment(m, len(first), (0,), tail) for m, tail in zip(made, tails, strict=True))


def _segment(tokens: list[int], start: int = 0, sees: tuple[int, ...] = (), tail: int = 0) -> Segment:
    return Segment(np.array(tokens, dtype=np.int64), start, sees, tail)


def questions(
    given: Shown,
    ways: Sequence[Way],
    template: Template,
    frame: Frame,
    encode: Encode,
    order: Sequence[int] = (),
) -> tuple[tuple[Segment, ...], dict[Way, tuple[int, ...]]]:
    """Several ways at once, each attempt read once for all that look at it alone, and the listing once for `letter`
    and `together`: only the short endings differ.

    Returns:
        The segments, and for each way the segments to be read for it. Every sequence of tokens is that of
        `question`; `compared` shares nothing and is not taken.
    """
    made: list[Segment] = []
    wanted: dict[Way, tuple[int, ...]] = {}
    for kind in (tuple(w for w in ways if w in _JOINT), tuple(w for w in ways if w not in _JOINT)):
        if not kind:
            continue
        each = {way: question(given, way, template, frame, encode, order) for way in kind}
        one = next(iter(each.values()))
        base = len(made)
        if kind[0] in _JOINT:
            made.append(one[0])
            for way, segments in each.items():
                wanted[way] = tuple(range(len(made), len(made) + len(segments) - 1))
                made += [replace(s, sees=(base,)) for s in segments[1:]]
            continue
        made.append(replace(one[0], sees=()))
        n = len(given.attempts)
        shared = [_common([segments[1 + i].tokens_T for segments in each.values()]) for i in range(n)]
        for i, length in enumerate(shared):
            made.append(Segment(one[1 + i].tokens_T[:length], len(one[0]), (base,)))
        for way, segments in each.items():
            wanted[way] = tuple(range(len(made), len(made) + n))
            for i, length in enumerate(shared):
                ending = segments[1 + i]
                made.append(
                    Segment(
                        ending.tokens_T[length:], ending.start + length, (base, base + 1 + i), ending.tail
                    )
                )
    return tuple(made), wanted


def _common(sequences: Sequence[np.ndarray]) -> int:
    """Tokens that all begin with, at least one short of the shortest."""
    most = min(map(len, sequences)) - 1
    first = sequences[0][:most]
    return min((_differ(first, s[:most]) for s in sequences[1:]), default=most)


def _differ(a: np.ndarray, b: np.ndarray) -> int:
    found = np.flatnonzero(a != b)
    return int(found[0]) if len(found) else len(a)
