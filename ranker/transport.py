"""One chat completion over HTTP, and every way it can fail as a JudgeCallError."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import partial
from typing import Any, Protocol

from ranker.errors import ContextLengthError, JudgeCallError, RankerError, scrub
from ranker.loops import PerLoop
from ranker.prompt import Message

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


class OpenAITransport:
    """Any OpenAI-compatible server, through the `openai` client over aiohttp.

    Measured on two cores against a server that answers at once, 64 in flight: LiteLLM 340 requests
    a second, the openai client on httpx 500, on aiohttp 1,130, and 1,970 where, as here, the reply
    is read as plain JSON instead of the client's models.
    """

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float):
        self._model = model
        self._key = api_key
        self._base_url = base_url
        self._client = PerLoop(partial(_client, base_url, api_key, timeout), lambda client: client.close())

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        import httpx

        client = await self._client.get()
        body = {"model": self._model, "messages": list(messages), **options}
        try:
            response = await client.post("/chat/completions", cast_to=httpx.Response, body=body)
            raw = response.content
        except Exception as error:
            raise call_error(error, self._where(), self._key) from error
        return read_completion(raw, self._where())

    def _where(self) -> str:
        return f"{self._model} at {re.sub(r'//[^/@]*@', '//', self._base_url).split('?')[0]}"

    async def window(self) -> int | None:
        """vLLM, SGLang, llama.cpp and others say it in their model list."""
        import httpx

        client = await self._client.get()
        try:
            response = await client.get("/models", cast_to=httpx.Response, options={"timeout": 5.0})
            models = json.loads(response.content)["data"]
            alone = models[0] if len(models) == 1 else {}
            told = next((m for m in models if m.get("id") == self._model), alone)
            for key in ("max_model_len", "context_length", "context_window", "max_context_length"):
                if isinstance(told.get(key), int):
                    return int(told[key])
            return int(told["meta"]["n_ctx"])
        except Exception:  # a server need not have the list; its absence says nothing
            return None

    def price(self) -> tuple[float, float] | None:
        return None


def _client(base_url: str, api_key: str | None, timeout: float) -> Any:
    import openai

    return openai.AsyncOpenAI(
        base_url=base_url,
        api_key=api_key or "none",
        timeout=timeout,
        max_retries=0,
        http_client=openai.DefaultAioHttpClient(timeout=timeout),
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
    """Turn an exception of the openai client (LiteLLM's derive from it) into ours, with a remedy."""
    import httpx
    import openai

    said = scrub(_short(str(error)), key)
    # The aiohttp transport reports a refused connection as a ConnectTimeout.
    slow = isinstance(error, openai.APITimeoutError) and not isinstance(error.__cause__, httpx.ConnectTimeout)
    if slow:
        text = f"{where} did not answer in time. Raise timeout, or lower the concurrency."
        return JudgeCallError(text, retryable=True)
    if isinstance(error, openai.APIStatusError):
        return _status_error(error, where, said)
    if isinstance(error, openai.APIConnectionError):
        cause = scrub(_short(str(error.__cause__ or error)), key)
        return JudgeCallError(f"{where} cannot be reached ({cause}). Is the server up and the address right?",
                              retryable=True)  # fmt: skip
    if isinstance(error, openai.OpenAIError):
        return JudgeCallError(f"The call to {where} failed: {said}", retryable=False)
    # Anything else comes from the connection underneath (reset, broken body) or a library's fault.
    return JudgeCallError(f"The call to {where} failed: {type(error).__name__}: {said}", retryable=True)


def _status_error(error: Any, where: str, said: str) -> RankerError:
    status = int(error.status_code)
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
    quota = status == 429 and "insufficient_quota" in str(getattr(error, "body", ""))
    if quota:
        remedy = "The account is out of credit."
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    return JudgeCallError(
        f"{where} answered with HTTP {status}: {said} {remedy}",
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
