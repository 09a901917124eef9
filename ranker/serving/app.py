"""The routes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from contextlib import nullcontext
from typing import Annotated, Any, NoReturn

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, PlainTextResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException

from ranker import __version__
from ranker.jsonl.group_file import dump_line
from ranker.serving import schemas
from ranker.serving.body import Admit, json_route
from ranker.serving.failure import responses
from ranker.serving.gathering import Gathering
from ranker.serving.guard import Guard
from ranker.serving.job import rank_job
from ranker.serving.openrlhf import CLIENT_SECONDS, attempts_of
from ranker.serving.page import page
from ranker.serving.rewarder import Rewarder
from ranker.serving.service import Service

_SECURITY: dict[str, Any] = {"security": [{"bearer": []}, {"basic": []}, {}]}
_SECURITY_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "basic": {
        "type": "http",
        "scheme": "basic",
        "description": "Any user, the token as password, for clients that can only be given an address.",
    },
}
Endpoint = Callable[..., Coroutine[Any, Any, Response]]

_LARGE = 1_000_000  # bytes; groups of larger bodies are checked in a thread: other requests need not wait
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def application(service: Service, token: str | None = None, gathering: Gathering | None = None) -> FastAPI:
    """The ASGI application, its OpenAPI document complete.

    Args:
        token: what requests must carry; None lets everyone in.
        gathering: where OpenRLHF's attempts wait; to be closed when the server stops.
    """
    waiting = Gathering(service.limits.held) if gathering is None else gathering
    metrics = service.metrics
    metrics.watch(lambda: service.queued, lambda: service.in_flight, lambda: waiting.waiting)
    app = FastAPI(
        title="Ranker",
        version=__version__,
        description="A judge ranks a group of attempts at one task; ranks become rewards.",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        separate_input_output_schemas=False,
        exception_handlers={HTTPException: _reraise, RequestValidationError: _reraise},
    )
    _add_ranking(app, service, waiting)

    @app.get(
        "/health",
        summary="Whether the server lives and takes requests.",
        response_model=schemas.Health,
        response_description="Ready.",
        responses={503: {"model": schemas.Health, "description": "Live, and stopping."}},
    )
    async def health() -> Response:
        ready = not service.stopping
        return _json({"live": True, "ready": ready}, 200 if ready else 503)

    @app.get(
        "/health/live",
        summary="Whether the server lives.",
        response_model=schemas.Health,
        response_description="Live.",
    )
    async def live() -> Response:
        return _json({"live": True})

    @app.get(
        "/metrics",
        summary="Counts for Prometheus.",
        response_class=PlainTextResponse,
        response_description="Metrics.",
        responses=responses(401),
        openapi_extra=_SECURITY,
    )
    async def prometheus() -> Response:
        return Response(metrics.text(), media_type=metrics.content_type)

    document = app.openapi()
    document["components"]["securitySchemes"] = _SECURITY_SCHEMES
    html = page(document)

    @app.get("/docs", include_in_schema=False)
    async def docs() -> Response:
        return HTMLResponse(html, headers=_PAGE_HEADERS)

    routes = {(method.upper(), path) for path, methods in document["paths"].items() for method in methods}
    routes |= {("GET", "/openapi.json"), ("GET", "/docs")}
    app.add_middleware(Guard, service=service, token=token, routes=routes)
    return app


def _add_ranking(app: FastAPI, service: Service, gathering: Gathering) -> None:
    limits = service.limits

    async def rank(group: schemas.Group, request: Request) -> Response:
        body = await request.body()
        large = len(body) > _LARGE
        job = await asyncio.to_thread(rank_job, group, body) if large else rank_job(group, body)
        ranked = await service.rank(job)
        group_id = {} if ranked.group.id is None else {"id": ranked.group.id}
        return _json({**group_id, **ranked.to_dict()})

    async def openrlhf(
        request: schemas.Attempts,
        group: Annotated[schemas.GroupSize | None, Query(description=schemas.GROUP_SIZE)] = None,
    ) -> Response:
        rewarder = Rewarder(service, gathering, min(limits.seconds, CLIENT_SECONDS))
        attempts = attempts_of(request)
        return _json(
            await (rewarder.rollout(attempts) if group is None else rewarder.singles(attempts, group))
        )

    def add(
        path: str, endpoint: Endpoint, summary: str, *, reply: type[BaseModel], admit: Admit, example: Any
    ) -> None:
        app.router.add_api_route(
            path,
            endpoint,
            methods=["POST"],
            summary=summary,
            response_model=reply,
            response_description="Ranked.",
            responses=responses(),
            openapi_extra={
                "requestBody": {"content": {"application/json": {"example": example}}},
                **_SECURITY,
            },
            route_class_override=json_route(limits.body, service.request, admit),
        )

    add(
        "/rank",
        rank,
        "Rank one group.",
        reply=schemas.Ranked,
        admit=service.place,
        example=schemas.GROUP_EXAMPLE,
    )
    add(
        "/openrlhf",
        openrlhf,
        "OpenRLHF's remote reward protocol.",
        reply=schemas.Rewards,
        admit=nullcontext,
        example=schemas.ATTEMPTS_EXAMPLE,
    )


async def _reraise(_: Request, error: Exception) -> NoReturn:
    """FastAPI would answer by itself; `Guard` answers all failures in one form."""
    raise error


def _json(body: Mapping[str, Any], status: int = 200) -> Response:
    return Response(dump_line(body), status, media_type="application/json")
