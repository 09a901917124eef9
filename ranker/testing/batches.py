"""A judge server with a batch API."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from ranker.testing.faults import FAULTS, completion, failure
from ranker.testing.server import JudgeServer
from ranker.testing.simulated import answer


@dataclass
class BatchJudgeServer(JudgeServer):
    """A JudgeServer that speaks ``/v1/files`` and ``/v1/batches`` too, as OpenAI does.

    `latency` is how long a batch takes; `faults` that are no faults of a connection strike single requests.

    Args:
        refuses_batches: how many batches, from the first on, are refused with a 500 after they were made.
        expires: how many batches, from the first on, expire with only every second request answered.
        invalid: whether every batch fails its validation.

    Attributes:
        files: what was uploaded and what was made, by id.
        batches: the batches by id, in the order in which they came.
        answered: how many requests of batches were answered, which is what is paid for.
    """

    refuses_batches: int = 0
    expires: int = 0
    invalid: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.answered = 0
        self._running: set[asyncio.Task[None]] = set()

    def app(self) -> web.Application:
        app = super().app()
        app.router.add_post("/v1/files", self._upload)
        app.router.add_get("/v1/files/{file}/content", self._content)
        app.router.add_post("/v1/batches", self._create)
        app.router.add_get("/v1/batches", self._list)
        app.router.add_get("/v1/batches/{batch}", self._retrieve)
        return app

    def _locked(self, request: web.Request) -> web.Response | None:
        if self.api_key is not None and request.headers.get("Authorization") != f"Bearer {self.api_key}":
            told = request.headers.get("Authorization", "").removeprefix("Bearer ")
            return failure(401, f"Incorrect API key provided: {told}")
        return None

    async def _upload(self, request: web.Request) -> web.Response:
        refused = self._locked(request)
        if refused is not None:
            return refused
        form = await request.post()
        given = form["file"]
        assert isinstance(given, web.FileField)
        if form["purpose"] != "batch":
            return failure(400, "purpose must be batch")
        name = f"file-{len(self.files)}"
        self.files[name] = given.file.read()
        told = {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": int(time.time()),
                "filename": given.filename, "purpose": "batch", "status": "processed"}  # fmt: skip
        return web.json_response(told)

    async def _content(self, request: web.Request) -> web.Response:
        return self._locked(request) or web.Response(body=self.files[request.match_info["file"]])

    async def _create(self, request: web.Request) -> web.Response:
        refused = self._locked(request)
        if refused is not None:
            return refused
        body = await request.json()
        name = f"batch_{len(self.batches)}"
        self.batches[name] = batch = {
            "id": name,
            "object": "batch",
            "endpoint": body["endpoint"],
            "input_file_id": body["input_file_id"],
            "completion_window": body["completion_window"],
            "created_at": int(time.time()),
            "status": "in_progress",
            "metadata": body.get("metadata") or {},
            "output_file_id": None,
            "error_file_id": None,
            "errors": None,
        }
        task = asyncio.create_task(self._run(batch, request))
        self._running.add(task)
        task.add_done_callback(self._running.discard)
        if len(self.batches) <= self.refuses_batches:
            return failure(500, "The server had an error")
        return web.json_response(batch)

    async def _list(self, request: web.Request) -> web.Response:
        newest = list(reversed(self.batches.values()))
        return self._locked(request) or web.json_response(
            {"object": "list", "data": newest, "has_more": False, "first_id": None, "last_id": None}
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        found = self.batches.get(request.match_info["batch"])
        return self._locked(request) or (
            failure(404, "No such batch") if found is None else web.json_response(found)
        )

    async def _run(self, batch: dict[str, Any], request: web.Request) -> None:
        late = len(self.batches) <= self.expires
        await asyncio.sleep(self.latency)
        if self.invalid:
            batch["errors"] = {"object": "list", "data": [{"code": "x", "message": "line 1 is not valid"}]}
            batch["status"] = "failed"
            return
        good: list[bytes] = []
        bad: list[bytes] = []
        for i, raw in enumerate(self.files[batch["input_file_id"]].splitlines()):
            if late and i % 2:
                continue
            asked = json.loads(raw)
            made = await self._answered(asked["body"], request)
            told = {
                "id": f"batch_req_{i}",
                "custom_id": asked["custom_id"],
                "response": {
                    "status_code": made.status,
                    "request_id": "r",
                    "body": json.loads(made.text or "{}"),
                },
                "error": None,
            }
            (good if made.status == 200 else bad).append(json.dumps(told).encode() + b"\n")
            self.answered += made.status == 200
        for kind, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[kind] = f"file-{len(self.files)}"
                self.files[batch[kind]] = b"".join(reversed(lines))  # replies come in any order
        batch["status"] = "expired" if late else "completed"

    async def _answered(self, body: dict[str, Any], request: web.Request) -> web.Response:
        messages = body["messages"]
        if self.keep_prompts:
            self.prompts.append(messages)
        asked = body.get("response_format", {}).get("type", "text")
        if asked not in self.formats:
            return failure(400, f"response_format {asked} is not supported")
        fault = self._draw()
        try:
            ids, reply = answer(messages, self.truth, self.behaviour)
        except KeyError as error:
            return failure(400, f"sim: {error}")
        self.counts[fault or "ok"] += 1
        if fault is not None:
            made = await FAULTS[fault](request, ids, reply)
            assert isinstance(made, web.Response)
            return made
        return completion(reply, prompt=sum(len(m["content"]) for m in messages) // 4, model=body["model"])
