"""Generation in this process: requests of concurrent rollouts decode together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from grpo.errors import ContextError, TrainingError
from grpo.model.kv_cache import RaggedCache
from grpo.model.loading import autocast
from grpo.model.logprobs import head_logits, packed_forward
from grpo.model.packing import batches, pack
from grpo.sampling import Sampling, draw
from ranker.judges.local.hidden_states import inner, mask_for, trunk


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote.

    Attributes:
        tokens: ids as sampled, the end token included where there is one.
        logps: log-prob of each under the distribution it was drawn from.
        support: for each, the ids there were to choose from; empty where nothing was cut off.
        ended: an end token came; otherwise the reply was cut off by its limit.
    """

    tokens: list[int]
    logps: list[float]
    support: list[np.ndarray]
    ended: bool


class Sampler(Protocol):
    """Where replies of the policy come from: this process (`Engine`) or a server (`RemoteEngine`).

    Attributes:
        sampling: how tokens are drawn.
        ends: tokens that end a reply.
        context: tokens the model can hold; None where that is not known.
        sampled_tokens: tokens drawn so far.
    """

    sampling: Sampling
    ends: Collection[int]
    context: int | None
    sampled_tokens: int

    async def generate(
        self, prompt: np.ndarray, random: np.random.Generator, most: int | None = None
    ) -> Completion:
        """One reply to a prompt of token ids, of at most `most` tokens."""
        ...


@dataclass(eq=False, slots=True)
class _Row:
    prompt: np.ndarray
    most: int
    random: np.random.Generator
    done: asyncio.Future[Completion]
    completion: Completion = field(default_factory=lambda: Completion([], [], [], False))


@dataclass(eq=False)
class Engine:
    """Decodes all waiting requests in one batch, in the thread of the event loop that asks.

    A prompt that several requests share, or begins like another, is read once. Rows join and leave the
    batch as they come and end. Between tokens the event loop runs, so rollouts whose tools answer at
    once ask again before the next token: the batch, and with it every result, is the same in every run.

    Attributes:
        model: a transformers causal LM, in evaluation mode.
        ends: any of these tokens ends a reply.
        max_num_seqs: rows that decode together; more wait.
        context: tokens the model can hold; a reply is cut off there.
        shares: whether the model takes packed prompts and a cache of uneven rows (see `grpo.compatibility`);
            otherwise requests with the same prompt decode together, on the model's own cache.
        bf16: compute in bfloat16.
        max_tokens_per_forward: of prompts that are read together; the memory of their mask grows with its square.
        sampled_tokens: tokens drawn so far.
    """

    model: Any
    ends: Collection[int]
    sampling: Sampling
    max_num_seqs: int = 64
    context: int | None = None
    shares: bool = True
    bf16: bool = False
    max_tokens_per_forward: int = 4096
    sampled_tokens: int = 0
    _waiting: deque[_Row] = field(default_factory=deque, init=False)
    _rows: list[_Row | None] = field(default_factory=list, init=False)
    _cache: RaggedCache | None = field(default=None, init=False)
    _pump: asyncio.Task[None] | None = field(default=None, init=False)
    _open: set[_Row] = field(default_factory=set, init=False)

    async def generate(
        self, prompt: np.ndarray, random: np.random.Generator, most: int | None = None
    ) -> Completion:
        """One reply to a prompt of token ids; `random` gives one number a token."""
        if not len(prompt):
            raise ContextError("An empty prompt cannot be continued; give it at least one token.")
        limit = self.sampling.max_completion_length if most is None else most
        if self.context is not None:
            limit = min(limit, self.context - len(prompt))
        loop = asyncio.get_running_loop()
        row = _Row(np.asarray(prompt, dtype=np.int64), limit, random, loop.create_future())
        if limit < 1:
            return row.completion
        self._waiting.append(row)
        self._open.add(row)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return await row.done

    async def _run(self) -> None:
        try:
            while True:
                for _ in range(8):  # all that is ready runs: ended rollouts call their tools and ask again
                    await asyncio.sleep(0)
                with autocast(self.model, self.bf16):
                    self._admit()
                    if self._rows:
                        self._step()
                    elif not self._waiting:
                        return
        except Exception as error:
            known = isinstance(error, TrainingError)
            for row in self._open:
                if not row.done.done():
                    row.done.set_exception(error if known else TrainingError(f"Sampling failed: {error}"))
        finally:
            self._waiting.clear()
            self._open.clear()
            self._rows, self._cache = [], None

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _admit(self) -> None:
        """Drop rows that have ended, where it pays, and take in those that wait."""
        alive = [i for i, row in enumerate(self._rows) if row is not None]
        room = self.max_num_seqs - len(alive)
        taken = [self._waiting.popleft() for _ in range(min(room, len(self._waiting)))]
        if not taken:
            if len(alive) * 4 <= len(self._rows) * 3 or len(self._rows) <= 4:
                self._drop(alive)
            return
        if not self.shares:
            self._decode_apart(taken)
            return
        self._drop(alive)
        for run in batches([row.prompt for row in taken], self.max_tokens_per_forward):
            self._prefill([taken[i] for i in run])

    def _prefill(self, taken: list[_Row]) -> None:
        """Read the prompts of new rows, what they share once, and draw their first tokens."""
        packed = pack([row.prompt for row in taken])
        prefilled = DynamicCache()  # every layer keeps every token
        hidden_1LH = packed_forward(self.model, packed, past_key_values=prefilled)
        last = torch.from_numpy(np.array([path[-1] for path in packed.paths])).to(self.model.device)
        if self._cache is None:
            self._cache = RaggedCache()
            self._cache.lengths_B = self._cache.lengths_B.to(self.model.device)
        different = {path.tobytes(): torch.from_numpy(path).to(self.model.device) for path in packed.paths}
        self._cache.join(prefilled, [different[path.tobytes()] for path in packed.paths])
        self._rows += taken
        before = len(self._rows) - len(taken)
        # The head runs on one row for each different prompt.
        unique, back = torch.unique(last, return_inverse=True)
        logits_BV = head_logits(self.model, hidden_1LH[0, unique])[back]
        self._take(logits_BV, range(before, len(self._rows)))

    def _drop(self, alive: list[int]) -> None:
        if len(alive) == len(self._rows):
            return
        self._rows = [self._rows[i] for i in alive]
        if self._cache is not None:
            if alive:
                self._cache.keep(torch.tensor(alive, device=self.model.device))
            else:
                self._cache = None

    @torch.inference_mode()  # type: ignore[untyped-decorator]
    def _step(self) -> None:
        """One token for every row. Rows that have ended but are still there decode along unseen."""
        assert self._cache is not None
        cache = self._cache
        last = [0 if row is None else row.completion.tokens[-1] for row in self._rows]
        cache.grow()
        going = torch.tensor([row is not None for row in self._rows], device=self.model.device)
        hidden_B1H = trunk(self.model)(
            input_ids=torch.tensor(last, device=self.model.device)[:, None],
            position_ids=(cache.lengths_B * going)[:, None],  # those that ended may be past the context
            attention_mask=mask_for(self.model, cache.mask()),
            past_key_values=cache,
            use_cache=True,
        ).last_hidden_state
        cache.lengths_B += 1
        alive = [i for i, row in enumerate(self._rows) if row is not None]
        hidden_BH = hidden_B1H[:, -1] if len(alive) == len(self._rows) else hidden_B1H[alive, -1]
        self._take(head_logits(self.model, hidden_BH), alive)

    def _take(self, logits_BV: Tensor, places: Sequence[int]) -> None:
        """Draw the next token of the rows at `places`, and let go of those that end."""
        rows = [row for i in places if (row := self._rows[i]) is not None]
        ends = _extend(logits_BV, rows, self.sampling, self.ends)
        for place, row, ended in zip(places, rows, ends, strict=True):
            self.sampled_tokens += 1
            if ended or len(row.completion.tokens) >= row.most:
                self._rows[place] = None
                self._finish(row, ended)

    def _decode_apart(self, taken: list[_Row]) -> None:
        """For models of any kind: rows with one prompt decode together, with no mask and no padding."""
        by_prompt: dict[bytes, list[_Row]] = {}
        for row in taken:
            by_prompt.setdefault(row.prompt.tobytes(), []).append(row)
        for rows in by_prompt.values():
            ids = torch.from_numpy(rows[0].prompt)[None].to(self.model.device)
            output = inner(self.model)(input_ids=ids.repeat(len(rows), 1), use_cache=True)
            open_ = list(range(len(rows)))
            while True:
                ended = _extend(output.logits[open_, -1], [rows[i] for i in open_], self.sampling, self.ends)
                self.sampled_tokens += len(open_)
                for i, end in zip(list(open_), ended, strict=True):
                    if end or len(rows[i].completion.tokens) >= rows[i].most:
                        open_.remove(i)
                        self._finish(rows[i], end)
                if not open_:
                    break
                last = torch.tensor([[row.completion.tokens[-1]] for row in rows], device=self.model.device)
                names = ("past_key_values", "cache_params")
                state = {name: output[name] for name in names if output.get(name) is not None}
                output = inner(self.model)(input_ids=last, use_cache=True, **state)

    def _finish(self, row: _Row, ended: bool) -> None:
        self._open.discard(row)
        completion = row.completion
        if not row.done.done():
            row.done.set_result(Completion(completion.tokens, completion.logps, completion.support, ended))


def _extend(logits_BV: Tensor, rows: Sequence[_Row], sampling: Sampling, ends: Collection[int]) -> list[bool]:
    """Give each row its next token; says which of them ended."""
    uniforms = [row.random.random() for row in rows]
    drawn = draw(logits_BV, torch.tensor(uniforms, dtype=torch.float64, device=logits_BV.device), sampling)
    tokens, logps = drawn.tokens_B.tolist(), drawn.logps_B.tolist()
    for i, row in enumerate(rows):
        row.completion.tokens.append(tokens[i])
        row.completion.logps.append(logps[i])
        if drawn.support is not None:
            row.completion.support.append(drawn.support[i])
    return [token in ends for token in tokens]
