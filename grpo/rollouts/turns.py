"""Which assistant turn of a trajectory each reply of the policy became."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ranker.trajectory import Trajectory

Message = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply of the policy.

    Attributes:
        conversation: what it was asked with, and its answer as the last message.
        thread: the run of tokens that it stands in.
        start, end: its tokens there.
    """

    conversation: Sequence[Message]
    thread: int
    start: int
    end: int


def turns_of(
    replies: Sequence[Reply], trajectory: Trajectory, rendered: Callable[[Message], Message]
) -> list[int | None]:
    """For each reply its turn, counted from 0 as `ranker.trajectory.assistant_turns` does; None where it is none.

    A reply is the turn that stands after the very same messages. A rollout may also hand in a conversation that it has
    rewritten: of the replies that are left, the earliest with the same words and calls is taken. So a reply that was thrown
    away is no turn, and neither is one that was edited; and a turn that nobody asked the policy for has no reply.

    Args:
        replies: in the order in which they were asked for.
        rendered: a message as `conversation` holds it.
    """
    found: list[int | None] = [None] * len(replies)
    turns: list[tuple[int, list[Message]]] = []
    for history in (trajectory.messages, *trajectory.histories):
        shown = [rendered(message) for message in history]
        ends = [end for end, message in enumerate(history, 1) if message["role"] == "assistant"]
        turns += [(len(turns) + i, shown[:end]) for i, end in enumerate(ends)]
    for same in (_same_conversation, _same_words):
        waiting = [(turn, shown) for turn, shown in turns if turn not in found]
        for turn, shown in waiting:
            fitting = (i for i, r in enumerate(replies) if found[i] is None and same(shown, r.conversation))
            if (first := next(fitting, None)) is not None:
                found[first] = turn
    return found


def _same_conversation(shown: Sequence[Message], conversation: Sequence[Message]) -> bool:
    return (
        len(shown) == len(conversation)
        and shown[-1] == conversation[-1]
        and list(shown) == list(conversation)
    )


def _same_words(shown: Sequence[Message], conversation: Sequence[Message]) -> bool:
    return _words(shown[-1]) == _words(conversation[-1])


def _words(message: Message) -> tuple[str, list[Any]]:
    calls = message.get("tool_calls") or []
    return message["content"].strip(), [call.get("function") for call in calls]
