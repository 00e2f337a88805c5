"""The routes of the service as an ASGI application."""

from __future__ import annotations

import hmac
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from adframe.serving.errors import RequestError
from adframe.serving.log import ServiceLog
from adframe.serving.metrics import ServiceMetrics
from adframe.serving.models import ServedModel
from adframe.serving.openapi import openapi
from adframe.serving.prediction import PredictRoute, as_request_error
from adframe.serving.settings import LOOPBACK, ServiceSettings

Handler = Callable[[Request], Awaitable[Response]]
_OPEN = {"/", "/healthz", "/readyz", "/docs"}  # routes that need no token, because they hold no data
_HEADERS = {
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    # The pages bring their own script and style, and load nothing from elsewhere.
    "content-security-policy": (
        "default-src 'none'; img-src 'self' blob: data:; style-src 'unsafe-inline'; "
        "script-src 'unsafe-inline'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
}


def create_app(
    models: Sequence[ServedModel],
    settings: ServiceSettings,
    *,
    metrics: ServiceMetrics,
    log: ServiceLog,
) -> Starlette:
    """Builds the application.

    Args:
        models: the models; they are closed when the application stops.
        settings: limits and token.
        metrics: where requests are counted.
        log: where requests are written.

    Returns:
        The application for a server such as uvicorn.
    """
    service = _Service({model.name: model for model in models}, settings, metrics=metrics, log=log)
    routes = [
        ("/", service.page, "GET"), ("/docs", service.docs, "GET"), ("/openapi.json", service.openapi, "GET"),
        ("/healthz", service.healthz, "GET"), ("/readyz", service.readyz, "GET"),
        ("/metrics", service.metrics_text, "GET"), ("/v1/models", service.models, "GET"),
        ("/v1/models/{name}/predict", service.predict, "POST"),
        ("/v1/models/{name}/drift", service.drift, "GET"),
    ]  # fmt: skip
    # A page of another site could otherwise reach a local service by a host name of its own (DNS rebinding).
    hosts = [*LOOPBACK[:2], "[::1]"] if settings.is_local else ["*"]
    return Starlette(
        routes=[
            Route(path, service.watched(path, handler), methods=[method]) for path, handler, method in routes
        ],
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)],
        exception_handlers={HTTPException: service.refuse},
        lifespan=service.lifespan,
    )


class _Service:
    def __init__(
        self,
        models: dict[str, ServedModel],
        settings: ServiceSettings,
        *,
        metrics: ServiceMetrics,
        log: ServiceLog,
    ) -> None:
        self._models, self._settings, self._metrics, self._log = models, settings, metrics, log
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="adframe-pictures")
        self._predict: PredictRoute | None = None

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._predict = PredictRoute(self._settings, self._pool)
        self._log.write("start", {"models": list(self._models)})
        try:
            yield
        finally:
            for model in self._models.values():
                model.close()
            self._pool.shutdown()
            self._log.write("stop")

    def watched(self, route: str, handler: Handler) -> Handler:
        """Adds what all routes have: token, errors as JSON, time, metrics, log."""

        async def answer(request: Request) -> Response:
            start, number = time.perf_counter(), uuid.uuid4().hex[:16]
            request.state.facts = {}
            code = None
            try:
                self._check_token(request, route)
                self._check_origin(request)
                response = await handler(request)
            except Exception as error:
                if not isinstance(error, RequestError):
                    self._log.write("error", {"id": number, "kind": type(error).__name__, "text": str(error)})
                shown = error if isinstance(error, RequestError) else as_request_error(error)
                code = shown.code
                response = self._failure(shown)
            seconds = time.perf_counter() - start
            self._metrics.requests.labels(route, str(response.status_code)).inc()
            self._metrics.seconds.labels(route).observe(seconds)
            if route not in ("/healthz", "/readyz", "/metrics"):  # asked every few seconds by machines
                facts = {
                    "id": number, "method": request.method, "route": route, "status": response.status_code,
                    "milliseconds": round(1000 * seconds, 1), "model": request.path_params.get("name"),
                    "code": code, **request.state.facts,
                }  # fmt: skip
                self._log.write("request", facts)
            response.headers.update(_HEADERS | {"x-request-id": number})
            return response

        return answer

    async def refuse(self, _request: Request, error: Exception) -> Response:
        """Answers requests that no route takes."""
        assert isinstance(error, HTTPException)
        codes = {404: "no_route", 405: "method"}
        shown = RequestError(
            error.status_code, codes.get(error.status_code, "refused"),
            "there is no such address here; /openapi.json lists them"
            if error.status_code == 404 else str(error.detail),
        )  # fmt: skip
        response = self._failure(shown)
        response.headers.update({**(error.headers or {}), **_HEADERS})
        self._metrics.requests.labels("none", str(error.status_code)).inc()
        return response

    async def page(self, _request: Request) -> Response:
        return HTMLResponse(_page("index.html"))

    async def docs(self, _request: Request) -> Response:
        return HTMLResponse(_page("docs.html"))

    async def openapi(self, _request: Request) -> Response:
        found = openapi(self._settings, models=list(self._models), version=version("adframe"))
        return JSONResponse(found)

    async def healthz(self, _request: Request) -> Response:
        return JSONResponse({"status": "ok"})

    async def readyz(self, _request: Request) -> Response:
        states = {name: model.is_ready for name, model in self._models.items()}
        ready = all(states.values())
        return JSONResponse(
            {"status": "ok" if ready else "busy", "models": states}, status_code=200 if ready else 503
        )

    async def metrics_text(self, _request: Request) -> Response:
        return Response(self._metrics.text(), media_type=self._metrics.content_type)

    async def models(self, _request: Request) -> Response:
        found = [
            {"name": name, "threshold": getattr(model.detector, "threshold", None),
             "drift": model.drift is not None}
            for name, model in self._models.items()
        ]  # fmt: skip
        return JSONResponse({"models": found})

    async def predict(self, request: Request) -> Response:
        assert self._predict is not None
        return await self._predict.answer(request, self._model(request))

    async def drift(self, request: Request) -> Response:
        model = self._model(request)
        if model.drift is None:
            raise RequestError(404, "no_drift", "drift is not followed; start the service with --drift-alpha")
        return JSONResponse({"model": model.name, **model.drift.record()})

    def _model(self, request: Request) -> ServedModel:
        name = request.path_params["name"]
        if name not in self._models:
            raise RequestError(404, "no_model", f"no model of this name; there are {', '.join(self._models)}")
        return self._models[name]

    def _check_token(self, request: Request, route: str) -> None:
        if self._settings.token is None or route in _OPEN:
            return
        given = request.headers.get("authorization", "")
        expected = f"Bearer {self._settings.token}"
        if not hmac.compare_digest(given.encode("utf-8", "replace"), expected.encode()):
            raise RequestError(401, "token", "send the token as Authorization: Bearer <token>")

    def _check_origin(self, request: Request) -> None:
        """Refuses what the page of another site sends through the browser of somebody who may use this one.

        A token has the same effect, because other sites do not know it.
        """
        origin, own = request.headers.get("origin"), request.headers.get("host", "")
        if self._settings.token is None and origin is not None and origin.partition("://")[2] != own:
            raise RequestError(403, "origin", "pages of other sites may not use this service")

    def _failure(self, error: RequestError) -> Response:
        self._metrics.rejected.labels(error.code).inc()
        headers: dict[str, Any] = {}
        if error.status == 503:
            headers["retry-after"] = "1"
        if error.status == 401:
            headers["www-authenticate"] = "Bearer"
        if error.status in (408, 413):
            # What is left of the body is not read, so that the connection cannot be used again.
            headers["connection"] = "close"
        return JSONResponse(error.record(), status_code=error.status, headers=headers)


@cache
def _page(name: str) -> str:
    return (files("adframe.serving") / "pages" / name).read_text(encoding="utf-8")
