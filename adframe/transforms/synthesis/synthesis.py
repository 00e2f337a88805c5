"""Adds synthetic anomalies to normal images, the same for the same seed, image and epoch.

One family may be held out: it is not used for training, and validation uses it alone. So models can be
selected without real defects, on a kind of anomaly that none of them was trained on.

Every draw depends only on the seed, the purpose, the image and the epoch: the same anomaly results for any
number of workers, order and process. The numbers of a family come from a generator keyed by its name, so the
weights of other families do not change them.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from adframe.contracts import GOOD
from adframe.errors import AdframeError, unknown
from adframe.transforms.synthesis.family import (
    FAMILIES_KEY,
    SPECK,
    Donor,
    Family,
    impossible,
    scene_of,
)

Frame = Literal["view", "original"]
FRAMES: tuple[Frame, ...] = ("view", "original")
_PURPOSES = {"train": 0, "val": 1, "example": 2}


@dataclass(frozen=True, slots=True)
class Synthesised:
    """An image that may have a synthetic anomaly.

    Attributes:
        image: (H, W, 3) float32 in [0, 1]; the object that was passed in where it is normal.
        mask: (H, W) bool, empty where it is normal.
        family: name of the family; `good` where it is normal.
    """

    image: np.ndarray
    mask: np.ndarray
    family: str

    @property
    def anomalous(self) -> bool:
        """Tells whether the image has an anomaly."""
        return self.family != GOOD


class Synthesis:
    """Adds synthetic anomalies to normal images.

    Args:
        families: families by name; an empty mapping leaves images unchanged.
        name: name of the synthesis in tables.
        seed: 0 or more.
        normal_share: share of training images that stay normal, in [0, 1).
        held_out: family that is used for validation only; None uses all families for validation.
        foreground: whether to centre anomalies on the part, where one is found.
        smallest: share of the image that must visibly change for an anomaly, in [0, 1).
        attempts: number of draws until enough has changed; after these an image stays normal.
        speck: share of the image; smaller connected changes are undone, in [0, 1).
        frame: `view` draws into the network's input, so that an anomaly covers the same share of it at any
            resolution; `original` draws into the image on disk, before it is resized, so that an anomaly
            loses pixels as a real one does.
        draws: number of anomalous copies of each validation image.
        soften: whether anomalies are blurred as much as the image is, so that none is sharper than the
            camera could show it.

    Raises:
        AdframeError: if a number is out of range, the held-out family is unknown, or none is left for
            training.

    Example:
        >>> from adframe.transforms.synthesis.stages import Structural
        >>> shapes = Structural(area=0.05, patches=1, shapes=["ellipse"], contrast=0.5, opacity=1)
        >>> synthesis = Synthesis({"structural": shapes}, name="demo", seed=0)
        >>> image = np.full((64, 64, 3), 0.5, np.float32)
        >>> synthesis.validation(image, donor=lambda _: image, index=0).family
        'structural'
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
        speck: float = SPECK,
        frame: Frame = "view",
        draws: int = 1,
        soften: bool = False,
    ) -> None:
        _check_families(families, held_out=held_out)
        _check_numbers(
            seed=seed,
            shares={"normal_share": normal_share, "smallest": smallest, "speck": speck},
            counts={"attempts": attempts, "draws": draws},
        )
        if frame not in FRAMES:
            raise AdframeError(unknown("synthesis.frame", str(frame), FRAMES))
        # Independent of the order in a configuration.
        self.families = dict(sorted(families.items()))
        self.name, self.seed = name, seed
        self.normal_share, self.held_out = normal_share, held_out
        self.foreground, self.smallest, self.attempts = foreground, smallest, attempts
        self.speck, self.draws, self.soften = speck, draws, soften
        self.frame: Frame = frame

    @property
    def trained(self) -> dict[str, Family]:
        """Returns the families that are used for training."""
        return {name: f for name, f in self.families.items() if name != self.held_out and f.weight > 0}

    @property
    def validated(self) -> dict[str, Family]:
        """Returns the families that are used for validation."""
        return self.trained if self.held_out is None else {self.held_out: self.families[self.held_out]}

    def training(self, image: np.ndarray, *, donor: Donor, index: int, epoch: int) -> Synthesised:
        """Returns a training image of one epoch; the share `normal_share` of them stays normal.

        Args:
            image: (H, W, 3) float32 in [0, 1], normal; not changed.
            donor: draws another normal image of the same shape.
            index: number of the image, 0 or more.
            epoch: 0 or more; each epoch has other anomalies.

        Returns:
            The image, with an anomaly or unchanged.
        """
        generator = self._generator("train", index, epoch)
        if generator.random() < self.normal_share:
            return untouched(image)
        return self._with_anomaly(image, self.trained, donor=donor, generator=generator)

    def validation(self, image: np.ndarray, *, donor: Donor, index: int, draw: int = 0) -> Synthesised:
        """Returns the image with an anomaly for validation, which is the same in every epoch.

        Args:
            image: as for `training`.
            donor: as for `training`.
            index: as for `training`.
            draw: number of the anomalous copy, from 0 to `draws` - 1.

        Returns:
            The image with an anomaly.
        """
        return self._with_anomaly(
            image, self.validated, donor=donor, generator=self._generator("val", index, draw)
        )

    def example(self, image: np.ndarray, *, family: str, donor: Donor, index: int) -> Synthesised:
        """Returns the image with an anomaly of one family, for illustration.

        Args:
            image: as for `training`.
            family: name of the family.
            donor: as for `training`.
            index: as for `training`.

        Returns:
            The image with an anomaly.
        """
        chosen = {family: self.families[family]}
        return self._with_anomaly(image, chosen, donor=donor, generator=self._generator("example", index, 0))

    def settings(self) -> dict[str, Any]:
        """Returns everything that determines the draws, as JSON values."""
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
        # A held-out family may have weight 0
        share = weights / weights.sum() if len(names) > 1 else np.ones(1)
        name = names[int(generator.choice(len(names), p=share))]
        own = np.random.default_rng([int(generator.integers(2**63)), zlib.crc32(name.encode())])
        scene = scene_of(image, donor=donor, foreground=self.foreground, speck=self.speck, soften=self.soften)
        for _ in range(self.attempts):
            changed, mask = families[name](scene, generator=own)
            if mask.any() and mask.mean() >= self.smallest:
                return Synthesised(changed, mask, name)
        return untouched(image)


def untouched(image: np.ndarray) -> Synthesised:
    """Wraps a normal image that stays unchanged.

    Args:
        image: (H, W, 3) float32.

    Returns:
        The image with an empty mask.
    """
    return Synthesised(image, np.zeros(image.shape[:2], bool), GOOD)


def _check_families(families: Mapping[str, Family], *, held_out: str | None) -> None:
    for key, family in families.items():
        if not isinstance(family, Family):
            raise impossible(key, family, f"a family (~{FAMILIES_KEY}.{key} removes it)")
    if held_out is not None and held_out not in families:
        raise AdframeError(unknown("family", held_out, families, where="in synthesis.held_out"))
    if families and not any(f.weight > 0 for name, f in families.items() if name != held_out):
        text = "null" if held_out is None else held_out
        raise AdframeError(f"synthesis.held_out={text} leaves no family with a weight above 0 to train on")


def _check_numbers(*, seed: int, shares: Mapping[str, float], counts: Mapping[str, int]) -> None:
    if seed < 0:
        raise AdframeError(f"synthesis.seed={seed} must be 0 or more")
    for name, share in shares.items():
        # Written this way, it also refuses NaN.
        if not 0 <= share < 1:
            raise AdframeError(f"synthesis.{name}={share} must be 0 or more, and below 1")
    for name, count in counts.items():
        if count < 1:
            raise AdframeError(f"synthesis.{name}={count} must be 1 or more")
