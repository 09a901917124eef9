"""The policy as a rollout sees it: it chats like an OpenAI client and keeps every token it read and wrote."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence as Seq
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from grpo.errors import ContextError
from grpo.rollouts.engine import Completion, Sampler
from grpo.types import Sequence
from ranker import ConfigurationError
from ranker.message import plain_message

_CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)


@dataclass(slots=True)
class _Thread:
    """A conversation that only ever grew at its end."""

    messages: list[dict[str, Any]]
    tools: Any
    prompt_text: str
    tokens: list[int]
    sampled: list[bool]
    logps: list[float]
    kept: list[np.ndarray] = field(default_factory=list)
    ended: bool = True
    busy: bool = False


class Policy:
    """One rollout's hold on the policy.

    Attributes:
        truncated: whether a reply was cut off by `max_completion_length` or the context.
    """

    def __init__(self, engine: Sampler, tokenizer: Any, random: np.random.Generator):
        self._engine = engine
        self._tokenizer = tokenizer
        self._random = random
        self._threads: list[_Thread] = []
        self._calls = itertools.count()
        self.truncated = False

    async def chat(
        self,
        messages: Seq[Any],
        tools: Seq[Any] | None = None,
        max_completion_tokens: int | None = None,
        model: str | None = None,
        **settings: Any,
    ) -> Any:
        """Ask the policy for the next message of a conversation, as with an OpenAI client.

        Messages that continue an earlier call of this rollout (its messages, the reply, then tool
        results or user messages) continue its tokens: the reply stays as it was sampled, and only the
        new messages are tokenised. Anything else starts a new run of tokens.

        Args:
            max_completion_tokens: fewer than the configured `max_completion_length`, if you like.
            model: ignored, so that code written for a client works.

        Returns:
            an `openai.types.chat.ChatCompletion`.

        Raises:
            ConfigurationError: the tokenizer has no chat template; a sampling setting was given (all
                rollouts sample alike, as configured).
            ContextError: the conversation is longer than the model's context.
        """
        if settings:
            raise ConfigurationError(
                f"policy.chat does not take {', '.join(sorted(settings))}: all rollouts sample alike. "
                "Set temperature, top_p, top_k and min_p in GRPOConfig."
            )
        tools = list(tools) if tools else None
        given = [_rendered(plain_message(m, f"message {i}")) for i, m in enumerate(messages)]
        text = self._render(given, tools, more=True)
        thread = self._continued(given, tools, text)
        if thread is None:
            tokens = self._encode(text)
            thread = _Thread(given, tools, text, tokens, [False] * len(tokens), [0.0] * len(tokens))
            self._threads.append(thread)
        thread.messages, thread.prompt_text = given, text
        made = await self._sample(thread, max_completion_tokens)
        message = self._message(made)
        thread.messages = [*given, _rendered(plain_message(message, "reply"))]
        return _completion(message, made, len(thread.tokens) - len(made.tokens))

    async def complete(self, text: str) -> str:
        """Continue a text, with no chat template."""
        tokens = self._encode(text, special=True)
        thread = _Thread([], None, text, tokens, [False] * len(tokens), [0.0] * len(tokens))
        self._threads.append(thread)
        return self._decode(await self._sample(thread, None))

    @property
    def sequences(self) -> tuple[Sequence, ...]:
        """The tokens of this rollout so far."""
        return tuple(
            Sequence(
                np.array(t.tokens, dtype=np.int64),
                np.array(t.sampled, dtype=bool),
                np.array(t.logps, dtype=np.float32),
                tuple(t.kept),
            )
            for t in self._threads
            if any(t.sampled)
        )

    async def _sample(self, thread: _Thread, most: int | None) -> Completion:
        engine = self._engine
        if engine.context is not None and len(thread.tokens) >= engine.context:
            raise ContextError(
                f"The prompt has {len(thread.tokens)} tokens and the model's context {engine.context}; "
                "shorten the prompt or the tool results, or take a model with a longer context."
            )
        limit = engine.sampling.max_completion_length
        (random,) = self._random.spawn(1)  # of its own: replies side by side do not depend on each other
        thread.busy = True
        made = await engine.generate(
            np.array(thread.tokens, dtype=np.int64), random, limit if most is None else min(most, limit)
        )
        thread.busy = False
        thread.tokens += made.tokens
        thread.sampled += [True] * len(made.tokens)
        thread.logps += made.logps
        thread.kept += made.kept
        thread.ended = made.ended
        self.truncated = self.truncated or not made.ended
        return made

    def _continued(self, given: list[dict[str, Any]], tools: Any, text: str) -> _Thread | None:
        """The thread these messages continue, its tokens brought up to the next reply."""
        for thread in reversed(self._threads):
            known = len(thread.messages)
            if (
                thread.busy
                or tools != thread.tools
                or known >= len(given)
                or thread.messages != given[:known]
            ):
                continue
            so_far = self._render(given[:known], tools, more=False)
            if not (text.startswith(so_far) and so_far.startswith(thread.prompt_text)):
                continue  # the template rewrites what came before
            reply = so_far[len(thread.prompt_text) :]
            known_ends = {self._tokenizer.decode([e]) for e in self._engine.ends} | {
                self._tokenizer.eos_token
            }
            at, end = max((reply.rfind(e), e) for e in known_ends if e)
            # What the template puts after a reply; its end token only where none was sampled.
            after = "" if at < 0 else reply[at + len(end) :] if thread.ended else reply[at:]
            more = self._encode(after + text[len(so_far) :])
            thread.tokens += more
            thread.sampled += [False] * len(more)
            thread.logps += [0.0] * len(more)
            return thread
        return None

    def _render(self, messages: list[dict[str, Any]], tools: Any, more: bool) -> str:
        if not getattr(self._tokenizer, "chat_template", None):
            raise ConfigurationError(
                "The model's tokenizer has no chat template, so it cannot be given messages: use an "
                "instruction-tuned model, set tokenizer.chat_template, or give prompts as strings."
            )
        text: str = self._tokenizer.apply_chat_template(
            messages, tools=tools, add_generation_prompt=more, tokenize=False
        )
        return text

    def _encode(self, text: str, special: bool = False) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=special)["input_ids"])

    def _decode(self, made: Completion) -> str:
        ids = made.tokens[:-1] if made.ended else made.tokens
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _message(self, made: Completion) -> dict[str, Any]:
        text = self._decode(made)
        if getattr(self._tokenizer, "response_schema", None):
            parsed = dict(self._tokenizer.parse_response(text))
            calls = [c.get("function", c) for c in parsed.get("tool_calls") or []]
            content = parsed.get("content")
        else:
            content, calls = parse_calls(text)
        message: dict[str, Any] = {"role": "assistant", "content": content}
        if calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{next(self._calls)}",
                    "type": "function",
                    "function": {"name": c["name"], "arguments": _text(c.get("arguments", {}))},
                }
                for c in calls
            ]
        return message


def parse_calls(text: str) -> tuple[str | None, list[dict[str, Any]]]:
    """Content and tool calls of a reply in the Hermes form, ``<tool_call>{"name": …, "arguments": …}</tool_call>``.

    A call that is no JSON object with a name stays text: what the policy did not say is not made up.
    """
    calls: list[dict[str, Any]] = []

    def take(match: re.Match[str]) -> str:
        try:
            call = json.loads(match[1])
        except (ValueError, RecursionError):
            return match[0]
        if not isinstance(call, dict) or not isinstance(call.get("name"), str):
            return match[0]
        calls.append(call)
        return ""

    content = _CALL.sub(take, text)
    if calls:
        content = content.strip()
    return content or (None if calls else ""), calls


def _text(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)


def _rendered(message: dict[str, Any]) -> dict[str, Any]:
    """As chat templates want a message: arguments of tool calls as objects, no empty fields."""
    made = {k: v for k, v in message.items() if v is not None or k == "content"}
    made["content"] = made.get("content") or ""
    if made.get("tool_calls"):
        made["tool_calls"] = [
            {
                **call,
                "function": {**call["function"], "arguments": _object(call["function"].get("arguments"))},
            }
            for call in made["tool_calls"]
        ]
    else:
        made.pop("tool_calls", None)
    return made


def _object(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def _completion(message: dict[str, Any], made: Completion, prompt_tokens: int) -> Any:
    from openai.types.chat import ChatCompletion

    reason = "length" if not made.ended else "tool_calls" if message.get("tool_calls") else "stop"
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(made.tokens),
        "total_tokens": prompt_tokens + len(made.tokens),
    }
    return ChatCompletion.model_validate(
        {
            "id": "rollout",
            "object": "chat.completion",
            "created": 0,
            "model": "policy",
            "choices": [{"index": 0, "message": message, "finish_reason": reason, "logprobs": None}],
            "usage": usage,
        }
    )
