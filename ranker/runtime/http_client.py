"""The HTTP client of judges and rollout servers: httpx on aiohttp; and what its failures mean.

It is the stack under the openai client. That client's own layer is left out: it costs 0.5 ms of CPU a request, sends a
placeholder where there is no key, and describes the machine in a dozen headers.
"""

from __future__ import annotations

import functools
import json
import math
import ssl
import warnings
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Literal

from ranker.errors import causes, scrub
from ranker.runtime.reply_size import MOST, bounded
from ranker.secrets import hide, hide_url, scrub_logs

if TYPE_CHECKING:
    import httpx

Failure = Literal[
    "bad address", "unreachable", "lost", "connect timeout", "timeout", "unreadable", "refused by client"
]

_BAD_ADDRESS = {"InvalidURL", "UnsupportedProtocol", "InvalidUrlClientError"}
_UNREACHABLE = {
    "ConnectError", "ClientConnectorError", "ClientConnectorDNSError", "ConnectionRefusedError", "ClientProxyConnectionError",
}  # fmt: skip
_LOST = {"ServerDisconnectedError", "ClientPayloadError", "ClientOSError"}
_TIMEOUT = {"TimeoutError", "TimeoutException", "APITimeoutError"}
_CONNECT_TIMEOUT = {"ConnectionTimeoutError", "ConnectTimeout"}


class HTTPClient:
    """Requests to one server. It neither retries nor follows redirects: the key must not travel to another address.

    Args:
        base_url: its query is sent with every request.
        api_key: sent as a bearer token, unless `headers` says Authorization; None for no such header.
        headers: sent with every request.
        timeout: seconds for each wait on the server, for a connection 30 at most; infinite for no limit.
        connections: open at the same time, more requests wait for one; 0 for no bound.
        proxies: go through those that the environment names.
        most: bytes of a reply, unpacked.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str | None,
        timeout: float,
        *,
        connections: int = 0,
        proxies: bool = True,
        headers: Mapping[str, str] | None = None,
        most: int = MOST,
    ):
        import httpx
        from httpx_aiohttp import HttpxAiohttpClient

        hide(api_key)
        hide_url(base_url)
        scrub_logs("httpx", "asyncio")
        seconds = timeout if math.isfinite(timeout) else None
        pool = None if connections else seconds  # a request may wait for a connection as long as others need
        self._base, _, query = base_url.partition("?")
        self._query = f"?{query}" if query else ""
        self._urls: dict[str, httpx.URL] = {}  # parsing one takes a tenth of a request's time
        self._headers = {"Content-Type": "application/json"}
        if api_key:
            self._headers["Authorization"] = f"Bearer {api_key}"
        self._headers |= headers or {}
        # Prompts with images are large; where warnings are errors, aiohttp's of that would be a failed call.
        warnings.filterwarnings("ignore", "Sending a large body directly", ResourceWarning)
        self._client = HttpxAiohttpClient(
            verify=_certificates(),
            limits=httpx.Limits(max_connections=connections),
            timeout=httpx.Timeout(seconds, connect=min(timeout, 30.0), pool=pool),
            follow_redirects=False,
            mounts=None if proxies else {"http://": None, "https://": None},
        )
        bounded(self._client, most)

    async def request(self, route: str, body: Mapping[str, Any] | None = None) -> httpx.Response:
        """A POST of `body` as JSON, or a GET. Raises what httpx and aiohttp raise; see `failure`."""
        import httpx

        if route not in self._urls:
            self._urls[route] = httpx.URL(f"{self._base}{route}{self._query}")
        url = self._urls[route]
        if body is None:
            return await self._client.get(url, headers=self._headers)
        content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
        return await self._client.post(url, content=content, headers=self._headers)

    async def aclose(self) -> None:
        await self._client.aclose()


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than everything else about a client."""
    import httpx

    return httpx.create_ssl_context()


def failure(error: BaseException) -> Failure:
    """What an exception of the client, or of LiteLLM's (they derive from openai's), that carries no response means."""
    # Which of httpx's and aiohttp's exceptions stands outermost depends on the client.
    kinds = {kind.__name__ for cause in causes(error) for kind in type(cause).__mro__}
    if "UnreadableReply" in kinds:
        return "unreadable"
    if kinds & _BAD_ADDRESS:
        return "bad address"
    if kinds & _UNREACHABLE:
        return "unreachable"
    if kinds & _LOST:
        return "lost"
    outermost = {kind.__name__ for kind in type(error).__mro__}
    if outermost & _TIMEOUT:
        return "connect timeout" if kinds & _CONNECT_TIMEOUT else "timeout"
    if "OpenAIError" in outermost and "APIConnectionError" not in outermost:
        return "refused by client"
    # Anything else comes from the connection underneath (reset, broken body) or is a library's fault.
    return "lost"


def failure_text(error: BaseException, key: str | None) -> str:
    """An exception of the client in words, without the key: what it came from says more than its own kind."""
    cause = error.__cause__ or error
    return scrub(str(cause) or type(cause).__name__, key)


def retry_after(headers: Mapping[str, str] | httpx.Headers) -> float | None:
    """Seconds from Retry-After-Ms or Retry-After (seconds or a date); None where neither says a usable time."""
    try:
        if "retry-after-ms" in headers:
            seconds = float(headers["retry-after-ms"]) / 1000
        else:
            seconds = _seconds(headers["retry-after"])
    except (KeyError, ValueError, TypeError):
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _seconds(value: str) -> float:
    try:
        return float(value)
    except ValueError:
        from datetime import UTC, datetime

        return (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
