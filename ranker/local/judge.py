"""A judge that runs in this process."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from ranker.budget import Budget
from ranker.errors import ConfigurationError, JudgeError
from ranker.models import DEFAULT, KNOWN, WEAK, find_model, require_local
from ranker.prompt import Message
from ranker.prompted import PromptedJudge, Reply
from ranker.usage import Usage

log = logging.getLogger("ranker")


class LocalJudge(PromptedJudge):
    """A transformers model in this process, on a GPU where there is one, that writes its verdict
    under token masks, so that every verdict is well-formed.

    Args:
        model: a known name (see `ranker models`), a folder of safetensors, a GGUF file or a hub name;
            None for the embedded default, SmolLM2-135M-Instruct, which is a weak judge.
        context_window: tokens; None for what the model's config says.
        reason_tokens: the longest reason for one trajectory.
        device: a torch device; None for the first GPU, else the CPU.

    The other arguments are PromptedJudge's.
    """

    def __init__(
        self,
        model: str | None = None,
        *,
        context_window: int | None = None,
        reason_tokens: int = 24,
        device: str | None = None,
        **prompting: Any,
    ):
        super().__init__(**{"max_reasks": 0, "max_group": 16, **prompting})
        require_local()
        self._named = model or DEFAULT
        self._path, self._label = find_model(model, report=log.warning)
        self._context_window = context_window
        self._reason_tokens = reason_tokens
        self._device = device
        self._lock = threading.Lock()
        self._loaded: tuple[Any, Any] | None = None
        # One model, one thread: torch already spreads a forward pass over the cores.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ranker-local")
        if self._named in (DEFAULT, "smollm2"):
            _warn_once()

    @property
    def name(self) -> str:
        return f"local:{self._named}"

    def identity(self) -> dict[str, Any]:
        return {"local": self._label, "reason_tokens": self._reason_tokens}

    async def window(self) -> int:
        model, _ = await self._in_thread(self._load)
        if self._context_window is not None:
            return self._context_window
        config = getattr(model.config, "text_config", model.config)
        return int(getattr(config, "max_position_embeddings", None) or 2048)

    def count(self, text: str) -> int:
        _, tokenizer = self._load()
        return len(tokenizer.encode(text, add_special_tokens=False))

    async def complete(self, messages: Sequence[Message], ids: Sequence[str], budget: Budget) -> Reply:
        async with budget.reserve(0.0):
            reply: Reply = await self._in_thread(self._generate, list(messages), list(ids))
            return reply

    async def _in_thread(self, function: Any, *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def _generate(self, messages: list[Message], ids: list[str]) -> Reply:
        from ranker.decode import Writer

        model, tokenizer = self._load()
        prompt_P = _tokenize(tokenizer, messages)
        writer = Writer(model, tokenizer, prompt_P)
        try:
            text = writer.reply(ids, self.form, self._reason_tokens)
        except RuntimeError as error:  # out of memory, mostly
            spent = Usage(calls=1, failed_calls=1)
            raise JudgeError(
                f"{self.name} failed on a prompt of {len(prompt_P)} tokens: {error}. Use smaller groups or a "
                "smaller context_window."
            ).spent(spent) from error
        read = len(prompt_P)
        return Reply(text, Usage(1, 0, 0, read, writer.written - read), "constrained")

    def _load(self) -> tuple[Any, Any]:
        with self._lock:
            if self._loaded is None:
                transformers = require_local()
                import torch

                device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
                dtype = torch.float32 if device == "cpu" else torch.bfloat16
                try:
                    tokenizer = transformers.AutoTokenizer.from_pretrained(self._path)
                    model = transformers.AutoModelForCausalLM.from_pretrained(self._path, dtype=dtype)
                except (OSError, ValueError) as error:
                    first = str(error).strip().splitlines()[0]
                    raise ConfigurationError(
                        f"The local judge {self._named!r} cannot be loaded: {first} Give a folder of "
                        f"safetensors, a GGUF file, a hub name, or one of {', '.join(KNOWN)}."
                    ) from error
                self._loaded = model.to(device).eval(), tokenizer
            return self._loaded


@cache
def _warn_once() -> None:
    log.warning("The local judge %s is %s.", DEFAULT, WEAK)


def _tokenize(tokenizer: Any, messages: list[Message]) -> Any:
    """Token ids of a chat, shape (P,). Templates without a system role get it in the user's turn;
    models without a template get plain text."""
    import torch

    if tokenizer.chat_template is None:
        text = "\n\n".join(m["content"] for m in messages) + "\n\n"
        return torch.tensor(tokenizer.encode(text))
    try:
        made = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True)
    except Exception:  # jinja2 raises what the template's author chose
        system, user, *rest = messages
        joined = [{"role": "user", "content": f"{system['content']}\n\n{user['content']}"}, *rest]
        made = tokenizer.apply_chat_template(joined, add_generation_prompt=True, return_dict=True)
    return torch.tensor(made["input_ids"])
