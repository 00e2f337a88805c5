"""Packs histograms and sketches into one flat array of integers for the exchange between processes, and
unpacks it.

Only bins that are not empty are sent. Packed states may be concatenated, whatever their lengths; each process
may have seen other defect types and have merged its bins more or less often.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from adframe.metrics.float_bins import codes_of
from adframe.metrics.histogram import PixelHistograms
from adframe.metrics.sketch import Sketch

_BIN_ROWS = 4  # code, normal, anomalous, found
# Two codes, normal, anomalous, found.
_SEGMENT_ROWS = 5


def pack_histograms(histograms: PixelHistograms) -> np.ndarray:
    """Packs histograms and their sketches.

    Args:
        histograms: the state of one process.

    Returns:
        (n,) int64: two lengths, a JSON header with one number per byte, the rows of groups, the rows of
        sketches.
    """
    tallies = {key: histograms.tally([key]) for key in sorted(histograms.groups)}
    sketches = sorted(histograms.sketches, key=lambda sketch: sketch.sort_key)
    groups = [
        (*key, len(tally.normal), histograms.groups[key].facts.tolist()) for key, tally in tallies.items()
    ]
    images = [(each.path, each.key, each.group, len(each.found), each.facts.tolist()) for each in sketches]
    header = json.dumps([groups, images]).encode()
    body = [
        np.stack([codes_of(tally.lowest), tally.normal, tally.anomalous, tally.found]).reshape(-1)  # (4, n)
        for tally in tallies.values()
    ]
    body += [
        np.concatenate([each.ends, each.pixels, each.found[None]]).astype(np.int64).reshape(-1)  # (5, n)
        for each in sketches
    ]
    lengths = np.array([len(header), sum(map(len, body))], np.int64)
    return np.concatenate([lengths, np.frombuffer(header, np.uint8).astype(np.int64), *body])


def add_packed(histograms: PixelHistograms, packed: np.ndarray) -> None:
    """Adds packed states to histograms, as if these had seen all their images.

    A coarse state makes these bins as coarse without a special case: one shift finer, the lowest codes of its
    bins touch the same blocks that its scores touched, and those were too many.

    Args:
        histograms: the state to add to, changed in place.
        packed: (n,) int64, results of `pack_histograms`, concatenated.
    """
    for (groups, images), body in _packed_states(packed):
        start = 0
        for defect, subset, condition, bins, facts in groups:
            rows = body[start : start + _BIN_ROWS * bins].reshape(_BIN_ROWS, bins)
            start += rows.size
            _add_rows(histograms, (defect, subset, condition), rows=rows)
            histograms.group((defect, subset, condition)).facts += np.array(facts, np.int64)
        for path, key, group, segments, facts in images:
            rows = body[start : start + _SEGMENT_ROWS * segments].reshape(_SEGMENT_ROWS, segments)
            start += rows.size
            ends, pixels = rows[:2].astype(np.int32), rows[2:4].astype(np.int32)
            known = np.array(facts, np.int64)
            histograms.sketches.append(
                Sketch(path, (key[0], key[1], key[2]), group, known, ends, pixels, rows[4].copy())
            )


def _add_rows(histograms: PixelHistograms, key: tuple[str, str, str], *, rows: np.ndarray) -> None:
    codes = rows[0].astype(np.int32)
    histograms.make_room(histograms.layout.blocks_of(codes))
    places = histograms.layout.positions(codes)
    for counts, added in zip(histograms.group(key).counts, rows[1:], strict=True):
        np.add.at(counts.reshape(-1), places, added)


def _packed_states(packed: np.ndarray) -> Iterator[tuple[Any, np.ndarray]]:
    """Yields the header and the body of each state."""
    position = 0
    while position < len(packed):
        text, body = (int(length) for length in packed[position : position + 2])
        start = position + 2 + text
        yield json.loads(bytes(packed[position + 2 : start].astype(np.uint8))), packed[start : start + body]
        position = start + body
