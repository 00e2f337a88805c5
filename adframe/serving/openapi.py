"""The description of the service by OpenAPI 3.1."""

from __future__ import annotations

from typing import Any

from adframe.serving.settings import ServiceSettings

_ERROR = {"$ref": "#/components/schemas/Error"}
_ERRORS = {
    400: "no picture, or a malformed body",
    401: "the token is missing or wrong",
    403: "sent by the page of another site",
    404: "no such model",
    406: "neither JSON nor PNG is accepted, or the overlay of several pictures",
    408: "the body arrived too slowly",
    413: "too many bytes, pixels or pictures",
    415: "another content type",
    422: "the single picture cannot be read",
    500: "an error of the service",
    503: "the queue is full or the service stops; try again later",
}


def openapi(settings: ServiceSettings, *, models: list[str], version: str) -> dict[str, Any]:
    """Describes all routes.

    Args:
        settings: with the limits, which the description states.
        models: names of the models.
        version: of adframe.

    Returns:
        The document as plain data.
    """
    picture = {"type": "string", "format": "binary"}
    name = {
        "name": "name", "in": "path", "required": True, "schema": {"type": "string", "enum": models},
    }  # fmt: skip
    limits = (
        f"At most {settings.most_bytes} bytes a request, {settings.most_pictures} pictures a request and "
        f"{settings.most_pixels} pixels a picture; {settings.queue} pictures may wait."
    )
    predict = {
        "summary": "Inspect pictures",
        "description": (
            "One picture as the body, or several as multipart/form-data. With `Accept: image/png` the answer "
            "is the overlay of the single picture, and its result is in the header `adframe-result`. Among "
            f"several pictures one that cannot be read is a result with `error`. {limits}"
        ),
        "parameters": [name],
        "requestBody": {
            "required": True,
            "content": {
                "image/*": {"schema": picture},
                "application/octet-stream": {"schema": picture},
                "multipart/form-data": {
                    "schema": {
                        "type": "object", "properties": {"pictures": {"type": "array", "items": picture}},
                    }
                },
            },
        },
        "responses": {
            "200": {
                "description": "one result per picture, in their order",
                "content": {
                    "application/json": {"schema": {"$ref": "#/components/schemas/Results"}},
                    "image/png": {"schema": picture},
                },
            },
            **{str(status): _failure(text) for status, text in _ERRORS.items()},
        },
    }  # fmt: skip
    return {
        "openapi": "3.1.0",
        "info": {"title": "adframe", "version": version, "description": "Visual anomaly detection."},
        "security": [{"token": []}] if settings.token else [],
        "paths": {
            "/v1/models": {"get": _read("List the models", "names and thresholds")},
            "/v1/models/{name}/predict": {"post": predict},
            "/v1/models/{name}/drift": {
                "get": _read("Drift since the start", "its state", parameters=[name], failures=(401, 404))
            },
            "/healthz": {"get": _read("Whether the process lives", "it does")},
            "/readyz": {"get": _read("Whether pictures are taken", "they are", failures=(503,))},
            "/metrics": {"get": _read("Numbers for Prometheus", "text", kind="text/plain", failures=(401,))},
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _error_schema(), "Result": _result_schema(), "Results": _results_schema()},
        },
    }


def _failure(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": _ERROR}}}


def _read(
    summary: str,
    answer: str,
    *,
    parameters: list[Any] | None = None,
    kind: str = "application/json",
    failures: tuple[int, ...] = (),
) -> dict[str, Any]:
    return {
        "summary": summary,
        "parameters": parameters or [],
        "responses": {
            "200": {"description": answer, "content": {kind: {}}},
            **{str(status): _failure(_ERRORS[status]) for status in failures},
        },
    }


def _error_schema() -> dict[str, Any]:
    texts = {"code": {"type": "string"}, "message": {"type": "string"}}
    error = {"type": "object", "properties": texts, "required": list(texts)}
    return {"type": "object", "properties": {"error": error}, "required": ["error"]}


def _result_schema() -> dict[str, Any]:
    number, text = {"type": ["number", "null"]}, {"type": ["string", "null"]}
    region = {
        "type": "object",
        "properties": {
            **{key: {"type": "integer"} for key in ("top", "left", "height", "width", "area")},
            **{key: {"type": "number"} for key in ("peak", "mean")},
        },
    }
    return {
        "type": "object",
        "required": ["image", "decision"],
        "properties": {
            "image": {"type": "string"},
            "decision": {"type": "string", "enum": ["normal", "anomalous", "error"]},
            "score": number,
            "threshold": number,
            "normalised": number,
            "probability": number,
            "area": {"type": ["integer", "null"], "description": "anomalous pixels"},
            "regions": {"type": ["array", "null"], "items": region},
            "error": text,
            "code": text,
        },
    }


def _results_schema() -> dict[str, Any]:
    return {
        "type": "object",
        "required": ["model", "results"],
        "properties": {
            "model": {"type": "string"},
            "results": {"type": "array", "items": {"$ref": "#/components/schemas/Result"}},
        },
    }
