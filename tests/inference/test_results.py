"""Masks, regions and rows of one result, by definition."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy import ndimage

from adframe.contracts import Decision
from adframe.errors import AdframeError
from adframe.inference.results import COLUMNS, ImageResult, regions_of


def test_regions_are_the_8_connected_ones_with_their_scores() -> None:
    heatmap = np.random.default_rng(0).normal(size=(40, 50)).astype(np.float32)
    mask = heatmap > 0.8
    labels, count = ndimage.label(mask, structure=np.ones((3, 3)))
    expected = []
    for number, (rows, columns) in enumerate(ndimage.find_objects(labels), start=1):
        values = heatmap[labels == number].astype(np.float64)
        box = (rows.start, columns.start, rows.stop - rows.start, columns.stop - columns.start)
        expected.append((*box, values.size, values.max(), pytest.approx(values.mean())))
    found = regions_of(mask, heatmap)
    assert len(found) == count > 20
    assert [region.peak for region in found] == sorted((region.peak for region in found), reverse=True)
    rows = [(r.top, r.left, r.height, r.width, r.area, r.peak, r.mean) for r in found]
    assert sorted(rows) == sorted(expected, key=lambda row: row[:5])


def test_without_a_pixel_above_the_threshold_there_is_no_region() -> None:
    assert regions_of(np.zeros((4, 4), bool), np.zeros((4, 4), np.float32)) == []


def test_a_result_is_plain_data_for_json_and_csv() -> None:
    heatmap = np.zeros((4, 6), np.float32)
    heatmap[1, 2] = 3
    decision = Decision(score=3.0, threshold=2.0, normalised=1.5, probability=0.9, reported=True)
    result = ImageResult(
        "a.png",
        decision,
        heatmap,
        threshold_map=lambda values: values > 1,
        milliseconds=7.0,
        warnings=("grey",),
    )
    assert tuple(result.row()) == COLUMNS
    record = json.loads(json.dumps(result.record()))
    assert (record["decision"], record["height"], record["width"]) == ("anomalous", 4, 6)
    assert record["regions"] == [
        {"top": 1, "left": 2, "height": 1, "width": 1, "area": 1, "peak": 3.0, "mean": 3.0}
    ]
    assert result.row()["regions"] == result.row()["area"] == 1


def test_an_image_that_could_not_be_read_has_its_error_and_nothing_else() -> None:
    result = ImageResult("a.png", None, None, threshold_map=lambda values: values > 1, error="it is broken")
    assert {key for key, value in result.row().items() if value is not None} == {"image", "decision", "error"}
    for name in ("score", "anomalous", "heatmap", "mask", "regions"):
        with pytest.raises(AdframeError, match=r"a\.png has no result: it is broken"):
            getattr(result, name)
