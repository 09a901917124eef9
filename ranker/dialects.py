"""Messages as LangChain, OpenAI's Responses, Inspect and ShareGPT write them, in the format of OpenAI's chat completions.

Converted where nothing is lost; what cannot be is refused with the name of the form and what to do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranker.errors import GroupError
from ranker.prompting.content_parts import thoughts_of
from ranker.prompting.fields import left
from ranker.prompting.tool_calls import as_mapping, has_name

_SHAREGPT = {"human": "user", "user": "user", "gpt": "assistant", "chatgpt": "assistant", "assistant": "assistant",
             "model": "assistant", "system": "system", "tool": "tool", "observation": "tool"}  # fmt: skip
_LANGCHAIN = {"human": "user", "ai": "assistant", "system": "system", "developer": "developer", "tool": "tool",
              "function": "function"}  # fmt: skip
# What LangChain notes of a message: said elsewhere in it, or about how it came.
_NOTES = (
    "type",
    "example",
    "response_metadata",
    "usage_metadata",
    "tool_call_chunks",
    "chunk_position",
    "artifact",
)
_CALL_BLOCKS = (
    "tool_use",
    "tool_call",
    "function_call",
)  # what a provider wrote, which its tool_calls say again


def openai_messages(messages: Sequence[Any], where: str) -> list[tuple[int, Any]]:
    """The messages in OpenAI's format, each with the number of the first one that it was made of.

    Args:
        messages: plain values (`ranker.plain`).

    Raises:
        GroupError: a message in another form of which something would be lost.
    """
    if any(map(_is_item, messages)):
        return _of_items(messages, where)
    return [(i, _converted(message, f"{where}, message {i}")) for i, message in enumerate(messages)]


def _converted(message: Any, where: str) -> Any:
    if not isinstance(message, Mapping):
        return message
    if "from" in message and "value" in message and "role" not in message:
        return _of_sharegpt(message, where)
    if message.get("lc") == 1 and "kwargs" in message:  # dumpd() of LangChain
        if message.get("type") != "constructor" or not isinstance(message["kwargs"], Mapping):
            raise _refused(where, "a dump of LangChain that does not hold the message")
        return _of_langchain({"type": _kind_of(message.get("id")), **message["kwargs"]}, where)
    if isinstance(message.get("data"), Mapping) and "type" in message and "role" not in message:
        return _of_langchain({"type": message["type"], **message["data"]}, where)  # messages_to_dict()
    if "role" not in message and "content" in message and isinstance(message.get("type"), str):
        return _of_langchain(message, where)
    return _of_inspect(message)


def _of_inspect(message: Mapping[str, Any]) -> Mapping[str, Any]:
    """Inspect writes OpenAI's roles; it notes of each thought that it is no sealed one."""
    content = message.get("content")
    if isinstance(content, (list, tuple)) and any(map(_is_open_thought, content)):
        parts = [
            {k: v for k, v in p.items() if k != "redacted"} if _is_open_thought(p) else p for p in content
        ]
        return {**message, "content": parts}
    return message


def _is_open_thought(part: Any) -> bool:
    return isinstance(part, Mapping) and part.get("type") == "reasoning" and part.get("redacted") is False


def _refused(where: str, what: str) -> GroupError:
    return GroupError(
        f"{where} is {what}; pass the messages through LangChain's convert_to_openai_messages first."
    )


def _kind_of(path: Any) -> str:
    """LangChain's type of a message, from the path of its class: ["langchain", "schema", "messages", "AIMessage"]."""
    name = path[-1] if isinstance(path, (list, tuple)) and path else ""
    return str(name).partition("Message")[0].lower()


def _of_langchain(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    kind = str(message["type"]).partition("Message")[0]  # a chunk's type is the name of its class
    role = message.get("role") if kind in ("chat", "Chat") else _LANGCHAIN.get(kind.lower())
    if not isinstance(role, str):
        raise _refused(where, f"LangChain's message of the type {message['type']!r}")
    extra = message.get("additional_kwargs")
    extra = dict(extra) if isinstance(extra, Mapping) else {} if extra is None else {"value": extra}
    own = {k: v for k, v in message.items() if k not in (*_NOTES, "additional_kwargs")}
    notes = {k: message[k] for k in _NOTES if k in message}
    if own.get("status") == "success":  # what every result says that is no error
        notes["status"] = own.pop("status")
    calls = own.get("tool_calls")
    if isinstance(calls, (list, tuple)) and calls:
        notes |= {k: extra.pop(k) for k in ("tool_calls", "function_call") if k in extra}
        ids = [call.get("id") for call in calls if isinstance(call, Mapping)]
        if isinstance(own.get("content"), (list, tuple)):
            notes["content"] = [part for part in own["content"] if _repeats(part, ids)]
            own["content"] = [part for part in own["content"] if not _repeats(part, ids)]
    elif isinstance(extra.get("function_call"), Mapping):
        own["function_call"] = extra.pop("function_call")
    if isinstance(extra.get("reasoning_content"), str):
        own["reasoning_content"] = extra.pop("reasoning_content")
    return _noted({**own, "role": role, **({"additional_kwargs": extra} if extra else {})}, notes)


def _noted(message: dict[str, Any], notes: Mapping[str, Any]) -> dict[str, Any]:
    """The message with what no judge is shown of it, kept so that attempts which differ there alone are said to."""
    return {**message, "response_metadata": dict(notes)} if notes else message


def _repeats(part: Any, ids: Sequence[Any]) -> bool:
    if not isinstance(part, Mapping) or part.get("type") not in _CALL_BLOCKS:
        return False
    return part.get("call_id", part.get("id")) in ids


def _of_sharegpt(message: Mapping[str, Any], where: str) -> dict[str, Any]:
    said, value = message["from"], message["value"]
    rest = {k: v for k, v in message.items() if k not in ("from", "value")}
    if not isinstance(said, str) or "content" in message:
        pass
    elif said == "function_call":
        call = as_mapping(value)
        if isinstance(call, Mapping) and has_name(call):
            return {**rest, "role": "assistant", "content": None, "tool_calls": [call]}
    elif said in _SHAREGPT:
        return {**rest, "role": _SHAREGPT[said], "content": value}
    raise GroupError(
        f"{where} is ShareGPT's, from {said!r}, which has no role of its own here; write it as "
        '{"role": "user" | "assistant" | "tool" | "system", "content": "…"}.'
    )


def _is_item(message: Any) -> bool:
    """Whether this is an item of Responses that is no message of a role."""
    if not isinstance(message, Mapping) or "role" in message:
        return False
    kind = message.get("type")
    return isinstance(kind, str) and (
        kind in ("reasoning", "item_reference", "compaction") or kind.endswith(("_call", "_output"))
    )


def _of_items(messages: Sequence[Any], where: str) -> list[tuple[int, Any]]:
    """Responses tells one turn of the assistant in several items: thoughts, words, calls."""
    turns: list[tuple[int, Any]] = []
    turn: dict[str, Any] | None = None  # the assistant's, while more of it may come
    for i, message in enumerate(messages):
        if not _is_item(message):
            message = _converted(message, f"{where}, message {i}")
            spoken = isinstance(message, Mapping) and message.get("role") == "assistant"
            if (
                spoken
                and turn is not None
                and turn.keys() <= {"role", "content", "reasoning_content", "response_metadata"}
                and not turn["content"]
            ):
                turn.update(message)
            else:
                turn = dict(message) if spoken else None
                turns.append((i, message if turn is None else turn))
            continue
        kind = message["type"]
        if not isinstance(message.get("call_id", ""), (str, type(None))):
            raise GroupError(f"{where}, message {i}: call_id must be a string, not {message['call_id']!r}.")
        if kind.endswith("_output"):
            output = message.get("output")
            content = [output] if isinstance(output, Mapping) else output
            rest = dict(left(message, ("type", "output", "status")))
            turns.append(
                (i, {**rest, "role": "tool", "tool_call_id": message.get("call_id"), "content": content})
            )
            turn = None
            continue
        if kind != "reasoning" and not kind.endswith("_call"):
            raise GroupError(
                f"{where}, message {i} is an item of OpenAI's Responses of the type {kind!r}, which does not hold what it "
                "stands for; put the items that it refers to in its place."
            )
        said = turn is not None and (turn.get("tool_calls") or turn.get("content"))
        if turn is None or (kind == "reasoning" and said):
            turn = {"role": "assistant", "content": None}
            turns.append((i, turn))
        _add(turn, message)
    empty = {"role", "content", "response_metadata"}
    return [
        (i, t)
        for i, t in turns
        if not (isinstance(t, Mapping) and t.keys() == empty and t["content"] is None)
    ]


def _add(turn: dict[str, Any], item: Mapping[str, Any]) -> None:
    """Add a thought or a call to the assistant's turn."""
    kind = item["type"]
    if kind in ("function_call", "custom_tool_call") and has_name(item):
        form, holds = ("function", "arguments") if kind == "function_call" else ("custom", "input")
        rest, notes = _shared_out(item, ("type", "name", holds, "call_id", "status"))
        spec = {"name": item["name"], holds: item.get(holds, "")}
        call = _noted({**rest, "id": item.get("call_id"), "type": form, form: spec}, notes)
        turn["tool_calls"] = [*(turn.get("tool_calls") or ()), call]
        return
    rest, notes = _shared_out(item, ("type", "status"))
    own = {"type": kind, **rest}
    thought = thoughts_of([own]) if kind == "reasoning" else None
    notes = notes if thought is None else dict(item)
    turn["response_metadata"] = [*(turn.get("response_metadata") or ()), notes]
    if thought is not None:
        thoughts = [turn.get("reasoning_content"), thought]
        turn["reasoning_content"] = "\n".join(filter(None, thoughts))
    elif rest:  # what a tool of the provider's own did, or more than a thought
        content = turn["content"]
        before = [{"type": "text", "text": content}] if isinstance(content, str) else list(content or ())
        turn["content"] = [*before, own]


def _shared_out(item: Mapping[str, Any], read: Sequence[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of an item that a judge is shown, and those that no judge is; `read` are neither, but for a status that
    says something."""
    rest = dict(left(item, read))
    if item.get("status") not in (None, "completed"):
        rest["status"] = item["status"]
    return rest, {k: v for k, v in item.items() if k not in rest and (k not in read or k == "status")}
