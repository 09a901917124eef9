"""A judge server that counts, refuses and cuts as vLLM does: a context for prompt and reply together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.scripted_server import ScriptedServer, chat

Writes = Callable[[dict[str, Any], int], str]


def tokens(text: str) -> int:
    return len(text) // 4 + 1


class VLLMJudge(ScriptedServer):
    """`writes(body, n)` is what the model would write to request n without a limit; it ends where the context does.

    Args:
        window: max_model_len, which the model list tells.
        version: how it words a refusal, and what it refuses: "0.32" only a prompt that is too long, "0.11" and "0.6" also
            one that is too long together with `max_tokens`.
    """

    def __init__(self, writes: Writes, window: int, version: str = "0.32"):
        self.refused: list[str] = []
        self.limits: list[int | None] = []

        def answer(body: dict[str, Any], n: int) -> Any:
            limit = body.get("max_tokens")
            self.limits.append(limit)
            prompt = sum(tokens(m["content"]) + 4 for m in body["messages"])
            asked = (limit or 1) if version != "0.32" else 0
            if prompt + asked > window:
                words = refusal(version, window, prompt, limit or 1)
                self.refused.append(words)
                return 400, {"error": {"message": words, "type": "BadRequestError", "code": 400}}
            text = writes(body, n)
            room = min(limit or window, window - prompt)
            wrote = min(tokens(text), room)
            finish = "stop" if wrote == tokens(text) else "length"
            return chat(text[: 4 * wrote], finish, tokens=(prompt, wrote))

        card = {"id": "m", "object": "model", "parent": None, "max_model_len": window}
        super().__init__(answer, {"object": "list", "data": [card]})


def refusal(version: str, window: int, prompt: int, limit: int) -> str:
    if version == "0.6":
        return (
            f"This model's maximum context length is {window} tokens. However, you requested {prompt + limit} tokens ({prompt} in "
            f"the messages, {limit} in the completion). Please reduce the length of the messages or completion."
        )
    if version == "0.11":
        return (
            f"You passed {prompt} input tokens and requested {limit} output tokens. However, the model's context length is only "
            f"{window} tokens, resulting in a maximum input length of {window - limit} tokens. Please reduce the length of the "
            f"input prompt. (parameter=input_tokens, value={prompt})"
        )
    return (
        f"This model's maximum context length is {window} tokens. However, your prompt contains {prompt} input tokens, which exceeds "
        f"this limit even without any output tokens. Please reduce the length of the input prompt. (parameter=input_tokens, value={prompt})"
    )
