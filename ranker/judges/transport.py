"""One chat completion over HTTP, and every way it can fail as a JudgeCallError."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Protocol

from ranker.errors import ConfigurationError, JudgeCallError, RankerError, scrub
from ranker.judges.completion import Completion, read_completion
from ranker.judges.names import unknown_judge
from ranker.judges.provider_error import SHOWN, short, status_error
from ranker.judges.provider_keys import check_provider, check_provider_key, variables_of
from ranker.prompting.prompt import Message
from ranker.runtime.event_loop import PerLoop
from ranker.runtime.http_client import HTTPClient, failure, failure_text
from ranker.runtime.reply_size import reply_json
from ranker.secrets import bare_url, hide, scrub_logs

_LONGEST = 1e8  # seconds, three years; LiteLLM's clients take no infinity


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
            said = scrub(response.text[:SHOWN], self._key)
            failed = status_error(response.status_code, said, self._where(), response.headers)
        raise failed  # without the library's exception, which holds what was sent

    def _where(self) -> str:
        return f"{self._model} at {bare_url(self._base_url)}"

    async def _models(self) -> list[dict[str, Any]]:
        """The server's model list; a server need not have one."""
        return list(reply_json(await self._call("/models"))["data"])

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
        self._timeout = min(timeout, _LONGEST)
        self._headers = dict(headers or {})
        self._model_info: dict[str, Any] | None = None
        self._checked = False

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
        failed: RankerError | None = None
        try:
            request = {
                "model": self._model,
                "messages": list(messages),
                "api_key": self._key,
                "timeout": self._timeout,
                "num_retries": 0,
                "max_retries": 0,
                "drop_params": True,
                "caching": False,
                **options,  # the user's go before ours
            }
            if self._headers:
                request["extra_headers"] = self._headers | dict(options.get("extra_headers") or {})
            reply = await litellm.acompletion(**request)
        except Exception as error:
            variable = next(
                (f"${name}" for name in variables_of(self._model)), "the provider's environment variable"
            )
            failed = call_error(error, where, self._key, variable)
        if failed is not None:
            raise failed  # without the library's exception, which holds what was sent
        cost = (getattr(reply, "_hidden_params", None) or {}).get("response_cost")
        completion = read_completion(reply.model_dump_json().encode(), where, self._key)
        return replace(completion.scrubbed(), cost_usd=cost)

    async def window(self) -> int | None:
        limit = self._info().get("max_input_tokens") or self._info().get("max_tokens")
        return int(limit) if limit else None

    def vision(self) -> bool:
        return bool(self._info().get("supports_vision"))

    def price(self) -> tuple[float, float] | None:
        info = self._info()
        read, write = info.get("input_cost_per_token"), info.get("output_cost_per_token")
        return None if not read and not write else (1e6 * (read or 0.0), 1e6 * (write or 0.0))


def call_error(
    error: Exception, where: str, key: str | None, key_variable: str = "$RANKER_API_KEY"
) -> RankerError:
    """Turn an exception of the HTTP client, of the openai client or of LiteLLM (whose exceptions derive from that's) into ours."""
    openai = sys.modules.get("openai")  # imported by LiteLLM; importing it would hold up the loop
    if openai is not None and isinstance(error, openai.APIStatusError):
        response = getattr(error, "response", None)
        said = ("" if response is None else response.text) or f"{error} {getattr(error, 'body', None) or ''}"
        headers = getattr(response, "headers", None) or {}
        kind = type(error).__name__
        return status_error(
            int(error.status_code),
            scrub(said[:SHOWN], key),
            where,
            headers,
            key_variable=key_variable,
            kind=kind,
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
