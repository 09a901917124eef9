"""Tool calls in the forms that providers and frameworks write them, as one line each."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from ranker.prompting.compact_json import compact, json_or_text
from ranker.prompting.escaping import label, neutral
from ranker.prompting.fields import empty, write_fields

# OpenAI; custom tools and Anthropic; LangChain and Gemini; Llama.
_ARGUMENTS = ("arguments", "input", "args", "parameters")
_TYPES = ("function", "custom", "tool_call", "tool_use", "tool-call", "function_call")


def as_mapping(call: Any) -> Any:
    """A call given as JSON text as what the text says; anything else as it is."""
    if isinstance(call, str):
        try:
            return json.loads(call)
        except (ValueError, RecursionError):
            return call
    return call


def spec_of(call: Mapping[str, Any]) -> tuple[Any, str | None]:
    """What holds the name and the arguments of a call, and the field that it stands in (None: the call itself).

    Inspect writes the name of the tool in the place of the function, and the arguments beside it.
    """
    for key in ("function", "custom"):
        spec = call.get(key)
        if isinstance(spec, str) and spec:
            return {"name": spec, **{k: v for k, v in call.items() if k in _ARGUMENTS}}, key
        if spec:
            return spec, key
    return call, None


def has_name(call: Mapping[str, Any]) -> bool:
    """Whether a call says which tool it calls."""
    spec, _ = spec_of(call)
    return isinstance(spec, Mapping) and isinstance(spec.get("name"), str)


def _chosen(spec: Mapping[str, Any]) -> str | None:
    """The field that holds the arguments: the first that says something, else the first that is there."""
    present = [key for key in _ARGUMENTS if key in spec]
    return next((key for key in present if not empty(spec[key])), present[0] if present else None)


def openai_call(raw: Any) -> dict[str, Any] | None:
    """A call in any form as OpenAI's format writes it, its arguments as they are; None if it is none or calls a tool
    that takes text."""
    call = as_mapping(raw)
    if not isinstance(call, Mapping) or not has_name(call):
        return None
    spec, field = spec_of(call)
    if field == "custom":
        return None
    key = _chosen(spec)
    arguments = {} if key is None or spec[key] is None else spec[key]
    named = {"id": call["id"]} if isinstance(call.get("id"), str) else {}
    return {**named, "type": "function", "function": {"name": spec["name"], "arguments": arguments}}


class Calls:
    """The calls of one trajectory so far, by which results are told whose they are."""

    def __init__(self) -> None:
        self._labels: dict[str, str] = {}  # call id -> label, the latest call of that id
        self._turn: dict[str, int] = {}

    def next_turn(self) -> None:
        """A new message begins: its calls are numbered from one."""
        if self._turn:
            self._turn = {}

    def label(self, call_id: Any) -> str | None:
        """The label of the call of that id, None where there is none."""
        return self._labels.get(call_id) if isinstance(call_id, str) else None

    def write(self, raw: Any, media: list[str]) -> list[str]:
        """The pieces of a call: what is called with what, and the fields that have no form of their own."""
        call = as_mapping(raw)
        spec, field = spec_of(call)
        name = label(spec["name"])
        count = self._turn[name] = self._turn.get(name, 0) + 1
        # Two calls of one tool in one turn are numbered, so that results find their call.
        numbered = name if count == 1 else f"{name} #{count}"
        for key in ("id", "call_id", "toolUseId"):
            if isinstance(call.get(key), str):
                self._labels[call[key]] = numbered
        chosen = _chosen(spec) or "arguments"
        arguments = spec.get(chosen, "")
        text = json_or_text(arguments) if isinstance(arguments, str) else neutral(compact(arguments))
        pieces = [f"<call {numbered}>{text}\n"]
        usual = ("type",) if call.get("type") in _TYPES else ()
        if field is not None and spec is call.get(field):
            pieces += _rest(spec, ("name", chosen), media)
            pieces += _rest(call, (field, *usual), media)
        else:
            pieces += _rest(call, (field or "name", chosen, *usual), media)
        return pieces


def _rest(record: Mapping[str, Any], read: tuple[str, ...], media: list[str]) -> list[str]:
    return [f"{line}\n" for line in write_fields("call", record, read, media)]
