"""A lineup turned into the chat messages a judge is sent."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ranker.errors import ConfigurationError, ContextLengthError
from ranker.judges.base import Lineup
from ranker.prompting.escaping import neutral
from ranker.prompting.ids import fresh_ids
from ranker.prompting.sharing import Shared, share
from ranker.prompting.template import Template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR, least, shorten

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Prompt:
    """What a judge is sent.

    Attributes:
        messages: chat messages, system and user.
        ids: the opaque id of each trajectory, in the order shown.
        prompt_id: template name, version and hash.
        cut: characters left out of each trajectory to fit.
        warnings: images and other media that were replaced by placeholders.
        seed: what the ids were drawn from, together with the text.
    """

    messages: tuple[Message, ...]
    ids: tuple[str, ...]
    prompt_id: str
    cut: tuple[int, ...]
    warnings: tuple[str, ...]
    seed: int


def reply_room(n: int) -> int:
    """Tokens kept free for a reply on n trajectories: a sentence each, and the ranking."""
    return 128 + 72 * n


def build_prompt(
    lineup: Lineup, template: Template, *, room: int | None, count: Callable[[str], int]
) -> Prompt:
    """Render `lineup` into at most `room` tokens (None: no limit known) as counted by `count`.

    Raises:
        ContextLengthError: it does not fit, shortened as far as allowed.
        ConfigurationError: a template of the user's that leaves trajectories out.
    """
    transcripts = [transcript_of(t) for t in lineup.trajectories]
    whole = share([t.pieces for t in transcripts])
    ids = _ids(lineup, whole)
    media = sorted({kind for t in transcripts for kind in t.media})
    warnings = tuple(f"The judge cannot see {kind} content; it is shown as <{kind} …>." for kind in media)
    messages = _messages(lineup, template, whole, ids, cut=False)
    made = Prompt(messages, ids, template.prompt_id, (0,) * len(ids), warnings, lineup.seed)
    # No tokenizer in use makes more tokens than bytes: small prompts need no counting.
    if room is None or sum(len(m["content"]) for m in messages) * 4 + 64 <= room:
        return made
    over = _tokens(messages, count) - room
    if over <= 0:
        return made
    space = room - _frame_tokens(lineup, template, count)
    while True:
        fitted = shorten(whole, space, count)
        if fitted is None:
            parts, streams = least(whole, count)
            raise _too_long(parts + sum(streams), space, room)
        shared, lost = fitted
        messages = _messages(lineup, template, shared, ids, cut=True)
        over = _tokens(messages, count) - room
        if over <= 0:
            return replace(made, messages=messages, cut=lost)
        space -= over  # the tags around parts, and what a tokenizer makes of the seams


def _tokens(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    """Tokens of chat messages, with some for the turns' own marks."""
    return sum(count(m["content"]) + 8 for m in messages)


def capacity(lineup: Lineup, template: Template, *, room: int, count: Callable[[str], int], most: int) -> int:
    """How many of a lineup's trajectories are sure to fit one prompt, at most `most`.

    Raises:
        ContextLengthError: not even two.
    """
    shared = share([transcript_of(t).pieces for t in lineup.trajectories])
    space = room - _frame_tokens(lineup, template, count)
    parts, streams = least(shared, count)
    streams.sort(reverse=True)
    fitting, used = 0, parts
    for size in streams:
        used += size
        if used > space:
            break
        fitting += 1
    if fitting < 2 and len(streams) > 1:
        # A window shares less than the whole group does: count each trajectory with its own parts.
        need = sum(
            sorted(min(FLOOR, count("".join(transcript_of(t).pieces))) for t in lineup.trajectories)[-2:]
        )
        if need > space:
            raise _too_long(need, space, room)
        fitting = 2
    return max(2, min(fitting, most))


def _ids(lineup: Lineup, shared: Shared) -> tuple[str, ...]:
    """Ids drawn from the seed and from what is shown: fresh for every call, the same for the same."""
    told = [neutral(lineup.rubric or ""), neutral(lineup.task or ""), *shared.parts, *shared.streams]
    digest = hashlib.sha256(repr((lineup.seed, told)).encode("utf-8", "backslashreplace")).digest()
    rng = random.Random(digest)  # noqa: S311 - opaque, not secret: `fresh_ids` keeps them out of the text
    return fresh_ids(rng, len(shared.streams), told)


def _messages(
    lineup: Lineup, template: Template, shared: Shared, ids: tuple[str, ...], cut: bool
) -> tuple[Message, ...]:
    rubric = neutral(lineup.rubric) if lineup.rubric else template.block("rubric").strip()
    values = {
        "rubric": rubric,
        "task": neutral(lineup.task) if lineup.task else "",
        "parts": shared.parts,
        "cut": cut,
        "trajectories": list(zip(ids, shared.streams, strict=True)),
        "ids": ids,
    }
    system = template.block("system", **values).strip()
    user = template.block("user", **values).strip()
    if not all(f'<trajectory id="{name}">' in user for name in ids):
        raise ConfigurationError(
            f"The prompt template {template.prompt_id} leaves trajectories out: its user block must show "
            'each pair of `trajectories` between <trajectory id="{{ id }}"> and </trajectory>.'
        )
    return {"role": "system", "content": system}, {"role": "user", "content": user}


def _frame_tokens(lineup: Lineup, template: Template, count: Callable[[str], int]) -> int:
    """Tokens of everything but the trajectories and shared parts."""
    n = len(lineup.trajectories)
    empty = Shared((), ("",) * n)
    rng = random.Random(0)  # noqa: S311 - stand-ins of the usual length
    return _tokens(_messages(lineup, template, empty, fresh_ids(rng, n, ()), cut=True), count)


def _too_long(needed: int, space: int, room: int) -> ContextLengthError:
    return ContextLengthError(
        f"Even shortened to {FLOOR} tokens each, these trajectories need {needed} tokens, and the judge has "
        f"{max(0, space)} for them (window less prompt and reply: {room}). Use a judge with a longer context "
        "window, a shorter rubric, or smaller groups.",
        needed=needed,
        window=room,
    )
