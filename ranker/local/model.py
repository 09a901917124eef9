"""A causal LM in this process, with a LoRA merged into it where there is one."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from ranker.errors import ConfigurationError
from ranker.local.ways import Frame
from ranker.models import KNOWN, find_model, require_local

log = logging.getLogger("ranker")
Dtype = Literal["auto", "float32", "bfloat16"]
_MARK = "\x02the user's words\x02"


@dataclass(frozen=True, slots=True)
class Loaded:
    """Attributes:
    model: a transformers causal LM in eval mode.
    tokenizer: its tokenizer.
    frame: what its chat template puts around a user's words.
    window: tokens it can hold.
    """

    model: Any
    tokenizer: Any
    frame: Frame
    window: int

    def encode(self, text: str, foreign: bool = False) -> list[int]:
        """Token ids. In foreign text nothing becomes a special token, whatever it spells."""
        return self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=foreign)  # type: ignore[no-any-return]

    def count(self, text: str) -> int:
        return len(self.encode(text, foreign=True))


class LocalModel:
    """A model that is loaded when it is first needed, and used by one thread at a time.

    Args:
        name: a known name, a folder of safetensors, a GGUF file or a hub name; None for the default.
        adapter: folder of a LoRA in PEFT's format, merged in.
        device: a torch device; None for the first GPU, else the CPU.
        dtype: "auto" is bfloat16 on a GPU, and on a CPU that computes in it; else float32.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        adapter: Path | None = None,
        device: str | None = None,
        dtype: Dtype = "auto",
    ):
        require_local()
        self.path, self.label = find_model(name, report=log.warning)
        self._name, self._adapter, self._device, self._dtype = name, adapter, device, dtype
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        # One model, one thread: torch already spreads a forward pass over the cores.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="ranker-local")

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in the model's thread."""
        import asyncio

        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *args)

    def load(self) -> Loaded:
        """The model, loaded once.

        Raises:
            ConfigurationError: it cannot be loaded.
        """
        with self._lock:
            if self._loaded is None:
                self._loaded = self._read()
            return self._loaded

    def _read(self) -> Loaded:
        transformers = require_local()
        import torch

        device = self._device or ("cuda" if torch.cuda.is_available() else "cpu")
        half = self._dtype == "bfloat16" or (self._dtype == "auto" and computes_in_bf16(device))
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.path)
            # A LoRA is merged in float32, so that rounding does not swallow it.
            first = torch.float32 if self._adapter or not half else torch.bfloat16
            model = transformers.AutoModelForCausalLM.from_pretrained(self.path, dtype=first)
        except (OSError, ValueError) as error:
            told = str(error).strip().splitlines()[0]
            raise ConfigurationError(
                f"The local judge {self._name!r} cannot be loaded: {told} Give a folder of "
                f"safetensors, a GGUF file, a hub name, or one of {', '.join(KNOWN)}."
            ) from error
        if self._adapter is not None:
            model = merged(model, self._adapter)
        model = model.to(device, torch.bfloat16 if half else torch.float32).eval()
        config = getattr(model.config, "text_config", model.config)
        window = int(getattr(config, "max_position_embeddings", None) or 2048)
        return Loaded(model, tokenizer, frame_of(tokenizer), window)


def merged(model: Any, adapter: Path) -> Any:
    """The model with a LoRA's weights added to its own.

    Raises:
        ConfigurationError: peft is not installed, or the adapter does not fit.
    """
    try:
        from peft import PeftModel
    except ImportError:
        raise ConfigurationError("A tuned judge needs peft: pip install 'ranker-rl[local]'.") from None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        told = str(error).strip().splitlines()[0]
        raise ConfigurationError(f"The adapter in {adapter} does not fit its model: {told}") from error


@cache
def computes_in_bf16(device: str) -> bool:
    """Whether bfloat16 is fast here: on a GPU, and on a CPU with instructions for it (twice as fast as float32)."""
    import torch

    if not device.startswith("cpu"):
        return True
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)


def frame_of(tokenizer: Any) -> Frame:
    """What a chat template puts before and after a user's words; plain line breaks where there is none."""
    if tokenizer.chat_template is None:
        return Frame("", "\n\n")
    message = {"role": "user", "content": _MARK}
    # `enable_thinking` is read by the templates of models that think; others pass over it.
    text = tokenizer.apply_chat_template(
        [message], add_generation_prompt=True, tokenize=False, enable_thinking=False
    )
    before, _, after = str(text).partition(_MARK)
    return Frame(before, after)
