"""A server that speaks vLLM's API, in a process of its own, with a real small model and real adapters.

`Servers` starts a process that imports everything once and forks a server whenever one is wanted, so that a
server can be killed and started again in no time. A server is described by a spec, see `serve`. Log-probs
come from a plain forward of the model, tokens from the uniform numbers of `default_rng(seed)`.
"""

from __future__ import annotations

import asyncio
import copy
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

SETUP = {"initializer_range": 0.3}  # of the model in the tests: log-probs far from uniform
LORA = {"lora_r": 4, "setup": SETUP, "learning_rate": 3e-2}
MASKED = -9999.0
DEAD = "EngineCore encountered an issue. See stack trace (above) for the root cause."
FAULTS = (
    "500", "429", "503", "disconnect", "hang", "not_json", "no_choices", "no_ids", "no_logprobs", "short_ids",
    "short_logprobs", "short_both", "nan", "null", "positive", "masked", "other_prompt", "past_end",
    "unknown_end", "unknown_id", "abort", "too_many",
)  # fmt: skip


class Servers:
    """The process that forks servers."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.vllm_server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"},
            text=True,
            cwd=Path(__file__).parent.parent,
        )

    def ask(self, **request: Any) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()


class VLLMServer:
    """One server, to be killed and started again on the same port."""

    def __init__(self, servers: Servers, **spec: Any):
        self._servers = servers
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.spec = {**spec, "port": self.port}
        self._pid = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._pid = self._servers.ask(start=self.spec)
        for _ in range(2000):
            try:
                self.get("/health")
            except OSError:
                time.sleep(0.01)
            else:
                return
        raise RuntimeError("the server did not start")

    def kill(self) -> None:
        if self._pid:
            self._servers.ask(kill=self._pid)
        self._pid = 0

    def restart(self) -> None:
        self.kill()
        self.start()

    def __enter__(self) -> VLLMServer:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.kill()

    def get(self, path: str) -> Any:
        request = urllib.request.Request(self.url + path, headers=self._headers())
        with urllib.request.urlopen(request, timeout=10) as reply:
            return json.loads(reply.read() or b"{}")

    def fail(self, fault: str, count: int, after: int = 0) -> None:
        """Have the server fail at `count` completions, once `after` more have gone well."""
        assert fault in FAULTS
        body = json.dumps({"fault": fault, "count": count, "after": after}).encode()
        request = urllib.request.Request(self.url + "/fail", data=body, headers=self._headers())
        urllib.request.urlopen(request, timeout=10).close()

    @property
    def stats(self) -> Any:
        return self.get("/stats")

    def _headers(self) -> dict[str, str]:
        key = self.spec.get("key")
        return {"Authorization": f"Bearer {key}"} if key else {}


def serve(spec: Mapping[str, Any]) -> None:
    """Serve until killed.

    Keys of `spec`: `port`; `model` (a folder); `mode` ("raw_logprobs", as vLLM's default, or
    "processed_logprobs"); `lora` and `updating` (false: started without --enable-lora, without the
    environment variable); `max_lora_rank`; `load_seconds` that reading an adapter takes; `dies` (the file whose
    presence has the engine die while it reads an adapter, once: as with vLLM 0.32, the front end lives on for a
    moment); `deaf` (answers without the adapter it is asked for); `key`; `context`
    (max_model_len) and `tells` (false: /v1/models does not say it); `max_logprobs`; `dev` (false: started without
    VLLM_SERVER_DEV_MODE); `keeps_head` (reloaded weights leave the output layer as it was, as in vLLM's CPU build
    where it is tied).
    """
    import torch
    import transformers
    from aiohttp import web
    from peft import PeftModel

    from grpo.rollouts.engine import Engine
    from grpo.sampling import Sampling, distribution

    base = transformers.AutoModelForCausalLM.from_pretrained(spec["model"], dtype=torch.float32).eval()
    version = ["default"]  # of the weights
    context = spec.get("context", 128)
    loaded: dict[str, tuple[str, Any]] = {}
    engines: dict[Any, Engine] = {}
    asked: Counter[str] = Counter()
    calls: list[str] = []
    faults: list[str | None] = []
    dead: list[bool] = []  # of the engine

    def refusal(status: int, message: str) -> web.Response:
        return web.json_response({"error": {"message": message, "code": status}}, status=status)

    @web.middleware
    async def keyed(request: web.Request, handler: Any) -> web.StreamResponse:
        wanted = spec.get("key")
        if wanted and request.headers.get("Authorization") != f"Bearer {wanted}":
            return refusal(401, f"Unauthorized: {request.headers.get('Authorization')}")
        return await handler(request)

    async def models(request: web.Request) -> web.Response:
        card: dict[str, Any] = {"id": spec["model"], "object": "model", "root": spec["model"], "parent": None}
        if spec.get("tells", True):
            card["max_model_len"] = context
        adapters = [{"id": n, "root": path, "parent": spec["model"]} for n, (path, _) in loaded.items()]
        return web.json_response({"object": "list", "data": [card, *adapters]})

    async def load(request: web.Request) -> web.Response:
        body = await request.json()
        name, path = body["lora_name"], body["lora_path"]
        if name in loaded:
            return refusal(400, f"The lora adapter '{name}' has already been loaded.")
        await asyncio.sleep(spec.get("load_seconds", 0.0))
        dies = Path(spec.get("dies", "/nowhere"))
        if dead or dies.is_file():
            dies.unlink(missing_ok=True)
            if not dead:
                dead.append(True)
                asyncio.get_running_loop().call_later(0.5, os._exit, 1)
            return refusal(500, DEAD)
        if not spec.get("lora", True):
            return refusal(
                500, "Call to add_lora method failed: LoRA is not enabled. Use --enable-lora to enable LoRA."
            )
        if not (Path(path) / "adapter_config.json").is_file():
            return refusal(404, f"Loading lora {name} failed: No adapter found for {path}")
        rank, most = (
            json.loads((Path(path) / "adapter_config.json").read_text())["r"],
            spec.get("max_lora_rank", 16),
        )
        if rank > most:
            return refusal(
                500, f"Call to add_lora method failed: LoRA rank {rank} is greater than max_lora_rank {most}."
            )
        loaded[name] = path, PeftModel.from_pretrained(copy.deepcopy(base), path).eval()
        calls.append(f"load {name}")
        return web.Response(text=f"Success: LoRA adapter '{name}' added successfully.")

    async def unload(request: web.Request) -> web.Response:
        name = (await request.json())["lora_name"]
        if name not in loaded:
            return refusal(404, f"The lora adapter '{name}' cannot be found.")
        del loaded[name]
        for key in [k for k in engines if k[0] == name]:
            del engines[key]
        calls.append(f"unload {name}")
        return web.Response(text=f"Success: LoRA adapter '{name}' removed successfully.")

    async def completions(request: web.Request) -> web.StreamResponse:
        if dead:
            return refusal(500, DEAD)
        body = await request.json()
        prompt, name, most = body["prompt"], body.get("model", spec["model"]), body["max_tokens"]
        if name != spec["model"] and name not in loaded:
            return refusal(404, f"The model `{name}` does not exist.")
        if len(prompt) + most > context:
            return refusal(
                400,
                f"This model's maximum context length is {context} tokens. However, you requested {most} output "
                f"tokens and your prompt contains {len(prompt)} input tokens.",
            )
        if body["logprobs"] > spec.get("max_logprobs", 64):
            return refusal(400, "Requested sample logprobs is greater than max allowed")
        asked[name] += 1
        fault = faults.pop(0) if faults else None
        if fault in ("500", "429", "503"):
            return refusal(int(fault), "so it goes")
        if fault == "hang":
            await asyncio.sleep(3600)
        if fault == "disconnect":
            request.transport.close()  # type: ignore[union-attr]
        if fault == "not_json":
            return web.Response(text="<html>")
        model = base if spec.get("deaf") or name == spec["model"] else loaded[name][1]
        sampling = Sampling(body["temperature"], body["top_k"], body["top_p"], body["min_p"] or None, 1 << 20)
        ends = tuple(body["stop_token_ids"])
        key = name, sampling, ends
        if key not in engines:
            engines[key] = Engine(model, ends, sampling, context=context)
        ids = np.array(prompt)
        made = await engines[key].generate(ids, np.random.default_rng(body["seed"]), most)
        with torch.no_grad():
            every = torch.tensor([[*prompt, *made.tokens]])
            logits_TV = model(input_ids=every).logits[0, len(prompt) - 1 : -1]
            probs_TV = distribution(logits_TV, sampling if processed(spec) else Sampling())
        logps = [float(row[t].log()) for row, t in zip(probs_TV, made.tokens, strict=True)]
        top = []
        for row, token in zip(probs_TV, made.tokens, strict=True):
            best = [token, *row.topk(min(body["logprobs"], len(row))).indices.tolist()]
            top.append({f"token_id:{i}": max(float(row[i].log()), MASKED) for i in best})
        choice: dict[str, Any] = {
            "index": 0,
            "text": "",
            "token_ids": list(made.tokens),
            "prompt_token_ids": list(prompt),
            "logprobs": {"token_logprobs": logps, "top_logprobs": top, "tokens": list(top)},
            "finish_reason": "stop" if made.ended else "length",
        }
        usage = {"prompt_tokens": len(prompt), "completion_tokens": len(made.tokens)}
        data = {"object": "text_completion", "model": name, "choices": [choice], "usage": usage}
        spoil(fault, data, choice, ends)
        return web.Response(text=json.dumps(data), content_type="application/json")  # NaN is let through

    async def collective_rpc(request: web.Request) -> web.Response:
        body = await request.json()
        assert body["method"] == "reload_weights", body
        path = body["kwargs"]["weights_path"]
        if not (Path(path) / "config.json").is_file():
            return refusal(500, f"Call to collective_rpc method failed: Repo id must be in the form '{path}'")
        fresh = transformers.AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)
        head = base.get_output_embeddings().weight.detach().clone()
        base.load_state_dict(fresh.state_dict())
        if spec.get("keeps_head"):
            base.get_output_embeddings().weight = torch.nn.Parameter(head)
        engines.clear()
        calls.append(f"reload {Path(path).name}")
        return web.json_response({"results": [None]})

    async def reset_prefix_cache(request: web.Request) -> web.Response:
        calls.append("reset")
        return web.json_response({"success": spec.get("resets", True)})

    async def weight_info(request: web.Request) -> web.Response:
        return web.json_response({"weight_version": version[0]})

    async def update_weight_version(request: web.Request) -> web.Response:
        version[0] = (await request.json())["new_version"]
        return web.json_response({"success": True, "new_version": version[0]})

    async def fail(request: web.Request) -> web.Response:
        body = await request.json()
        faults[:] = [None] * body["after"] + [body["fault"]] * body["count"]
        return web.json_response({})

    async def stats(request: web.Request) -> web.Response:
        return web.json_response({"asked": dict(asked), "calls": calls, "loaded": list(loaded)})

    async def health(request: web.Request) -> web.Response:
        return web.json_response({}, status=503 if dead else 200)

    app = web.Application(middlewares=[keyed], client_max_size=1 << 26)
    app.router.add_get("/v1/models", models)
    app.router.add_post("/v1/completions", completions)
    if spec.get("updating", True):
        app.router.add_post("/v1/load_lora_adapter", load)
        app.router.add_post("/v1/unload_lora_adapter", unload)
    if spec.get("dev", True):
        app.router.add_post("/collective_rpc", collective_rpc)
        app.router.add_post("/reset_prefix_cache", reset_prefix_cache)
        app.router.add_get("/weight_info", weight_info)
        app.router.add_post("/update_weight_version", update_weight_version)
    app.router.add_post("/fail", fail)
    app.router.add_get("/stats", stats)
    app.router.add_get("/health", health)
    web.run_app(app, host="127.0.0.1", port=spec["port"], print=None, reuse_address=True, access_log=None)


def processed(spec: Mapping[str, Any]) -> bool:
    return spec.get("mode", "raw_logprobs") == "processed_logprobs"


def spoil(fault: str | None, data: dict[str, Any], choice: dict[str, Any], ends: tuple[int, ...]) -> None:
    """Make a good answer a bad one."""
    tokens, logps = choice["token_ids"], choice["logprobs"]["token_logprobs"]
    if fault == "no_choices":
        data["choices"] = []
    elif fault == "no_ids":
        del choice["token_ids"]
    elif fault == "no_logprobs":
        choice["logprobs"] = None
    elif fault in ("short_ids", "short_both"):
        tokens.pop()
    elif fault in ("nan", "null", "positive", "masked"):
        logps[0] = {"nan": float("nan"), "null": None, "positive": 2.5, "masked": MASKED}[fault]
    elif fault == "other_prompt":
        choice["prompt_token_ids"] = choice["prompt_token_ids"][1:]
    elif fault == "past_end":
        tokens.insert(0, ends[0])
        logps.insert(0, -1.0)
        data["usage"]["completion_tokens"] += 1
        if len(tokens) > 2:
            del tokens[1], logps[1]
            data["usage"]["completion_tokens"] -= 1
    elif fault == "unknown_end":
        choice["finish_reason"] = "stop"
        tokens[-1] = 0 if 0 not in ends else 1
    elif fault == "unknown_id":
        tokens[0] = 1_000_000
    elif fault == "abort":
        choice["finish_reason"] = "abort"
        tokens[-1] = 0 if 0 not in ends else 1
    elif fault == "too_many":
        extra = 300
        tokens[:0] = [0] * extra
        logps[:0] = [-1.0] * extra
        data["usage"]["completion_tokens"] += extra
    if fault in ("short_logprobs", "short_both"):
        logps.pop()


def main() -> None:
    """A request a line, a number a line in reply."""
    import peft  # noqa: F401
    import torch
    import transformers  # noqa: F401
    from aiohttp import web  # noqa: F401

    import grpo.rollouts.engine  # noqa: F401

    torch.set_num_threads(1)
    running: set[int] = set()
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            answer = os.fork()
            if answer == 0:
                os.dup2(os.open(os.devnull, os.O_RDWR), 0)
                os.dup2(2, 1)
                serve(request["start"])
                os._exit(0)
            running.add(answer)
        else:
            answer = request["kill"]
            os.kill(answer, signal.SIGKILL)
            os.waitpid(answer, 0)
            running.discard(answer)
        print(answer, flush=True)
    for pid in running:
        os.kill(pid, signal.SIGKILL)


if __name__ == "__main__":
    main()
