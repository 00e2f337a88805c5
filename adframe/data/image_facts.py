"""What kind of images a model was fitted to, so that images of another kind can be told from them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from adframe.contracts import Record
from adframe.io.images import header_size, read_image

IMAGE_FACTS = "images"  # key of environment.json: model -> facts
_DECODED = 16  # training images whose colours are looked at
_FACTOR = 2.0  # an image whose shorter side differs by more is of another scale
_STRETCH = 1.25  # an image whose aspect ratio differs by more is deformed in another way


@dataclass(frozen=True, slots=True)
class ImageFacts:
    """The kind of a model's training images.

    Attributes:
        count: number of images.
        bits: number of used bits of 16-bit samples, counted from the lowest.
        grey: whether all channels of every image are equal.
        sides: shortest and longest of the images' shorter sides in pixels.
        aspects: smallest and largest width / height.

    Example:
        >>> facts = ImageFacts(count=4, bits=16, grey=False, sides=(900, 1024), aspects=(1.0, 1.0))
        >>> facts.doubts((200, 200), grey=True)  # doctest: +ELLIPSIS
        ('the image is grey, and the training images are in colour', 'the image has 200x200 pixels, ...')
    """

    count: int
    bits: int
    grey: bool
    sides: tuple[int, int]
    aspects: tuple[float, float]

    @classmethod
    def of(cls, records: Sequence[Record]) -> ImageFacts:
        """Looks at training images.

        Args:
            records: the training images of a model, one or more.

        Returns:
            The facts; the colours are those of 16 images, spread evenly.

        Raises:
            AdframeError: an image cannot be read.
        """
        sizes = [header_size(record.path) for record in records]
        places = np.unique(np.linspace(0, len(records) - 1, _DECODED).round().astype(int))
        decoded = (read_image(records[place].path, bits=records[place].bits) for place in places)
        sides = [min(size) for size in sizes]
        aspects = [width / height for height, width in sizes]
        return cls(
            count=len(records),
            bits=min(record.bits for record in records),
            grey=all(is_grey(pixels) for pixels in decoded),
            sides=(min(sides), max(sides)),
            aspects=(min(aspects), max(aspects)),
        )

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> ImageFacts:
        """Reads the facts that `plain` returned.

        Args:
            plain: the mapping, such as from a JSON file.

        Raises:
            KeyError: a fact is missing.
            TypeError: a fact has another type.
        """
        low, high = plain["sides"]
        narrow, wide = plain["aspects"]
        return cls(
            count=int(plain["count"]),
            bits=int(plain["bits"]),
            grey=bool(plain["grey"]),
            sides=(int(low), int(high)),
            aspects=(float(narrow), float(wide)),
        )

    def plain(self) -> dict[str, Any]:
        """Returns the facts as plain data for JSON."""
        return {
            "count": self.count,
            "bits": self.bits,
            "grey": self.grey,
            "sides": list(self.sides),
            "aspects": list(self.aspects),
        }

    def doubts(self, size: tuple[int, int], *, grey: bool) -> tuple[str, ...]:
        """Lists in what an image differs from the training images.

        Args:
            size: (H, W) of the image in pixels.
            grey: whether all of its channels are equal.

        Returns:
            One sentence part per difference; () where it is of the same kind.
        """
        found = []
        if grey != self.grey:
            own, other = ("grey", "in colour") if grey else ("in colour", "grey")
            found.append(f"the image is {own}, and the training images are {other}")
        height, width = size
        low, high = self.sides
        if not low / _FACTOR <= min(size) <= high * _FACTOR:
            known = str(low) if low == high else f"{low} to {high}"
            found.append(
                f"the image has {width}x{height} pixels, and the shorter side of training images has {known}"
            )
        narrow, wide = self.aspects
        if not narrow / _STRETCH <= width / height <= wide * _STRETCH:
            known = f"{narrow:.2f}" if narrow == wide else f"{narrow:.2f} to {wide:.2f}"
            found.append(
                f"width / height of the image is {width / height:.2f}, and of training images it is {known}"
            )
        return tuple(found)


def is_grey(pixels: np.ndarray) -> bool:
    """Tells whether all channels of an image are equal.

    Args:
        pixels: (H, W, 3).

    Example:
        >>> is_grey(np.zeros((2, 2, 3), np.uint8))
        True
    """
    red = pixels[..., 0]
    return bool((red == pixels[..., 1]).all() and (red == pixels[..., 2]).all())
