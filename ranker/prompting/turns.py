"""The numbers of an attempt's turns in a prompt: each assistant message opens with a tag of our own (`<turn 3>`).

Turns are counted from 1 over all of an attempt's histories. The tag stands in the place of `<assistant>`, and before any
other that opens a message (`<reasoning>`, `<call NAME>`). No text from outside can write it (`escaping`): the number stands
in no tag that holds a name or a field.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from ranker.prompting.sharing import Shared, expand
from ranker.prompting.transcript import Transcript

TURN = re.compile(r"^<turn (\d+)>$", re.MULTILINE)
_SPEAKER = "<assistant>\n"
_TAG = re.compile(r"^<turn \d+>\n(?P<opened><(?:assistant|reasoning|call|refusal|tool)[ >])?", re.MULTILINE)


def numbered(transcripts: Sequence[Transcript]) -> list[tuple[str, ...]]:
    """The pieces of each transcript with its turns numbered.

    A number stands in one piece with what it opens, so that a beginning in common is shared as if there were no numbers.
    Where attempts say the same at different turns it is a piece of its own: what is said can then be shared.
    """
    places: dict[str, set[int]] = {}  # the turns that a piece opens; 0 where it stands within one
    for transcript in transcripts:
        opened = {at: number for number, at in enumerate(transcript.turns, start=1)}
        for at, piece in enumerate(transcript.pieces):
            places.setdefault(piece, set()).add(opened.get(at, 0))
    return [_numbered(transcript, places) for transcript in transcripts]


def _numbered(transcript: Transcript, places: dict[str, set[int]]) -> tuple[str, ...]:
    tags = {at: f"<turn {number}>\n" for number, at in enumerate(transcript.turns, start=1)}
    pieces: list[str] = []
    for at, piece in enumerate(transcript.pieces):
        if at in tags:
            said = piece.removeprefix(_SPEAKER)
            pieces += [tags[at], said] if len(places[piece]) > 1 else [tags[at] + said]
        else:
            pieces.append(piece)
    return tuple(pieces)


def unnumbered(text: str) -> str:
    """A block with numbers as it is without, shared parts put back."""
    return _TAG.sub(lambda tag: tag["opened"] or _SPEAKER, text)


def turns_shown(shared: Shared) -> tuple[frozenset[int], ...]:
    """The numbers of the turns of which something is shown, for each stream."""
    return tuple(
        frozenset(int(number) for number in TURN.findall(expand(stream, shared.parts)))
        for stream in shared.streams
    )
