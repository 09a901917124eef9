"""The routes: reading requests, who may ask, and every failure as JSON."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from ranker.errors import RankerError
from ranker.jsonl.group_file import dump_line
from ranker.serving import openrlhf
from ranker.serving.openapi import document, page
from ranker.serving.protocol import Failure, failure_of, ranked_reply, read_job
from ranker.serving.service import Service
from ranker.serving.token import allowed

log = logging.getLogger("ranker")
T = TypeVar("T")

GATHERING = web.AppKey("gathering", openrlhf.Gathering)

_PROTECTED = {"/rank", "/openrlhf", "/metrics"}
_LARGE = 1_000_000  # bytes; a body that takes longer to parse than other requests should wait
_READ_SECONDS = 120.0  # for the whole body
_MAX_GROUP = 256
_PAGE_HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}


def application(service: Service, token: str | None = None) -> web.Application:
    """The aiohttp application.

    It must run with ``handler_cancellation=True`` (see `run`): a client that goes away leaves the queue.
    """
    gathering = openrlhf.Gathering(service.limits.held)
    service.metrics.watch(lambda: service.queued, lambda: service.in_flight, lambda: gathering.waiting)
    routes = _Routes(service, gathering)
    app = web.Application(middlewares=[_guard(service, token)], client_max_size=service.limits.body)
    app[GATHERING] = gathering
    app.router.add_post("/rank", routes.rank)
    app.router.add_post("/openrlhf", routes.attempts)
    app.router.add_get("/health", routes.health)
    app.router.add_get("/health/live", routes.live)
    app.router.add_get("/metrics", routes.metrics)
    app.router.add_get("/openapi.json", routes.openapi)
    app.router.add_get("/docs", routes.docs)
    return app


def _guard(service: Service, token: str | None) -> Middleware:
    """Checks the token, turns failures into JSON, and counts."""

    @web.middleware
    async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
        since = time.perf_counter()
        resource = request.match_info.route.resource
        route = "other" if resource is None else resource.canonical
        status: int | str = "gone"  # what is counted where the client goes away before the reply
        try:
            try:
                if route in _PROTECTED and not allowed(request.headers.get("Authorization"), token):
                    raise Failure(
                        401,
                        "Unauthorized",
                        "The token is missing or wrong: send `Authorization: Bearer TOKEN`.",
                        headers={"WWW-Authenticate": 'Bearer realm="ranker"'},
                    )
                response = await handler(request)
            except Exception as error:
                response = _failed(_as_failure(error, service), request)
            status = response.status
        finally:
            service.metrics.answered(route, status, time.perf_counter() - since)
        response.headers["X-Content-Type-Options"] = "nosniff"
        if service.stopping:
            response.force_close()
        return response

    return guard


def _as_failure(error: Exception, service: Service) -> Failure:
    if isinstance(error, Failure):
        return error
    if isinstance(error, RankerError):
        return failure_of(error)
    if isinstance(error, web.HTTPRequestEntityTooLarge):
        return _too_large(service.limits.body)
    if isinstance(error, web.HTTPException):
        told = {k: v for k, v in error.headers.items() if k == "Allow"}
        return Failure(
            error.status, error.reason.replace(" ", ""), f"{error.reason}. See /docs.", headers=told
        )
    # The traceback names code, never what was sent.
    log.error("A request failed.", exc_info=error)
    return Failure(500, "InternalError", "The server failed; its log says where.")


def _too_large(most: int) -> Failure:
    return Failure(413, "TooLarge", f"The body is larger than {most:,} bytes (--max-body).")


def _failed(failure: Failure, request: web.Request) -> web.Response:
    response = _json(failure.body(), failure.status)
    response.headers.update(failure.headers)
    if request.can_read_body:  # what is left of the body is not worth reading
        response.force_close()
    return response


def _json(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json")


class _Routes:
    def __init__(self, service: Service, gathering: openrlhf.Gathering):
        self._service = service
        self._gathering = gathering
        self._document = dump_line(document())
        self._page = page(document())

    async def rank(self, request: web.Request) -> web.Response:
        with self._service.request(), self._service.place():
            body = await self._read(request)
            job = await asyncio.to_thread(read_job, body) if len(body) > _LARGE else read_job(body)
            return _json(ranked_reply(await self._service.rank(job)))

    async def attempts(self, request: web.Request) -> web.Response:
        declared = request.content_length
        most = self._service.limits.body
        with self._service.request(), self._service.room(most if declared is None else min(declared, most)):
            size = _size(request.query.get("group"))
            attempts = openrlhf.read_attempts(await self._read(request))
            if size is None:
                return await self._rollout(attempts)
            until = time.monotonic() + self._client_seconds()
            found = await _all([self._alone(attempt, size, until) for attempt in attempts])
            return _json(dump_line(openrlhf.reply_of([r for r, _ in found], [tied for _, tied in found])))

    async def _rollout(self, attempts: Sequence[openrlhf.Attempt]) -> web.Response:
        """Everything in one request: a group for each prompt. One that fails fails the request; asked again, the
        others come from the cache."""
        groups = openrlhf.groups_in(attempts)
        seconds = self._client_seconds()
        jobs = [openrlhf.job_of(attempts[g[0]].prompt, [attempts[i].query for i in g]) for g in groups]
        ranked = await _all([self._service.rank(job, seconds) for job in jobs])
        rewards = [0.0] * len(attempts)
        for members, group in zip(groups, ranked, strict=True):
            for place, i in enumerate(members):
                rewards[i] = openrlhf.reward_at(group, place)
        return _json(dump_line(openrlhf.reply_of(rewards, None)))

    async def _alone(self, attempt: openrlhf.Attempt, size: int, until: float) -> tuple[float, bool]:
        """The reward of one attempt, once its group is complete and ranked; whether all of the group tied."""
        gathering = self._gathering
        job, place = await gathering.join(attempt, size, until - time.monotonic())
        try:
            ranked = await self._service.rank(job, max(1.0, until - time.monotonic()))
        except (asyncio.CancelledError, Failure):
            gathering.keep(attempt, size, (job, place))
            raise
        return openrlhf.reward_at(ranked, place), len(ranked.ranking) == 1

    def _client_seconds(self) -> float:
        return min(self._service.limits.seconds, openrlhf.CLIENT_SECONDS)

    async def health(self, request: web.Request) -> web.Response:
        ready = not self._service.stopping
        return _json(dump_line({"live": True, "ready": ready}), 200 if ready else 503)

    async def live(self, request: web.Request) -> web.Response:
        return _json(dump_line({"live": True}))

    async def metrics(self, request: web.Request) -> web.Response:
        metrics = self._service.metrics
        return web.Response(body=metrics.text(), headers={"Content-Type": metrics.content_type})

    async def openapi(self, request: web.Request) -> web.Response:
        return _json(self._document)

    async def docs(self, request: web.Request) -> web.Response:
        return web.Response(text=self._page, content_type="text/html", headers=_PAGE_HEADERS)

    async def _read(self, request: web.Request) -> bytes:
        """The body, never more of it than the limit.

        Raises:
            Failure: 413 too large, 415 not JSON, 408 too slow.
        """
        # Demanded because a browser sends it across origins only after asking, and it is not allowed.
        if request.content_type != "application/json":
            raise Failure(415, "NotJSON", "Send `Content-Type: application/json`.")
        most = self._service.limits.body
        if request.content_length is not None and request.content_length > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(_READ_SECONDS):
                return await request.read()
        except TimeoutError:
            raise Failure(408, "TooSlow", f"The body did not come in {_READ_SECONDS:g} seconds.") from None


def _size(given: str | None) -> int | None:
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) < 6 and 2 <= int(given) <= _MAX_GROUP):
        raise Failure(400, "MalformedRequest", f"group= must be a whole number from 2 to {_MAX_GROUP}.")
    return int(given)


async def _all(coroutines: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """Await all, to the end of each; then raise the first failure. What the others found is paid for and kept."""
    found = await asyncio.gather(*coroutines, return_exceptions=True)
    for one in found:
        if isinstance(one, BaseException):
            raise one
    return [one for one in found if not isinstance(one, BaseException)]
