"""A vLLM server: asked over HTTP, waited for while it is away, never shown a key in an error."""

from __future__ import annotations

import asyncio
import json
import logging
import random
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from grpo.errors import ReplyError, TrainingError
from ranker import ConfigurationError, RankerError
from ranker.errors import scrub
from ranker.runtime.event_loop import PerLoop
from ranker.runtime.http_client import HTTPClient, failure, failure_text, retry_after
from ranker.secrets import bare_url, hide, hide_url

log = logging.getLogger("ranker")
_TRIES = 5  # of a request that makes the server fail
_PARTING = 5.0  # seconds for a request that nothing depends on
_DEAD = "EngineCore encountered an issue"  # what vLLM's front end says while its engine is gone
_SHOWN = 2**16  # bytes that are read for an error's message
_MOST = 2**27  # bytes of a reply: 100,000 tokens with the log-probs of 30 candidates each


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: of HTTP.
        data: the JSON object; empty where it was none.
        text: the beginning of the body, for error messages; no keys in it.
    """

    status: int
    data: Mapping[str, Any]
    text: str


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights on disk, an adapter or whole ones, under a name that no others have."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Served:
    """What a server says of itself.

    Attributes:
        model: the name of its base model.
        context: tokens it holds; None where it does not say.
        adapters: loaded ones.
    """

    model: str
    context: int | None
    adapters: tuple[Weights, ...]


class _Again(Exception):
    """A request that may work later."""

    def __init__(self, why: str, *, away: bool, after: float | None = None):
        super().__init__(why)
        self.away = away
        self.after = after


class Server:
    """One vLLM server.

    Args:
        url: `http://host:port`, with or without `/v1`.
        key: what it wants as a bearer token; None for none.
        timeout: seconds for which it may be away, or take for one reply.
        most: requests open at the same time; more wait.

    Raises:
        ConfigurationError: `url` is none.
    """

    def __init__(self, url: str, key: str | None, timeout: float, most: int):
        hide(key)
        hide_url(url)
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ConfigurationError(
                f"vllm_server_base_url = {bare_url(url)!r} is no address; write for example http://localhost:8000."
            )
        if parts.username or parts.password:
            raise ConfigurationError(
                "vllm_server_base_url holds a password, and config.json would too; put the server's key into "
                "$RANKER_ROLLOUT_API_KEY."
            )
        folder = parts.path.rstrip("/").removesuffix("/v1")
        self.root = f"{parts.scheme}://{parts.netloc}{folder}"
        self.url = f"{self.root}/v1"
        self._timeout = timeout
        self._key = key
        self._waiting = 0  # requests that wait for it
        self._said_so = False
        make = partial(HTTPClient, self.root, key, timeout, connections=most, proxies=False, most=_MOST)
        self._client = PerLoop(make, lambda client: client.aclose())

    async def served(self) -> Served:
        """Its models.

        Raises:
            ConfigurationError: it is not an OpenAI-compatible server, or wants another key.
            TrainingError: it did not come up in time.
        """
        answer = await self.ask("models")
        cards = answer.data.get("data")
        if answer.status != 200 or not isinstance(cards, list) or not all(isinstance(c, dict) for c in cards):
            raise ConfigurationError(
                f"{self.url}/models answered {answer.status}, {answer.text!r}: that is no vLLM server. Start one, or "
                "mend vllm_server_base_url."
            )
        base = [c for c in cards if c.get("parent") is None]
        if not base:
            raise ConfigurationError(f"{self.url}/models names no model.")
        context = base[0].get("max_model_len")
        loaded = [c for c in cards if c.get("parent") is not None and isinstance(c.get("root"), str)]
        return Served(
            str(base[0].get("id")),
            context if isinstance(context, int) and context > 0 else None,
            tuple(Weights(str(c.get("id")), Path(c["root"])) for c in loaded),
        )

    async def ask(
        self, route: str, body: Mapping[str, Any] | None = None, tries: int = _TRIES, *, health: bool = False
    ) -> Answer:
        """One request, a POST where it has a body; a route is below /v1 unless it begins with a slash. While the server is away or overloaded (no connection, 429, 502 to
        504) it is asked again with growing pauses for `timeout` seconds; where it fails (500), `tries` times.

        Args:
            health: where it fails, ask whether it is alive; one that is not counts as away.

        Raises:
            TrainingError: it stayed away, or did not answer in time.
            ReplyError: it failed every time.
            ConfigurationError: it refuses the key.
        """
        began = time.monotonic()
        attempt, failures, waits = 1, 0, False
        try:
            while True:
                try:
                    return await self._once(route, body)
                except _Again as error:
                    failed = error
                away = failed.away or (health and not await self._alive())
                failures += not away
                patience_ended = time.monotonic() - began >= self._timeout
                if not away and (failures >= tries or patience_ended):
                    count = f"{failures} times" if failures > 1 else "once"
                    raise ReplyError(f"{self.root}{path(route)} failed {count}: {failed}")
                if patience_ended:
                    raise TrainingError(
                        f"The rollout server {self.url} is not there ({failed}), after {self._timeout:g} seconds "
                        "(vllm_server_timeout). Start it, or correct vllm_server_base_url; a run that had begun goes "
                        "on with --resume."
                    )
                self._waiting += not waits
                waits = True
                if attempt >= 3 and not self._said_so:
                    self._said_so = True  # once for all requests that wait
                    log.warning("The rollout server %s: %s; waiting.", self.url, failed)
                await asyncio.sleep(_pause(attempt, failed.after))
                attempt += 1
        finally:
            self._waiting -= waits
            self._said_so = self._said_so and self._waiting > 0

    async def ask_once(self, route: str, body: Mapping[str, Any]) -> Answer | None:
        """One short request that nothing depends on; None where the server is away or fails."""
        try:
            async with asyncio.timeout(_PARTING):
                return await self._once(route, body)
        except (RankerError, _Again, TimeoutError):
            return None

    async def _alive(self) -> bool:
        """Whether its engine runs: vLLM's front end outlives it by seconds, and answers 503 here."""
        try:
            client = await self._client.get()
            async with asyncio.timeout(_PARTING):
                return bool((await client.request("/health")).status_code < 500)
        except Exception:  # the client's own, whichever: it is not there
            return False

    async def _once(self, route: str, body: Mapping[str, Any] | None) -> Answer:
        import aiohttp
        import httpx

        client = await self._client.get()
        try:
            response = await client.request(path(route), body)
        except (httpx.HTTPError, httpx.InvalidURL, aiohttp.ClientError, OSError) as error:
            if failure(error) == "timeout":
                raise TrainingError(
                    f"The rollout server {self.url} did not answer within {self._timeout:g} seconds. If it hangs, start "
                    "it anew; if replies are that long, raise vllm_server_timeout. Then go on with --resume."
                ) from None
            away = failure(error) != "unreadable"
            raise _Again(failure_text(error, self._key), away=away) from None
        status, raw = response.status_code, response.content
        text = scrub(raw[:_SHOWN].decode("utf-8", "replace"), self._key)[:500]
        if status in (401, 403):
            raise ConfigurationError(
                f"The rollout server {self.url} refuses the key ({status}); put the right one into "
                "$RANKER_ROLLOUT_API_KEY."
            )
        if status == 429 or status in (502, 503, 504):
            raise _Again(f"{status}: {text}", away=True, after=retry_after(response.headers))
        if status >= 500:
            raise _Again(f"{status}: {text}", away=_DEAD in text)
        try:
            data = json.loads(raw)
        except ValueError:
            data = {}
        return Answer(status, data if isinstance(data, dict) else {}, text)


def path(route: str) -> str:
    """Below the server's address."""
    return route if route.startswith("/") else f"/v1/{route}"


def context_of(answer: Answer) -> int | None:
    """The server's context, where it refused a request that goes beyond; 0 where it does not say which."""
    if answer.status != 400 or "context length" not in answer.text:
        return None
    match = re.search(r"maximum context length is (\d+)", answer.text)
    return int(match[1]) if match else 0


def _pause(attempt: int, after: float | None) -> float:
    """Seconds before the next attempt: what the server asked for, else exponential with jitter."""
    drawn = random.uniform(0, min(10.0, 0.25 * 2 ** min(attempt - 1, 10)))  # noqa: S311
    return drawn if after is None else min(after, 60.0) + drawn / 10
