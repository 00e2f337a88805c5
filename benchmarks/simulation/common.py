"""Defines what image scores and pixel maps of a simulated test set have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from adframe.stats.bootstrap import multiplicities
from adframe.stats.intervals import Units


@dataclass(frozen=True, slots=True)
class Run:
    """The metrics of one run on one simulated test set.

    Attributes:
        values: metric -> value on the test images.
        drawn: metric -> (resamples,) float32 draws.
        called: units that are called anomalous.
    """

    values: Mapping[str, float]
    drawn: Mapping[str, np.ndarray]
    called: float = np.nan

    @classmethod
    def of(cls, metrics: Mapping[str, np.ndarray], *, called: float = np.nan) -> Run:
        """Separates the value on all images from the draws.

        Args:
            metrics: metric -> (1 + resamples,) values; in the first one each image counts once.
            called: units that are called anomalous.

        Returns:
            The run.
        """
        values = {name: float(each[0]) for name, each in metrics.items()}
        return cls(values, {name: np.float32(each[1:]) for name, each in metrics.items()}, called)


class SimulatedTest(Protocol):
    """A law of test images and of the scores that a method gives them."""

    @property
    def title(self) -> str:
        """Names the law, the number of images and the difficulty."""

    @property
    def units(self) -> Units:
        """The number of independent units."""

    def images(self, rng: np.random.Generator, *, resamples: int) -> Any:
        """Draws the images of a test set and its resamples."""

    def run(self, images: Any, rng: np.random.Generator, *, correlation: float, shift: float) -> Run:
        """Draws the scores of one run; those of two runs on the same images are correlated.

        A seed shifts the strength with which defects are shown.
        """

    def truth(self, shift: float = 0.0) -> dict[str, float]:
        """Computes the metrics of a very large test set."""


def draw_weights(
    labels: np.ndarray, parts: np.ndarray, rng: np.random.Generator, *, resamples: int
) -> np.ndarray:
    """Draws how often each image counts, as a run of adframe does.

    Args:
        labels: (n,) bool, True for anomalous images.
        parts: (n,) int, the photographed part of each image.
        rng: source of the seed.
        resamples: number of resamples.

    Returns:
        (1 + resamples, n) uint16; in the first row each image counts once.
    """
    drawn = multiplicities(
        labels.astype(str),
        groups=parts.astype(str).tolist(),
        values=(np.arange(len(labels)),),
        resamples=resamples,
        seed=(int(rng.integers(1 << 31)),),
    )
    return np.concatenate([np.ones((1, len(labels)), np.uint16), drawn])


def correlate(common: np.ndarray, rng: np.random.Generator, *, correlation: float) -> np.ndarray:
    """Draws standard normal numbers that are correlated with others.

    Args:
        common: standard normal numbers of any shape.
        rng: source of the part that is not shared.
        correlation: of two results with the same `common`, in [0, 1].

    Returns:
        Standard normal numbers of the same shape.
    """
    own = rng.normal(size=common.shape)
    return np.sqrt(correlation) * common + np.sqrt(1 - correlation) * own
