"""Whole weights on a vLLM server: they take the place of those that it serves, from a folder that it shares.

vLLM's `/collective_rpc` has every worker reload its weights; `/update_weight_version` and `/weight_info` (0.32 and
later) say which ones a server has. All of them exist on a server with VLLM_SERVER_DEV_MODE=1 only.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Mapping
from typing import Any

from grpo.errors import ReplyError, TrainingError
from grpo.rollouts.server import Answer, Server, Weights
from ranker import ConfigurationError
from ranker.runtime.event_loop import PerLoop

_TIMES = 10  # that a request is sent again because the server's weights changed meanwhile
_OURS = "policy-"  # how the names of policies begin


class WholeWeights:
    """All weights, read by the server from a folder; see `WeightTransfer`.

    A server that was started anew has the weights of its start again, and answers as if nothing had happened. So each
    load has a version that no other has, and a reply counts only where the version after it is the one before it.
    """

    def __init__(self) -> None:
        self._versions: dict[str, str] = {}  # of each server, as last seen
        self._lock = PerLoop(asyncio.Lock)  # 64 requests that find a server started anew reload it once

    async def load(self, server: Server, weights: Weights) -> None:
        body = {"method": "reload_weights", "kwargs": {"weights_path": str(weights.path)}}
        await self._post(server, weights, "/collective_rpc", body)
        answer = await self._post(server, weights, "/reset_prefix_cache", {})
        if answer.data.get("success") is False:
            raise _refused(
                server, weights, "its prefix cache, computed by other weights, could not be emptied"
            )
        version = f"{weights.name}.{uuid.uuid4().hex[:8]}"
        await self._post(server, weights, "/update_weight_version", {"new_version": version})
        self._versions[server.root] = version

    async def unload(self, server: Server, weights: Weights, *, wait: bool = True) -> bool:
        """Nothing: the next load takes their place."""
        return True

    async def complete(self, server: Server, weights: Weights, body: Mapping[str, Any]) -> Answer:
        if server.root not in self._versions:  # another process loaded
            self._versions[server.root] = await self._version(server)
        for _ in range(_TIMES):
            before = self._versions[server.root]
            answer = await server.ask("completions", body)
            version = await self._version(server)
            self._versions[server.root] = version
            if not version.startswith(f"{weights.name}."):
                await self._load_again(server, weights)
            elif version == before:
                return answer
        raise TrainingError(
            f"The weights of {server.root} changed during each of {_TIMES} requests. See in its log whether it is started "
            "anew again and again; then go on with --resume."
        )

    async def _load_again(self, server: Server, weights: Weights) -> None:
        """Load into a server that was started anew, unless another request has seen to it."""
        async with await self._lock.get():
            version = await self._version(server)
            if version.startswith(f"{weights.name}."):
                self._versions[server.root] = version
                return
            if version.startswith(_OURS):
                raise TrainingError(
                    f"Another run put its weights ({version}) on {server.root}. Give each run servers of its own, then go "
                    "on with --resume."
                )
            await self.load(server, weights)

    async def _version(self, server: Server) -> str:
        answer = await server.ask("/weight_info")
        version = answer.data.get("weight_version")
        if answer.status != 200 or not isinstance(version, str):
            raise _too_old(server, "/weight_info", answer)
        return version

    async def _post(self, server: Server, weights: Weights, route: str, body: Mapping[str, Any]) -> Answer:
        try:
            answer = await server.ask(route, body, tries=1, health=True)
        except ReplyError as error:
            raise _refused(server, weights, str(error)) from None
        if answer.status == 404:
            raise _too_old(server, route, answer)
        if answer.status != 200:
            raise _refused(server, weights, f"{answer.status}: {answer.text}")
        return answer


def _too_old(server: Server, route: str, answer: Answer) -> ConfigurationError:
    return ConfigurationError(
        f"{server.root} has no way to take whole weights ({route}: {answer.status}): it must be vLLM 0.32 or later with "
        "VLLM_SERVER_DEV_MODE=1 in its environment. With adapters (lora_r = 16, say) neither is needed."
    )


def _refused(server: Server, weights: Weights, said: str) -> ConfigurationError:
    return ConfigurationError(
        f"{server.root} cannot load the weights in {weights.path} ({said}). It must see that folder under this very path "
        "(vllm_adapter_folder) and serve the model that is trained; start it anew, since what it serves now may be damaged."
    )
