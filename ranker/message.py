"""One chat message in OpenAI format, checked and made plain."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ranker.errors import GroupError
from ranker.prompting.tool_calls import as_mapping, has_name

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def plain_message(message: Any, where: str) -> dict[str, Any]:
    """Return `message` as a plain dict, or raise GroupError naming `where` it stands.

    Accepts a mapping, or an object with ``model_dump()`` such as the OpenAI SDK returns.
    """
    if not isinstance(message, Mapping):
        if not hasattr(message, "model_dump"):
            raise GroupError(
                f"{where} is a {type(message).__name__}; give a dict like "
                '{"role": "user", "content": "…"} or an object with model_dump().'
            )
        message = message.model_dump(exclude_none=True)
    role = message.get("role")
    if role not in ROLES:
        raise GroupError(f"{where} has role {role!r}; roles are {', '.join(ROLES)}.{_dialect(message)}")
    content = message.get("content")
    if content is not None and not isinstance(content, str):
        _check_parts(content, where)
    if not content and isinstance(message.get("parts"), (list, tuple)):
        _check_parts(message["parts"], where)
    plain = {**message, "role": ROLES[ROLES.index(role)]}  # not a member of an Enum
    calls = message.get("tool_calls")
    if calls is not None:
        if not isinstance(calls, (list, tuple)):
            raise GroupError(f"{where}: tool_calls must be a list, not {type(calls).__name__}.")
        plain["tool_calls"] = [_plain_call(call, f"{where}, tool call {i}") for i, call in enumerate(calls)]
    if message.get("function_call") is not None:
        call = as_mapping(message["function_call"])
        if isinstance(call, Mapping) and not isinstance(call.get("name"), str):
            raise GroupError(f'{where}, function_call has no name; give {{"name": "…", "arguments": "…"}}.')
        plain["function_call"] = _plain_call(message["function_call"], f"{where}, function_call")
    answered = message.get("tool_call_id")
    if answered is not None and not isinstance(answered, str):
        raise GroupError(f"{where}: tool_call_id must be a string, not {type(answered).__name__}.")
    return plain


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
    if hasattr(call, "model_dump"):
        call = call.model_dump(exclude_none=True)
    spoken = as_mapping(call)
    if not isinstance(spoken, Mapping):
        raise GroupError(f"{where} is a {type(call).__name__}, not a mapping.")
    if not has_name(spoken):
        raise GroupError(f'{where} has no function name; give {{"function": {{"name": "…"}}}}.')
    return call if isinstance(call, str) else dict(call)


def _dialect(message: Mapping[str, Any]) -> str:
    """What a message without a role of OpenAI's looks like, and what to do."""
    role, kind = message.get("role"), message.get("type")
    if "from" in message and "value" in message:
        return ' It looks like ShareGPT: write {"role": …, "content": …}, "human" as "user" and "gpt" as "assistant".'
    if kind in ("human", "ai", "tool", "system", "function", "chat", "AIMessageChunk", "HumanMessageChunk"):
        return " It looks like LangChain: pass the messages through its convert_to_openai_messages first."
    if "parts" in message or role == "model":
        return ' It looks like Gemini: write the role "model" as "assistant" and the parts as the content.'
    if "message" in message and isinstance(role, str):
        return ' It looks like Cohere: write {"role": …, "content": …}, "CHATBOT" as "assistant", roles in lower case.'
    if role is None and isinstance(kind, str):
        return (
            " It looks like an item of OpenAI's Responses: write a function_call as an assistant's tool_calls, "
            'a function_call_output as a message of the role "tool", and reasoning as "reasoning_content".'
        )
    if role == "ipython":
        return ' Llama\'s "ipython" is "tool" here.'
    return f' Write "{role.lower()}".' if isinstance(role, str) and role.lower() in ROLES else ""
