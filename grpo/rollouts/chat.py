"""The policy as a rollout sees it: it chats like an OpenAI client and keeps every token it read and wrote."""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from grpo.errors import ContextError
from grpo.rollouts.engine import Completion, Sampler
from grpo.rollouts.replies import read_reply
from grpo.rollouts.turns import Reply, turns_of
from grpo.types import TokenSequence
from ranker import ConfigurationError, GroupError, Trajectory
from ranker.message import plain_messages
from ranker.plain import plain, unarrayed
from ranker.prompting.escaping import encodable
from ranker.prompting.tool_calls import openai_call

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletion
    from transformers import PreTrainedTokenizerBase


_IDLE = {
    "tool_choice": "auto",
    "n": 1,
    "stream": False,
    "store": False,
}  # settings that ask for what is done anyway
_SAMPLING = {"temperature", "top_p", "top_k", "min_p", "seed"}


@dataclass(slots=True)
class _Thread:
    """A conversation that only ever grew at its end."""

    messages: list[dict[str, Any]]
    tools: list[Any] | None
    prompt_text: str
    tokens: list[int] = field(default_factory=list)
    sampled: list[bool] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    support: list[np.ndarray] = field(default_factory=list)
    ended: bool = True
    busy: bool = False

    def add(self, tokens: list[int], logps: list[float] | None = None) -> None:
        """Add tokens; without log-probs they were not sampled."""
        self.tokens += tokens
        self.sampled += [logps is not None] * len(tokens)
        self.logps += [0.0] * len(tokens) if logps is None else logps


class Policy:
    """The policy as one rollout sees it: a chat client that keeps the tokens it sampled.

    Attributes:
        truncated: whether a reply was cut off by `max_completion_length` or the context.
    """

    def __init__(self, engine: Sampler, tokenizer: PreTrainedTokenizerBase, random: np.random.Generator):
        self._engine = engine
        self._tokenizer = tokenizer
        self._random = random
        self._threads: list[_Thread] = []
        self._calls = itertools.count()
        self._asked = itertools.count()
        self._replies: list[tuple[int, Reply]] = []
        self.truncated = False

    async def chat(
        self,
        messages: Sequence[Any],
        tools: Sequence[Any] | None = None,
        max_completion_tokens: int | None = None,
        model: str | None = None,
        max_tokens: int | None = None,
        **settings: Any,
    ) -> ChatCompletion:
        """Ask the policy for the next message of a conversation, as with an OpenAI client.

        Messages that continue an earlier call of this rollout (its messages, the reply, then tool
        results or user messages) continue its tokens: the reply stays as it was sampled, and only the
        new messages are tokenised. Anything else starts a new run of tokens.

        Args:
            max_completion_tokens, max_tokens: fewer than the configured `max_completion_length`, if you like.
            model: ignored, so that code written for a client works; so are settings that change nothing
                (`tool_choice="auto"`, `n=1`, `stream=False`, None).

        Raises:
            ConfigurationError: the tokenizer has no chat template; a sampling setting was given (all
                rollouts sample alike, as configured).
            ContextError: the conversation is longer than the model's context.
        """
        wrong = {k: v for k, v in settings.items() if v is not None and _IDLE.get(k, _IDLE) != v}
        if wrong:
            remedy = (
                "Set temperature, top_p, top_k and min_p in GRPOConfig."
                if wrong.keys() & _SAMPLING
                else "Leave it out."
            )
            raise ConfigurationError(
                f"policy.chat does not take {', '.join(sorted(wrong))}: all rollouts sample alike. {remedy}"
            )
        max_completion_tokens = max_completion_tokens or max_tokens
        tools = list(plain(unarrayed(tools)) or ()) or None
        conversation = [
            _rendered(message) for message in plain_messages(unarrayed(messages), "the conversation")
        ]
        text = self._render(conversation, tools, more=True)
        thread = self._continued(conversation, tools, text)
        if thread is None:
            thread = self._begin(conversation, tools, text, self._encode(text))
        thread.messages, thread.prompt_text = conversation, text
        number = next(self._asked)
        sampled = await self._sample(thread, max_completion_tokens)
        message = self._message(sampled, text, tools)
        thread.messages = [*conversation, *map(_rendered, plain_messages([message], "the reply"))]
        self._keep(number, thread.messages, thread, sampled)
        return _completion(message, sampled, len(thread.tokens) - len(sampled.tokens))

    async def complete(self, text: str) -> str:
        """Continue a text, with no chat template."""
        thread = self._begin([], None, text, self._encode(text, special=True))
        number = next(self._asked)
        sampled = await self._sample(thread, None)
        reply = self._decode(sampled)
        self._keep(number, [{"role": "assistant", "content": reply}], thread, sampled)
        return reply

    @property
    def sequences(self) -> tuple[TokenSequence, ...]:
        """The tokens of this rollout so far."""
        return tuple(
            TokenSequence(
                np.array(t.tokens, dtype=np.int64),
                np.array(t.sampled, dtype=bool),
                np.array(t.logps, dtype=np.float32),
                tuple(t.support),
            )
            for t in self._threads
            if any(t.sampled)
        )

    def sequences_of(self, trajectory: Trajectory) -> tuple[tuple[TokenSequence, ...], tuple[int, ...]]:
        """The tokens of this rollout, each with its turn of what the rollout returned; and the turns that were sampled here,
        in the order in which they were asked for."""
        replies = [reply for _, reply in sorted(self._replies, key=lambda pair: pair[0])]
        turns = turns_of(replies, trajectory, _comparable)
        turns_T = [np.full(len(t.tokens), -1, dtype=np.int64) for t in self._threads]
        for reply, turn in zip(replies, turns, strict=True):
            turns_T[reply.thread][reply.start : reply.end] = -1 if turn is None else turn
        kept = [turns_T[i] for i, t in enumerate(self._threads) if any(t.sampled)]
        told = (replace(s, turns_N=of_T[s.sampled_T]) for s, of_T in zip(self.sequences, kept, strict=True))
        return tuple(told), tuple(turn for turn in turns if turn is not None)

    def _keep(
        self, number: int, conversation: list[dict[str, Any]], thread: _Thread, sampled: Completion
    ) -> None:
        """Keep where a reply stands, with the number of the request for it."""
        place = next(i for i, t in enumerate(self._threads) if t is thread)
        end = len(thread.tokens)
        self._replies.append((number, Reply(conversation, place, end - len(sampled.tokens), end)))

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
        sampled = await engine.generate(
            np.array(thread.tokens, dtype=np.int64), random, limit if most is None else min(most, limit)
        )
        thread.busy = False
        thread.add(sampled.tokens, sampled.logps)
        thread.support += sampled.support
        thread.ended = sampled.ended
        self.truncated = self.truncated or not sampled.ended
        return sampled

    def _continued(
        self, conversation: list[dict[str, Any]], tools: list[Any] | None, text: str
    ) -> _Thread | None:
        """The thread these messages continue, its tokens brought up to the next reply."""
        for thread in reversed(self._threads):
            known = len(thread.messages)
            if (
                thread.busy
                or not known  # a text that was continued is no conversation
                or tools != thread.tools
                or known >= len(conversation)
                or thread.messages != conversation[:known]
            ):
                continue
            so_far = self._render(conversation[:known], tools, more=False)
            if not (text.startswith(so_far) and so_far.startswith(thread.prompt_text)):
                continue  # the template rewrites what came before
            reply = so_far[len(thread.prompt_text) :]
            known_ends = {self._tokenizer.decode([e]) for e in self._engine.ends} | {
                self._tokenizer.eos_token
            }
            at, end = max((reply.rfind(e), e) for e in known_ends if e)
            # What the template puts after a reply; its end token only where none was sampled.
            after = "" if at < 0 else reply[at + len(end) :] if thread.ended else reply[at:]
            thread.add(self._encode(after + text[len(so_far) :]))
            return thread
        return None

    def _begin(
        self, messages: list[dict[str, Any]], tools: list[Any] | None, text: str, tokens: list[int]
    ) -> _Thread:
        thread = _Thread(messages, tools, text)
        thread.add(tokens)
        self._threads.append(thread)
        return thread

    def _render(self, messages: list[dict[str, Any]], tools: list[Any] | None, more: bool) -> str:
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
        return list(self._tokenizer(encodable(text), add_special_tokens=special)["input_ids"])

    def _decode(self, sampled: Completion) -> str:
        ids = sampled.tokens[:-1] if sampled.ended else sampled.tokens
        return str(self._tokenizer.decode(ids, skip_special_tokens=True))

    def _message(self, sampled: Completion, prompt: str, tools: list[Any] | None) -> dict[str, Any]:
        reply = read_reply(self._tokenizer, sampled.tokens, sampled.ended, prompt, tools)
        message: dict[str, Any] = {**reply.more, "role": "assistant", "content": reply.content}
        if reply.calls:
            message["tool_calls"] = [
                {
                    "id": f"call_{next(self._calls)}",
                    "type": "function",
                    "function": {"name": encodable(c["name"]), "arguments": _text(c["arguments"])},
                }
                for c in reply.calls
            ]
        return message


def _text(arguments: Any) -> str:
    return encodable(arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False))


def _rendered(message: dict[str, Any]) -> dict[str, Any]:
    """As chat templates want a message: text for its content, arguments of tool calls as objects, no empty fields."""
    rendered = {k: v for k, v in message.items() if v is not None or k == "content"}
    rendered["content"] = _words(rendered.get("content"))
    if rendered.get("tool_calls"):
        rendered["tool_calls"] = [_with_object(call) for call in rendered["tool_calls"]]
    else:
        rendered.pop("tool_calls", None)
    return rendered


def _comparable(message: Mapping[str, Any]) -> dict[str, Any]:
    """The same of any message: one that no template could be given is none that the policy read or wrote."""
    try:
        return _rendered(dict(message))
    except GroupError:
        return {"role": message["role"], "content": json.dumps(message, default=str)}


def _words(content: Any) -> str:
    """Parts that are text as one text: what templates of text models take."""
    if not content or isinstance(content, str):
        return content or ""
    words = [part if isinstance(part, str) else part.get("text") for part in content]
    if not all(isinstance(text, str) for text in words):
        raise GroupError(
            "The policy reads text only, and a message has a content part that is none: leave images and the like out of "
            "its conversation, and write tool calls and results in OpenAI's format."
        )
    return "\n".join(words)


def _with_object(call: Any) -> Any:
    usual = isinstance(call, dict) and isinstance(call.get("function"), dict)
    spoken = call if usual else openai_call(call)
    if spoken is None:
        raise GroupError(
            "A chat template can only be given calls of functions; write "
            '{"id": "…", "type": "function", "function": {"name": "…", "arguments": "{}"}}.'
        )
    function = spoken["function"]
    return {**spoken, "function": {**function, "arguments": _object(function.get("arguments"))}}


def _object(arguments: Any) -> Any:
    try:
        return json.loads(arguments) if isinstance(arguments, str) else arguments
    except ValueError:
        return arguments


def _completion(message: dict[str, Any], sampled: Completion, prompt_tokens: int) -> ChatCompletion:
    from openai.types.chat import ChatCompletion

    reason = "length" if not sampled.ended else "tool_calls" if message.get("tool_calls") else "stop"
    usage = {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": len(sampled.tokens),
        "total_tokens": prompt_tokens + len(sampled.tokens),
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
