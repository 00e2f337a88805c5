"""Answers `POST /v1/models/<name>/predict`: decodes, inspects, and writes JSON or an overlay."""

from __future__ import annotations

import asyncio
import json
import math
from concurrent.futures import Executor
from contextlib import ExitStack
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from adframe.errors import AdframeError
from adframe.inference.images import InputImage
from adframe.inference.output import overlay
from adframe.inference.results import ImageResult
from adframe.reporting.outlines import as_bytes, encoded
from adframe.serving.bodies import ByteBudget, pictures_in, read_body
from adframe.serving.errors import RequestError
from adframe.serving.models import ServedModel
from adframe.serving.pictures import decoded
from adframe.serving.settings import ServiceSettings

RESULT_HEADER = "adframe-result"  # the result of an overlay, as JSON without its regions
_JSON, _PNG = "application/json", "image/png"


class PredictRoute:
    """Inspects the pictures of requests.

    Args:
        settings: of the service.
        pool: threads that decode and draw.
    """

    def __init__(self, settings: ServiceSettings, pool: Executor) -> None:
        self._settings, self._pool = settings, pool
        self._bodies = ByteBudget(max(8 * settings.most_bytes, 64 << 20))
        # Decoded pictures are far larger than their files; three bytes per pixel.
        self._pixels = ByteBudget(4 * 3 * settings.most_pixels)

    async def answer(self, request: Request, model: ServedModel) -> Response:
        """Answers one request.

        Args:
            request: the request.
            model: the model that it names.

        Returns:
            JSON with one result per picture, or the overlay of a single picture.

        Raises:
            RequestError: the request cannot be answered.
        """
        wants_overlay = _wants_overlay(request.headers.get("accept", ""))
        body = await read_body(request, self._settings, self._bodies)
        try:
            pictures = await pictures_in(body, request.headers, self._settings)
            request.state.facts = {"pictures": len(pictures), "bytes": len(body)}
            if wants_overlay and len(pictures) > 1:
                raise RequestError(406, "one_picture", "an overlay is made of one picture, not of several")
            model.check_room(len(pictures))  # before the work of decoding
            single = len(pictures) == 1
            with ExitStack() as files:
                images = await self._decoded(pictures, files, single=single)
                results = await self._inspected(images, model)
                decisions = [
                    "error" if isinstance(each, RequestError) else each.row()["decision"] for each in results
                ]
                request.state.facts["decisions"] = decisions
                loop = asyncio.get_running_loop()
                if wants_overlay:
                    assert isinstance(images[0], InputImage)
                    assert isinstance(results[0], ImageResult)
                    return await loop.run_in_executor(self._pool, _overlay, model, images[0], results[0])
                names = [name for name, _ in pictures]
                records = await loop.run_in_executor(self._pool, _records, names, results)
            return JSONResponse({"model": model.name, "results": records})
        finally:
            self._bodies.give_back(len(body))

    async def _decoded(
        self, pictures: list[tuple[str, bytes]], files: ExitStack, *, single: bool
    ) -> list[InputImage | RequestError]:
        """Decodes pictures; one that cannot be decoded is an error of its own among several."""

        def decode(name: str, content: bytes) -> InputImage | RequestError:
            try:
                limit = self._settings.most_pixels
                own = decoded(name, content, most_pixels=limit, budget=self._pixels)
                return InputImage(name, files.enter_context(own))
            except RequestError as error:
                if error.status == 503:  # not the picture's fault
                    raise
                return error

        loop = asyncio.get_running_loop()
        found = [await loop.run_in_executor(self._pool, decode, name, content) for name, content in pictures]
        if single and isinstance(found[0], RequestError):
            raise found[0]
        return found

    async def _inspected(
        self, images: list[InputImage | RequestError], model: ServedModel
    ) -> list[ImageResult | RequestError]:
        futures = model.submit([image for image in images if isinstance(image, InputImage)])
        results = iter(await asyncio.gather(*map(asyncio.wrap_future, futures)))
        merged = [image if isinstance(image, RequestError) else next(results) for image in images]
        if len(merged) == 1 and isinstance(merged[0], ImageResult) and merged[0].error is not None:
            raise RequestError(422, "unreadable", _without_path(images[0], merged[0].error))
        return merged


def _wants_overlay(accept: str) -> bool:
    """Tells what a client accepts; the first of the two kinds that it names counts.

    Raises:
        RequestError: 406, it accepts neither.
    """
    for entry in accept.split(",") if accept.strip() else ["*/*"]:
        kind, *parameters = (part.strip().lower() for part in entry.split(";"))
        if "q=0" in parameters:
            continue
        if kind in (_JSON, "application/*", "*/*"):
            return False
        if kind in (_PNG, "image/*"):
            return True
    raise RequestError(406, "not_acceptable", f"the answer is {_JSON}, or {_PNG} for an overlay")


def _overlay(model: ServedModel, image: InputImage, result: ImageResult) -> Response:
    detector: Any = model.detector
    drawn = overlay(detector, as_bytes(detector.pixels(image)), result)
    row = json.dumps(_plain(result.row()), ensure_ascii=True)
    return Response(encoded(drawn, kind="PNG"), media_type=_PNG, headers={RESULT_HEADER: row})


def _records(names: list[str], results: list[ImageResult | RequestError]) -> list[dict[str, Any]]:
    found = []
    for name, result in zip(names, results, strict=True):
        if isinstance(result, RequestError):
            found.append({"image": name, "decision": "error", "code": result.code, "error": result.message})
        else:
            found.append(_plain(result.record()))
    return found


def _plain(record: dict[str, Any]) -> dict[str, Any]:
    """Replaces numbers that JSON does not have."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in record.items()
    }


def _without_path(image: InputImage | RequestError, text: str) -> str:
    """Replaces the path of a temporary file by the name of the picture."""
    if isinstance(image, InputImage) and image.path is not None:
        return text.replace(str(image.path), image.name)
    return text


def as_request_error(error: Exception) -> RequestError:
    """Turns an error of adframe into one for a client; its text may name files of the service.

    Args:
        error: what happened.

    Returns:
        An error of status 500 without details.
    """
    kind = "unavailable" if isinstance(error, AdframeError) else "internal"
    return RequestError(500, kind, "the service could not inspect the picture; its log says why")
