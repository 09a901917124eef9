"""Builds the chat messages for a judge from a lineup."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ranker.errors import ConfigurationError, ContextLengthError
from ranker.judges.base import Lineup
from ranker.judges.credit import Credit
from ranker.prompting.escaping import neutral
from ranker.prompting.ids import fresh_ids
from ranker.prompting.sharing import Shared, Sharing, share
from ranker.prompting.template import Template
from ranker.prompting.transcript import transcript_of
from ranker.prompting.truncation import FLOOR, PART_FLOOR, minimum_tokens, truncate
from ranker.prompting.turns import numbered, turns_shown

Message = dict[str, Any]  # role, and content: text, or parts where images go along


@dataclass(frozen=True, slots=True)
class Prompt:
    """The prompt for one judge call.

    Attributes:
        messages: system and user message.
        ids: the opaque id of each trajectory, in the order shown.
        prompt_id: template name, version and hash.
        cut: characters of each trajectory that were cut to fit.
        warnings: notes on images and other media that were replaced by placeholders.
        seed: seed of the ids, together with the text.
        turns: where they are numbered, the numbers of the turns that are shown of each trajectory.
    """

    messages: tuple[Message, ...]
    ids: tuple[str, ...]
    prompt_id: str
    cut: tuple[int, ...]
    warnings: tuple[str, ...]
    seed: int
    turns: tuple[frozenset[int], ...] | None = None


def reply_room(n: int, credit: Credit | None = None) -> int:
    """Tokens reserved for a reply on n trajectories: one sentence each, the ranking, and the turns where they are asked for."""
    return 128 + (72 if credit is None else 104) * n


def build_prompt(
    lineup: Lineup,
    template: Template,
    *,
    room: int | None,
    count: Callable[[str], int],
    sharing: Sharing = "fine",
    credit: Credit | None = None,
) -> Prompt:
    """Render `lineup` into at most `room` tokens as counted by `count`; None if there is no known limit.

    Raises:
        ContextLengthError: it does not fit even when truncated as far as allowed.
        ConfigurationError: the template omits trajectories.
    """
    transcripts = [transcript_of(t) for t in lineup.trajectories]
    pieces = _pieces(lineup, credit)
    whole = share(pieces, sharing)
    ids = _ids(lineup, whole)
    media = sorted({kind for t in transcripts for kind in t.media})
    warnings = tuple(f"The judge cannot see {kind} content; it is shown as <{kind} …>." for kind in media)
    messages = _messages(lineup, template, whole, ids, cut=False)
    turns = None if credit is None else turns_shown(whole)
    prompt = Prompt(messages, ids, template.prompt_id, (0,) * len(ids), warnings, lineup.seed, turns)
    # Tokenizers produce at most one token per byte, so small prompts need no counting.
    if room is None or sum(len(m["content"]) for m in messages) * 4 + 64 <= room:
        return prompt
    over = _tokens(messages, count) - room
    if over <= 0:
        return prompt
    space = room - _frame_tokens(lineup, template, count)
    unshared = Shared((), tuple(map("".join, pieces)))
    while True:
        truncated = truncate(whole, space, count)
        if truncated is None and len(ids) == 2:  # fewer cannot be compared: more is cut, or written twice
            truncated = truncate(whole, space, count, part_floor=PART_FLOOR) or truncate(
                unshared, space, count
            )
        if truncated is None:
            parts, streams = minimum_tokens(whole, count)
            raise _too_long(parts + sum(streams), space, room)
        shared, lost = truncated
        messages = _messages(lineup, template, shared, ids, cut=True)
        over = _tokens(messages, count) - room
        if over <= 0:
            turns = None if credit is None else turns_shown(shared)
            return replace(prompt, messages=messages, cut=lost, turns=turns)
        space -= over  # tags around parts, and token boundaries that differ in the whole


def _pieces(lineup: Lineup, credit: Credit | None) -> list[tuple[str, ...]]:
    transcripts = [transcript_of(t) for t in lineup.trajectories]
    return [t.pieces for t in transcripts] if credit is None else numbered(transcripts)


def _tokens(messages: Sequence[Message], count: Callable[[str], int]) -> int:
    """Tokens of chat messages, including an allowance for the role markers."""
    return sum(count(m["content"]) + 8 for m in messages)


def capacity(
    lineup: Lineup,
    template: Template,
    *,
    room: int,
    count: Callable[[str], int],
    most: int,
    sharing: Sharing = "fine",
    credit: Credit | None = None,
) -> int:
    """How many of a lineup's trajectories are certain to fit into one prompt, at most `most`.

    Raises:
        ContextLengthError: not even two fit.
    """
    pieces = _pieces(lineup, credit)
    shared = share(pieces, sharing)
    space = room - _frame_tokens(lineup, template, count)
    parts, streams = minimum_tokens(shared, count)
    streams.sort(reverse=True)
    fitting, used = 0, parts
    for size in streams:
        used += size
        if used > space:
            break
        fitting += 1
    if fitting < 2 and len(streams) > 1:
        # A window shares less text than the whole group: count each trajectory with its own parts.
        need = sum(sorted(min(FLOOR, count("".join(own))) for own in pieces)[-2:])
        if need > space:
            raise _too_long(need, space, room)
        fitting = 2
    return max(2, min(fitting, most))


def _ids(lineup: Lineup, shared: Shared) -> tuple[str, ...]:
    """Ids drawn from the seed and the text: different for every call, reproducible for the same input."""
    texts = [neutral(lineup.rubric or ""), neutral(lineup.task or ""), *shared.parts, *shared.streams]
    digest = hashlib.sha256(repr((lineup.seed, texts)).encode("utf-8", "backslashreplace")).digest()
    rng = random.Random(digest)  # noqa: S311 - opaque, not secret: `fresh_ids` avoids ids that occur in the text
    return fresh_ids(rng, len(shared.streams), texts)


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
            f"The prompt template {template.prompt_id} omits trajectories: its user block must show "
            'each pair of `trajectories` between <trajectory id="{{ id }}"> and </trajectory>.'
        )
    return {"role": "system", "content": system}, {"role": "user", "content": user}


def _frame_tokens(lineup: Lineup, template: Template, count: Callable[[str], int]) -> int:
    """Tokens of everything except the trajectories and shared parts."""
    n = len(lineup.trajectories)
    empty = Shared((), ("",) * n)
    rng = random.Random(0)  # noqa: S311 - placeholders of the usual length
    return _tokens(_messages(lineup, template, empty, fresh_ids(rng, n, ()), cut=True), count)


def _too_long(needed: int, space: int, room: int) -> ContextLengthError:
    return ContextLengthError(
        f"Even truncated to {FLOOR} tokens each, these trajectories need {needed} tokens, but the judge has "
        f"{max(0, space)} left for them (context window minus reply: {room}). Use a judge with a longer context "
        "window, a shorter rubric, or smaller groups.",
        needed=needed,
        window=room,
    )


def folded(messages: Sequence[Message]) -> list[Message]:
    """The messages without a system role: its words open the user's turn."""
    first, *rest = messages
    if first["role"] != "system" or not rest:
        return list(messages)
    words, content = f"{first['content']}\n\n", rest[0]["content"]
    opened = words + content if isinstance(content, str) else [{"type": "text", "text": words}, *content]
    return [{**rest[0], "content": opened}, *rest[1:]]
