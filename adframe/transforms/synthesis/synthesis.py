"""Synthetic anomalies in normal images: which family comes when, the same for the same seed, image and epoch.

One family may be held out: it is never trained on, and it alone is what validation shows. So models can
be selected without a real defect, on a kind of anomaly that none of them has seen.

Every draw follows from the seed, what it is for, the image and the epoch, and from nothing else: the
same anomaly results whatever the number of workers, the order or the process. A family's own numbers
come from a generator keyed by its name, so another weight elsewhere does not change them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from adframe.contracts import GOOD
from adframe.errors import AdframeError, unknown
from adframe.transforms.synthesis.family import KEY, Donor, Family, impossible, scene_of

_PURPOSES = {"train": 0, "val": 1, "example": 2}


@dataclass(frozen=True, slots=True)
class Synthesised:
    """An image that may have a synthetic anomaly."""

    image: np.ndarray  # (H, W, 3) float32 in [0, 1]; the very object that was given where it is normal
    mask: np.ndarray  # (H, W) bool, empty where it is normal
    family: str  # `good` where it is normal

    @property
    def anomalous(self) -> bool:
        return self.family != GOOD


class Synthesis:
    """Spoils normal images.

    Args:
        families: by name; none of them leaves images as they are.
        name: what to call it in tables.
        seed: 0 or more.
        normal_share: share of training images that stay normal.
        held_out: the family that is kept for validation; None lets validation show them all.
        foreground: centre anomalies on the part, where one can be told from its ground.
        smallest: share of the image that must visibly have changed for it to be an anomaly.
        attempts: draws until enough has changed; then an image stays normal.

    Raises:
        AdframeError: an impossible share or number, an unknown family to hold out, or none left to train.
    """

    def __init__(
        self,
        families: Mapping[str, Family],
        *,
        name: str,
        seed: int,
        normal_share: float = 0.5,
        held_out: str | None = None,
        foreground: bool = True,
        smallest: float = 0.001,
        attempts: int = 5,
    ) -> None:
        _check(families, held_out=held_out)
        _check_numbers(seed=seed, normal_share=normal_share, smallest=smallest, attempts=attempts)
        self.families = dict(sorted(families.items()))  # whatever the order of a configuration
        self.name, self.seed = name, seed
        self.normal_share, self.held_out = normal_share, held_out
        self.foreground, self.smallest, self.attempts = foreground, smallest, attempts

    @property
    def trained(self) -> dict[str, Family]:
        """The families that training may show."""
        return {name: f for name, f in self.families.items() if name != self.held_out and f.weight > 0}

    @property
    def validated(self) -> dict[str, Family]:
        """The families that validation shows."""
        return self.trained if self.held_out is None else {self.held_out: self.families[self.held_out]}

    def training(self, image: np.ndarray, *, donor: Donor, index: int, epoch: int) -> Synthesised:
        """A training image of one epoch; `normal_share` of them stay as they are.

        Args:
            image: (H, W, 3) float32 in [0, 1], normal; not changed.
            donor: gives another normal image of the same shape.
            index: of the image, 0 or more.
            epoch: 0 or more; another epoch, another anomaly.
        """
        generator = self._generator("train", index, epoch)
        if generator.random() < self.normal_share:
            return untouched(image)
        return self._with_anomaly(image, self.trained, donor=donor, generator=generator)

    def validation(self, image: np.ndarray, *, donor: Donor, index: int) -> Synthesised:
        """The image's one anomaly for validation, the same in every epoch; arguments as for `training`."""
        return self._with_anomaly(
            image, self.validated, donor=donor, generator=self._generator("val", index, 0)
        )

    def example(self, image: np.ndarray, *, family: str, donor: Donor, index: int) -> Synthesised:
        """An anomaly of one family, to be looked at; arguments as for `training`."""
        chosen = {family: self.families[family]}
        return self._with_anomaly(image, chosen, donor=donor, generator=self._generator("example", index, 0))

    def settings(self) -> dict[str, Any]:
        """All that decides what is drawn, as JSON can hold it."""
        own = {name: value for name, value in vars(self).items() if name != "families"}
        families = {name: {"kind": type(f).__name__, **vars(f)} for name, f in self.families.items()}
        described: dict[str, Any] = json.loads(json.dumps({**own, "families": families}))
        return described

    def _generator(self, purpose: str, index: int, epoch: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, _PURPOSES[purpose], index, epoch])

    def _with_anomaly(
        self,
        image: np.ndarray,
        families: Mapping[str, Family],
        *,
        donor: Donor,
        generator: np.random.Generator,
    ) -> Synthesised:
        if not families:
            return untouched(image)
        names = list(families)
        weights = np.array([families[name].weight for name in names])
        share = weights / weights.sum() if len(names) > 1 else np.ones(1)  # a held-out one may weigh 0
        name = names[int(generator.choice(len(names), p=share))]
        own = np.random.default_rng([int(generator.integers(2**63)), zlib.crc32(name.encode())])
        scene = scene_of(image, donor=donor, foreground=self.foreground)
        for _ in range(self.attempts):
            changed, mask = families[name](scene, generator=own)
            if mask.any() and mask.mean() >= self.smallest:
                return Synthesised(changed, mask, name)
        return untouched(image)


def untouched(image: np.ndarray) -> Synthesised:
    """A normal image, as it is."""
    return Synthesised(image, np.zeros(image.shape[:2], bool), GOOD)


def _check(families: Mapping[str, Family], *, held_out: str | None) -> None:
    for key, family in families.items():
        if not isinstance(family, Family):
            raise impossible(key, family, f"a family (~{KEY}.{key} takes it out)")
    if held_out is not None and held_out not in families:
        raise AdframeError(unknown("family", held_out, families, where="in synthesis.held_out"))
    if families and not any(f.weight > 0 for name, f in families.items() if name != held_out):
        text = "null" if held_out is None else held_out
        raise AdframeError(f"synthesis.held_out={text} leaves no family with a weight above 0 to train on")


def _check_numbers(*, seed: int, normal_share: float, smallest: float, attempts: int) -> None:
    if seed < 0:
        raise AdframeError(f"synthesis.seed={seed} must be 0 or more")
    for name, share in (("normal_share", normal_share), ("smallest", smallest)):
        if not 0 <= share < 1:  # nan is not, either
            raise AdframeError(f"synthesis.{name}={share} must be 0 or more, and below 1")
    if attempts < 1:
        raise AdframeError(f"synthesis.attempts={attempts} must be 1 or more")
