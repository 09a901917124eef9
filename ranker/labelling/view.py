"""What a person is shown of a group: text blocks, without ids, truths or what a judge thought.

Text of the attempts is made harmless here: control characters and others that a reader would not see are written as
their code points.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ranker.pages import pretty, visible
from ranker.prompting.fields import empty, left
from ranker.prompting.tool_calls import as_mapping, spec_of
from ranker.prompting.transcript import content_of
from ranker.trajectory import Trajectory, TrajectoryGroup

_READ = frozenset(
    ("role", "name", "content", "tool_calls", "function_call", "refusal", "reasoning_content", "reasoning", "thinking")
)  # fmt: skip
_ARGUMENTS = ("arguments", "input", "args", "parameters")
_WHO = 80  # characters of a heading
_DATA = (
    200  # characters of a data: address, or of other text without a space, from which its length is enough
)


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of a conversation.

    Attributes:
        kind: system, user, assistant, result, call, reasoning, refusal, tools or field.
        who: the heading.
        text: harmless text.
    """

    kind: str
    who: str
    text: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """Attributes:
    steps: everything before the last message of the assistant.
    last: that message and what follows; all, where there is none.
    """

    steps: tuple[Block, ...]
    last: tuple[Block, ...]


@dataclass(frozen=True, slots=True)
class View:
    """Attributes:
    task, rubric: None where the group has none.
    shared: what all attempts begin with.
    attempts: in the order shown.
    """

    task: str | None
    rubric: str | None
    shared: tuple[Block, ...] = ()
    attempts: tuple[Attempt, ...] = field(default=())


def view_of(group: TrajectoryGroup, shown: Sequence[int]) -> View:
    """What is shown of a group, its attempts in this order."""
    members = [group.trajectories[i] for i in shown]
    common = common_messages([t.messages for t in members])
    alike = all(t.tools == members[0].tools for t in members)
    shared = [*(tools_of(members[0].tools) if alike else ()), *blocks_of(members[0].messages[:common])]
    attempts = [_attempt(t, common, with_tools=not alike) for t in members]
    return View(_text(group.task), _text(group.rubric), tuple(shared), tuple(attempts))


def common_messages(conversations: Sequence[Sequence[Any]]) -> int:
    """Number of messages with which all begin; each keeps at least one of its own."""
    count, most = 0, min(map(len, conversations)) - 1
    while count < most and all(c[count] == conversations[0][count] for c in conversations):
        count += 1
    return count


def _attempt(trajectory: Trajectory, common: int, *, with_tools: bool) -> Attempt:
    own = trajectory.messages[common:]
    spoken = [i for i, message in enumerate(own) if message["role"] == "assistant"]
    at = spoken[-1] if spoken else 0
    steps, last = list(blocks_of(own[:at])), list(blocks_of(own[at:], own[:at]))
    if with_tools:
        steps = [*tools_of(trajectory.tools), *steps]
    for number, history in enumerate(trajectory.histories, start=1):
        steps.append(Block("field", f"further conversation {number} of this attempt", ""))
        steps += blocks_of(history)
    return Attempt(tuple(steps), tuple(last))


def tools_of(tools: Sequence[Mapping[str, Any]] | None) -> list[Block]:
    """The block of an attempt's tools; none where it has none."""
    count = f"{len(tools or ())} tool{'' if len(tools or ()) == 1 else 's'} available"
    return [Block("tools", count, visible(pretty(tools)))] if tools else []


def blocks_of(
    messages: Sequence[Mapping[str, Any]], before: Sequence[Mapping[str, Any]] = ()
) -> Iterator[Block]:
    """The blocks of messages; `before` are earlier ones, for the names of tools that were called in them."""
    called: dict[str, str] = {}
    for message in before:
        called.update(_called(message))
    for message in messages:
        called.update(_called(message))
        yield from _message(message, called)


def _message(message: Mapping[str, Any], called: Mapping[str, str]) -> Iterator[Block]:
    role = message["role"]
    result = role in ("tool", "function")
    name = message.get("name") or (called.get(str(message.get("tool_call_id"))) if result else None)
    who = (f"result of {name}" if name else "result") if result else f"{role} ({name})" if name else role
    kind = "result" if result else "system" if role == "developer" else role
    for key in ("reasoning_content", "reasoning", "thinking"):
        if message.get(key):
            yield _block("reasoning", "reasoning", message[key])
    calls = _calls(message)
    held_in, content = content_of(message)
    content = content or ""
    parts: list[Any] = [content] if isinstance(content, str) else list(content)
    for part in parts:
        text = part if isinstance(part, str) else part.get("text")
        if isinstance(text, str):
            if text or not (calls or message.get("refusal")):
                yield _block(kind, who, text, code=result)
        else:
            yield _block(kind, f"{who}, {part.get('type') or 'part'}", _shortened(part), code=True)
    if message.get("refusal"):
        yield _block("refusal", "refusal", message["refusal"])
    for call in calls:
        name, asked = _spec(call)
        yield _block("call", f"calls {name}" if name else "calls", asked, code=True)
    for key, value in left(message, _READ | {held_in}):
        yield _block("field", f"{role}, {key}", _shortened(value), code=True)


def _calls(message: Mapping[str, Any]) -> list[Any]:
    old = message.get("function_call")
    return [*(message.get("tool_calls") or ()), *([{"function": old}] if old else ())]


def _called(message: Mapping[str, Any]) -> dict[str, str]:
    named = ((as_mapping(call), _spec(call)[0]) for call in _calls(message))
    return {str(c["id"]): name for c, name in named if name and isinstance(c, Mapping) and c.get("id")}


def _spec(call: Any) -> tuple[str | None, Any]:
    """Name and arguments of a call, in whichever form; the whole call where it has no name."""
    call = as_mapping(call)
    spec = spec_of(call)[0] if isinstance(call, Mapping) else call
    if not isinstance(spec, Mapping) or not isinstance(spec.get("name"), str):
        return None, call
    return spec["name"], next((spec[key] for key in _ARGUMENTS if not empty(spec.get(key))), "")


def _shortened(value: Any) -> Any:
    """The value with images and other data by their beginning and length alone."""
    if isinstance(value, Mapping):
        return {k: _shortened(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shortened(v) for v in value]
    if isinstance(value, str) and len(value) > _DATA and (value.startswith("data:") or " " not in value):
        return f"{value[:40]}… ({len(value):,} characters)"
    return value


def _block(kind: str, who: str, value: Any, *, code: bool = False) -> Block:
    text = pretty(value) if code or not isinstance(value, str) else value
    heading = " ".join(str(visible(who)).split())
    return Block(kind, heading if len(heading) <= _WHO else f"{heading[:_WHO]}…", str(visible(text)))


def _text(value: str | None) -> str | None:
    return None if value is None else str(visible(value))
