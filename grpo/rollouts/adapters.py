"""The policy's adapter on its way to the rollout servers: saved, loaded, checked, and cleared away."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import shutil
import uuid
from collections.abc import Awaitable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
import torch

from grpo.config import GRPOConfig
from grpo.model.distributed import Processes
from grpo.model.loading import autocast, context_length, end_tokens
from grpo.model.logprobs import Layout, token_logprobs
from grpo.rollouts.collect import run_loop
from grpo.rollouts.remote import RemoteEngine
from grpo.rollouts.server import Adapter, Server
from grpo.runs import checkpoint
from grpo.types import TokenSequence
from ranker import ConfigurationError, RankerError
from ranker.judges.local.hidden_states import inner

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("ranker")
T = TypeVar("T")
KEY = "RANKER_ROLLOUT_API_KEY"
_NAME = re.compile(r"policy-[0-9a-f]{8}-\d+")  # of the run, and its step
TOLERANCE = 0.1  # mean difference of log-probs; bfloat16 kernels differ by 0.005 to 0.05
_TEXTS = (
    "The harbour was quiet that morning, and the first boats came in with",
    "To sort a list of numbers, begin with the smallest one and",
)
_TOKENS = 32  # of each reply that is checked


class Adapters:
    """Keeps the servers' policy that of the present weights.

    Every process uses the servers; the main one saves and loads. All processes call the methods together.

    Args:
        out: the run folder; adapters are in `adapters/` there unless `vllm_adapter_folder` says otherwise.

    Attributes:
        engine: samples from the servers.
        gap: mean difference between a server's log-probs and the trainer's at the latest hand-over, of the server
            where it is largest.

    Raises:
        ConfigurationError: a model without adapters, no folder for them, no vLLM server at an address, or
            servers of different models.
        TrainingError: a server that is down.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: PreTrainedTokenizerBase,
        config: GRPOConfig,
        layout: Layout,
        processes: Processes,
        out: str | Path | None,
    ):
        if not hasattr(model, "peft_config"):
            raise ConfigurationError(
                "A vLLM server takes new weights as LoRA adapters only: set lora_r = 16, say, or train without "
                "vllm_server_base_url."
            )
        if config.vllm_adapter_folder is None and out is None:
            raise ConfigurationError(
                "The servers read adapters from a folder: give the run one (out=…), or set vllm_adapter_folder."
            )
        self._folder = Path(config.vllm_adapter_folder or Path(out or "") / "adapters").absolute()
        self._tokenizer, self._config, self._layout = tokenizer, config, layout
        self._processes = processes
        self._left: list[Adapter] = []  # of an earlier start
        key, timeout = os.environ.get(KEY) or None, config.vllm_server_timeout
        self._servers = [Server(url, key, timeout, config.max_num_seqs) for url in config.servers]
        contexts = [context_length(model), *(self._meet())]
        known = [c for c in contexts if c is not None]
        self.engine = RemoteEngine(
            self._servers,
            end_tokens(model, tokenizer),
            config.sampling,
            inner(model).config.vocab_size,
            min(known) if known else None,
        )
        self._run = self._name_run()
        self._step: int | None = None
        self.gap: float | None = None

    def hand_over(self, model: Any, step: int) -> None:
        """Have the servers sample from the weights as they are after `step` steps; nothing where they do.

        A name is never used twice, by no run: a server that kept an older adapter cannot answer for it. What
        was loaded before is cleared away, since no rollout outlives the sampling that it belongs to.

        Raises:
            ConfigurationError: a server cannot load it, or answers with other log-probs than the trainer.
            TrainingError: a server is down.
            RunFolderError: the adapter cannot be written.
        """
        if step == self._step:
            return
        before = self.engine.adapter
        name = f"policy-{self._run}-{step}"
        self.engine.adapter = Adapter(name, self._folder / name)
        outcome: list[float | RankerError | None] = []
        if self._processes.is_main:
            outcome = [self._deliver(model, self.engine.adapter)]
        (outcome_of_all,) = self._processes.gather(outcome)
        if isinstance(outcome_of_all, RankerError):
            raise outcome_of_all
        self.gap, self._step = outcome_of_all, step
        if before is not None and self._processes.is_main:
            self._forget([before])

    def release(self) -> None:
        """Take the present adapter off the servers: nothing is sampled from it any more. A server that is away is not
        waited for. A later hand-over begins under another name."""
        adapter, self.engine.adapter, self._step = self.engine.adapter, None, None
        self._left = []
        self._run = self._name_run()
        if adapter is not None and self._processes.is_main:
            self._forget([adapter], wait=False)

    def _name_run(self) -> str:
        """A part of adapters' names that no other run has, the same in all processes."""
        drawn = [uuid.uuid4().hex[:8]] if self._processes.is_main else []
        (name,) = self._processes.gather(drawn)
        return str(name)

    def _deliver(self, model: Any, adapter: Adapter) -> float | RankerError | None:
        """Save, load and check; an error is returned, for all processes to raise."""
        try:
            if self._step is None:
                self._clear()
            checkpoint.save_whole(adapter.path, model, None)
            run_loop(_each(server.load(adapter) for server in self._servers))
            return self._check(model)
        except RankerError as error:
            return error

    def _meet(self) -> list[int | None]:
        """The contexts of the servers."""
        answers = run_loop(_each(server.served() for server in self._servers))
        models = sorted({served.model for served in answers})
        if len(models) > 1:
            raise ConfigurationError(
                f"The servers of vllm_server_base_url serve different models: {', '.join(models)}."
            )
        every = (adapter for served in answers for adapter in served.adapters)
        self._left = [a for a in every if a.path.parent == self._folder and _NAME.fullmatch(a.path.name)]
        return [served.context for served in answers]

    def _clear(self) -> None:
        """Take away what a run that was killed left in the folder and on the servers."""
        self._forget(self._left)
        for path in self._folder.glob("policy-*"):
            if _NAME.fullmatch(path.name):
                shutil.rmtree(path, ignore_errors=True)

    def _forget(self, adapters: Sequence[Adapter], wait: bool = True) -> None:
        for adapter in adapters:
            gone = run_loop(_each(server.unload(adapter.name, wait=wait) for server in self._servers))
            if not all(gone):
                log.warning("A rollout server could not unload the adapter %s.", adapter.name)
            shutil.rmtree(adapter.path, ignore_errors=True)

    def _check(self, model: Any) -> float | None:
        """How far what a server says of a few tokens is from what the trainer says of them, at the server where it
        is most; None where a reply has no room."""
        every = run_loop(self._ask())
        if not every:
            return None

        def gaps(sequences: Sequence[TokenSequence], temperature: float) -> np.ndarray:
            sampled_N = np.concatenate([s.logps_T[s.sampled_T] for s in sequences])
            with torch.no_grad(), autocast(model, self._config.bf16):
                logps_N = token_logprobs(model, sequences, temperature, self._layout).logps_N
            gaps_N: np.ndarray = np.abs(logps_N.float().cpu().numpy() - sampled_N)
            return gaps_N

        # Each by itself: many that are right must not hide one that is not.
        whose_N = np.concatenate([np.full(int(s.sampled_T.sum()), i) for i, s in every])
        gap_N = gaps([s for _, s in every], self._config.temperature)
        answered = sorted({i for i, _ in every})
        means = [float(gap_N[whose_N == i].mean()) for i in answered]
        most = int(np.argmax(means))  # of one that is no number too
        mean, worst = means[most], answered[most]
        if mean <= TOLERANCE:
            return mean
        difference = (
            f"The log-probs of {self._servers[worst].url} differ from the trainer's by {mean:.3g} on average"
        )
        asked = [s for i, s in every if i == worst]
        plain = [TokenSequence(s.tokens_T, s.sampled_T, s.logps_T) for s in asked]
        if gaps(plain, 1.0).mean() <= TOLERANCE:
            raise ConfigurationError(
                f"{difference}: they are those before temperature, top_k, top_p and min_p. Start it with --logprobs-mode "
                "processed_logprobs."
            )
        with model.disable_adapter():
            base = gaps(asked, self._config.temperature).mean()
        if base <= TOLERANCE:
            raise ConfigurationError(
                f"{difference}, and are those of the model without its adapter: the server does not use what it loaded."
            )
        raise ConfigurationError(
            f"{difference} (at most {TOLERANCE} is rounding): it serves another model, other weights, or a coarser "
            f"quantisation than the one that is trained ({base:.3g} without the adapter). Serve the same files, in "
            "the same precision."
        )

    async def _ask(self) -> list[tuple[int, TokenSequence]]:
        """Replies to check, each with the index of its server."""
        replies = await asyncio.gather(
            *(
                self._reply(server, self._prompt(text, k), len(_TEXTS) * i + k)
                for i, server in enumerate(self._servers)
                for k, text in enumerate(_TEXTS)
            )
        )
        return [(i // len(_TEXTS), s) for i, s in enumerate(replies) if s is not None]

    def _prompt(self, text: str, seed: int) -> np.ndarray:
        """Ids of a text; of ordinary tokens where the tokenizer does not know its words."""
        ids = list(self._tokenizer(text)["input_ids"])
        if len(set(ids)) < 6:
            ordinary = sorted(set(range(len(self._tokenizer))) - set(self._tokenizer.all_special_ids))
            ids = np.random.default_rng(seed).choice(ordinary, 12).tolist()
        most = len(ids) if self.engine.context is None else max(1, self.engine.context // 2)
        return np.array(ids[:most], dtype=np.int64)

    async def _reply(self, server: Server, prompt: np.ndarray, seed: int) -> TokenSequence | None:
        completion = await self.engine.reply(server, prompt, _TOKENS, seed)
        if not completion.tokens:
            return None
        return TokenSequence.of_reply(prompt, completion.tokens, completion.logps, completion.support)


async def _each(work: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*work))
