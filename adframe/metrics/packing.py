"""Histograms as one flat array of integers: what travels between processes, and its way back.

Only filled bins travel. Packed states can simply be laid end to end, whatever their lengths, and
each process may have seen other defect types and have merged its bins more or less often.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np

from adframe.metrics.codes import codes_of
from adframe.metrics.histogram import GroupKey, PixelHistograms, Tally

_ROWS = 4  # code, normal, anomalous, found


def pack(histograms: PixelHistograms) -> np.ndarray:
    """(n,) int64: two lengths, a JSON header as one number a byte, then (4, filled bins) a group."""
    tallies = {key: histograms.tally([key]) for key in sorted(histograms.groups)}
    groups = [
        (*key, len(tally.normal), histograms.groups[key].facts.tolist()) for key, tally in tallies.items()
    ]
    header = json.dumps(groups).encode()
    body = [_rows(tally).reshape(-1) for tally in tallies.values()]
    lengths = np.array([len(header), sum(map(len, body))], np.int64)
    return np.concatenate([lengths, np.frombuffer(header, np.uint8).astype(np.int64), *body])


def absorb(histograms: PixelHistograms, packed: np.ndarray) -> None:
    """Adds states that `pack` made, laid end to end, to `histograms`; as if it had seen all their images.

    A coarse state brings its shift along without being asked: one shift finer, the lowest codes of
    its bins touch the blocks that its scores touched, and those were too many.
    """
    for key, facts, rows in _unpacked(packed):
        codes = rows[0].astype(np.int32)
        histograms.make_room(histograms.layout.blocks_of(codes))
        places = histograms.layout.places(codes)
        for counts, added in zip(histograms.group(key).counts, rows[1:], strict=True):
            np.add.at(counts.reshape(-1), places, added)
        histograms.group(key).facts += facts


def _rows(tally: Tally) -> np.ndarray:
    return np.stack([codes_of(tally.lowest), tally.normal, tally.anomalous, tally.found])  # (4, n) int64


def _unpacked(packed: np.ndarray) -> Iterator[tuple[GroupKey, np.ndarray, np.ndarray]]:
    """The key, the facts and the (4, n) rows of each group of each state."""
    position = 0
    while position < len(packed):
        text, body = (int(length) for length in packed[position : position + 2])
        start = position + 2 + text
        groups = json.loads(bytes(packed[position + 2 : start].astype(np.uint8)))
        position = start + body
        for defect, subset, bins, facts in groups:
            rows = packed[start : start + _ROWS * bins].reshape(_ROWS, bins)
            yield (defect, subset), np.array(facts, np.int64), rows
            start += _ROWS * bins
