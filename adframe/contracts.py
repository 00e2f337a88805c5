"""The whole vocabulary of adframe on one screen: what flows, in which shape.

Conventions: B batch, C channels, H and W height and width (height always first), h and w
the grid on which a method scores. Original frame means the pixels of the file on disk.

A **batch** is a dict. Keys (fixed):

==========  ==========================  ========================================================
key         shape                       meaning
==========  ==========================  ========================================================
image       (B, 3, H, W) float32        RGB in [0, 1]; normalising belongs to the backbone
index       (B,) int64                  position in the dataset, tells padded duplicates apart
record      list of B `Record`          where the image comes from and what is known of it
geometry    list of B `Geometry`        how the image was resized, to put a heatmap back
regions     list of B list[Region]      annotated defects in the original frame; [] where none;
            or None                     None where no ground truth is available
shift       list of B dict              what a domain shift drew for the image; {} where there is none
==========  ==========================  ========================================================
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from torch import Tensor

IMAGE, INDEX, RECORD, GEOMETRY = "image", "index", "record", "geometry"
REGIONS, SHIFT = "regions", "shift"
MASK, LABEL, FAMILY = "mask", "label", "family"  # of synthetic anomalies (`data.synthetic`)
Batch = Mapping[str, Any]

GOOD = "good"  # the name of the subset, and of the defect type, that has no defect
UNLABELLED = "unlabelled"  # the name of the subset of which nobody knows; nothing is measured on it


@dataclass(frozen=True, slots=True)
class Saturation:
    """When a ground-truth channel counts as fully found (MVTec LOCO, `defects_config.json`)."""

    pixel_value: int
    threshold: float  # pixels, or a share of the channel's area where `relative`
    relative: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a dataset, before anything is decoded."""

    path: Path
    category: str
    split: str  # train | val | test
    defect: str = GOOD  # the folder's name: scratch, logical_anomalies, ...
    subset: str = GOOD  # good | anomaly | logical | structural | unlabelled
    label: int | None = 0  # 0 normal, 1 anomalous, None unknown
    masks: tuple[Path, ...] = ()  # one file, or a file a channel
    saturations: tuple[Saturation, ...] = ()  # empty: regions are connected components
    group: str = ""  # pictures of one part share it, and never part from each other; "": the image alone
    part: str = ""  # number of the photographed part, where the dataset has several pictures of one
    condition: str = ""  # light condition, where the dataset has several
    bits: int = 16  # that a sample of an image with 16-bit samples uses, counted from the lowest
    place: int = 0  # among its category's records, all splits together: seeds what is random about it

    @property
    def unit(self) -> str:
        """What a split never divides: the group, or where a dataset knows none, the image itself."""
        return self.group or self.path.as_posix()


@dataclass(frozen=True, slots=True)
class Geometry:
    """Where the network's view of an image lies in the original frame.

    `view` is (top, left, height, width) in original pixels; it may reach over the frame's
    edge where an image was padded.
    """

    original: tuple[int, int]  # (H0, W0)
    view: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Region:
    """One annotated defect: its mask inside its bounding box, in the original frame."""

    top: int
    left: int
    mask: np.ndarray  # (h, w) bool
    saturation: float  # pixels that suffice for it to count as found, >= 1


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a detector says, raw: larger is more anomalous, unbounded, never clamped."""

    score: Tensor  # (B,) float32
    heatmap: Tensor  # (B, 1, h, w) float32


@dataclass(frozen=True, slots=True)
class Decision:
    """A raw score compared with a calibrated threshold, and on scales that people can read."""

    score: float
    threshold: float
    normalised: float | None = None  # of the same order as the score
    probability: float | None = None  # of being anomalous
    reported: bool | None = None  # whether any pixel exceeds the pixel threshold
    by_zones: bool | None = None  # whether a zone of the image exceeds its own threshold

    @property
    def anomalous(self) -> bool:
        return self.score > self.threshold


class ImagePrediction:
    """What a calibrated model says about one image.

    It is no dataclass, because Lightning copies those field by field where it gathers predictions.

    Args:
        decision: the score, the threshold, and what follows from them.
        heatmap: (H0, W0) float32 raw scores in the frame of the image.
    """

    __slots__ = ("decision", "heatmap")

    def __init__(self, decision: Decision, heatmap: np.ndarray) -> None:
        self.decision, self.heatmap = decision, heatmap

    @property
    def anomalous(self) -> bool:
        """Whether the image is called anomalous."""
        return self.decision.anomalous

    @property
    def score(self) -> float:
        """The raw score of the image; larger is more anomalous."""
        return self.decision.score


@runtime_checkable
class Detector(Protocol):
    """Any method: (B, 3, H, W) in [0, 1] in, `Prediction` out."""

    def __call__(self, image: Tensor) -> Prediction: ...


@runtime_checkable
class TrainingFree(Detector, Protocol):
    """A method without gradients: it looks at normal images, then makes its model of them.

    `finalise` may be called again after more was collected; `release` ends collecting.
    """

    def collect(self, image: Tensor) -> None: ...

    def finalise(self) -> None: ...

    def release(self) -> None: ...

    def facts(self) -> dict[str, float]: ...  # what it holds now: rows, bytes, ...


@runtime_checkable
class HeldOut(Detector, Protocol):
    """A method that also learns from normal images which its model does not know: the scale of its parts."""

    needs_held_out: bool  # as it is set up

    def collect_held_out(self, image: Tensor) -> None: ...

    def finalise_held_out(self) -> bool | None: ...  # true: it wants to see the images once more


@runtime_checkable
class LeaveOneOut(HeldOut, Protocol):
    """One that can leave an image which it observed out of what it holds that image against."""

    min_held_out: int  # held-out normal images that it needs

    def score_leave_one_out(self, image: Tensor) -> Prediction: ...


@runtime_checkable
class Gradient(Detector, Protocol):
    """A method that learns by gradient; `loss` names every term, `total` is their sum."""

    synthetic: bool  # whether it learns from synthetic anomalies, or from normal images as they are

    def loss(self, batch: Batch) -> dict[str, Tensor]: ...

    def check(self, batch: Batch) -> dict[str, Tensor]: ...  # on held-out images, the same draws every time

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]: ...

    def learned(self) -> dict[str, Tensor]: ...  # without what depends on how it scores

    def load_learned(self, state: Mapping[str, Tensor]) -> None: ...

    def facts(self) -> dict[str, float]: ...


@runtime_checkable
class Previewing(Gradient, Protocol):
    """One that sees all training images once before it learns."""

    needs_preview: bool  # as it is set up

    def preview(self, image: Tensor) -> None: ...

    def finalise_preview(self) -> None: ...


@runtime_checkable
class Collector(Gradient, Protocol):
    """One that sees all training images, as they are, once after it has learned."""

    collects: bool  # as it is set up

    def collect(self, image: Tensor) -> None: ...

    def finalise(self) -> None: ...


@runtime_checkable
class Exporter(Detector, Protocol):
    """One whose adapted network can be used without it."""

    exports: bool  # as it is set up

    def exported(self) -> dict[str, Tensor]: ...  # under the plain network's names


class FeatureReader(Protocol):
    """Layers by name, and their feature maps."""

    @property
    def layers(self) -> Sequence[str]: ...

    def __call__(self, image: Tensor) -> list[Tensor]: ...  # (B, 3, H, W) in [0, 1] to (B, C, h, w) per layer


@runtime_checkable
class Layered(Detector, Protocol):
    """A method whose layers can be looked at: before any averaging, fusion or projection."""

    def feature_reader(self) -> FeatureReader: ...


@runtime_checkable
class Pictured(Detector, Protocol):
    """One whose work can be looked at: named pictures (B, 3, H, W) in [0, 1] of images."""

    def picture(self, image: Tensor) -> dict[str, Tensor]: ...


@runtime_checkable
class Embedded(Detector, Protocol):
    """One that has vectors for whole images: (B, 3, H, W) in [0, 1] in, named (B, D) float32 out."""

    def embeddings(self, image: Tensor) -> dict[str, Tensor]: ...
