"""A model in this process that writes its verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ranker.errors import JudgeError
from ranker.judges.credit import cannot_name_turns
from ranker.judges.local.model import Dtype, LocalModel, chat_pieces, encode
from ranker.judges.local.models import DEFAULT
from ranker.judges.options import check_numbers
from ranker.judges.prompted import PromptedJudge, Reply
from ranker.prompting.prompt import Message
from ranker.runtime.budget import Budget
from ranker.usage import Usage


class LocalJudge(PromptedJudge):
    """A transformers model in this process, on a GPU where there is one, that writes its verdict
    under token masks, so that every verdict is well-formed.

    Args:
        model: a known name (see `ranker models`), a folder of safetensors, a GGUF file or a hub name;
            None for SmolLM2-135M-Instruct, which is at chance when asked to write a verdict.
        context_window: tokens; None for what the model's config says.
        reason_tokens: the longest reason for one trajectory.
        device, dtype: see `LocalModel`.

    The other arguments are PromptedJudge's.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        context_window: int | None = None,
        reason_tokens: int = 24,
        device: str | None = None,
        dtype: Dtype = "auto",
        **prompting: Any,
    ):
        if prompting.get("credit") is not None:
            raise cannot_name_turns(f"local:{model or DEFAULT}")
        check_numbers(**prompting, context_window=context_window, reason_tokens=reason_tokens)
        super().__init__(**{"max_reasks": 0, "max_group": 16, **prompting})
        self._named = model or DEFAULT
        self._local = LocalModel(model, device=device, dtype=dtype)
        self._context_window = context_window
        self._reason_tokens = reason_tokens

    @property
    def name(self) -> str:
        return f"local:{self._named}"

    def identity(self) -> dict[str, Any]:
        return {"local": self._local.label, "dtype": self._local.dtype, "reason_tokens": self._reason_tokens}

    async def window(self) -> int:
        loaded = await self._local.run(self._local.load)
        return int(min(loaded.window, self._context_window or loaded.window))

    def count(self, text: str) -> int:
        return self._local.load().count(text)

    async def complete(self, messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply:
        async with budget.reserve(0.0):
            reply: Reply = await self._local.run(self._generate, list(messages), list(ids))
            return reply

    def _generate(self, messages: list[Message], ids: list[str]) -> Reply:
        from ranker.judges.local.constrained_decoding import ConstrainedDecoder

        loaded = self._local.load()
        prompt_P = _tokenize(loaded.tokenizer, messages)
        decoder = ConstrainedDecoder(loaded.model, loaded.tokenizer, prompt_P)
        try:
            text = decoder.reply(ids, self.form, self._reason_tokens)
        except (RuntimeError, MemoryError) as error:  # out of memory, mostly
            spent = Usage(calls=1, failed_calls=1)
            raise JudgeError(
                f"{self.name} failed on a prompt of {len(prompt_P)} tokens: {error}. Use smaller groups or a "
                "smaller context_window."
            ).spent(spent) from error
        read = len(prompt_P)
        return Reply(text, Usage(1, 0, 0, read, decoder.written - read), "constrained")


def _tokenize(tokenizer: Any, messages: Sequence[Message]) -> Any:
    """Token ids of a chat, shape (P,); nothing in a message becomes a special token."""
    import torch

    pieces = chat_pieces(tokenizer, messages)
    return torch.tensor([i for text, foreign in pieces for i in encode(tokenizer, text, foreign)])
