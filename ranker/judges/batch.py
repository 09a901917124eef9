"""A judge behind a provider's batch API: half the price, replies within a day."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import uuid
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from ranker.errors import JudgeCallError, RankerError, VerdictError, scrub
from ranker.judges.base import Lineup
from ranker.judges.batch_api import BatchAPI, BatchState
from ranker.judges.batch_store import BatchStore
from ranker.judges.completion import Completion, read_completion
from ranker.judges.llm import LLMJudge
from ranker.judges.provider_error import status_error
from ranker.judges.reply_limit import ReplyLimit
from ranker.judges.transport import LiteLLMTransport, Transport
from ranker.judges.verdict import Verdict
from ranker.prompting.prompt import Message
from ranker.runtime.budget import Budget
from ranker.runtime.cache import cache_key

MAX_REQUESTS = 50_000  # per batch, the limit of providers
MAX_BYTES = 100_000_000
QUIET = 1.0  # seconds without a new request after which a batch is sent
_POLL = (1.0, 60.0)  # seconds between polls of a batch: first and maximum
_FAILURES = 10  # consecutive polls that may fail
# (prompt hash, request key) of each answered request of the current verdict.
_answered: ContextVar[Sequence[tuple[str, str]]] = ContextVar("answered")
_ENDED = {"completed", "failed", "expired", "cancelled"}


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
        self._prices = prices
        self._queue: dict[str, bytes] = {}
        self._size = 0
        self._waiting: dict[str, list[asyncio.Future[Completion]]] = {}
        self._timer: asyncio.TimerHandle | None = None
        # By mark: the keys of the pending requests of a batch, and the task that waits for it.
        self._batches: dict[str, tuple[set[str], asyncio.Task[None]]] = {}

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
        future: asyncio.Future[Completion] = asyncio.get_running_loop().create_future()
        callers = self._waiting.setdefault(key, [])
        callers.append(future)
        if len(callers) == 1:
            mark = self._store.mark_of(key)
            if mark is not None:
                self._join(mark, key)
            else:
                self._enqueue(key, body)
        return await future

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

    def _enqueue(self, key: str, body: Mapping[str, Any]) -> None:
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
            del lines[key], self._waiting[key]  # cancelled by all callers
        if lines:
            mark = uuid.uuid4().hex
            self._batches[mark] = set(lines), asyncio.create_task(self._run_batch(mark, lines))

    def _join(self, mark: str, key: str) -> None:
        """Wait for a batch that another or an earlier process has sent."""
        if mark not in self._batches:
            self._batches[mark] = set(), asyncio.create_task(self._run_batch(mark, None))
        self._batches[mark][0].add(key)

    async def _run_batch(self, mark: str, lines: Mapping[str, bytes] | None) -> None:
        """Send a batch (unless `lines` is None), wait for it, and deliver its replies."""
        outcome: RankerError
        try:
            if lines is not None:
                self._store.begin(mark, lines)
                await self._create(mark, lines)
            replies, outcome = await self._wait(mark)
            parsed = {key: _parse(status, body, self._api.where) for key, (status, body) in replies.items()}
            self._store.end(
                mark, ((k, replies[k][1]) for k, p in parsed.items() if isinstance(p, Completion))
            )
        except RankerError as error:
            parsed, outcome = {}, error
        except Exception as error:
            message = scrub(f"{type(error).__name__}: {error}")
            parsed, outcome = {}, JudgeCallError(f"A batch of {self._api.where} failed: {message}")
        for key in self._batches.pop(mark)[0]:
            stored = self._store.reply(key) if key not in parsed else None
            self._settle(key, _parse(200, stored, self._api.where) if stored else parsed.get(key, outcome))

    async def _create(self, mark: str, lines: Mapping[str, bytes]) -> None:
        try:
            batch: str | None = await self._api.create(mark, b"".join(lines.values()))
        except JudgeCallError as error:
            # The request may have succeeded and only its reply been lost: look before sending again.
            batch = await self._find(mark) if error.retryable else None
            if batch is None:
                self._store.end(mark)
                raise
        assert batch is not None
        self._store.set_id(mark, batch)

    async def _find(self, mark: str) -> str | None:
        for attempt in range(_FAILURES):
            try:
                return await self._api.find(mark)
            except JudgeCallError as error:
                if not error.retryable or attempt == _FAILURES - 1:
                    raise
                await asyncio.sleep(_POLL[0] * 1.5**attempt)
        raise AssertionError("unreachable")

    async def _wait(self, mark: str) -> tuple[dict[str, tuple[int, str]], RankerError]:
        """Status and body of each reply by key, once the batch has ended, and the error of all other requests."""
        missing = JudgeCallError(
            f"A batch of {self._api.where} was never created; its requests are sent again.", retryable=True
        )
        pause, failures = _POLL[0], 0
        while True:
            entry = self._store.batch(mark)
            if entry is None:
                return {}, missing  # ended by another process, which stored the replies
            try:
                batch = entry.batch or await self._api.find(mark)
                if batch is None and entry.orphan:
                    return {}, missing
                if batch is not None:
                    if entry.batch is None:
                        self._store.set_id(mark, batch)
                    state = await self._api.state(batch)
                    if state.status in _ENDED:
                        return await self._download(state), self._no_reply(batch, state)
                failures = 0
            except JudgeCallError as error:
                failures += 1
                if not error.retryable or failures == _FAILURES:
                    raise
            await asyncio.sleep(pause)
            pause = min(pause * 1.3, _POLL[1])

    def _no_reply(self, batch: str, state: BatchState) -> RankerError:
        invalid = state.status == "failed"
        return JudgeCallError(
            f"{self._api.where}: batch {batch} is {state.status} and has no reply to this request. {state.fault}".strip(),
            status_code=400 if invalid else None,
            retryable=not invalid,
            reason="format"
            if invalid
            else "",  # a format that the provider does not take fails the whole batch
        )

    async def _download(self, state: BatchState) -> dict[str, tuple[int, str]]:
        replies: dict[str, tuple[int, str]] = {}
        for file in state.files:
            for raw in (await self._api.content(file)).splitlines():
                try:
                    line = json.loads(raw)
                    key, response = line["custom_id"], line.get("response") or {}
                    body = response.get("body") or line.get("error") or {}
                    replies[key] = int(response.get("status_code") or 500), json.dumps(body)
                except (ValueError, KeyError, TypeError, AttributeError):
                    continue  # unreadable line: its request counts as unanswered
        return replies

    def _settle(self, key: str, reply: Completion | RankerError) -> None:
        for future in self._waiting.pop(key, ()):
            if future.done():
                continue
            if isinstance(reply, RankerError):
                future.set_exception(copy.copy(reply))  # every caller attaches its own usage
            else:
                future.set_result(reply)


def _parse(status: int, body: str, where: str) -> Completion | RankerError:
    if status != 200:
        return status_error(status, scrub(body)[:2_000], where, {})
    try:
        return read_completion(body.encode(), where)
    except RankerError as error:
        return error


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
