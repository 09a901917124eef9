"""A judge behind a provider's batch API: half the price, an answer within a day."""

from __future__ import annotations

import asyncio
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ranker.errors import JudgeCallError, RankerError, VerdictError, scrub
from ranker.judges.base import Lineup
from ranker.judges.batch_api import BatchAPI, State
from ranker.judges.batch_store import BatchStore
from ranker.judges.llm import LLMJudge
from ranker.judges.transport import (
    Completion,
    LiteLLMTransport,
    Transport,
    read_completion,
    status_error,
)
from ranker.judges.verdict import Verdict
from ranker.prompting.prompt import Message
from ranker.runtime.budget import Budget
from ranker.runtime.cache import cache_key

MAX_REQUESTS = 50_000  # in one batch, as providers have it
MAX_BYTES = 100_000_000
QUIET = 1.0  # seconds without a new request after which a batch is sent
_POLL = (1.0, 60.0)  # seconds between looks at a batch: the first, and the longest
_FAILURES = 10  # looks at a batch that may fail in a row
# Questions of one verdict that were answered, and the keys of their requests.
_answered: ContextVar[Sequence[tuple[str, str]]] = ContextVar("answered")
_OVER = {"completed", "failed", "expired", "cancelled"}


class BatchTransport:
    """Gathers requests into batches and waits for their replies. To its caller it is one request like any other.

    A batch is sent when it is full, or when no request has come for a second: everybody who could ask waits.

    Args:
        store: where it is noted what was sent. The same request finds its batch again in another process, so
            nothing is paid twice.
        model, key: as the provider knows them.
        prices: who knows the price of a request that is not in a batch; half of it is told.
    """

    def __init__(self, api: BatchAPI, store: BatchStore, prices: Transport):
        self._api = api
        self._store = store
        self._prices = prices
        self._queue: dict[str, bytes] = {}
        self._size = 0
        self._waiting: dict[str, list[asyncio.Future[Completion]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # By the batch's mark: the requests that are waited for, and the task that waits.
        self._batches: dict[str, tuple[set[str], asyncio.Task[None]]] = {}

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        body = {"model": self._api.model, "messages": list(messages), **options}
        answered = _answered.get(())
        question = cache_key(batch=self._api.where, body=body)
        # Asked again after an unusable reply it can be the same question to the letter, and is a new request.
        turn = sum(earlier == question for earlier, _ in answered)
        key = cache_key(question=question, turn=turn)
        reply = await self._reply(key, body)
        if isinstance(answered, list):
            answered.append((question, key))
        return reply

    async def _reply(self, key: str, body: Mapping[str, Any]) -> Completion:
        kept = self._store.reply(key)
        if kept is not None:
            return read_completion(kept.encode(), self._api.where)
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        callers = self._waiting.setdefault(key, [])
        callers.append(future)
        if len(callers) == 1:
            mark = self._store.mark_of(key)
            if mark is not None:
                self._follow(mark, key)
            else:
                self._add(key, body)
        return await future

    def forget(self, keys: Sequence[str]) -> None:
        """Forget the replies to requests that led nowhere, so that they are sent anew when asked again."""
        self._store.forget(keys)

    async def window(self) -> int | None:
        return await self._prices.window()

    def price(self) -> tuple[float, float] | None:
        whole = self._prices.price()
        return None if whole is None else (whole[0] / 2, whole[1] / 2)

    def _add(self, key: str, body: Mapping[str, Any]) -> None:
        request = {"custom_id": key, "method": "POST", "url": "/v1/chat/completions", "body": body}
        line = json.dumps(request, separators=(",", ":")).encode() + b"\n"
        if self._queue and (len(self._queue) == MAX_REQUESTS or self._size + len(line) > MAX_BYTES):
            self._flush()
        self._queue[key] = line
        self._size += len(line)
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(QUIET, self._flush)

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines, self._queue, self._size = self._queue, {}, 0
        for key in [k for k in lines if all(f.done() for f in self._waiting[k])]:
            del lines[key], self._waiting[key]  # nobody waits for it any more
        if lines:
            mark = uuid.uuid4().hex
            self._batches[mark] = set(lines), asyncio.create_task(self._through(mark, lines))

    def _follow(self, mark: str, key: str) -> None:
        """Wait for a batch that an earlier process, or another, has sent."""
        if mark not in self._batches:
            self._batches[mark] = set(), asyncio.create_task(self._through(mark, None))
        self._batches[mark][0].add(key)

    async def _through(self, mark: str, lines: Mapping[str, bytes] | None) -> None:
        """Send a batch where `lines` are given, wait for it, and hand its replies out."""
        outcome: RankerError
        try:
            if lines is not None:
                self._store.begin(mark, lines)
                await self._create(mark, lines)
            replies, outcome = await self._wait(mark)
            made = {key: _read(status, body, self._api.where) for key, (status, body) in replies.items()}
            self._store.end(mark, ((k, replies[k][1]) for k, m in made.items() if isinstance(m, Completion)))
        except RankerError as error:
            made, outcome = {}, error
        except Exception as error:
            said = scrub(f"{type(error).__name__}: {error}")
            made, outcome = {}, JudgeCallError(f"A batch of {self._api.where} failed: {said}")
        for key in self._batches.pop(mark)[0]:
            kept = self._store.reply(key) if key not in made else None
            self._settle(key, _read(200, kept, self._api.where) if kept else made.get(key, outcome))

    async def _create(self, mark: str, lines: Mapping[str, bytes]) -> None:
        try:
            batch: str | None = await self._api.create(mark, b"".join(lines.values()))
        except JudgeCallError as error:
            # The reply may have been lost, not the request: look before anything is sent again.
            batch = await self._found(mark) if error.retryable else None
            if batch is None:
                self._store.end(mark)
                raise
        assert batch is not None
        self._store.made(mark, batch)

    async def _found(self, mark: str) -> str | None:
        for attempt in range(_FAILURES):
            try:
                return await self._api.find(mark)
            except JudgeCallError as error:
                if not error.retryable or attempt == _FAILURES - 1:
                    raise
                await asyncio.sleep(_POLL[0] * 1.5**attempt)
        raise AssertionError("unreachable")

    async def _wait(self, mark: str) -> tuple[dict[str, tuple[int, str]], RankerError]:
        """Status and body of each reply, by key, once the batch is over; and why others have none."""
        gone = JudgeCallError(
            f"A batch of {self._api.where} was never made; its requests are sent anew.", retryable=True
        )
        pause, failures = _POLL[0], 0
        while True:
            known = self._store.batch(mark)
            if known is None:
                return {}, gone  # ended by another process, which kept the replies
            try:
                batch = known.batch or await self._api.find(mark)
                if batch is None and known.orphan:
                    return {}, gone
                if batch is not None:
                    if known.batch is None:
                        self._store.made(mark, batch)
                    state = await self._api.state(batch)
                    if state.status in _OVER:
                        return await self._replies(state), self._unanswered(batch, state)
                failures = 0
            except JudgeCallError as error:
                failures += 1
                if not error.retryable or failures == _FAILURES:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _POLL[1])

    def _unanswered(self, batch: str, state: State) -> RankerError:
        refused = state.status == "failed"
        return JudgeCallError(
            f"{self._api.where}: batch {batch} is {state.status} and has no reply to this request. {state.fault}".strip(),
            status_code=400 if refused else None,
            retryable=not refused,
        )

    async def _replies(self, state: State) -> dict[str, tuple[int, str]]:
        found: dict[str, tuple[int, str]] = {}
        for file in state.files:
            for raw in (await self._api.content(file)).splitlines():
                try:
                    line = json.loads(raw)
                    key, response = line["custom_id"], line.get("response") or {}
                    body = response.get("body") or line.get("error") or {}
                    found[key] = int(response.get("status_code") or 500), json.dumps(body)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # a line we cannot read answers nothing: its request counts as unanswered
        return found

    def _settle(self, key: str, reply: Completion | RankerError) -> None:
        for future in self._waiting.pop(key, ()):
            if future.done():
                continue
            if isinstance(reply, RankerError):
                future.set_exception(_copy(reply))
            else:
                future.set_result(reply)


def _read(status: int, body: str, where: str) -> Completion | RankerError:
    if status != 200:
        return status_error(status, scrub(body)[:2_000], where, {})
    try:
        return read_completion(body.encode(), where)
    except RankerError as error:
        return error


def _copy(error: RankerError) -> RankerError:
    """The same error once more: every caller adds its own usage to it."""
    if isinstance(error, JudgeCallError):
        return JudgeCallError(str(error), status_code=error.status_code, retryable=error.retryable)
    return type(error)(str(error))


class BatchJudge(LLMJudge):
    """An LLMJudge whose requests go to the provider's batch API: half the price, an answer within a day.

    Every request in flight waits in a batch, so the `concurrency` of the run is the size of a batch. Unusable
    verdicts and failed requests are asked again in the next batch.

    Args:
        store: a file in which it is noted what was sent; the same questions find their batches again, so a
            killed run goes on and nothing is paid twice.

    The other arguments are LLMJudge's; `price` is that of a batch.
    """

    def __init__(self, model: str, *, store: str | Path, **options: Any):
        super().__init__(model, **options)
        base_url, key = options.get("base_url"), options.get("api_key")
        if base_url is not None:
            key = key or os.environ.get("RANKER_API_KEY")
            api = BatchAPI(self.name, base_url, key)
            prices: Transport = self._transport
        else:
            api = BatchAPI(model, None, key)
            prices = LiteLLMTransport(model, key, 60.0)
        self._transport = self._batches = BatchTransport(api, BatchStore(store), prices)

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
