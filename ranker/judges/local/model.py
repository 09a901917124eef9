"""A causal LM in this process, with a LoRA merged into it where there is one."""

from __future__ import annotations

import logging
import os
import re
import threading
import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

from ranker.errors import ConfigurationError
from ranker.extras import install
from ranker.judges.local.models import KNOWN, check_name, find_model, require_local
from ranker.judges.local.ways import Frame

log = logging.getLogger("ranker")
Dtype = Literal["auto", "float32", "bfloat16"]
_MARK = "\x02{}\x02"  # stands for a message's words while a chat template is laid around them
_MARKS = re.compile("\x02(\\d+)\x02")


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
        return encode(self.tokenizer, text, foreign)

    def count(self, text: str) -> int:
        return len(self.encode(text, foreign=True))


def encode(tokenizer: Any, text: str, foreign: bool = False) -> list[int]:
    """Token ids, without any that the tokenizer would put before or after. In foreign text nothing becomes a special
    token, whatever it spells: such a spelling is cut behind its first character and read in two pieces.

    Tokenizers have a switch for this, `split_special_tokens`, but not all, and to turn it changes the tokenizer for
    every other thread.
    """
    if not foreign:
        return list(tokenizer.encode(text, add_special_tokens=False))
    spelled, forbidden = _specials(tokenizer)
    cuts = [0, *(m.start() + 1 for m in spelled.finditer(text)), len(text)] if spelled else [0, len(text)]
    pieces = (text[a:b] for a, b in pairwise(cuts))
    ids = [i for piece in pieces if piece for i in tokenizer.encode(piece, add_special_tokens=False)]
    return [i for i in ids if i not in forbidden]  # one of a single character, or spelled in another script


@lru_cache(maxsize=8)
def _specials(tokenizer: Any) -> tuple[re.Pattern[str] | None, frozenset[int]]:
    """What finds spellings of special tokens, those that overlap too; and the ids of these tokens, without that for
    unknown text."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    texts = {*map(str, tokenizer.all_special_tokens), *(str(t.content) for t in added.values() if t.special)}
    ids = {*tokenizer.all_special_ids, *(i for i, t in added.items() if t.special)}
    listed = "|".join(map(re.escape, sorted(filter(None, texts))))
    unknown = getattr(tokenizer, "unk_token_id", None)
    return (re.compile(f"(?=(?:{listed}))") if listed else None), frozenset(ids - {unknown})


class LocalModel:
    """A model that is loaded when it is first needed, and used by one thread at a time.

    Args:
        name: a known name, a folder of safetensors, a GGUF file or a hub name; None for the default.
        adapter: folder of a LoRA in PEFT's format, merged in.
        device: a torch device; None for the first GPU, else the CPU.
        dtype: "auto" is bfloat16 on a GPU, and on a CPU that computes in it; else float32.

    Attributes:
        label: tells this model from others, without the adapter.
        dtype: what it computes in, "float32" or "bfloat16".

    Raises:
        ConfigurationError: no such model, adapter or dtype; torch or transformers is missing.
    """

    def __init__(
        self,
        name: str | None = None,
        *,
        adapter: Path | None = None,
        device: str | None = None,
        dtype: Dtype = "auto",
    ):
        check_name(name)
        require_local()
        import torch

        if dtype not in get_args(Dtype):
            raise ConfigurationError(
                f"There is no dtype {dtype!r} here; there are {', '.join(get_args(Dtype))}."
            )
        if adapter is not None and not (adapter / "adapter_config.json").is_file():
            raise ConfigurationError(f"There is no adapter in {adapter}: it holds no adapter_config.json.")
        self.path, self.label = find_model(name, report=log.warning)
        self._name, self._adapter = name, adapter
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        half = dtype == "bfloat16" or (dtype == "auto" and computes_in_bf16(self._device))
        self.dtype = "bfloat16" if half else "float32"
        self._lock = threading.Lock()
        self._loaded: Loaded | None = None
        # One model, one thread: torch already spreads a forward pass over the cores.
        self._thread = ThreadPoolExecutor(1, "ranker-local", initializer=_all_cores)
        self._pid = os.getpid()

    async def run(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function` in the model's thread."""
        import asyncio

        if self._pid != os.getpid():  # forked: the thread stayed behind
            self._pid, self._lock = os.getpid(), threading.Lock()
            self._thread = ThreadPoolExecutor(1, "ranker-local", initializer=_all_cores)
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

        dtype = getattr(torch, self.dtype)
        try:
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.path)
            # A LoRA is merged in float32, so that rounding does not swallow it.
            first = torch.float32 if self._adapter else dtype
            model = transformers.AutoModelForCausalLM.from_pretrained(self.path, dtype=first)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"The local judge {self._name!r} cannot be loaded: {first_line(error)} Give a folder of "
                f"safetensors, a GGUF file, a hub name, or one of {', '.join(KNOWN)}."
            ) from error
        if self._adapter is not None:
            model = merged(model, self._adapter)
        try:
            model = model.to(self._device, dtype).eval()
        except (RuntimeError, AssertionError) as error:  # no such device, or no room on it
            raise ConfigurationError(
                f"The local judge {self._name!r} cannot be put on {self._device!r}: {first_line(error)} "
                "Give another device, or a smaller model."
            ) from error
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
        raise ConfigurationError(f"A tuned judge needs peft: {install('local')}.") from None
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", category=FutureWarning)
            return PeftModel.from_pretrained(model, str(adapter)).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise ConfigurationError(
            f"The adapter in {adapter} does not fit its model: {first_line(error)}"
        ) from error


def first_line(error: BaseException) -> str:
    """The first line of a message that may have many, as torch's do."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


@cache
def computes_in_bf16(device: str) -> bool:
    """Whether bfloat16 is fast here: on a GPU, and on a CPU with instructions for it (twice as fast as float32)."""
    import torch

    if not device.startswith("cpu"):
        return True
    known = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, lambda: False)() for name in known)


def frame_of(tokenizer: Any) -> Frame:
    """What a chat template puts before and after a user's words; plain line breaks where there is none, or none that
    takes a single message."""
    laid = chat_pieces(tokenizer, [{"role": "user", "content": _MARK.format(0)}])
    texts = [text for text, foreign in laid if not foreign]
    return Frame(texts[0], "".join(texts[1:]))


def chat_pieces(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> list[tuple[str, bool]]:
    """A chat as pieces of text, the template's own and, marked True, those of the messages, by turns, beginning and
    ending with one of the template's.

    Templates without a system role get its words in the user's turn. Without a template, or with one that takes no
    such chat, messages are parted by blank lines, after the token by which the model's texts begin.
    """
    words = [message["content"] for message in messages]
    first, *rest = messages
    laid = _laid(tokenizer, [m["role"] for m in messages])
    if laid is None and first["role"] == "system" and rest:
        words = [f"{words[0]}\n\n{words[1]}", *words[2:]]
        laid = _laid(tokenizer, [m["role"] for m in rest])
    if laid is None:
        bos = getattr(tokenizer, "bos_token", None)
        begins = bool(bos) and tokenizer.encode("a")[:1] == [tokenizer.bos_token_id]
        laid = [str(bos) if begins else "", *["\n\n"] * len(words)]
    pieces: list[tuple[str, bool]] = [(laid[0], False)]
    for text, after in zip(words, laid[1:], strict=True):
        pieces += [(text, True), (after, False)]
    return pieces


def _laid(tokenizer: Any, roles: Sequence[str]) -> list[str] | None:
    """What a chat template puts before, between and after the words of messages with these roles; None where it does
    not take them, or leaves some out."""
    if getattr(tokenizer, "chat_template", None) is None:
        return None
    marked = [{"role": role, "content": _MARK.format(i)} for i, role in enumerate(roles)]
    try:
        # `enable_thinking` is read by the templates of models that think; others pass over it.
        text = tokenizer.apply_chat_template(
            marked, add_generation_prompt=True, tokenize=False, enable_thinking=False
        )
    except Exception as error:  # jinja2 raises what the template's author chose
        log.info("the chat template does not take %s: %s", ", ".join(roles), error)
        return None
    before, *between = _MARKS.split(str(text))
    if between[::2] != [str(i) for i in range(len(roles))]:
        return None
    return [before, *between[1::2]]


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):  # where the system says so
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _all_cores() -> None:
    """Let this thread compute on every core it may use, however many the rest of the process takes; the variable
    OMP_NUM_THREADS has the last word."""
    if "OMP_NUM_THREADS" not in os.environ:
        import torch

        torch.set_num_threads(cores())
