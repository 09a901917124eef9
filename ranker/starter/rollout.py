"""What happens in one attempt, and how right it was. `config.toml` names `rollout` and `checker`: make both your own."""

from __future__ import annotations

import json
import re
from typing import Any

from ranker import Trajectory

SYSTEM = """You are the clerk of a shop. You know no price and no stock by heart: look them up. To do so, write only
<tool_call>{"name": "look_up", "arguments": {"item": "table"}}</tool_call>
with the customer's item in place of the table. Then answer in one short sentence with the figure asked for."""
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "look_up",
            "description": "The price of an item in euros, and how many are in stock.",
            "parameters": {
                "type": "object",
                "properties": {"item": {"type": "string"}},
                "required": ["item"],
            },
        },
    }
]
SHOP = {
    "kettle": {"price": 32, "stock": 4},
    "lamp": {"price": 18, "stock": 0},
    "chair": {"price": 75, "stock": 12},
    "clock": {"price": 27, "stock": 3},
    "mug": {"price": 6, "stock": 40},
}
TURNS = 3


def use(name: str, arguments: str) -> dict[str, Any]:
    """What a tool returns. Whatever the policy wrote, the answer is data, never an exception."""
    try:
        item = json.loads(arguments)["item"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return {"error": 'give {"item": "…"}'}
    if name != "look_up":
        return {"error": "there is only look_up"}
    return {"item": item, **SHOP[item]} if item in list(SHOP) else {"error": "no such item"}


async def rollout(policy: Any, row: dict[str, Any]) -> Trajectory:
    """One attempt: the policy calls the tool until it answers without. `policy.chat` is used like an OpenAI client."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": row["prompt"]}]
    for _ in range(TURNS):
        completion = await policy.chat(messages, tools=TOOLS)
        message = completion.choices[0].message.model_dump(exclude_none=True)
        messages.append(message)
        if not message.get("tool_calls"):
            break
        for call in message["tool_calls"]:
            result = use(call["function"]["name"], call["function"]["arguments"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
    return Trajectory(messages, tools=TOOLS)


def checker(trajectory: Trajectory, row: dict[str, Any]) -> float:
    """The truth, from 0 to 1: half for looking the right item up, half for the right answer. It draws a curve and tells how
    often the judge is right; the policy is not trained on it. Where nobody can compute the truth, leave it out."""
    results = [json.loads(m["content"]) for m in trajectory.messages if m["role"] == "tool"]
    last = trajectory.messages[-1]
    words = re.findall(r"\w+", (last.get("content") or "").lower()) if last["role"] == "assistant" else []
    looked_up = any(result.get("item") == row["item"] for result in results)
    return 0.5 * looked_up + 0.5 * (row["answer"] in words)
