"""The page of a prediction: how many images are called anomalous, and the most anomalous ones as pictures."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from adframe.inference.detector import TrainedDetector
from adframe.inference.images import InputImage
from adframe.inference.output import colour_scale
from adframe.inference.results import ANOMALOUS, ERROR, NORMAL, ImageResult
from adframe.io.files import write_whole
from adframe.reporting.document import Block, Card, CardGallery, Page, Picture, Section, TableBlock, Text
from adframe.reporting.format import counted
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.outlines import Pixels, contour, encoded, outline_inspected, resized, tile_size
from adframe.reporting.page_writer import render_page
from adframe.reporting.tables import Column, table_of_columns
from adframe.results.names import method_name

PAGE = "index.html"
_MOST_PICTURES = 48
_MOST_ROWS = 2000
_TILE = 256  # width of a picture in pixels


class PredictionPage:
    """Collects what the page shows while images are inspected; memory is bounded.

    Args:
        detector: the model.
        run: the folder of its run, for the title.

    Example:
        >>> page = PredictionPage(detector, run=Path("runs/screw"))  # doctest: +SKIP
        >>> page.add(image, result)  # doctest: +SKIP
        >>> page.write(Path("out"), records)  # doctest: +SKIP
    """

    def __init__(self, detector: TrainedDetector, *, run: Path) -> None:
        self._detector, self._run = detector, run
        # (score, number, result without its arrays, tiles): the lowest score is first and leaves first.
        self._cards: list[tuple[float, int, Card]] = []
        self._added = 0

    def add(
        self, image: InputImage, result: ImageResult, *, pixels: Callable[[], Pixels] | None = None
    ) -> None:
        """Keeps the pictures of an image if it is among the most anomalous ones.

        Args:
            image: the image.
            result: its result.
            pixels: returns the image as (H, W, 3) uint8, called where it is kept; None decodes the image
                again.
        """
        if result.error is not None:
            return
        self._added += 1
        if len(self._cards) == _MOST_PICTURES and result.score <= self._cards[0][0]:
            return
        entry = (result.score, -self._added, self._card(result, (pixels or self._detector.decoder(image))()))
        keep = heapq.heappush if len(self._cards) < _MOST_PICTURES else heapq.heapreplace
        keep(self._cards, entry)

    def write(self, folder: Path, records: Mapping[str, Mapping[str, Any]]) -> Path:
        """Writes `index.html`.

        Args:
            folder: where.
            records: the record of every image by its name, also of earlier calls.

        Returns:
            The path of the page.

        Raises:
            AdframeError: the page cannot be written.
        """
        path = folder / PAGE
        write_whole(path, render_page(self._page(records)))
        return path

    def _page(self, records: Mapping[str, Mapping[str, Any]]) -> Page:
        counts = Counter(record["decision"] for record in records.values())
        inspected = counts[ANOMALOUS] + counts[NORMAL]
        title = f"{counts[ANOMALOUS]} of {counted(inspected, 'image')} called anomalous"
        fitted = self._detector.calibration
        notes = []
        if counts[ERROR]:
            notes.append(f"{counted(counts[ERROR], 'image')} could not be read; the table says why.")
        if doubted := sum(bool(record["warnings"]) for record in records.values()):
            notes.append(
                f"{counted(doubted, 'image')} of another kind than the training images: decisions about them "
                "may be wrong; the table says in what they differ."
            )
        sections = [Section("All images", (self._table(records),))]
        if self._cards:
            sections.insert(0, Section("Most anomalous images", self._pictures(inspected)))
        return Page(
            title,
            [
                (
                    "model",
                    f"{method_name(type(self._detector.detector).__name__)} of {self._run.resolve().name}",
                ),
                ("category", self._detector.category),
                ("threshold", f"{fitted.threshold:.4g}"),
                ("rule", f"{fitted.statistic}, {counted(fitted.n, 'normal image')}"),
            ],
            sections,
            notes=notes,
            source="predictions.jsonl",
        )

    def _pictures(self, inspected: int) -> tuple[Block, ...]:
        cards = tuple(card for _, _, card in sorted(self._cards, key=lambda entry: (-entry[0], -entry[1])))
        shown = "all images" if len(cards) == inspected else f"the {len(cards)} highest scores"
        line = (
            f"Shown are {shown}, highest score first: the image, and the heatmap over it. A white line "
            "surrounds pixels above the pixel threshold."
        )
        if self._detector.view.roi is not None:
            line += " A blue line surrounds the region of interest."
        return Text(line), CardGallery(cards)

    def _table(self, records: Mapping[str, Mapping[str, Any]]) -> Block:
        # Images that could not be read come first, then the highest scores.
        listed = sorted(
            records.values(), key=lambda record: (record["score"] is not None, -(record["score"] or 0))
        )
        rows = [
            {
                "image": record["image"],
                "decision": record["decision"],
                "score": None if record["score"] is None else f"{record['score']:.4g}",
                "regions": None if record["regions"] is None else len(record["regions"]),
                "note": record["error"] or "; ".join(record["warnings"] or ()),
            }
            for record in listed[:_MOST_ROWS]
        ]
        columns = [Column(name, name) for name in ("image", "decision", "score", "regions", "note")]
        caption = (
            f"Raw scores; above {self._detector.threshold:.4g} an image is called anomalous. Regions are "
            "areas of its heatmap above the pixel threshold."
        )
        if len(listed) > _MOST_ROWS:
            caption += f" The first {_MOST_ROWS} of {len(listed)} images; predictions.csv has all."
        return TableBlock("images", caption, table_of_columns(columns, rows))

    def _card(self, result: ImageResult, pixels: Pixels) -> Card:
        size = tile_size(pixels.shape[:2], width=_TILE)
        plain = resized(pixels, size)
        low, high = colour_scale(self._detector)
        heat = overlaid(plain, resized(result.heatmap, size), threshold=None, low=low, high=high)
        # Any coverage counts, so that a region of one pixel still gets its outline.
        mask = (resized(result.mask.astype(np.float32), size) > 0).astype(np.uint8)
        contour(heat, mask, colour=(255, 255, 255), thickness=1)
        if result.inside is not None:
            outline_inspected(plain, result.inside)
            outline_inspected(heat, result.inside)
        state = ANOMALOUS if result.anomalous else NORMAL
        note = f"{state}, score {result.score:.4g}, {counted(len(result.regions), 'region')}"
        pictures = tuple(Picture(encoded(each, kind="JPEG")) for each in (plain, heat))
        return Card(pictures, Path(result.name).name, note=note, path=result.name)
