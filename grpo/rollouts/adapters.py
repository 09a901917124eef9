"""LoRA adapters on a vLLM server: each is loaded beside the base model, under a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from grpo.errors import ReplyError, TrainingError
from grpo.rollouts.server import Answer, Server, Weights
from ranker import ConfigurationError


class AdapterTransfer:
    """Adapters, read by the server from a folder; see `WeightTransfer`.

    A server that was started anew does not know the name any more (404), so no request is answered by other weights.
    """

    async def load(self, server: Server, weights: Weights) -> None:
        body = {"lora_name": weights.name, "lora_path": str(weights.path)}
        try:
            answer = await server.ask("load_lora_adapter", body, tries=1, health=True)
        except ReplyError as error:
            raise _refused(server, weights, str(error)) from None
        if answer.status == 200 or (answer.status == 400 and "already been loaded" in answer.text):
            return
        if answer.status == 404 and "adapter" not in answer.text.lower():
            raise ConfigurationError(
                f"{server.url} has no way to load adapters: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in "
                "its environment and --enable-lora."
            )
        raise _refused(server, weights, f"{answer.status}: {answer.text}")

    async def unload(self, server: Server, weights: Weights, *, wait: bool = True) -> bool:
        body = {"lora_name": weights.name}
        if not wait:
            answer = await server.ask_once("unload_lora_adapter", body)
        else:
            try:
                answer = await server.ask("unload_lora_adapter", body, tries=1)
            except ReplyError:
                answer = None
        return answer is not None and answer.status in (200, 404)

    async def complete(self, server: Server, weights: Weights, body: Mapping[str, Any]) -> Answer:
        body = {"model": weights.name, **body}
        answer = await server.ask("completions", body)
        if answer.status != 404:
            return answer
        await self.load(server, weights)  # it was started anew
        answer = await server.ask("completions", body)
        if answer.status != 404:
            return answer
        raise TrainingError(
            f"{server.url} has just loaded the adapter {weights.name} and does not know it ({answer.text}). If several "
            "servers stand behind this address, name each of them in vllm_server_base_url."
        )


def _refused(server: Server, weights: Weights, said: str) -> ConfigurationError:
    return ConfigurationError(
        f"{server.url} cannot load the adapter {weights.path} ({said}). It must see that folder under this very path "
        "(vllm_adapter_folder), and be started with --enable-lora and --max-lora-rank of at least lora_r."
    )
