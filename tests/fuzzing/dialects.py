"""Random trajectories as providers and frameworks write them. Plain JSON values; ids of calls start with `call-`."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

Message = dict[str, Any]

WORDS = ("order", "17", "refund", "GOOD", "lost", "tête", "漢字", "🙂", "a b", "\n", "  ", "null", "x" * 90)
HOSTILE = (
    "</trajectory>", '<trajectory id="ABC">', "<p1/>", "<user>", "<assistant as JSON>", "< / trajectory >", "&lt;user>",
    "＜trajectory＞", "\u200b</traj\u200bectory>", "<call f>{}", "<assistant field x>1", "\ud800", "\\ud800", "</shared>",
    '{"a": 1}', "table(a)[[1]]",
)  # fmt: skip


def text(rng: random.Random) -> str:
    pool = HOSTILE if rng.random() < 0.2 else WORDS
    return " ".join(rng.choice(pool) for _ in range(rng.randint(1, 6)))


def scalar(rng: random.Random) -> Any:
    numbers = (rng.randint(-5, 99), rng.random(), True, False)
    return rng.choice(numbers) if rng.random() < 0.4 else text(rng)


def value(rng: random.Random, depth: int = 2) -> Any:
    """Any JSON value; now and then bulk, as base64 or token ids."""
    draw = rng.random()
    if depth and draw < 0.25:
        return {
            rng.choice(("id", "name", "text", "city", "type", "x y", "é")): value(rng, depth - 1)
            for _ in range(2)
        }
    if depth and draw < 0.4:
        return [value(rng, depth - 1) for _ in range(rng.randint(0, 3))]
    if draw < 0.43:
        return "".join(rng.choices("ABCDefgh0123+/", k=300))
    if draw < 0.46:
        return [rng.randint(0, 50_000) for _ in range(80)]
    return scalar(rng)


def arguments(rng: random.Random) -> dict[str, Any]:
    return {rng.choice(("order", "city", "note", "id")): value(rng, 1) for _ in range(rng.randint(0, 3))}


def as_text(rng: random.Random, data: Any) -> str:
    return json.dumps(data, indent=rng.choice((None, None, 1)), ensure_ascii=rng.random() < 0.5)


def call_id(rng: random.Random) -> str:
    return f"call-{rng.getrandbits(48):012x}"


def tool(rng: random.Random) -> str:
    return rng.choice(("refund", "get_order", "search web", "f"))


def some(rng: random.Random, **fields: Any) -> Message:
    """A few of the fields, as they come with real messages or not."""
    return {key: field for key, field in fields.items() if rng.random() < 0.4}


def question(rng: random.Random) -> Message:
    return {"role": "user", "content": text(rng)}


def answer(rng: random.Random) -> Message:
    return {"role": "assistant", "content": text(rng)}


def openai_chat(rng: random.Random) -> list[Message]:
    ids = [call_id(rng) for _ in range(rng.randint(1, 2))]
    key = rng.choice(("arguments", "arguments", "args", "parameters", "input"))
    calls: list[Any] = [
        {"id": i, "type": "function", "function": {"name": tool(rng), key: as_text(rng, arguments(rng))}}
        for i in ids
    ]
    if rng.random() < 0.2:
        calls[0] = {"id": ids[0], "type": "custom", "custom": {"name": "sql", "input": text(rng)}}
    elif rng.random() < 0.2:
        calls[0] = json.dumps(calls[0])
    extra = some(
        rng, refusal=None, reasoning_content=text(rng), reasoning=text(rng), annotations=[], id="msg_1", name="planner",
        audio={"id": "audio_1", "transcript": text(rng), "data": "QUJD" * 90, "expires_at": 1},
        thinking_blocks=[{"type": "thinking", "thinking": text(rng), "signature": "sig"}],
        reasoning_details=[{"type": "reasoning.text", "text": text(rng), "format": "x", "index": 0}],
        logprobs={"content": [{"token": "a", "logprob": -0.5}]}, usage={"total_tokens": 7},
    )  # fmt: skip
    results = [
        {"role": "tool", "tool_call_id": i, "content": result(rng), **some(rng, name="f", error=text(rng))}
        for i in ids
    ]
    media = {
        "type": "image_url",
        "image_url": {"url": "data:image/png;base64,QUJD"},
        **some(rng, text=text(rng)),
    }
    shown = {"role": "user", "content": [{"type": "text", "text": text(rng)}, media]}
    return [
        shown,
        {"role": "assistant", "content": None, "tool_calls": calls, **extra},
        *results,
        answer(rng),
    ]


def result(rng: random.Random) -> Any:
    draw = rng.random()
    if draw < 0.3:
        return as_text(rng, [{"id": rng.randint(1, 9), "text": text(rng)} for _ in range(2)])
    if draw < 0.5:
        return [{"id": rng.randint(1, 9), "text": text(rng), "state": text(rng)}]
    return [{"type": "text", "text": text(rng)}] if draw < 0.6 else text(rng)


def openai_responses(rng: random.Random) -> list[Message]:
    spoken = {
        "type": "output_text",
        "text": text(rng),
        "annotations": [],
        **some(rng, logprobs=[{"token": "a"}]),
    }
    last = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [spoken]}
    items: list[Message] = [
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": text(rng)}]},
        {
            "type": "function_call",
            "call_id": call_id(rng),
            "name": tool(rng),
            "arguments": as_text(rng, arguments(rng)),
        },
    ]
    asked = {"role": "user", "content": [{"type": "input_text", "text": text(rng)}]}
    # With a role of the chat format, or as the API returns them.
    inside = {"type": "message", "role": "assistant", "content": items}
    return [asked, inside, last] if rng.random() < 0.8 else [asked, *items, last]


def anthropic(rng: random.Random) -> list[Message]:
    used = call_id(rng)
    thought = {"type": "thinking", "thinking": text(rng), "signature": "EqQB"}
    if rng.random() < 0.2:
        thought = {"type": "redacted_thinking", "data": "EmwK" * 4}
    call = {
        "type": rng.choice(("tool_use", "tool_use", "server_tool_use")),
        "id": used,
        "name": tool(rng),
        "input": arguments(rng),
    }
    returned: Any = rng.choice(
        (text(rng), [{"type": "text", "text": text(rng)}, {"type": "image", "source": {"data": "QUJD"}}])
    )
    block = {
        "type": "tool_result",
        "tool_use_id": used,
        "content": returned,
        **some(rng, is_error=True, cache_control={"type": "ephemeral"}),
    }
    document = {
        "type": "document",
        "title": text(rng),
        "source": {"type": "text", "media_type": "text/plain", "data": text(rng)},
    }
    said = {"type": "text", "text": text(rng), **some(rng, citations=[{"cited_text": text(rng)}])}
    return [{"role": "user", "content": [document]}, {"role": "assistant", "content": [thought, said, call]},
            {"role": "user", "content": [block]}, answer(rng)]  # fmt: skip


def gemini(rng: random.Random) -> list[Message]:
    name, field = tool(rng), rng.choice(("content", "parts"))
    call_key, result_key = rng.choice(
        (("functionCall", "functionResponse"), ("function_call", "function_response"))
    )
    ids = some(rng, id=call_id(rng))
    asked = [
        {"text": text(rng), "thought": True},
        {call_key: {"name": name, "args": arguments(rng), **ids}, **some(rng, thoughtSignature="c2ln")},
    ]
    role = "assistant" if rng.random() < 0.8 else "model"
    data = {"inlineData": {"mimeType": "image/png", "data": "QUJD" * 80}}
    return [{"role": "user", field: [{"text": text(rng)}, data]}, {"role": role, field: asked},
            {"role": "user", field: [{result_key: {"name": name, "response": arguments(rng), **ids}}]},
            {"role": role, field: [{"text": text(rng)}]}]  # fmt: skip


def bedrock(rng: random.Random) -> list[Message]:
    used = call_id(rng)
    thought = {"reasoningContent": {"reasoningText": {"text": text(rng), "signature": "sig"}}}
    call = {"toolUse": {"toolUseId": used, "name": tool(rng), "input": arguments(rng)}}
    returned = [{"json": arguments(rng)}, {"text": text(rng)}]
    block = {"toolResult": {"toolUseId": used, "content": returned, **some(rng, status="error")}}
    return [{"role": "user", "content": [{"text": text(rng)}]}, {"role": "assistant", "content": [thought, call]},
            {"role": "user", "content": [block]}, {"role": "assistant", "content": [{"text": text(rng)}]}]  # fmt: skip


def cohere(rng: random.Random) -> list[Message]:
    used = call_id(rng)
    call = {
        "id": used,
        "type": "function",
        "function": {"name": tool(rng), "arguments": as_text(rng, arguments(rng))},
    }
    document = {"type": "document", "document": {"id": "1", "data": as_text(rng, arguments(rng))}}
    cited = {"citations": [{"start": 0, "end": 3, "text": text(rng), "sources": [value(rng)]}]}
    old = some(rng, tool_results=[{"call": {"name": tool(rng)}, "outputs": [arguments(rng)]}])
    if rng.random() < 0.15:
        return [{"role": "USER", "message": text(rng)}, {"role": "CHATBOT", "message": text(rng)}]
    return [question(rng), {"role": "assistant", "tool_plan": text(rng), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": used, "content": [document]}, {**answer(rng), **cited, **old}]  # fmt: skip


def mistral(rng: random.Random) -> list[Message]:
    thought = {
        "type": "thinking",
        "thinking": [{"type": "text", "text": text(rng)}],
        **some(rng, closed=True),
    }
    reference = {"type": "reference", "reference_ids": [rng.randint(1, 5)]}
    parts = [thought, {"type": "text", "text": text(rng)}, reference]
    return [question(rng), {"role": "assistant", "content": parts, **some(rng, prefix=True)}]


def langchain(rng: random.Random) -> list[Message]:
    used = call_id(rng)
    call = {"name": tool(rng), "args": arguments(rng), "id": used, "type": "tool_call"}
    bad = {"name": tool(rng), "args": "{'order", "id": used, "error": text(rng), "type": "invalid_tool_call"}
    hidden = {
        "tool_calls": [
            {"id": used, "function": {"name": tool(rng), "arguments": as_text(rng, arguments(rng))}}
        ]
    }
    where = rng.choice(({"tool_calls": [call]}, {"additional_kwargs": hidden}, {"invalid_tool_calls": [bad]}))
    extra = some(
        rng, response_metadata={"finish_reason": "stop"}, additional_kwargs={"x": value(rng)}, example=False
    )
    said = {"role": "assistant", "content": "", **extra, **where}
    returned = {
        "role": "tool",
        "content": text(rng),
        "tool_call_id": used,
        **some(rng, artifact=value(rng), status="error"),
    }
    if rng.random() < 0.15:
        return [
            {"type": "human", "content": text(rng)},
            {"type": "ai", "content": text(rng), "tool_calls": [call]},
        ]
    return [question(rng), said, returned, answer(rng)]


def inspect(rng: random.Random) -> list[Message]:
    used = call_id(rng)
    call = {
        "id": used,
        "function": tool(rng),
        "arguments": arguments(rng),
        "type": "function",
        **some(rng, parse_error=text(rng), view=value(rng)),
    }
    thought = {
        "type": "reasoning",
        "reasoning": text(rng),
        "signature": "s",
        **some(rng, redacted=True, summary=text(rng)),
    }
    said = {
        "role": "assistant",
        "content": [thought, {"type": "text", "text": text(rng)}],
        "tool_calls": [call],
        "source": "generate",
    }
    error = some(rng, error={"type": "timeout", "message": text(rng)})
    return [question(rng), said, {"role": "tool", "tool_call_id": used, "function": call["function"], "content": text(rng), **error},
            answer(rng)]  # fmt: skip


def sharegpt(rng: random.Random) -> list[Message]:
    if rng.random() < 0.3:
        return [{"from": "human", "value": text(rng)}, {"from": "gpt", "value": text(rng)}]
    return [
        {"role": "user", "from": "human", "value": text(rng)},
        {"role": "assistant", "from": "gpt", "value": text(rng)},
    ]


def plain(rng: random.Random) -> list[Message]:
    return [question(rng), *(answer(rng) for _ in range(rng.randint(1, 3)))]


DIALECTS: dict[str, Callable[[random.Random], list[Message]]] = {
    "openai_chat": openai_chat,
    "openai_responses": openai_responses,
    "anthropic": anthropic,
    "gemini": gemini,
    "bedrock": bedrock,
    "cohere": cohere,
    "mistral": mistral,
    "langchain": langchain,
    "inspect": inspect,
    "sharegpt": sharegpt,
    "plain": plain,
}


def attempt(dialect: str, rng: random.Random) -> dict[str, Any]:
    """The messages, tools and histories of a random attempt."""
    fields: dict[str, Any] = {"messages": DIALECTS[dialect](rng)}
    if rng.random() < 0.3:
        definition = {"name": tool(rng), "description": text(rng), "parameters": {"type": "object"}}
        fields["tools"] = [
            {"type": "function", "function": definition, **some(rng, strict=True, cache_control={"a": 1})}
        ]
    if rng.random() < 0.15:
        fields["histories"] = [DIALECTS[dialect](rng)]
    return fields
