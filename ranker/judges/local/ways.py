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

from ranker.errors import ContextLengthError, JudgeError
from ranker.judges.base import Lineup
from ranker.judges.local.segments import Segment
from ranker.prompting.escaping import neutral
from ranker.prompting.sharing import Shared
from ranker.prompting.template import Template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR, cut_middle, shorten

Way = Literal[
    "generated", "letter", "alone", "together", "compared", "digits", "reference", "numbers", "blend"
]
WAYS: tuple[Way, ...] = get_args(Way)
PROBED: tuple[Way, ...] = tuple(way for way in WAYS if way != "generated")
LETTERS = string.ascii_uppercase
JOINT = frozenset({"letter", "together"})  # read all attempts in one sequence, each named by a letter
_ONE = frozenset({"alone", "digits", "reference"})  # read each attempt, then a short ending


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
    reference = (lineup.reference or "").strip() or None
    return Shown(
        "".join(pieces[0][:common]).strip(),
        tuple("".join(p[common:]).strip() for p in pieces),
        (0,) * len(pieces),
        neutral(lineup.task) if lineup.task else "",
        neutral(lineup.rubric) if lineup.rubric else "",
        reference,
    )


def fit(given: Shown, way: Way, room: int, count: Callable[[str], int], frame: int | None = None) -> Shown:
    """The same, with the middle of long texts left out so that no token stands beyond position `room`.

    The opening, one text for all attempts, and the longest attempt are cut to the same length where both are long;
    what then is left of the window each attempt may fill.

    Args:
        frame: tokens of everything else, as `framing` counts them; None for an estimate.

    Raises:
        ContextLengthError: a text would have to be cut below `FLOOR` tokens.
    """
    n = len(given.attempts)
    if frame is None:
        reference = given.reference or "" if way == "reference" else ""
        frame = (
            160 + count(given.task) + count(given.rubric) + count(reference) + (16 * n if way in JOINT else 0)
        )
    space = room - frame
    opening, attempts = given.opening, given.attempts
    if way in JOINT:
        made = shorten(Shared((opening,), attempts), space, count)
        if made is None:
            raise _too_long(room)
        (opening,), attempts = made[0].parts, made[0].streams
    else:
        # In `compared` the others stand side by side before an attempt, so that the longest of them counts.
        times = 2 if way == "compared" else 1
        first, longest = count(opening), times * max(map(count, attempts))
        if first + longest > space:
            if min(first, FLOOR) + min(longest, times * FLOOR) > space:
                raise _too_long(room)
            opening = _cut(opening, max(space // (1 + times), space - longest), count)
            left = (space - count(opening)) // times
            attempts = tuple(_cut(text, left, count) for text in attempts)
    gone = max(0, len(given.opening) - len(opening))
    before = given.cut or (0,) * n
    lost = (
        known + gone + max(0, len(a) - len(b))
        for known, a, b in zip(before, given.attempts, attempts, strict=True)
    )
    return replace(given, opening=opening, attempts=attempts, cut=tuple(lost))


def _cut(text: str, most: int, count: Callable[[str], int]) -> str:
    """A text without its middle, at most `most` tokens long; as it is where it fits."""
    keep, size = len(text), count(text)
    made = text
    while size > most and keep > 0:
        keep = min(keep - 1, int(keep * most / size))
        made = cut_middle(text, keep, ())
        size = count(made)
    return made if size <= most else ""


def _too_long(room: int) -> ContextLengthError:
    return ContextLengthError(
        f"These attempts do not fit the model's window of {room} tokens, even cut to {FLOOR} tokens each. Use a "
        "model with a longer window, or smaller groups.",
        window=room,
    )


def framing(given: Shown, way: Way, template: Template, frame: Frame, encode: Encode) -> int:
    """Tokens of a sequence that belong neither to the opening nor to an attempt, and a few for where they join."""
    bare = replace(given, opening="", attempts=("",) * len(given.attempts))
    segments = question(bare, way, template, frame, encode)
    return max(s.start + len(s) for s in segments) + 8


def question(
    given: Shown, way: Way, template: Template, frame: Frame, encode: Encode, order: Sequence[int] = ()
) -> tuple[Segment, ...]:
    """The segments of a lineup asked about in a way of `PROBED`. The last tokens of the wanted ones are to be
    read: one segment for each attempt, in the order given; for `letter` a single one.

    Args:
        encode: our own text to token ids, or with ``foreign=True`` text from outside, in which nothing may
            become a special token.
        order: for `letter` and `together`, in which the attempts stand.

    Raises:
        JudgeError: more attempts than letters, or no reference where the way needs one.
    """
    n = len(given.attempts)
    if way in JOINT and n > len(LETTERS):
        raise JudgeError(
            f"The way {way!r} names attempts by {len(LETTERS)} letters and was given {n} attempts."
        )
    if way == "reference" and not given.reference:
        raise JudgeError("The way 'reference' needs a right answer, and none is given.")
    rubric = given.rubric or template.block("rubric").strip()
    head = template.block("head", rubric=rubric, task=given.task, many=way in JOINT)
    opening = [*encode(frame.before), *encode(f"{head}\n{given.opening}\n", foreign=True)]

    def text(label: str, i: int) -> list[int]:
        told = template.block("label", label=label)
        return [*encode(told), *encode(given.attempts[i], foreign=True)]

    def ask(label: str = "") -> list[int]:
        block = "alone" if way == "blend" else way
        return encode(template.block(block, label=label).rstrip() + frame.after)

    if way in JOINT:
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
        `question`. `compared`, `numbers` and `blend` share nothing with other ways.
    """
    made: list[Segment] = []
    wanted: dict[Way, tuple[int, ...]] = {}
    kinds = [[w for w in ways if w in JOINT], [w for w in ways if w in _ONE]]
    kinds += [[w] for w in ways if w not in JOINT | _ONE]
    for kind in filter(None, kinds):
        base = len(made)
        each = {way: question(given, way, template, frame, encode, order) for way in kind}
        common, *_ = each.values()
        if kind[0] in JOINT:
            shared = common[:1]
        elif kind[0] in _ONE:
            shared = common[:1] + tuple(_shared([segments[i] for segments in each.values()])
                                        for i in range(1, len(common)))  # fmt: skip
        else:
            shared = tuple(s for s in common if not s.tail)
        made += [_moved(s, base) for s in shared]
        for way, segments in each.items():
            endings = [s for s in segments if s.tail]
            wanted[way] = tuple(range(len(made), len(made) + len(endings)))
            if kind[0] in _ONE:
                endings = [_after(s, 1 + i, len(shared[1 + i])) for i, s in enumerate(endings)]
            made += [_moved(s, base) for s in endings]
    return tuple(made), wanted


def _moved(segment: Segment, base: int) -> Segment:
    return replace(segment, sees=tuple(base + j for j in segment.sees))


def _shared(segments: Sequence[Segment]) -> Segment:
    """What all of these segments begin with, up to the first token that one of them has read."""
    most = min(len(s) - s.tail for s in segments)
    first = segments[0].tokens_T[:most]
    length = min(_differ(first, s.tokens_T[:most]) for s in segments)
    return replace(segments[0], tokens_T=first[:length], tail=0)


def _after(segment: Segment, shared: int, length: int) -> Segment:
    """The rest of a segment whose first tokens stand in another."""
    return Segment(segment.tokens_T[length:], segment.start + length, (*segment.sees, shared), segment.tail)


def _differ(a: np.ndarray, b: np.ndarray) -> int:
    found = np.flatnonzero(a != b)
    return int(found[0]) if len(found) else len(a)
