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
    """A JudgeServer that also serves ``/v1/files`` and ``/v1/batches``, like OpenAI.

    `latency` is the duration of a batch; `faults` other than connection faults affect single requests.

    Args:
        refuses_batches: number of initial batches that are created but answered with a 500.
        expires: number of initial batches that expire with only every second request answered.
        invalid: whether every batch fails validation.

    Attributes:
        files: uploaded and output files by id.
        batches: batches by id, in order of arrival.
        answered: number of answered (billed) requests in batches.
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

    async def _upload(self, request: web.Request) -> web.Response:
        refused = self._unauthorized(request)
        if refused is not None:
            return refused
        form = await request.post()
        upload = form["file"]
        assert isinstance(upload, web.FileField)
        if form["purpose"] != "batch":
            return failure(400, "purpose must be batch")
        name = f"file-{len(self.files)}"
        self.files[name] = upload.file.read()
        metadata = {"id": name, "object": "file", "bytes": len(self.files[name]), "created_at": int(time.time()),
                "filename": upload.filename, "purpose": "batch", "status": "processed"}  # fmt: skip
        return web.json_response(metadata)

    async def _content(self, request: web.Request) -> web.Response:
        return self._unauthorized(request) or web.Response(body=self.files[request.match_info["file"]])

    async def _create(self, request: web.Request) -> web.Response:
        refused = self._unauthorized(request)
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
        return self._unauthorized(request) or web.json_response(
            {"object": "list", "data": newest, "has_more": False, "first_id": None, "last_id": None}
        )

    async def _retrieve(self, request: web.Request) -> web.Response:
        batch = self.batches.get(request.match_info["batch"])
        return self._unauthorized(request) or (
            failure(404, "No such batch") if batch is None else web.json_response(batch)
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
            line = json.loads(raw)
            response = await self._answer(line["body"], request)
            result = {
                "id": f"batch_req_{i}",
                "custom_id": line["custom_id"],
                "response": {
                    "status_code": response.status,
                    "request_id": "r",
                    "body": json.loads(response.text or "{}"),
                },
                "error": None,
            }
            (good if response.status == 200 else bad).append(json.dumps(result).encode() + b"\n")
            self.answered += response.status == 200
        for kind, lines in (("output_file_id", good), ("error_file_id", bad)):
            if lines:
                batch[kind] = f"file-{len(self.files)}"
                self.files[batch[kind]] = b"".join(reversed(lines))  # replies may come in any order
        batch["status"] = "expired" if late else "completed"

    async def _answer(self, body: dict[str, Any], request: web.Request) -> web.Response:
        messages = body["messages"]
        if self.keep_prompts:
            self.prompts.append(messages)
        format_ = body.get("response_format", {}).get("type", "text")
        if format_ not in self.formats:
            return failure(400, f"response_format {format_} is not supported")
        fault = self._draw()
        try:
            ids, reply = answer(messages, self.truth, self.behaviour)
        except KeyError as error:
            return failure(400, f"sim: {error}")
        self.counts[fault or "ok"] += 1
        if fault is not None:
            response = await FAULTS[fault](request, ids, reply)
            assert isinstance(response, web.Response)
            return response
        return completion(reply, prompt=sum(len(m["content"]) for m in messages) // 4, model=body["model"])
