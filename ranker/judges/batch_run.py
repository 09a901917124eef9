"""One batch of requests: sent, waited for, and its replies read."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping

from ranker.errors import JudgeCallError, RankerError, scrub
from ranker.judges.batch_api import BatchAPI, BatchState
from ranker.judges.batch_store import BatchStore
from ranker.judges.completion import Completion, read_completion
from ranker.judges.provider_error import status_error

_POLL = (1.0, 60.0)  # seconds between polls of a batch: first and maximum
_FAILURES = 10  # consecutive polls that may fail
_ENDED = {"completed", "failed", "expired", "cancelled"}
Replies = tuple[dict[str, Completion | RankerError], RankerError]
"""By key, and the error of all other requests."""


class BatchRun:
    """Runs batches of a provider's API, noted in a store."""

    def __init__(self, api: BatchAPI, store: BatchStore):
        self._api = api
        self._store = store
        self._creating: set[str] = set()  # marks; other event loops may wait for one, and it is no orphan

    async def run(self, mark: str, lines: Mapping[str, bytes] | None) -> Replies:
        """Send a batch, unless `lines` is None, and wait for its replies."""
        try:
            if lines is not None:
                self._creating.add(mark)
                self._store.begin(mark, lines)
                await self._create(mark, lines)
            replies, outcome = await self._wait(mark)
            parsed = {
                key: parse_reply(status, body, self._api.where) for key, (status, body) in replies.items()
            }
            self._store.end(
                mark, ((k, replies[k][1]) for k, p in parsed.items() if isinstance(p, Completion))
            )
        except RankerError as error:
            return {}, error
        except Exception as error:
            message = scrub(f"{type(error).__name__}: {error}")
            return {}, JudgeCallError(f"A batch of {self._api.where} failed: {message}")
        finally:
            self._creating.discard(mark)
        return parsed, outcome

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
                if batch is None and entry.orphan and mark not in self._creating:
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


def parse_reply(status: int, body: str, where: str) -> Completion | RankerError:
    if status != 200:
        return status_error(status, scrub(body)[:2_000], where, {})
    try:
        return read_completion(body.encode(), where)
    except RankerError as error:
        return error
