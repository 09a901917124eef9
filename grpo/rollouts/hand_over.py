"""The policy's weights on their way to the rollout servers: saved, loaded, checked, and cleared away."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import re
import shutil
import uuid
from collections.abc import Awaitable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from grpo.config import GRPOConfig
from grpo.model.distributed import Processes
from grpo.model.loading import context_length, end_tokens
from grpo.model.logprobs import Layout
from grpo.rollouts.adapters import AdapterTransfer
from grpo.rollouts.collect import run_loop
from grpo.rollouts.mismatch import MismatchCheck
from grpo.rollouts.remote import RemoteEngine, WeightTransfer
from grpo.rollouts.server import Server, Weights
from grpo.rollouts.whole_weights import WholeWeights
from grpo.runs import checkpoint
from ranker import ConfigurationError, RankerError
from ranker.judges.local.hidden_states import inner

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

log = logging.getLogger("ranker")
T = TypeVar("T")
KEY = "RANKER_ROLLOUT_API_KEY"
_NAME = re.compile(r"policy-[0-9a-f]{8}-\d+")  # of the run, and its step
_KEEPS_HEAD = (
    " That was with every token's embedding moved to its neighbour, to see whether the output layer, which is tied to the "
    "embeddings, arrives with them. vLLM's CPU build keeps the old one: serve and train a copy of the model whose output "
    "layer is a weight of its own (docs/integrations/servers.md), or set lora_r."
)


class HandOver:
    """Keeps the servers' policy that of the present weights.

    Every process uses the servers; the main one saves and loads. All processes call the methods together.

    Args:
        model: with LoRA adapters those are handed over, else all weights.
        out: the run folder; what servers read is in `adapters/` there unless `vllm_adapter_folder` says otherwise.

    Attributes:
        engine: samples from the servers.
        gap: mean difference between a server's log-probs and the trainer's at the latest hand-over, of the server
            where it is largest.

    Raises:
        ConfigurationError: no folder for the weights, no vLLM server at an address, or servers of different models.
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
        if config.vllm_adapter_folder is None and out is None:
            raise ConfigurationError(
                "The servers read the policy's weights from a folder: give the run one (out=…), or set vllm_adapter_folder."
            )
        self._folder = Path(config.vllm_adapter_folder or Path(out or "") / "adapters").absolute()
        self._processes = processes
        self._left: list[Weights] = []  # of an earlier start
        self._transfer: WeightTransfer = (
            AdapterTransfer() if hasattr(model, "peft_config") else WholeWeights()
        )
        key, timeout = os.environ.get(KEY) or None, config.vllm_server_timeout
        self._servers = [Server(url, key, timeout, config.max_num_seqs) for url in config.servers]
        contexts = [context_length(model), *(self._meet())]
        known = [c for c in contexts if c is not None]
        self.engine = RemoteEngine(
            self._servers,
            end_tokens(model, tokenizer),
            config.sampling,
            inner(model).config.vocab_size,
            self._transfer,
            min(known) if known else None,
        )
        self._check = MismatchCheck(self.engine, tokenizer, config, layout)
        self._run = self._name_run()
        self._step: int | None = None
        self.gap: float | None = None

    def hand_over(self, model: Any, step: int) -> None:
        """Have the servers sample from the weights as they are after `step` steps; nothing where they do.

        A name is never used twice, by no run: a server that kept older weights cannot answer for it. What
        was loaded before is cleared away, since no rollout outlives the sampling that it belongs to.

        Raises:
            ConfigurationError: a server cannot load it, or answers with other log-probs than the trainer.
            TrainingError: a server is down.
            RunFolderError: they cannot be written.
        """
        if step == self._step:
            return
        before = self.engine.weights
        name = f"policy-{self._run}-{step}"
        self.engine.weights = Weights(name, self._folder / name)
        outcome: list[float | RankerError | None] = []
        if self._processes.is_main:
            outcome = [self._deliver(model, self.engine.weights)]
        (outcome_of_all,) = self._processes.gather(outcome)
        if isinstance(outcome_of_all, RankerError):
            raise outcome_of_all
        self.gap, self._step = outcome_of_all, step
        if before is not None and self._processes.is_main:
            self._forget([before])

    def release(self) -> None:
        """Take the present adapter off the servers (whole weights stay): nothing is sampled from it any more. A server that is away is not
        waited for. A later hand-over begins under another name."""
        weights, self.engine.weights, self._step = self.engine.weights, None, None
        self._left = []
        self._run = self._name_run()
        if weights is not None and self._processes.is_main:
            self._forget([weights], wait=False)

    def _name_run(self) -> str:
        """A part of the names that no other run has, the same in all processes."""
        drawn = [uuid.uuid4().hex[:8]] if self._processes.is_main else []
        (name,) = self._processes.gather(drawn)
        return str(name)

    def _deliver(self, model: Any, weights: Weights) -> float | RankerError | None:
        """Save, load and check; an error is returned, for all processes to raise."""
        try:
            if self._step is None:
                self._clear()
            tied = inner(model).config.get_text_config().tie_word_embeddings
            if self._step is None and tied and isinstance(self._transfer, WholeWeights):
                with _neighbours_embeddings(model):
                    self._deliver_and_check(model, weights, _KEEPS_HEAD)
            return self._deliver_and_check(model, weights)
        except RankerError as error:
            return error

    def _deliver_and_check(self, model: Any, weights: Weights, hint: str = "") -> float | None:
        checkpoint.save_whole(weights.path, model, None)
        run_loop(_each(self._transfer.load(server, weights) for server in self._servers))
        try:
            return self._check(model)
        except ConfigurationError as error:
            raise ConfigurationError(f"{error}{hint}") from None

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

    def _forget(self, every: Sequence[Weights], wait: bool = True) -> None:
        for weights in every:
            gone = run_loop(
                _each(self._transfer.unload(server, weights, wait=wait) for server in self._servers)
            )
            if not all(gone):
                log.warning("A rollout server could not unload the adapter %s.", weights.name)
            shutil.rmtree(weights.path, ignore_errors=True)


@contextlib.contextmanager
def _neighbours_embeddings(model: Any) -> Iterator[None]:
    """Every token has its neighbour's embedding for a while, and with it the output layer that is tied to them: the model
    is as good a model as it was, of renamed tokens, and unlike it in every log-prob."""
    weight_VH = inner(model).get_input_embeddings().weight
    kept_VH = weight_VH.detach().clone()
    with torch.no_grad():
        weight_VH.copy_(kept_VH.roll(1, 0))
        try:
            yield
        finally:
            weight_VH.copy_(kept_VH)


async def _each(work: Iterable[Awaitable[T]]) -> list[T]:
    return list(await asyncio.gather(*work))
