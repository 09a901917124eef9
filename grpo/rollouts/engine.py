"""Generation in this process: requests of concurrent rollouts decode together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from transformers.cache_utils import DynamicCache

from grpo.errors import ContextError, TrainingError
from grpo.model.kv_cache import RaggedCache
from grpo.model.loading import autocast
from grpo.model.logprobs import head_logits, run_tree
from grpo.model.packing import pack
from grpo.sampling import Sampling, draw
from ranker.judges.local.read import inner, mask_for, trunk

Tensor = Any


@dataclass(frozen=True, slots=True)
class Completion:
    """What the policy wrote.

    Attributes:
        tokens: ids as sampled, the end token included where there is one.
        logps: log-prob of each under the distribution it was drawn from.
        kept: for each, the ids there were to choose from; empty where nothing was cut off.
        ended: an end token came; otherwise the reply was cut off by its limit.
    """

    tokens: list[int]
    logps: list[float]
    kept: list[np.ndarray]
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
    ends: frozenset[int]
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
    made: Completion = field(default_factory=lambda: Completion([], [], [], False))


class Engine:
    """Decodes all waiting requests in one batch, in the thread of the event loop that asks.

    A prompt that several requests share, or begins like another, is read once. Rows join and leave the
    batch as they come and end. Between tokens the event loop runs, so rollouts whose tools answer at
    once ask again before the next token: the batch, and with it every result, is the same in every run.

    Args:
        model: a transformers causal LM, in evaluation mode.
        end_tokens: any of them ends a reply.
        max_num_seqs: rows that decode together; more wait.
        context: tokens the model can hold; a reply is cut off there.
        shares: whether the model takes packed prompts and a cache of uneven rows (`check_engine`);
            otherwise requests with the same prompt decode together, on the model's own cache.
        bf16: compute in bfloat16.
    """

    def __init__(
        self,
        model: Any,
        end_tokens: Sequence[int],
        sampling: Sampling,
        max_num_seqs: int = 64,
        context: int | None = None,
        shares: bool = True,
        bf16: bool = False,
    ):
        self.model = model
        self.sampling = sampling
        self.ends = frozenset(end_tokens)
        self.max_num_seqs = max_num_seqs
        self.context = context
        self.shares = shares
        self.bf16 = bf16
        self.sampled_tokens = 0
        self._waiting: deque[_Row] = deque()
        self._rows: list[_Row | None] = []
        self._cache: RaggedCache | None = None
        self._pump: asyncio.Task[None] | None = None
        self._open: set[_Row] = set()

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
            return row.made
        self._waiting.append(row)
        self._open.add(row)
        if self._pump is None or self._pump.done():
            self._pump = loop.create_task(self._run())
        return await row.done

    async def _run(self) -> None:
        try:
            while True:
                await _settle()
                with autocast(self.model, self.bf16):
                    self._admit()
                    if self._rows:
                        self._step()
                    elif not self._waiting:
                        return
        except Exception as error:
            told = error if isinstance(error, TrainingError) else TrainingError(f"Sampling failed: {error}")
            for row in self._open:
                if not row.done.done():
                    row.done.set_exception(told)
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
        tree = pack([row.prompt for row in taken])
        prefilled = DynamicCache()  # every layer keeps every token
        hidden_1LH = run_tree(self.model, tree, past_key_values=prefilled)
        last = torch.from_numpy(np.array([path[-1] for path in tree.paths])).to(self.model.device)
        if self._cache is None:
            self._cache = RaggedCache()
            self._cache.lengths_B = self._cache.lengths_B.to(self.model.device)
        different = {path.tobytes(): torch.from_numpy(path).to(self.model.device) for path in tree.paths}
        self._cache.join(prefilled, [different[path.tobytes()] for path in tree.paths])
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
        last = [0 if row is None else row.made.tokens[-1] for row in self._rows]
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
        for place, row, ended in zip(
            places, rows, _extend(logits_BV, rows, self.sampling, self.ends), strict=True
        ):
            self.sampled_tokens += 1
            if ended or len(row.made.tokens) >= row.most:
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
                    if end or len(rows[i].made.tokens) >= rows[i].most:
                        open_.remove(i)
                        self._finish(rows[i], end)
                if not open_:
                    break
                last = torch.tensor([[row.made.tokens[-1]] for row in rows], device=self.model.device)
                state = {
                    name: output[name]
                    for name in ("past_key_values", "cache_params")
                    if output.get(name) is not None
                }
                output = inner(self.model)(input_ids=last, use_cache=True, **state)

    def _finish(self, row: _Row, ended: bool) -> None:
        self._open.discard(row)
        made = row.made
        if not row.done.done():
            row.done.set_result(Completion(made.tokens, made.logps, made.kept, ended))


async def _settle() -> None:
    """Let everything that is ready run: ended rollouts call their tools and ask again."""
    for _ in range(8):
        await asyncio.sleep(0)


def _extend(logits_BV: Tensor, rows: Sequence[_Row], sampling: Sampling, ends: frozenset[int]) -> list[bool]:
    """Give each row its next token; says which of them ended."""
    uniforms_B = torch.tensor(
        [row.random.random() for row in rows], dtype=torch.float64, device=logits_BV.device
    )
    drawn = draw(logits_BV, uniforms_B, sampling)
    tokens, logps = drawn.tokens_B.tolist(), drawn.logps_B.tolist()
    for i, row in enumerate(rows):
        row.made.tokens.append(tokens[i])
        row.made.logps.append(logps[i])
        if drawn.kept is not None:
            row.made.kept.append(drawn.kept[i])
    return [token in ends for token in tokens]
