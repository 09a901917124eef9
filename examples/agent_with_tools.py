"""Train an agent that uses a tool over several turns: it finds a number from 1 to 20 by asking higher or lower.

    pip install '.[train]'
    RANKER_JUDGE=openai/gpt-5-mini python examples/agent_with_tools.py

An attempt is whatever the async function `rollout` does with `policy.chat`, which is called as an OpenAI client is.
The judge reads whole transcripts and orders them; nobody writes a reward. `checker` knows the truth, which is only
logged: its curve, and how often the judge agrees with it, are in agent-run/.
"""

from __future__ import annotations

import json
from functools import partial

from grpo import GRPOConfig, GRPOTrainer
from ranker import Trajectory, rank_group

MOST = 6
number = {"type": "object", "properties": {"number": {"type": "integer"}}, "required": ["number"]}
TOOLS = [
    {"type": "function", "function": {"name": "guess", "description": "Guess it.", "parameters": number}}
]
ROWS = [
    {"prompt": "Find my number from 1 to 20 with the tool, in few guesses.", "secret": n}
    for n in range(1, 21)
]


def answer(arguments: str, secret: int) -> str:
    try:
        guess = int(json.loads(arguments)["number"])
    except (ValueError, KeyError, TypeError):
        return 'give {"number": N}'
    return "right" if guess == secret else "higher" if guess < secret else "lower"


async def rollout(policy, row):
    messages = [{"role": "user", "content": row["prompt"]}]
    for _ in range(MOST):
        message = (await policy.chat(messages, tools=TOOLS)).choices[0].message.model_dump(exclude_none=True)
        messages.append(message)
        for call in message.get("tool_calls") or []:
            said = answer(call["function"]["arguments"], row["secret"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": said})
        if messages[-1]["content"] == "right" or messages[-1] is message:
            break
    return Trajectory(messages, tools=TOOLS)


def checker(trajectory: Trajectory, row: dict) -> float:
    said = [m["content"] for m in trajectory.messages if m["role"] == "tool"]
    return 1 - (len(said) - 1) / MOST if "right" in said else 0.0


judge = partial(rank_group, rubric="Prefer the attempt that found the number, and in fewer guesses.")
config = GRPOConfig(lora_r=16, learning_rate=1e-4, max_steps=100, max_completion_length=64)
GRPOTrainer(
    "Qwen/Qwen2.5-0.5B-Instruct", dataset=ROWS, reward_fn=judge, rollout=rollout, checker=checker, config=config, out="agent-run"
).train()  # fmt: skip
