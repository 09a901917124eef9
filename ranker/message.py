"""One chat message in OpenAI format, checked and made plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ranker.dialects import openai_messages
from ranker.errors import GroupError
from ranker.plain import plain
from ranker.prompting.tool_calls import as_mapping, has_name

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def plain_messages(messages: Sequence[Any], where: str) -> tuple[dict[str, Any], ...]:
    """The messages of a conversation as plain dicts in OpenAI's format; those of the forms that `ranker.dialects`
    knows are converted.

    Raises:
        GroupError: a message that is none, named by its number.
    """
    spoken = openai_messages(plain(messages), where)
    return tuple(plain_message(message, f"{where}, message {i}") for i, message in spoken)


def plain_message(message: Any, where: str) -> dict[str, Any]:
    """Return `message`, made of plain values (`ranker.plain`), as a dict, or raise GroupError naming `where` it stands."""
    if not isinstance(message, Mapping):
        raise GroupError(
            f"{where} is a {type(message).__name__}; give a dict like "
            '{"role": "user", "content": "…"} or an object with model_dump().'
        )
    role = message.get("role")
    if role not in ROLES:
        raise GroupError(f"{where} has role {role!r}; roles are {', '.join(ROLES)}.{_dialect(message)}")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        _check_parts(content, where)
    if not content and isinstance(message.get("parts"), (list, tuple)):
        _check_parts(message["parts"], where)
    known = {**message, "role": role}
    calls = message.get("tool_calls")
    if calls is not None:
        if not isinstance(calls, (list, tuple)):
            raise GroupError(f"{where}: tool_calls must be a list, not {type(calls).__name__}.")
        known["tool_calls"] = [_plain_call(call, f"{where}, tool call {i}") for i, call in enumerate(calls)]
    if message.get("function_call") is not None:
        call = as_mapping(message["function_call"])
        if isinstance(call, Mapping) and not isinstance(call.get("name"), str):
            raise GroupError(f'{where}, function_call has no name; give {{"name": "…", "arguments": "…"}}.')
        known["function_call"] = _plain_call(message["function_call"], f"{where}, function_call")
    answered = message.get("tool_call_id")
    if isinstance(answered, int) and not isinstance(answered, bool):
        known["tool_call_id"] = str(answered)
    elif answered is not None and not isinstance(answered, str):
        raise GroupError(f"{where}: tool_call_id must be a string, not {type(answered).__name__}.")
    return known


def _check_parts(content: Any, where: str) -> None:
    if not isinstance(content, (list, tuple)):
        raise GroupError(
            f"{where}: content must be a string, a list of parts or null, not {type(content).__name__}."
        )
    for i, part in enumerate(content):
        if not isinstance(part, (str, Mapping)):
            raise GroupError(
                f'{where}, content part {i} is a {type(part).__name__}; give {{"type": "text", "text": "…"}}.'
            )
        if isinstance(part, str) or part.get("type", "text") not in ("text", "input_text"):
            continue
        # Bedrock's and Gemini's parts, and objects that a tool returned, have no type but other fields.
        bare = "type" in part or all(value is None for key, value in part.items() if key != "text")
        if bare and not isinstance(part.get("text"), str):
            raise GroupError(f"{where}, content part {i} has no text.")


def _plain_call(call: Any, where: str) -> Any:
    spoken = as_mapping(call)
    if not isinstance(spoken, Mapping):
        raise GroupError(f"{where} is a {type(call).__name__}, not a mapping.")
    if not has_name(spoken):
        raise GroupError(f'{where} has no function name; give {{"function": {{"name": "…"}}}}.')
    if isinstance(call, str):
        return call
    name = call.get("id")
    return {**call, "id": str(name)} if isinstance(name, int) and not isinstance(name, bool) else dict(call)


def _dialect(message: Mapping[str, Any]) -> str:
    """What a message without a role of OpenAI's looks like, and what to do."""
    role = message.get("role")
    if "parts" in message or role == "model":
        return ' It looks like Gemini: write the role "model" as "assistant" and the parts as the content.'
    if "message" in message and isinstance(role, str):
        return ' It looks like Cohere: write {"role": …, "content": …}, "CHATBOT" as "assistant", roles in lower case.'
    if role == "ipython":
        return ' Llama\'s "ipython" is "tool" here.'
    return f' Write "{role.lower()}".' if isinstance(role, str) and role.lower() in ROLES else ""
