"""A sampled reply as a message: its words, and the tool calls in it, in the form that its model family writes.

A tokenizer that says its own format (`response_template`, transformers 5.5 and later) is believed. Else the forms of
Hermes and Qwen, Qwen3-Coder, Llama 3 and Mistral are read. What the policy did not say is not made up: a call that
cannot be read stays text.
"""

from __future__ import annotations

import functools
import inspect
import json
import logging
import re
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from grpo.rollouts.json_types import json_types
from ranker.prompting.tool_calls import as_mapping, openai_call

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("ranker")

_TAGGED = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
_FUNCTION = re.compile(r"<function=([^>\n]+)>(.*?)</function>", re.DOTALL)  # Qwen3-Coder
_PARAMETER = re.compile(r"<parameter=([^>\n]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_PYTHON_TAG = "<|python_tag|>"  # Llama 3
_MISTRAL = "[TOOL_CALLS]"
_MISTRAL_CALL = re.compile(r"\s*([\w.-]+)\s*(?:\[CALL_ID\][\w-]+)?(?:\[ARGS\])?\s*(?=\{)")
# What opens a call in these and in other families.
_SIGNS = re.compile(
    r"<tool_calls?>?|<function[=_]|</?invoke\b|<\|python_tag\|>|\[TOOL_CALLS\]|<\|tool_calls?|<\|?call\b|<start_function_call>"
    r"|<\|channel\|>commentary|<｜tool▁calls?▁begin｜>|<\|action_start\|>|functools\["
)
_REMEDY = (
    "Say how this model writes calls: tokenizer.response_template (transformers 5.5 and later), or read them in a rollout "
    "function. If it writes them in this form, the policy made a mistake in it."
)


@dataclass(frozen=True, slots=True)
class Message:
    """What a reply says.

    Attributes:
        content: its words; None if there are calls alone.
        calls: each with `name` and `arguments`.
        more: further fields that the tokenizer's own format has, e.g. the thoughts.
    """

    content: str | None
    calls: Sequence[Mapping[str, Any]] = ()
    more: Mapping[str, Any] = field(default_factory=dict)


# Tokenizers of which a call was read: another that cannot be is the policy's mistake, not ours.
_understood: weakref.WeakSet[Any] = weakref.WeakSet()


def read_reply(
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[int],
    ended: bool,
    prompt: str,
    tools: Sequence[Any] | None,
) -> Message:
    """The message that the sampled tokens `ids` are.

    Args:
        ended: the last of them is an end token.
        prompt: the text that they continue.
        tools: the definitions that the policy was given.
    """
    said = ids[:-1] if ended else ids
    if getattr(tokenizer, "response_template", None):
        message = _in_its_own_format(tokenizer, str(tokenizer.decode(ids)), prompt, tools)
    elif getattr(tokenizer, "response_schema", None) and _reads_schemas(tokenizer):
        message = _parsed(
            dict(tokenizer.parse_response(str(tokenizer.decode(said, skip_special_tokens=True))))
        )
    else:
        message = None
    if message is None:
        message = Message(str(tokenizer.decode(said, skip_special_tokens=True)))
        content, calls = parse_calls(str(tokenizer.decode(said)), tools)
        if calls:
            for special in tokenizer.all_special_tokens:
                content = (content or "").replace(special, "")
            message = Message((content or "").strip() or None, calls)
    if message.calls:
        _understood.add(tokenizer)
    elif tools and ended and tokenizer not in _understood:
        _look_for_unread(str(tokenizer.decode(said)), tools)
    return message


def parse_calls(text: str, tools: Sequence[Any] | None = None) -> tuple[str | None, list[dict[str, Any]]]:
    """Content and tool calls of a reply, in the forms of those families that have no format of their own in the
    tokenizer. Without tools only ``<tool_call>`` is one: JSON by itself is an answer then.

    A call that is no JSON object with a name stays text.
    """
    calls: list[dict[str, Any]] = []

    def take(match: re.Match[str]) -> str:
        inside = match[1]
        read = _coder_calls(inside, tools) if inside.startswith("<function=") else _calls_in(inside)
        if not read:
            return match[0]
        calls.extend(read)
        return ""

    content = _TAGGED.sub(take, text)
    if tools and not calls:
        for read in (_after_tag, _mistral, _bare, _untagged):
            content, calls = read(text, tools)
            if calls:
                break
        else:
            content = text
    if calls:
        content = content.strip()
    return content or (None if calls else ""), calls


def _calls_in(text: str) -> list[dict[str, Any]]:
    """The calls that JSON says: one, or a list; none if anything in it is no call."""
    said = as_mapping(text)
    read = [_call(one) for one in (said if isinstance(said, list) else [said])]
    return [call for call in read if call is not None] if all(call is not None for call in read) else []


def _call(said: Any) -> dict[str, Any] | None:
    call = openai_call(said) if isinstance(said, Mapping) else None
    return None if call is None else call["function"]


def _coder_calls(text: str, tools: Sequence[Any] | None) -> list[dict[str, Any]]:
    """Qwen3-Coder's: values are text; those of parameters that cannot be strings are JSON."""
    calls = []
    for match in _FUNCTION.finditer(text):
        name = match[1].strip()
        types = _types(name, tools)
        values = {
            key.strip(): _value(text, types.get(key.strip(), set()))
            for key, text in _PARAMETER.findall(match[2])
        }
        calls.append({"name": name, "arguments": values})
    return calls


def _value(text: str, types: set[str]) -> Any:
    if "null" in types and text.strip() == "null":
        return None
    if "string" in types or not types - {"null"}:
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _types(name: str, tools: Sequence[Any] | None) -> dict[str, set[str]]:
    """The JSON types of a tool's parameters."""
    for function in map(_function, tools or ()):
        parameters = function.get("parameters")
        if function.get("name") != name or not isinstance(parameters, Mapping):
            continue
        properties = parameters.get("properties")
        if isinstance(properties, Mapping):
            return {key: json_types(schema, parameters) for key, schema in properties.items()}
    return {}


def _function(tool: Any) -> Mapping[str, Any]:
    if inspect.isroutine(tool):
        tool = _definition(tool)
    spec = tool.get("function", tool) if isinstance(tool, Mapping) else None
    return spec if isinstance(spec, Mapping) else {}


@functools.lru_cache(maxsize=256)
def _definition(function: Any) -> Mapping[str, Any]:
    """What chat templates, which take functions as tools, are given of one; its docstring is read once, not for every reply."""
    from transformers.utils import get_json_schema

    return cast("Mapping[str, Any]", get_json_schema(function))


def _names(tools: Sequence[Any]) -> set[str]:
    """The names of the tools."""
    return {str(_function(tool).get("name")) for tool in tools}


def _after_tag(text: str, tools: Sequence[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Llama 3's: JSON after a tag, several parted by semicolons."""
    before, tag, after = text.partition(_PYTHON_TAG)
    calls, end = _values(after, ";") if tag else ([], 0)
    return (before, calls) if calls and not after[end:].strip() else (text, [])


def _bare(text: str, tools: Sequence[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Llama 3's without the tag: the whole reply is the calls, of tools that there are."""
    calls, end = (_calls_in(text), len(text)) if text.lstrip().startswith("[") else _values(text, ";")
    known = calls and not text[end:].strip() and {call["name"] for call in calls} <= _names(tools)
    return ("", calls) if known else (text, [])


def _values(text: str, between: str) -> tuple[list[dict[str, Any]], int]:
    """The calls that the text begins with, as JSON objects, and where they end; none if one of them is no call."""
    calls: list[dict[str, Any]] = []
    end, decoder = 0, json.JSONDecoder()
    while True:
        at = end + len(text[end:]) - len(text[end:].lstrip(between + " \n\t\r" if calls else " \n\t\r"))
        if text[at : at + 1] != "{":
            return calls, end
        try:
            said, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            return [], 0
        call = _call(said)
        if call is None or not {"arguments", "parameters", "args", "input"} & said.keys():
            return [], 0
        calls.append(call)


def _mistral(text: str, tools: Sequence[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Mistral's: a JSON list after a tag, or, since its third version, names and arguments by turns."""
    before, *said = text.split(_MISTRAL)
    calls: list[dict[str, Any]] = []
    for part in said:
        named = _MISTRAL_CALL.match(part)
        if named:
            arguments = as_mapping(part[named.end() :])
            read = [{"name": named[1], "arguments": arguments}] if isinstance(arguments, Mapping) else []
        else:
            read = _calls_in(part)
        if not read:
            return text, []
        calls += read
    return before, calls


def _untagged(text: str, tools: Sequence[Any]) -> tuple[str, list[dict[str, Any]]]:
    """Qwen3-Coder's where it leaves out the tag around a function."""
    calls = [call for call in _coder_calls(text, tools) if call["name"] in _names(tools)]
    stripped = _FUNCTION.sub("", text).replace("<tool_call>", "").replace("</tool_call>", "")
    return (stripped, calls) if calls and "<function=" not in stripped else (text, [])


def _in_its_own_format(
    tokenizer: PreTrainedTokenizerBase, text: str, prompt: str, tools: Sequence[Any] | None
) -> Message | None:
    """By the tokenizer's `response_template`; None if the reply is not in it."""
    try:
        return _parsed(
            dict(tokenizer.parse_response(text, prefix=prompt, tools=list(tools) if tools else None))
        )
    except Exception as error:  # the policy may write anything, and the parser raise anything
        log.debug("a reply is not in the tokenizer's response_template: %s", error)
        return None


def _reads_schemas(tokenizer: Any) -> bool:
    """Whether this transformers reads `response_schema`, the format of its versions before 5.5."""
    reads = "prefix" not in inspect.signature(tokenizer.parse_response).parameters
    if not reads:
        _warn(
            "The tokenizer has a response_schema, which this version of transformers does not read; set "
            "tokenizer.response_template instead."
        )
    return reads


def _parsed(fields: dict[str, Any]) -> Message:
    calls = [call for said in fields.pop("tool_calls", None) or () if (call := _call(said)) is not None]
    content = fields.pop("content", None)
    fields.pop("role", None)
    words = content if isinstance(content, str) else None
    return Message(words if words or calls else words or "", calls, {k: v for k, v in fields.items() if v})


def _look_for_unread(text: str, tools: Sequence[Any]) -> None:
    """Warn once for each sign of a call in a reply that has none that is read."""
    sign = _SIGNS.search(text)
    seen = sign[0] if sign else None
    if seen is None:
        names = "|".join(map(re.escape, sorted(_names(tools))))
        named = re.search(rf'"name"\s*:\s*"(?:{names})"|^\s*\[?(?:{names})\(', text)
        seen = named[0].strip() if named else None
    if seen is not None:
        _warn(f"Tools were given, and a reply holds {seen!r} but no tool call that can be read. {_REMEDY}")


@functools.cache
def _warn(message: str) -> None:
    """Once: every reply of a run may be alike."""
    log.warning(message)
