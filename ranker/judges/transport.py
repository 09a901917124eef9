"""One chat completion over HTTP, and every way it can fail as a JudgeCallError."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from ranker.errors import ConfigurationError, ContextLengthError, JudgeCallError, RankerError, scrub
from ranker.judges.completion import RETRYABLE, SHOWN, Completion, may_bill, read_completion, short
from ranker.prompting.prompt import Message
from ranker.runtime.event_loop import PerLoop
from ranker.runtime.http_client import HTTPClient, failure, failure_text, retry_after
from ranker.runtime.reply_size import reply_json
from ranker.secrets import bare_url, hide, scrub_logs

_TOO_LONG = re.compile(
    r"context[ _-]?(?:length|window|size)|maximum (?:context|input|model)|too many (?:input )?tokens|"
    r"prompt is too long|input is too long|exceeds? the (?:available|model)",
    re.IGNORECASE,
)
_WINDOW = re.compile(
    r"(?:maximum|max|limit|window|n_ctx|length|size)[^.\d]{0,60}?(\d[\d,]{2,})", re.IGNORECASE
)


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

    def vision(self) -> bool:
        """Whether the model is known to take images."""
        ...


class ServerTransport:
    """Any OpenAI-compatible server."""

    def __init__(
        self,
        model: str,
        base_url: str,
        api_key: str | None,
        timeout: float,
        headers: Mapping[str, str] | None = None,
    ):
        self._model = model
        self._key = api_key
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        make = partial(HTTPClient, self._base_url, api_key, timeout, headers=headers)
        self._client = PerLoop(make, lambda client: client.aclose())

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        body = {"model": self._model, "messages": list(messages), **options}
        return read_completion(await self._call("/chat/completions", body), self._where(), self._key)

    async def _call(self, route: str, body: Mapping[str, Any] | None = None) -> bytes:
        try:
            client = await self._client.get()
            async with asyncio.timeout(self._timeout):  # the client's own limits each wait, not all of them
                response = await client.request(route, body)
        except Exception as error:
            failed = call_error(error, self._where(), self._key)
        else:
            if response.is_success:
                return response.content
            said = scrub(response.text, self._key)
            failed = status_error(response.status_code, said, self._where(), response.headers)
        raise failed  # without the library's exception, which holds what was sent

    def _where(self) -> str:
        return f"{self._model} at {bare_url(self._base_url)}"

    async def window(self) -> int | None:
        """vLLM, SGLang, llama.cpp and others say it in their model list."""
        try:
            models = reply_json(await self._call("/models"))["data"]
            alone = models[0] if len(models) == 1 else {}
            model = next((m for m in models if m.get("id") == self._model), alone)
            for key in ("max_model_len", "context_length", "context_window", "max_context_length"):
                if isinstance(model.get(key), int):
                    return int(model[key])
            return int(model["meta"]["n_ctx"])
        except (RankerError, ValueError, KeyError, IndexError, TypeError, AttributeError):
            return None  # a server need not have the list; its absence says nothing

    def price(self) -> tuple[float, float] | None:
        return None

    def vision(self) -> bool:
        return False


class LiteLLMTransport:
    """Any provider LiteLLM knows. Imported on first use; its remote price list is not fetched unless
    ``LITELLM_LOCAL_MODEL_COST_MAP=False`` is set (the fetch stalls an offline start)."""

    def __init__(
        self, model: str, api_key: str | None, timeout: float, headers: Mapping[str, str] | None = None
    ):
        self._model = model
        self._key = api_key
        self._timeout = timeout
        self._headers = {"extra_headers": dict(headers)} if headers else {}
        self._model_info: dict[str, Any] | None = None

    def _litellm(self) -> Any:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        hide(self._key)
        scrub_logs("LiteLLM", "httpx", "openai._base_client")
        litellm.suppress_debug_info = True
        return litellm

    def _info(self) -> dict[str, Any]:
        if self._model_info is None:
            try:
                self._model_info = dict(self._litellm().get_model_info(self._model))
            except Exception:  # LiteLLM raises a bare Exception for a model it does not list
                self._model_info = {}
        return self._model_info

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        litellm = self._litellm()
        where = self._model
        failed: RankerError | None = None
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
                **self._headers,
                **options,
            )
        except Exception as error:
            failed = call_error(error, where, self._key)
        if failed is not None:
            raise failed  # without the library's exception, which holds what was sent
        cost = (getattr(reply, "_hidden_params", None) or {}).get("response_cost")
        return replace(read_completion(scrub(reply.model_dump_json()).encode(), where), cost_usd=cost)

    async def window(self) -> int | None:
        limit = self._info().get("max_input_tokens") or self._info().get("max_tokens")
        return int(limit) if limit else None

    def vision(self) -> bool:
        return bool(self._info().get("supports_vision"))

    def price(self) -> tuple[float, float] | None:
        info = self._info()
        read, write = info.get("input_cost_per_token"), info.get("output_cost_per_token")
        return None if not read and not write else (1e6 * (read or 0.0), 1e6 * (write or 0.0))


def call_error(error: Exception, where: str, key: str | None) -> RankerError:
    """Turn an exception of the HTTP client, of the openai client or of LiteLLM (whose exceptions derive from that's) into ours."""
    import openai

    if isinstance(error, openai.APIStatusError):
        response = getattr(error, "response", None)
        said = ("" if response is None else response.text) or f"{error} {getattr(error, 'body', None) or ''}"
        return status_error(
            int(error.status_code), scrub(said[:SHOWN], key), where, getattr(response, "headers", None) or {}
        )
    text = short(failure_text(error, key))
    match failure(error):
        case "bad address":
            return ConfigurationError(f"{where} is no address; give http://HOST:PORT/v1.")
        case "unreachable":
            return _unreachable(where, text)
        case "timeout":
            return _too_slow(where, sent=True)
        case "connect timeout":
            return _too_slow(where, sent=False)
        case "unreadable":
            return JudgeCallError(
                f"{text} A verdict is small: is {where} the address of a judge?",
                retryable=False,
                may_be_billed=True,
            )
        case "refused by client":
            return JudgeCallError(f"The call to {where} failed: {text}", retryable=False)
        case "lost":
            return _lost(where, text)


def _lost(where: str, why: str) -> JudgeCallError:
    return JudgeCallError(f"The call to {where} failed: {why}", retryable=True, may_be_billed=True)


def _too_slow(where: str, sent: bool) -> JudgeCallError:
    return JudgeCallError(
        f"{where} did not answer in time. Raise timeout, or lower the concurrency.",
        retryable=True,
        may_be_billed=sent,
    )


def _unreachable(where: str, why: str) -> JudgeCallError:
    return JudgeCallError(
        f"{where} cannot be reached ({why}). Is the server up and the address right?", retryable=True
    )


def status_error(status: int, said: str, where: str, headers: Mapping[str, str]) -> RankerError:
    """The error for an HTTP status that is none of success; `said` is the scrubbed reply."""
    if status in (400, 413, 422) and _TOO_LONG.search(said):
        match = _WINDOW.search(said)
        window = int(match.group(1).replace(",", "")) if match else None
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
        f"{where} answered with HTTP {status}: {short(said)} {remedy}",
        status_code=status,
        retryable=status in RETRYABLE and not quota,
        may_be_billed=may_bill(status),
        retry_after=retry_after(headers),
    )
