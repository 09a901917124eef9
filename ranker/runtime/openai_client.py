"""The HTTP client of judges and rollout servers: openai's, on aiohttp; and what its failures mean."""

from __future__ import annotations

import functools
import math
import ssl
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal

from ranker.errors import scrub
from ranker.runtime.reply_size import MOST, bounded
from ranker.secrets import hide, hide_url, scrub_logs

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI

Failure = Literal[
    "bad address", "unreachable", "lost", "connect timeout", "timeout", "unreadable", "refused by client"
]

_BAD_ADDRESS = {"InvalidURL", "UnsupportedProtocol", "InvalidUrlClientError"}
_UNREACHABLE = {
    "ConnectError", "ClientConnectorError", "ClientConnectorDNSError", "ConnectionRefusedError", "ClientProxyConnectionError",
}  # fmt: skip
_LOST = {"ServerDisconnectedError", "ClientPayloadError", "ClientOSError"}


def openai_client(
    base_url: str,
    api_key: str | None,
    timeout: float,
    *,
    connections: int = 0,
    proxies: bool = True,
    most: int = MOST,
) -> AsyncOpenAI:
    """A client that neither retries nor follows redirects.

    Args:
        timeout: seconds for each wait on the server, for a connection 30 at most; infinite for no limit.
        connections: open at the same time, more requests wait for one; 0 for no bound.
        proxies: go through those that the environment names.
        most: bytes of a reply, unpacked.
    """
    import httpx
    from openai import AsyncOpenAI, DefaultAioHttpClient

    hide(api_key)
    hide_url(base_url)
    scrub_logs("httpx", "openai._base_client", "openai._legacy_response", "openai._response", "asyncio")
    seconds = timeout if math.isfinite(timeout) else None
    pool = None if connections else seconds  # a request may wait for a connection as long as others need
    http_client = DefaultAioHttpClient(
        verify=_certificates(),
        limits=httpx.Limits(max_connections=connections),
        follow_redirects=False,  # the key must not travel to another address
        mounts=None if proxies else {"http://": None, "https://": None},
    )
    bounded(http_client, most)
    return AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "none",  # the client sends its environment's key in the place of an empty one
        max_retries=0,
        timeout=httpx.Timeout(seconds, connect=min(timeout, 30.0), pool=pool),
        http_client=http_client,
    )


@functools.cache
def _certificates() -> ssl.SSLContext:
    """Read once: it takes longer than everything else about a client."""
    import httpx

    return httpx.create_ssl_context()


def failure(error: BaseException) -> Failure:
    """What an exception of the client that carries no response means."""
    import openai

    kinds = {type(cause).__name__ for cause in _causes(error)}
    if "UnreadableReply" in kinds:
        return "unreadable"
    if kinds & _BAD_ADDRESS:
        return "bad address"
    if kinds & _UNREACHABLE:
        return "unreachable"
    if kinds & _LOST:
        return "lost"
    if isinstance(error, (TimeoutError, openai.APITimeoutError)):
        return "connect timeout" if "ConnectionTimeoutError" in kinds else "timeout"
    if isinstance(error, openai.OpenAIError) and not isinstance(error, openai.APIConnectionError):
        return "refused by client"
    # Anything else comes from the connection underneath (reset, broken body) or is a library's fault.
    return "lost"


def failure_text(error: BaseException, key: str | None) -> str:
    """An exception of the client in words, without the key: what it came from says more than its own kind."""
    cause = error.__cause__ or error
    return scrub(str(cause) or type(cause).__name__, key)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what it came from: which of httpx's and aiohttp's stands outermost depends on the client."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


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
