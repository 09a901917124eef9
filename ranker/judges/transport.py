"""One chat completion over HTTP, and every way it can fail as a JudgeCallError."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

from ranker.errors import ConfigurationError, JudgeCallError, RankerError, scrub
from ranker.judges.completion import Completion, read_completion
from ranker.judges.names import unknown_judge
from ranker.judges.provider_error import short, status_error
from ranker.judges.provider_keys import check_provider, check_provider_key, variables_of
from ranker.prompting.prompt import Message
from ranker.runtime.event_loop import PerLoop
from ranker.runtime.openai_client import failure, failure_text, openai_client

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI


class Transport(Protocol):
    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        """Send one request. Raises JudgeCallError or ContextLengthError."""
        ...

    def check(self) -> None:
        """See what can be seen without a call.

        Raises:
            ConfigurationError: there is no such provider, or no key where it needs one.
        """
        ...

    async def open_to_all(self) -> bool:
        """Whether the server takes no key and has the model, so that neither can be wrong, nor credit lack.

        Raises:
            JudgeCallError: fatal; the server says that the key is wrong.
        """
        ...

    async def window(self) -> int | None:
        """The context window in tokens, where it can be found out."""
        ...

    def price(self) -> tuple[float, float] | None:
        """Dollars for a million tokens read and written, where known."""
        ...


class ServerTransport:
    """Any OpenAI-compatible server, through the openai client on aiohttp."""

    def __init__(self, model: str, base_url: str, api_key: str | None, timeout: float):
        self._model = model
        self._key = api_key
        self._base_url = base_url.rstrip("/")
        self._timeout = timeout
        make = partial(openai_client, self._base_url, api_key, timeout)
        self._client = PerLoop(make, lambda client: client.close())

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        body = {"model": self._model, "messages": list(messages), **options}
        raw = await self._call(lambda client, cast: client.post("/chat/completions", body=body, cast_to=cast))
        return read_completion(raw, self._where(), self._key)

    async def _call(
        self, request: Callable[[AsyncOpenAI, type[httpx.Response]], Awaitable[httpx.Response]]
    ) -> bytes:
        import httpx

        try:
            client = await self._client.get()
            async with asyncio.timeout(self._timeout):  # the client's own limits each wait, not all of them
                response = await request(client, httpx.Response)
                return response.content
        except Exception as error:
            raise call_error(error, self._where(), self._key) from error

    def _where(self) -> str:
        return f"{self._model} at {self._base_url.split('?')[0]}"

    async def _models(self) -> list[dict[str, Any]]:
        """The server's model list; a server need not have one."""
        raw = await self._call(lambda client, cast: client.get("/models", cast_to=cast))
        return list(json.loads(raw)["data"])

    def check(self) -> None:
        pass

    async def open_to_all(self) -> bool:
        try:
            return not self._key and any(model.get("id") == self._model for model in await self._models())
        except (RankerError, ValueError, KeyError, TypeError, AttributeError) as error:
            if isinstance(error, JudgeCallError) and error.reason == "key":
                raise
            return False

    async def window(self) -> int | None:
        """vLLM, SGLang, llama.cpp and others say it in their model list."""
        try:
            models = await self._models()
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


class LiteLLMTransport:
    """Any provider LiteLLM knows. Imported on first use; its remote price list is not fetched unless
    ``LITELLM_LOCAL_MODEL_COST_MAP=False`` is set (the fetch stalls an offline start)."""

    def __init__(self, model: str, api_key: str | None, timeout: float):
        self._model = model
        self._key = api_key
        self._timeout = timeout
        self._model_info: dict[str, Any] | None = None
        self._checked = False

    def _litellm(self) -> Any:
        os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
        import litellm

        litellm.suppress_debug_info = True
        return litellm

    def _info(self) -> dict[str, Any]:
        if self._model_info is None:
            try:
                self._model_info = dict(self._litellm().get_model_info(self._model))
            except Exception:  # LiteLLM raises a bare Exception for a model it does not list
                self._model_info = {}
        return self._model_info

    async def open_to_all(self) -> bool:
        return False

    def check(self) -> None:
        if self._checked:
            return
        if not self._key:  # before LiteLLM is imported, which takes seconds
            check_provider(self._model)
            check_provider_key(self._model)
        litellm = self._litellm()
        try:
            litellm.get_llm_provider(self._model)
        except Exception:  # LiteLLM's own exception for a provider that it does not know
            raise unknown_judge(self._model, map(str, litellm.provider_list), litellm.model_cost) from None
        self._checked = True

    async def send(self, messages: Sequence[Message], options: dict[str, Any]) -> Completion:
        self.check()
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
            variable = next(
                (f"${name}" for name in variables_of(self._model)), "the provider's environment variable"
            )
            raise call_error(error, where, self._key, variable) from error
        cost = (getattr(reply, "_hidden_params", None) or {}).get("response_cost")
        return replace(read_completion(reply.model_dump_json().encode(), where, self._key), cost_usd=cost)

    async def window(self) -> int | None:
        limit = self._info().get("max_input_tokens") or self._info().get("max_tokens")
        return int(limit) if limit else None

    def price(self) -> tuple[float, float] | None:
        info = self._info()
        read, write = info.get("input_cost_per_token"), info.get("output_cost_per_token")
        return None if not read and not write else (1e6 * (read or 0.0), 1e6 * (write or 0.0))


def call_error(
    error: Exception, where: str, key: str | None, key_variable: str = "$RANKER_API_KEY"
) -> RankerError:
    """Turn an exception of the openai client or of LiteLLM, whose exceptions derive from the client's, into ours."""
    import openai

    if isinstance(error, openai.APIStatusError):
        response = getattr(error, "response", None)
        said = ("" if response is None else response.text) or f"{error} {getattr(error, 'body', None) or ''}"
        headers = getattr(response, "headers", None) or {}
        kind = type(error).__name__
        return status_error(
            int(error.status_code), scrub(said, key), where, headers, key_variable=key_variable, kind=kind
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
