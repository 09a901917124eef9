"""Client of a provider's batch API."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from ranker.errors import ConfigurationError, scrub
from ranker.judges.servers import server_of
from ranker.judges.transport import call_error
from ranker.runtime.event_loop import PerLoop
from ranker.secrets import bare_url, hide, hide_url, scrub_logs

if TYPE_CHECKING:
    import httpx
    from openai import AsyncOpenAI

_TIMEOUT = 600.0  # seconds; a file of requests may be large
_PROVIDERS = ("openai", "azure", "vertex_ai", "hosted_vllm", "litellm_proxy", "xai")


@dataclass(frozen=True, slots=True)
class BatchState:
    """The status of a batch, the ids of its output files, and its errors."""

    status: str
    files: tuple[str, ...]
    fault: str


class BatchAPI:
    """Files and batches of a provider: OpenAI-compatible servers through the openai client, others through LiteLLM.

    Args:
        model: a LiteLLM model name, or with `base_url` the server's name of the model.
        base_url: an OpenAI-compatible server with ``/files`` and ``/batches``.
        api_key: key of the provider or server.
        headers: sent with every request.

    Raises:
        ConfigurationError: LiteLLM does not support batches for this provider.
    """

    def __init__(
        self, model: str, base_url: str | None, api_key: str | None, headers: Mapping[str, str] | None = None
    ):
        self.model = model
        self.where = f"{model} at {bare_url(base_url)}" if base_url else model
        # Distinguishes servers that have the same `where`.
        self.server = {k: v for k, v in server_of(model, base_url).items() if k != "base_url"}
        self._key = api_key
        self._litellm: Any = None
        self._clients: PerLoop[AsyncOpenAI] | None = None
        provider = "openai"
        if base_url is None:
            os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
            import litellm

            litellm.suppress_debug_info = True
            try:
                self.model, provider, *_ = litellm.get_llm_provider(model)
            except Exception:  # LiteLLM raises a bare Exception for a model it does not know
                provider = ""
            if provider not in _PROVIDERS:
                raise ConfigurationError(
                    f"There is no batch API for {model!r}; --batch takes models of {', '.join(_PROVIDERS)}, or a "
                    "--base-url with /files and /batches."
                )
            if provider != "openai":
                self._litellm = litellm
                self._litellm_options = {"custom_llm_provider": provider, "max_retries": 0}
                self._litellm_options |= {} if api_key is None else {"api_key": api_key}
                self._litellm_options |= {"extra_headers": dict(headers)} if headers else {}
                return
            base_url = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
            make = partial(_provider_client, base_url, api_key, headers)
        else:
            make = partial(_server_client, base_url, api_key, headers)
        self._clients = PerLoop(make, lambda client: client.close())

    async def create(self, mark: str, lines: bytes) -> str:
        """Upload the requests, create their batch and return its id."""
        name = f"ranker-{mark}.jsonl"
        file = await self._call("acreate_file", file=(name, lines, "application/jsonl"), purpose="batch")
        batch = await self._call(
            "acreate_batch",
            completion_window="24h",
            endpoint="/v1/chat/completions",
            input_file_id=file.id,
            metadata={"ranker": mark},
        )
        return str(batch.id)

    async def find(self, mark: str) -> str | None:
        """The id of the batch created with `mark`; None if there is none."""
        after: dict[str, str] = {}
        while True:
            page = await self._call("alist_batches", limit=100, **after)
            batches = list(page.data if hasattr(page, "data") else page["data"])
            for batch in batches:
                if (batch.metadata or {}).get("ranker") == mark:
                    return str(batch.id)
            if len(batches) < 100:
                return None
            after = {"after": batches[-1].id}

    async def state(self, batch: str) -> BatchState:
        """The current state of a batch."""
        reply = await self._call("aretrieve_batch", batch_id=batch)
        files = tuple(f for f in (reply.output_file_id, reply.error_file_id) if f)
        faults = getattr(reply.errors, "data", None) or []
        message = " ".join(str(getattr(fault, "message", fault)) for fault in faults[:3])
        return BatchState(str(reply.status), files, scrub(message, self._key))

    async def content(self, file: str) -> bytes:
        """The content of a file."""
        return bytes((await self._call("afile_content", file_id=file)).content)

    async def _call(self, function: str, **arguments: Any) -> Any:
        """Call a LiteLLM function by name, or the openai client's equivalent with the same arguments."""
        try:
            if self._clients is None:
                return await getattr(self._litellm, function)(**arguments, **self._litellm_options)
            client = await self._clients.get()
            calls: dict[str, Any] = {
                "acreate_file": client.files.create,
                "afile_content": client.files.content,
                "acreate_batch": client.batches.create,
                "alist_batches": client.batches.list,
                "aretrieve_batch": client.batches.retrieve,
            }
            return await calls[function](**arguments)
        except Exception as error:
            failure = call_error(error, self.where, self._key)
            failure.args = (scrub(str(failure), self._key),)  # a server may echo the key
        raise failure  # without the library's exception, which holds what was sent


def _provider_client(
    base_url: str | None, api_key: str | None, headers: Mapping[str, str] | None
) -> AsyncOpenAI:
    """With the key and the settings of the environment."""
    from openai import AsyncOpenAI

    hide(api_key)
    hide_url(base_url or "")
    scrub_logs("httpx", "openai._base_client")
    # A retry could create a batch twice.
    return AsyncOpenAI(api_key=api_key, base_url=base_url, default_headers=headers, max_retries=0)


def _server_client(base_url: str, api_key: str | None, headers: Mapping[str, str] | None) -> AsyncOpenAI:
    """A client of a server of the user's, which never gets a key from the environment."""
    import httpx
    from openai import AsyncOpenAI

    hide(api_key)
    hide_url(base_url)
    scrub_logs("httpx", "openai._base_client")
    address, _, query = base_url.partition("?")
    keyless = not api_key and "Authorization" not in (headers or {})
    return AsyncOpenAI(
        api_key=api_key or "none",
        base_url=address,
        default_query=dict(parse_qsl(query, keep_blank_values=True)),
        default_headers=headers,
        max_retries=0,  # a retry could create a batch twice
        timeout=_TIMEOUT,
        http_client=httpx.AsyncClient(
            timeout=_TIMEOUT, event_hooks={"request": [_without_key] if keyless else []}
        ),
    )


async def _without_key(request: httpx.Request) -> None:
    del request.headers["Authorization"]
