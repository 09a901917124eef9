"""One chat completion over HTTP, and every way it can fail as a JudgeCallError."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol
from urllib.request import getproxies

from ranker.errors import ConfigurationError, ContextLengthError, JudgeCallError, RankerError, scrub
from ranker.prompting.prompt import Message
from ranker.runtime.event_loop import PerLoop

if TYPE_CHECKING:
    import aiohttp

_RETRYABLE = {408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529}
_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:context|input|model)|too many (?:input )?tokens|"
    r"prompt is too long|input is too long|exceeds? the (?:available|model)",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:maximum|max|limit|window|n_ctx|length|size)[^.\d]{0,60}?(\d[\d,]{2,})", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Completion:
    """A chat completion; token counts are the server's own, the cost None where unknown."""

    text: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_usd: float | None = None


class Transport(Protocol):
    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        """Send one request. Raises JudgeCallError or ContextLengthError."""
        ...

    async def window(self) -> int | None:
        """The context window in tokens, where it can be found out."""
        ...

    def price(self) -> tuple[float, float] | None:
        """Dollars for a million tokens read and written, where known."""
        ...


class ServerTransport:
    """Any OpenAI-compatible server, over aiohttp.

    Why not the openai client: its layers cost more than all of Ranker's own work on a group. Measured on
    two cores against a server that answers at once, 64 in flight, CPU time of a request: LiteLLM 2.9 ms,
    the openai client on httpx 2.0 ms, on aiohttp 0.6 ms, aiohttp alone 0.2 ms.
    """

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float):
        self._model = model
        self._key = api_key
        self._base_url = base_url.rstrip("/")
        self._session = PerLoop(partial(_session, api_key, timeout), lambda session: session.close())

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        body = {"model": self._model, "messages": list(messages), **options}
        return read_completion(await self._call("POST", "/chat/completions", json=body), self._where())

    async def _call(self, method: str, path: str, **request: Any) -> bytes:
        import aiohttp

        session = await self._session.get()
        try:
            # No redirects: the key must not travel to another address.
            async with session.request(
                method, self._base_url + path, allow_redirects=False, **request
            ) as response:
                raw: bytes = await response.read()
        except TimeoutError as error:
            raise _too_slow(self._where()) from error
        except aiohttp.ClientConnectorError as error:
            raise _unreachable(self._where(), scrub(_short(str(error)), self._key)) from error
        except aiohttp.InvalidURL as error:
            raise ConfigurationError(f"base_url={self._base_url!r} is no address.") from error
        except (aiohttp.ClientError, OSError) as error:
            said = scrub(_short(f"{type(error).__name__}: {error}"), self._key)
            raise JudgeCallError(f"The call to {self._where()} failed: {said}", retryable=True) from error
        if response.status >= 300:
            said = scrub(_short(raw[:2_000].decode("utf-8", "replace")), self._key)
            raise status_error(response.status, said, self._where(), response.headers)
        return raw

    def _where(self) -> str:
        return f"{self._model} at {self._base_url.split('?')[0]}"

    async def window(self) -> int | None:
        """vLLM, SGLang, llama.cpp and others say it in their model list."""
        try:
            models = json.loads(await self._call("GET", "/models"))["data"]
            alone = models[0] if len(models) == 1 else {}
            told = next((m for m in models if m.get("id") == self._model), alone)
            for key in ("max_model_len", "context_length", "context_window", "max_context_length"):
                if isinstance(told.get(key), int):
                    return int(told[key])
            return int(told["meta"]["n_ctx"])
        except (RankerError, ValueError, KeyError, IndexError, TypeError, AttributeError):
            return None  # a server need not have the list; its absence says nothing

    def price(self) -> tuple[float, float] | None:
        return None


def _session(api_key: str | None, timeout: float) -> aiohttp.ClientSession:
    import aiohttp

    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),  # the caller bounds the calls in flight
        timeout=aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 30.0)),
        headers={"Authorization": f"Bearer {api_key or 'none'}"},
        # Looked at only where a proxy is set: aiohttp then reads the environment for every request.
        trust_env=bool(getproxies()),
    )


class LiteLLMTransport:
    """Any provider LiteLLM knows. Imported on first use; its remote price list is not fetched unless
    ``LITELLM_LOCAL_MODEL_COST_MAP=False`` is set (the fetch stalls an offline start)."""

    def __init__(self, model: str, api_key: str | None, timeout: float):
        self._model = model
        self._key = api_key
        self._timeout = timeout
        self._told: dict[str, Any] | None = None

    def _litellm(self) -> Any:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        litellm.suppress_debug_info = True
        return litellm

    def _info(self) -> dict[str, Any]:
        if self._told is None:
            try:
                self._told = dict(self._litellm().get_model_info(self._model))
            except Exception:  # LiteLLM raises a bare Exception for a model it does not list
                self._told = {}
        return self._told

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        litellm = self._litellm()
        where = self._model
        try:
            reply = await litellm.acompletion(
                model=self._model,
                messages=list(messages),
                api_key=self._key,
                timeout=self._timeout,
                num_retries=0,
                max_retries=0,
                drop_params=True,
                caching=False,
                **options,
            )
        except Exception as error:
            raise call_error(error, where, self._key) from error
        cost = (getattr(reply, "_hidden_params", None) or {}).get("response_cost")
        made = read_completion(reply.model_dump_json().encode(), where)
        return Completion(made.text, made.prompt_tokens, made.completion_tokens, cost)

    async def window(self) -> int | None:
        found = self._info().get("max_input_tokens") or self._info().get("max_tokens")
        return int(found) if found else None

    def price(self) -> tuple[float, float] | None:
        info = self._info()
        read, write = info.get("input_cost_per_token"), info.get("output_cost_per_token")
        return None if not read and not write else (1e6 * (read or 0.0), 1e6 * (write or 0.0))


def read_completion(raw: bytes, where: str) -> Completion:
    """Read the JSON of a chat completion.

    Raises:
        JudgeCallError: retryable; what came is not a chat completion.
    """
    try:
        reply = json.loads(raw.decode("utf-8"))
        if not isinstance(reply, dict):
            raise TypeError("not an object")
        if not reply.get("choices") and reply.get("error"):
            told = reply["error"]
            code = told.get("code") if isinstance(told, dict) else None
            status = code if isinstance(code, int) else None
            raise JudgeCallError(
                scrub(f"{where} answered with an error: {_short(json.dumps(told))}"),
                status_code=status,
                retryable=status is None or status in _RETRYABLE,
            )
        text = reply["choices"][0]["message"].get("content") or ""
        if not isinstance(text, str):
            text = "".join(part.get("text", "") for part in text)
        usage = reply.get("usage") or {}
        counts = [usage.get(k) for k in ("prompt_tokens", "completion_tokens")]
        read, wrote = (c if isinstance(c, int) and c >= 0 else 0 for c in counts)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        start = scrub(_short(raw[:200].decode("utf-8", "replace")))
        raise JudgeCallError(
            f"What {where} sent is not a chat completion in UTF-8 JSON ({type(error).__name__}); it starts "
            f"with {start!r}. Check that the base URL is the server's OpenAI-compatible one (often …/v1).",
            retryable=True,
        ) from None
    return Completion(text, read, wrote)


def call_error(error: Exception, where: str, key: str | None) -> RankerError:
    """Turn an exception of LiteLLM (all derive from the openai client's) into ours, with a remedy."""
    import openai

    said = scrub(_short(str(error)), key)
    if isinstance(error, openai.APITimeoutError):
        return _too_slow(where)
    if isinstance(error, openai.APIStatusError):
        headers = getattr(getattr(error, "response", None), "headers", None) or {}
        return status_error(
            int(error.status_code), scrub(f"{said} {getattr(error, 'body', None) or ''}", key), where, headers
        )
    if isinstance(error, openai.APIConnectionError):
        return _unreachable(where, scrub(_short(str(error.__cause__ or error)), key))
    if isinstance(error, openai.OpenAIError):
        return JudgeCallError(f"The call to {where} failed: {said}", retryable=False)
    # Anything else comes from the connection underneath (reset, broken body) or a library's fault.
    return JudgeCallError(f"The call to {where} failed: {type(error).__name__}: {said}", retryable=True)


def _too_slow(where: str) -> JudgeCallError:
    return JudgeCallError(
        f"{where} did not answer in time. Raise timeout, or lower the concurrency.", retryable=True
    )


def _unreachable(where: str, why: str) -> JudgeCallError:
    return JudgeCallError(
        f"{where} cannot be reached ({why}). Is the server up and the address right?", retryable=True
    )


def status_error(status: int, said: str, where: str, headers: Mapping[str, str]) -> RankerError:
    """The error for an HTTP status that is none of success; `said` is the scrubbed reply."""
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        told = _WINDOW.search(said)
        window = int(told.group(1).replace(",", "")) if told else None
        return ContextLengthError(f"The prompt is too long for {where}: {said}", window=window)
    remedy = {
        401: "The API key is missing or wrong: set the provider's environment variable or api_key=.",
        403: "This key may not use that model: check the key's rights.",
        404: "Check the model's name and the base URL.",
        429: "The rate limit is reached: lower the concurrency, or set rpm= and tpm=.",
    }.get(status, "The server failed; try again later." if status >= 500 else "Check the request's options.")
    if status < 400:
        remedy = "The server redirects; give the address it redirects to as the base URL."
    quota = status == 429 and "insufficient_quota" in said
    if quota:
        remedy = "The account is out of credit."
    return JudgeCallError(
        f"{where} answered with HTTP {status}: {_short(said)} {remedy}",
        status_code=status,
        retryable=status in _RETRYABLE and not quota,
        retry_after=_retry_after(headers),
    )


def _retry_after(headers: Any) -> float | None:
    """Seconds from Retry-After-Ms or Retry-After (seconds or a date)."""
    try:
        if "retry-after-ms" in headers:
            return float(headers["retry-after-ms"]) / 1000
        value = headers.get("retry-after")
        if value is None:
            return None
        try:
            return max(0.0, float(value))
        except ValueError:
            from datetime import UTC, datetime

            return max(0.0, (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):
        return None


def _short(text: str, most: int = 300) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= most else flat[:most] + "…"
