"""float32 scores as integers of the same order: equal scores share a code, larger ones a larger."""

from __future__ import annotations

import numpy as np

_MAGNITUDE = 0x7FFFFFFF  # every bit but the sign


def codes_of(scores: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Maps finite float32 to int32, strictly monotone, with -0.0 and 0.0 on the same code.

    IEEE 754 floats above zero are ordered like their bits; below zero the order is reversed,
    so there the magnitude bits are flipped.

    Args:
        scores: (n,) float32, finite.
        out: (n,) int32 to write to, reused from call to call.
    """
    codes = np.empty(scores.shape, np.int32) if out is None else out
    np.add(scores, np.float32(0), out=codes.view(np.float32))  # -0.0 + 0.0 is 0.0
    np.bitwise_xor(codes, (codes >> 31) & _MAGNITUDE, out=codes)
    return codes


def scores_of(codes: np.ndarray) -> np.ndarray:
    """The inverse of `codes_of`: (n,) int32 to (n,) float32."""
    flipped: np.ndarray = codes ^ ((codes >> 31) & _MAGNITUDE)
    return flipped.view(np.float32)


def float32_below(threshold: float) -> np.float32:
    """The largest float32 <= threshold, so that `score > threshold` means the same in both widths."""
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    return nearest if float(nearest) <= threshold else np.nextafter(nearest, np.float32(-np.inf))
