"""A judge behind a provider's batch API: half the price, replies within a day."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ranker.errors import JudgeCallError, RankerError, VerdictError
from ranker.judges.base import Lineup
from ranker.judges.batch_api import BatchAPI
from ranker.judges.batch_run import BatchRun, Replies, parse_reply
from ranker.judges.batch_store import BatchStore
from ranker.judges.completion import Completion, read_completion
from ranker.judges.llm import LLMJudge
from ranker.judges.reply_limit import ReplyLimit
from ranker.judges.transport import LiteLLMTransport, Transport
from ranker.judges.verdict import Verdict
from ranker.prompting.prompt import Message
from ranker.runtime.budget import Budget
from ranker.runtime.cache import cache_key
from ranker.runtime.event_loop import PerLoop

MAX_REQUESTS = 50_000  # per batch, the limit of providers
MAX_BYTES = 100_000_000
QUIET = 1.0  # seconds without a new request after which a batch is sent
# (prompt hash, request key) of each answered request of the current verdict.
_answered: ContextVar[Sequence[tuple[str, str]]] = ContextVar("answered")


@dataclass
class _Pending:
    """The requests of one event loop that have no reply yet. Its timer, tasks and futures end with the loop.

    Attributes:
        queue: the lines of the next batch by key, of `size` bytes, sent when the `timer` ends.
        waiting: what callers of a request wait for, by its key.
        batches: by mark, the keys of the requests of a batch that are waited for.
    """

    queue: dict[str, bytes] = field(default_factory=dict)
    size: int = 0
    timer: asyncio.TimerHandle | None = None
    waiting: dict[str, list[asyncio.Future[Completion]]] = field(default_factory=dict)
    batches: dict[str, set[str]] = field(default_factory=dict)
    tasks: set[asyncio.Task[Replies]] = field(default_factory=set)  # a loop holds them weakly

    def holds(self, key: str) -> bool:
        return key in self.queue or any(key in keys for keys in self.batches.values())


class BatchTransport:
    """Collects requests into batches and waits for their replies. Callers see ordinary requests.

    A batch is sent when it is full, or when no request has arrived for a second: then all callers are waiting.

    Args:
        api: the batch API of the provider.
        store: records what was sent, so that another process finds the batch of an identical request instead
            of paying twice.
        prices: transport that knows the price of ordinary requests; batches cost half.
    """

    def __init__(self, api: BatchAPI, store: BatchStore, prices: Transport):
        self._api = api
        self._store = store
        self._run = BatchRun(api, store)
        self._prices = prices
        self._pending = PerLoop(_Pending)

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        body = {"model": self._api.model, "messages": list(messages), **options}
        answered = _answered.get(())
        prompt_hash = cache_key(batch=self._api.where, body=body, **self._api.server)
        # A re-ask after an unusable reply may be identical to an earlier request, but is a new one.
        turn = sum(earlier == prompt_hash for earlier, _ in answered)
        key = cache_key(question=prompt_hash, turn=turn)
        reply = await self._await_reply(key, body)
        if isinstance(answered, list):
            answered.append((prompt_hash, key))
        return reply

    async def _await_reply(self, key: str, body: Mapping[str, Any]) -> Completion:
        stored = self._store.reply(key)
        if stored is not None:
            return read_completion(stored.encode(), self._api.where)
        self.check()
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        here = await self._pending.get()
        callers = here.waiting.setdefault(key, [])
        callers.append(future)
        try:
            if not here.holds(key):
                mark = self._store.mark_of(key)
                if mark is None:
                    self._enqueue(here, key, body)
                elif mark in here.batches:
                    here.batches[mark].add(key)
                else:  # another or an earlier process, or loop, has sent it
                    self._start(here, mark, {key}, None)
            return await future
        finally:
            callers.remove(future)

    def forget(self, keys: Sequence[str]) -> None:
        """Delete the replies to these requests, so that they are sent again when asked again."""
        self._store.forget(keys)

    def check(self) -> None:
        self._prices.check()

    async def open_to_all(self) -> bool:
        return await self._prices.open_to_all()

    async def window(self) -> int | None:
        return await self._prices.window()

    def price(self) -> tuple[float, float] | None:
        full = self._prices.price()
        return None if full is None else (full[0] / 2, full[1] / 2)

    def vision(self) -> bool:
        return self._prices.vision()

    def _enqueue(self, here: _Pending, key: str, body: Mapping[str, Any]) -> None:
        request = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if here.queue and (len(here.queue) == MAX_REQUESTS or here.size + len(line) > MAX_BYTES):
            self._flush(here)
        here.queue[key] = line
        here.size += len(line)
        if here.timer is not None:
            here.timer.cancel()
        here.timer = asyncio.get_running_loop().call_later(QUIET, self._flush, here)

    def _flush(self, here: _Pending) -> None:
        if here.timer is not None:
            here.timer.cancel()
            here.timer = None
        lines, here.queue, here.size = here.queue, {}, 0
        for key in [k for k in lines if all(f.done() for f in here.waiting[k])]:
            del lines[key], here.waiting[key]  # cancelled by all callers
        if lines:
            self._start(here, uuid.uuid4().hex, set(lines), lines)

    def _start(self, here: _Pending, mark: str, keys: set[str], lines: Mapping[str, bytes] | None) -> None:
        """Have a task send a batch, unless `lines` is None, and wait for it."""
        here.batches[mark] = keys
        task = asyncio.create_task(self._run.run(mark, lines))
        here.tasks.add(task)
        task.add_done_callback(partial(self._deliver, here, mark))  # also of one that is cancelled

    def _deliver(self, here: _Pending, mark: str, task: asyncio.Task[Replies]) -> None:
        here.tasks.discard(task)
        ended = JudgeCallError(f"Waiting for a batch of {self._api.where} was cancelled.", retryable=True)
        parsed, outcome = ({}, ended) if task.cancelled() else task.result()
        for key in here.batches.pop(mark):
            reply = parsed[key] if key in parsed else self._stored(key, outcome)
            for future in here.waiting.pop(key, ()):
                if future.done():
                    continue
                if isinstance(reply, RankerError):
                    future.set_exception(copy.copy(reply))  # every caller attaches its own usage
                else:
                    future.set_result(reply)

    def _stored(self, key: str, otherwise: RankerError) -> Completion | RankerError:
        """The reply that another process stored."""
        try:
            stored = self._store.reply(key)
        except RankerError as error:
            return error
        return otherwise if stored is None else parse_reply(200, stored, self._api.where)


class BatchJudge(LLMJudge):
    """An LLMJudge that uses the provider's batch API: half the price, replies within a day.

    All requests in flight wait in one batch, so the `concurrency` of the run is the batch size. Unusable
    verdicts and failed requests are asked again in the next batch.

    Args:
        store: a file that records what was sent; identical requests find their batches again, so a killed
            run can resume and nothing is paid twice.

    The other arguments are those of LLMJudge; `price` is the batch price.
    """

    def __init__(self, model: str, *, store: str | Path, **options: Any):
        super().__init__(model, **options)
        base_url, key = options.get("base_url"), options.get("api_key")
        if base_url is not None:
            key = key or os.environ.get("RANKER_API_KEY")
            api = BatchAPI(self.name, base_url, key, self._headers)
            prices: Transport = self._transport
        else:
            api = BatchAPI(model, None, key, self._headers)
            prices = LiteLLMTransport(model, key, 60.0)
        self._transport = self._batches = BatchTransport(api, BatchStore(store), prices)
        # A request of before is found again by its body.
        self._reply_limit = ReplyLimit(self._options, bounded=False)
        self._first.answered = True  # its requests go together, in a batch

    async def verdict(self, lineup: Lineup, budget: Budget) -> Verdict:
        answered: list[tuple[str, str]] = []
        token = _answered.set(answered)
        try:
            return await super().verdict(lineup, budget)
        except VerdictError:
            self._batches.forget([key for _, key in answered])
            raise
        finally:
            _answered.reset(token)
