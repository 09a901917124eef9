"""A chat completion as a server sent it: what it says, how it ended, what it cost."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ranker.errors import ContextLengthError, JudgeCallError, RankerError, VerdictError, scrub
from ranker.judges.provider_error import SHOWN, error_in_body, short
from ranker.judges.stream import is_stream, joined
from ranker.prompting.images import words_of
from ranker.prompting.prompt import Message
from ranker.runtime.reply_size import reply_text
from ranker.secrets import unhidden
from ranker.usage import Usage

_MOST_TOKENS = 2**40  # a larger count is no count
_LEAST_WINDOW = 1_900  # tokens; no server in use has less, and a smaller count is no count at all
_RUN = re.compile(r"(\W)\1+")
_NEAR_END = 8  # tokens that servers leave of their context
_CUT = {"length", "max_tokens", "max_output_tokens", "max_completion_tokens", "max_length", "model_length", "token_limit",
        "model_context_window_exceeded", "context_length", "incomplete"}  # fmt: skip
_WITHHELD = (
    "filter",
    "safety",
    "refus",
    "block",
    "prohibit",
    "recitation",
    "spii",
    "sensitive",
    "guardrail",
    "moderat",
)
_INTERRUPTED = ("error", "abort", "cancel", "insufficient_system_resource", "timeout", "overload")


@dataclass(frozen=True, slots=True)
class Completion:
    """The first choice of a chat completion.

    Attributes:
        content: the text of the message.
        reasoning: the text of its reasoning channel.
        arguments: what it passed to tools, as JSON text.
        refusal: the refusal in the message's field of that name.
        finish_reason: why the server stopped, as it put it; empty where it did not say.
        prompt_tokens, completion_tokens: the server's own counts, 0 where it gave none.
        cost_usd: None where unknown.
    """

    content: str
    reasoning: str = ""
    arguments: tuple[str, ...] = ()
    refusal: str = ""
    finish_reason: str = ""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None

    @property
    def reply(self) -> str:
        """Where the answer is to be looked for: the content and what was passed to tools; the reasoning only where
        there is neither, since drafts are its nature."""
        spoken = [text for text in (self.content, *self.arguments) if text.strip()]
        return "\n".join(spoken) or self.reasoning

    def scrubbed(self) -> Completion:
        """The same, its texts without credentials."""
        return replace(
            self,
            content=scrub(self.content),
            reasoning=scrub(self.reasoning),
            arguments=tuple(map(scrub, self.arguments)),
            refusal=scrub(self.refusal),
            finish_reason=scrub(self.finish_reason),
        )

    def usage(self, cost_usd: float | None, *, failed: bool = False) -> Usage:
        """What this one call used."""
        return Usage(1, 0, int(failed), self.prompt_tokens, self.completion_tokens, cost_usd)


def check_finished(
    completion: Completion, where: str, *, own_limit: int | None = None, window: int | None = None
) -> None:
    """Raise unless the model said all it had to say: no verdict may be read from anything less.

    Args:
        where: the judge, for messages.
        own_limit: tokens of a reply that were allowed though the user set no limit.
        window: the server's context in tokens, where known.

    Raises:
        VerdictError: the reply was cut off, withheld by a filter, or is a refusal. The same question would end the
            same way, so it is not asked again.
        JudgeCallError: retryable; the server broke off.
    """
    reason = completion.finish_reason.lower()
    shown = completion.content or completion.refusal or completion.reasoning
    if reason in _CUT:
        raise VerdictError(
            f"The reply of {where} was cut off after {completion.completion_tokens or 'an unknown number of'} tokens "
            f"(finish_reason {completion.finish_reason!r}), so it is no verdict. {_remedy(completion, own_limit, window)}",
            raw_text=shown,
        )
    if completion.refusal.strip() or any(word in reason for word in _WITHHELD):
        said = f": {short(completion.refusal).rstrip('.')}" if completion.refusal.strip() else ""
        ended = f" (finish_reason {completion.finish_reason!r})" if completion.finish_reason else ""
        raise VerdictError(
            f"{where} declined to answer{ended}{said}. Its filter or the model objects to these trajectories: look at "
            "them, use another judge, or skip the group.",
            raw_text=shown,
        )
    if any(word in reason for word in _INTERRUPTED):
        raise JudgeCallError(
            f"{where} broke off its reply (finish_reason {completion.finish_reason!r}).",
            retryable=True,
            may_be_billed=True,
        )


def check_whole(messages: Sequence[Message], completion: Completion) -> None:
    """Raise where the server read far fewer tokens than it was sent.

    Some servers (Ollama for one) cut a prompt that is longer than their window without a word, and the
    judge then ranks what it never saw. No tokenizer makes fewer tokens than a ninth of the characters of
    ordinary text, runs of one character aside.

    Raises:
        ContextLengthError: with what it read as its window.
    """
    read = completion.prompt_tokens
    if read < _LEAST_WINDOW or sum(len(words_of(m["content"])) for m in messages) < 9 * read:
        return
    sent = sum(len(_RUN.sub(r"\1", words_of(m["content"]))) for m in messages)
    if sent >= 9 * read:
        raise ContextLengthError(
            f"The server read {read} tokens of a prompt of {sent} characters: it cuts prompts to its window "
            "without saying so. Raise its context length, or set context_window to it.",
            window=read,
        )


def _remedy(completion: Completion, own_limit: int | None, window: int | None) -> str:
    """What to do about a reply that was cut off: a runaway is named as one."""
    wrote, read = completion.completion_tokens, completion.prompt_tokens
    if own_limit is not None and wrote >= own_limit:
        return (
            f"It ran away: {own_limit:,} tokens is Ranker's limit where max_tokens is not set, and a verdict takes a few "
            "hundred. Set max_tokens if the model reasons at such length; else let it reason less, or use a stronger one."
        )
    if window is not None and read and read + wrote >= window - _NEAR_END:
        return (
            f"It ran away, to the end of the context of {window:,} tokens, of which the prompt took {read:,}. Serve the model "
            "with a longer context if it reasons; else set max_tokens, let it reason less, rank smaller groups, or use a "
            "stronger one."
        )
    return "Raise max_tokens or the server's own limit, let the model reason less, or rank smaller groups."


def read_completion(raw: bytes, where: str, key: str | None = None) -> Completion:
    """Read the JSON of a chat completion, or the events of one that was streamed though nobody asked for that.

    Args:
        where: the judge, for messages.
        key: kept out of messages.

    Raises:
        JudgeCallError: the body tells of an error, or is no chat completion; its usage holds the tokens that the
            body reports.
        ContextLengthError: the error is that the prompt is too long.
    """
    body: Any = None
    fault: Any = TypeError("not an object")
    try:
        text = reply_text(raw)
        body = joined(text) if is_stream(text) else json.loads(text)
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        fault = error
    if not isinstance(body, dict):  # not while the decoder's exception is handled: it holds the body
        raise _not_a_completion(raw, where, key, fault)
    read, wrote = _counts(body.get("usage"))
    choices = body.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    fault = choice.get("error") or body.get("error") or (body if body.get("object") == "error" else None)
    try:
        if fault:
            raise error_in_body(fault, where, key)
        try:
            return _first_choice(choice, read, wrote)
        except (KeyError, TypeError, AttributeError) as error:
            raise _not_a_completion(raw, where, key, error) from None
    except RankerError as error:
        raise error.spent(Usage(1, 0, 1, read, wrote)) from None


def _first_choice(choice: Mapping[str, Any], read: int, wrote: int) -> Completion:
    message = choice["message"]
    content, reasoning, refusal = _content(message.get("content"))
    for key in ("reasoning_content", "reasoning"):
        value = message.get(key)
        if isinstance(value, str) and value.strip():
            reasoning = value
            break
    calls = message.get("tool_calls") or ()
    calls = [*calls, {"function": message["function_call"]}] if message.get("function_call") else calls
    declined = message.get("refusal")
    return Completion(
        unhidden(content),
        unhidden(reasoning),
        tuple(unhidden(text) for text in map(_arguments, calls) if text),
        unhidden(declined if isinstance(declined, str) and declined.strip() else refusal),
        unhidden(_finish_reason(choice)),
        read,
        wrote,
    )


def _content(content: Any) -> tuple[str, str, str]:
    """Text, reasoning and refusal of a message's content, which may be text, parts, or the verdict itself."""
    if content is None:
        return "", "", ""
    if isinstance(content, str):
        return content, "", ""
    if isinstance(content, dict):  # servers that parse the JSON they were asked for
        return json.dumps(content), "", ""
    texts: dict[str, list[str]] = {"text": [], "reasoning": [], "refusal": []}
    for part in content:
        kind = "text" if isinstance(part, str) else str(part.get("type", "text"))
        if kind == "refusal":
            texts["refusal"].append(str(part.get("refusal") or ""))
        elif "think" in kind or "reason" in kind:
            texts["reasoning"] += [v for k in ("thinking", "text", "reasoning") for v in _texts(part.get(k))]
        else:
            texts["text"] += _texts(part if isinstance(part, str) else part.get("text"))
    return "".join(texts["text"]), "".join(texts["reasoning"]), "".join(texts["refusal"])


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    parts = value if isinstance(value, list) else []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]


def _arguments(call: Any) -> str:
    spec = call.get("function") if isinstance(call.get("function"), dict) else call
    value = next((spec[k] for k in ("arguments", "parameters", "args", "input") if spec.get(k)), "")
    return value if isinstance(value, str) else json.dumps(value)


def _finish_reason(choice: Mapping[str, Any]) -> str:
    """Why generation stopped; a gateway's word for it may hide that of the provider behind it."""
    details = choice.get("finish_details")
    reasons = [
        choice.get("finish_reason"),
        choice.get("native_finish_reason"),
        details.get("type") if isinstance(details, dict) else None,
    ]
    names = [reason for reason in reasons if isinstance(reason, str) and reason]
    return next((name for name in names if name.lower() in _CUT), names[0] if names else "")


def _counts(usage: Any) -> tuple[int, int]:
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get(k) for k in ("prompt_tokens", "completion_tokens")]
    read, wrote = (c if type(c) is int and 0 <= c < _MOST_TOKENS else 0 for c in counts)
    return read, wrote


def _not_a_completion(raw: bytes, where: str, key: str | None, error: Exception) -> JudgeCallError:
    start = short(scrub(raw[:SHOWN].decode("utf-8", "replace"), key), 200)
    return JudgeCallError(
        f"What {where} sent is not a chat completion in UTF-8 JSON ({type(error).__name__}); it starts "
        f"with {start!r}. Check that the base URL is the server's OpenAI-compatible one (often …/v1).",
        retryable=True,
        may_be_billed=True,
    )
