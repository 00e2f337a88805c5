"""Measures how sharp an image is, so that synthetic anomalies are no sharper than the camera could show."""

from __future__ import annotations

import math

import cv2
import numpy as np

_BANDS = 20  # of spatial frequency, from 0 to the Nyquist frequency
_NOISE_BANDS = 4  # the highest ones, in which an image that is softer than its pixels holds noise only
_ABOVE_NOISE = 2.0  # a band holds structure where its power exceeds that of the noise by this factor


def optical_blur(image: np.ndarray) -> float:
    """Estimates the blur of an image by the frequency above which its spectrum holds noise only.

    Images that were enlarged, or taken out of focus, fall to a flat spectrum below the Nyquist frequency of
    their pixels. The result is the Gaussian whose transfer is a tenth at that frequency; for an image that
    is as sharp as its pixels it is 0.7 pixels.

    Args:
        image: (H, W, 3) float32 in [0, 1].

    Returns:
        Standard deviation in pixels.

    Example:
        >>> sharp = np.random.default_rng(0).random((128, 128, 1)).repeat(3, 2).astype(np.float32)
        >>> soft = cv2.GaussianBlur(sharp, (0, 0), 2.0) + 0.002 * sharp
        >>> optical_blur(sharp) < 1 < optical_blur(soft)
        True
    """
    grey = image.mean(2)
    window = np.outer(np.hanning(grey.shape[0]), np.hanning(grey.shape[1]))
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    down, across = np.fft.fftfreq(grey.shape[0]), np.fft.fftfreq(grey.shape[1])
    radius = np.hypot(down[:, None], across[None]) * 2  # 1 at the Nyquist frequency
    band = np.minimum((radius * _BANDS).astype(int), _BANDS)  # the corners beyond it form a band of their own
    sums = np.bincount(band.ravel(), weights=power.ravel(), minlength=_BANDS + 1)[:_BANDS]
    means = sums / np.maximum(np.bincount(band.ravel(), minlength=_BANDS + 1)[:_BANDS], 1)
    noise = np.median(means[-_NOISE_BANDS:])
    structured = np.flatnonzero(means > _ABOVE_NOISE * noise)
    cut = (structured[-1] + 1) / _BANDS if len(structured) else 1.0
    if not noise > 0 or structured.size == 0:  # a plain image, or noise alone: as sharp as its pixels
        cut = 1.0
    return float(math.sqrt(math.log(10) / 2) / math.pi / (cut / 2))


def softened(before: np.ndarray, after: np.ndarray, *, blur: float) -> np.ndarray:
    """Blurs what was drawn into an image, not the image.

    Args:
        before: (H, W, 3) float32.
        after: (H, W, 3) float32, the same with an anomaly.
        blur: standard deviation in pixels; 0 changes nothing.

    Returns:
        (H, W, 3) float32.
    """
    if blur <= 0:
        return after
    return np.asarray(before + cv2.GaussianBlur(after - before, (0, 0), blur))
