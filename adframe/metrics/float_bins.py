"""Maps float32 scores to integers of the same order."""

from __future__ import annotations

import numpy as np

_MAGNITUDE = 0x7FFFFFFF  # every bit but the sign


def codes_of(scores: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Maps finite float32 scores to int32 codes, strictly monotone, with -0.0 and 0.0 on the same code.

    IEEE 754 floats above zero have the order of their bits; below zero the order is reversed, so the
    magnitude bits of negative numbers are flipped.

    Args:
        scores: (n,) float32, finite.
        out: (n,) int32 buffer to write to, so that it can be reused between calls; None allocates one.

    Returns:
        (n,) int32 codes.
    """
    codes = np.empty(scores.shape, np.int32) if out is None else out
    np.add(scores, np.float32(0), out=codes.view(np.float32))  # -0.0 + 0.0 is 0.0
    np.bitwise_xor(codes, (codes >> 31) & _MAGNITUDE, out=codes)
    return codes


def scores_of(codes: np.ndarray) -> np.ndarray:
    """Inverts `codes_of`.

    Args:
        codes: (n,) int32 codes.

    Returns:
        (n,) float32 scores.
    """
    flipped: np.ndarray = codes ^ ((codes >> 31) & _MAGNITUDE)
    return flipped.view(np.float32)


def float32_below(threshold: float) -> np.float32:
    """Rounds a threshold down to float32, so that `score > threshold` decides the same in both precisions.

    Args:
        threshold: a float64 threshold.

    Returns:
        The largest float32 that is not above the threshold.
    """
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
