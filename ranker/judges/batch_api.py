"""A provider's batch API: files of requests in, files of replies out."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ranker.errors import ConfigurationError, scrub
from ranker.judges.transport import call_error
from ranker.runtime.event_loop import PerLoop

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_PROVIDERS = ("openai", "azure", "vertex_ai", "hosted_vllm", "litellm_proxy", "xai")


@dataclass(frozen=True, slots=True)
class State:
    """Where a batch stands: its status, the files of its replies, and what was wrong with it."""

    status: str
    files: tuple[str, ...]
    fault: str


class BatchAPI:
    """A provider's files and batches: OpenAI and servers like it through the openai client, others through LiteLLM.

    Args:
        model: a LiteLLM model name, or with `base_url` the name the server knows.
        base_url: an OpenAI-compatible server that speaks ``/files`` and ``/batches``.

    Raises:
        ConfigurationError: LiteLLM knows no batch API of this provider.
    """

    def __init__(self, model: str, base_url: str | None, api_key: str | None):
        self.model = model
        self.where = f"{model} at {base_url.split('?')[0]}" if base_url else model
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
                    "--base-url that speaks /files and /batches."
                )
            if provider != "openai":
                self._litellm = litellm
                self._how = {"custom_llm_provider": provider, "max_retries": 0}
                self._how |= {} if api_key is None else {"api_key": api_key}
                return
            base_url = os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")
        else:
            api_key = api_key or "none"  # no other key is ever sent there
        self._clients = PerLoop(partial(_client, base_url, api_key), lambda client: client.close())

    async def create(self, mark: str, lines: bytes) -> str:
        """Upload the requests and start their batch; its id."""
        name = f"ranker-{mark}.jsonl"
        file = await self._call("acreate_file", file=(name, lines, "application/jsonl"), purpose="batch")
        made = await self._call(
            "acreate_batch",
            completion_window="24h",
            endpoint="/v1/chat/completions",
            input_file_id=file.id,
            metadata={"ranker": mark},
        )
        return str(made.id)

    async def find(self, mark: str) -> str | None:
        """The id of the batch that was made with `mark`; None where there is none."""
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

    async def state(self, batch: str) -> State:
        """Where a batch stands."""
        told = await self._call("aretrieve_batch", batch_id=batch)
        files = tuple(f for f in (told.output_file_id, told.error_file_id) if f)
        faults = getattr(told.errors, "data", None) or []
        said = " ".join(str(getattr(fault, "message", fault)) for fault in faults[:3])
        return State(str(told.status), files, scrub(said, self._key))

    async def content(self, file: str) -> bytes:
        """What a file holds."""
        return bytes((await self._call("afile_content", file_id=file)).content)

    async def _call(self, what: str, **given: Any) -> Any:
        """Call one of LiteLLM's functions, or the openai client's of the same arguments."""
        try:
            if self._clients is None:
                return await getattr(self._litellm, what)(**given, **self._how)
            client = await self._clients.get()
            calls: dict[str, Any] = {
                "acreate_file": client.files.create,
                "afile_content": client.files.content,
                "acreate_batch": client.batches.create,
                "alist_batches": client.batches.list,
                "aretrieve_batch": client.batches.retrieve,
            }
            return await calls[what](**given)
        except Exception as error:
            told = call_error(error, self.where, self._key)
            told.args = (scrub(str(told), self._key),)  # a server may repeat the key it was sent
            raise told from error


def _client(base_url: str | None, api_key: str | None) -> AsyncOpenAI:
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=api_key, base_url=base_url, max_retries=0)  # a retry could make a batch twice
