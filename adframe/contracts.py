"""Defines the data structures and interfaces of adframe, with their shapes.

Conventions: B batch, C channels, H and W height and width (height always first), h and w the grid on which a
method scores. Original frame means the pixels of the file on disk.

A **batch** is a dict with fixed keys:

| key | shape | meaning |
|---|---|---|
| image | (B, 3, H, W) float32 | RGB in [0, 1]; the backbone normalises |
| index | (B,) int64 | position in the dataset, identifies padded duplicates |
| record | list of B `Record` | origin and labels of each image |
| geometry | list of B `Geometry` | how the image was resized, to map a heatmap back |
| regions | list of B list[Region] or None | defects, in the original frame; None where unknown |
| shift | list of B dict | numbers drawn by a domain shift; {} where there is none |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:  # the scripts' help, their refusals and the parent of a sweep's workers need no torch
    from torch import Tensor

IMAGE, INDEX, RECORD, GEOMETRY = "image", "index", "record", "geometry"
REGIONS, SHIFT = "regions", "shift"
# Keys of synthetic anomalies (`data.synthetic`) and of labelled defects (`data.labelled`).
MASK, LABEL, FAMILY = "mask", "label", "family"
Batch = Mapping[str, Any]

# Name of the subset, and of the defect type, without defects.
GOOD = "good"
# Name of the subset without labels; it is not measured.
UNLABELLED = "unlabelled"


@dataclass(frozen=True, slots=True)
class Saturation:
    """When a ground-truth channel counts as fully found (MVTec LOCO, `defects_config.json`).

    Attributes:
        pixel_value: value of the channel in its mask.
        threshold: number of pixels, or share of the channel's area where `relative`.
        relative: whether `threshold` is a share.
    """

    pixel_value: int
    threshold: float
    relative: bool


@dataclass(frozen=True, slots=True)
class Record:
    """One image of a dataset, before it is decoded.

    Attributes:
        path: the image file.
        category: name of the category.
        split: `train`, `val` or `test`.
        defect: name of the defect type's folder: `scratch`, `logical_anomalies`, ...
        subset: `good`, `anomaly`, `logical`, `structural` or `unlabelled`.
        label: 0 normal, 1 anomalous, None unknown.
        masks: mask files: one, or one per channel.
        saturations: entries of the channels; empty where regions are connected components.
        group: images of one part share a group and always stay in one split; "" for an image on its own.
        part: number of the photographed part, where the dataset has several images of one.
        condition: light condition, where the dataset has several.
        bits: used bits of 16-bit samples, counted from the lowest.
        place: position among the records of its category, over all splits; seeds its random draws.
    """

    path: Path
    category: str
    split: str
    defect: str = GOOD
    subset: str = GOOD
    label: int | None = 0
    masks: tuple[Path, ...] = ()
    saturations: tuple[Saturation, ...] = ()
    group: str = ""
    part: str = ""
    condition: str = ""
    bits: int = 16
    place: int = 0

    @property
    def unit(self) -> str:
        """Returns the unit that a split never divides: the group, or the image itself where there is no
        group.
        """
        return self.group or self.path.as_posix()


@dataclass(frozen=True, slots=True)
class Geometry:
    """The position of the network's view in the original frame.

    Attributes:
        original: (H0, W0), size of the original frame.
        view: (top, left, height, width) in original pixels; it may reach beyond the frame where an image was
            padded.
        inside: (H0, W0) bool, the region of interest; None where the whole image is inspected.
    """

    original: tuple[int, int]
    view: tuple[int, int, int, int]
    inside: np.ndarray | None = None


@dataclass(frozen=True, slots=True)
class Region:
    """One annotated defect: its mask inside its bounding box, in the original frame.

    Attributes:
        top: first row of the bounding box.
        left: first column of the bounding box.
        mask: (h, w) bool.
        saturation: number of pixels, >= 1, that suffice for it to count as found.
    """

    top: int
    left: int
    mask: np.ndarray
    saturation: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """The raw output of a detector: larger is more anomalous, unbounded, never clipped.

    Attributes:
        score: (B,) float32.
        heatmap: (B, 1, h, w) float32.
    """

    score: Tensor
    heatmap: Tensor


@dataclass(frozen=True, slots=True)
class Decision:
    """A raw score compared with a calibrated threshold, and on readable scales.

    Attributes:
        score: raw image score.
        threshold: calibrated threshold.
        normalised: score on a readable scale that keeps ranks, or None.
        probability: probability of being anomalous, or None.
        reported: whether any pixel exceeds the pixel threshold, or None.
        by_zones: whether a zone of the image exceeds its own threshold, or None.

    Example:
        >>> Decision(score=0.7, threshold=0.5).anomalous
        True
    """

    score: float
    threshold: float
    normalised: float | None = None
    probability: float | None = None
    reported: bool | None = None
    by_zones: bool | None = None

    @property
    def anomalous(self) -> bool:
        """Tells whether the score exceeds the threshold."""
        return self.score > self.threshold


class ImagePrediction:
    """The decision of a calibrated model about one image, with its heatmap.

    It is not a dataclass, because Lightning copies dataclasses field by field where it gathers predictions.

    Args:
        decision: the score, the threshold, and the results of their comparison.
        heatmap: (H0, W0) float32 raw scores in the original frame.

    Example:
        >>> decision = Decision(score=0.7, threshold=0.5)
        >>> ImagePrediction(decision, np.zeros((4, 4), np.float32)).anomalous
        True
    """

    __slots__ = ("decision", "heatmap")

    def __init__(self, decision: Decision, heatmap: np.ndarray) -> None:
        self.decision, self.heatmap = decision, heatmap

    @property
    def anomalous(self) -> bool:
        """Tells whether the image is called anomalous."""
        return self.decision.anomalous

    @property
    def score(self) -> float:
        """Returns the raw score of the image; larger is more anomalous."""
        return self.decision.score


@runtime_checkable
class Detector(Protocol):
    """The interface of every method.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Detector)
        True
    """

    def __call__(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores and heatmaps.
        """


@runtime_checkable
class TrainingFree(Detector, Protocol):
    """The interface of methods without gradients: they collect normal images, then fit a model to them.

    `finalise` may be called again after more images were collected; `release` ends collecting.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), TrainingFree)
        True
    """

    def collect(self, image: Tensor) -> None:
        """Collects normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """

    def finalise(self) -> None:
        """Fits the model to all images collected so far."""

    def release(self) -> None:
        """Releases what only more images would need."""

    def facts(self) -> dict[str, float]:
        """Returns the size of the model: rows, bytes, ..."""


@runtime_checkable
class Divisible(Detector, Protocol):
    """The interface of methods whose collecting has a costly half that depends on the images alone.

    Several processes then read the features of different images, and one of them collects all features.
    `collect` is `collect_features(features(...))`.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Divisible)
        False
    """

    def features(self, image: Tensor) -> Any:
        """Reads what `collect` needs to know of images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Tensors, or lists of them.
        """

    def collect_features(self, found: Any) -> None:
        """Collects normal images by their features.

        Args:
            found: result of `features`.
        """


@runtime_checkable
class Screened(TrainingFree, Protocol):
    """The interface of methods that can compare each collected image with the others, and leave images out.

    Attributes:
        robust: how far above the other images' a score must be for its image to be left out, in scaled
            median absolute deviations; None leaves none out.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Screened)
        False
    """

    robust: float | None

    def leave_one_out_scores(self) -> Tensor:
        """Returns (N,) scores of the images collected so far, in their order, each without its own
        contribution.
        """

    def keep(self, images: Tensor) -> None:
        """Forgets images, as if only the others had been collected.

        Args:
            images: (N,) bool, True for those that stay.
        """


@runtime_checkable
class Reopenable(TrainingFree, Protocol):
    """The interface of methods to which images can be added after the images they were fitted to are gone.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Reopenable)
        False
    """

    def reopen(self) -> str:
        """Makes a fitted model ready to collect more images; `finalise` then adds them.

        Returns:
            `exact: ...` where the result is that of fitting to all images together, otherwise
            `approximation: ...`; the rest says what is done.

        Raises:
            AdframeError: the configured method cannot be extended.
        """


@runtime_checkable
class Transductive(TrainingFree, Protocol):
    """The interface of methods that see the unlabelled test images together before any image is scored.

    Their scores depend on the whole test set, so that they are not comparable with those of methods that see
    one test image at a time.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Transductive)
        False
    """

    def collect_test(self, image: Tensor) -> None:
        """Collects test images, of which nothing but the pixels is known.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """

    def finalise_test(self) -> None:
        """Fits to the collected images."""


@runtime_checkable
class Prompted(TrainingFree, Protocol):
    """The interface of methods that compare images with texts about their category.

    Attributes:
        zero_shot: whether the configured method uses no normal image, so that its thresholds alone come from
            images.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Prompted)
        False
    """

    zero_shot: bool

    def name_categories(self, categories: Sequence[str]) -> None:
        """Tells the method which categories it inspects, before it collects images.

        Args:
            categories: names; several where one model is fitted to all of them.
        """


@runtime_checkable
class HeldOut(Detector, Protocol):
    """The interface of methods that use normal images unknown to their model, for example to scale their
    parts.

    Attributes:
        needs_held_out: whether the configured method requires such images.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), HeldOut)
        False
    """

    needs_held_out: bool

    def collect_held_out(self, image: Tensor) -> None:
        """Collects held-out normal images.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """

    def finalise_held_out(self) -> bool | None:
        """Fits to the collected images; returns True where it must collect all of them once more."""


@runtime_checkable
class LeaveOneOut(HeldOut, Protocol):
    """The interface of methods that can compare a collected image with all other images.

    Attributes:
        min_held_out: required number of held-out normal images.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), LeaveOneOut)
        False
    """

    min_held_out: int

    def score_leave_one_out(self, image: Tensor) -> Prediction:
        """Scores images that were collected, each without its own contribution.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            Raw scores and heatmaps.
        """


@runtime_checkable
class Gradient(Detector, Protocol):
    """The interface of methods that are trained by gradient.

    Attributes:
        synthetic: whether it is trained on synthetic anomalies, or on unchanged normal images.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Gradient)
        False
    """

    synthetic: bool

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of a training step.

        Args:
            batch: the batch.

        Returns:
            Losses by name, and `total`, their sum.
        """

    def check(self, batch: Batch) -> dict[str, Tensor]:
        """Computes the losses of held-out images, with the same random draws every time.

        Args:
            batch: the batch.

        Returns:
            Losses by name, and `total`.
        """

    def groups(self, *, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
        """Returns the parameter groups of the optimizer, each with an `lr_scale`.

        Args:
            weight_decay: weight decay of matrices.
            layer_decay: factor of the learning rate from a block to the block below, in (0, 1].

        Returns:
            The groups.
        """

    def learned(self) -> dict[str, Tensor]:
        """Returns the trained parameters, without those that depend on the way of scoring."""

    def load_learned(self, state: Mapping[str, Tensor]) -> None:
        """Restores trained parameters.

        Args:
            state: result of `learned`.
        """

    def facts(self) -> dict[str, float]: ...


@runtime_checkable
class Supervised(Gradient, Protocol):
    """The interface of methods that can be trained on labelled defects as well.

    Then batches of `loss` have their masks, as those with synthetic anomalies do.

    Attributes:
        takes_labelled: whether the configured method uses labelled defects.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Supervised)
        False
    """

    takes_labelled: bool


@runtime_checkable
class Previewing(Gradient, Protocol):
    """The interface of methods that see all training images once before training.

    Attributes:
        needs_preview: whether the configured method requires this.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Previewing)
        False
    """

    needs_preview: bool

    def preview(self, image: Tensor) -> None:
        """Shows training images before training.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """

    def finalise_preview(self) -> None: ...


@runtime_checkable
class Collector(Gradient, Protocol):
    """The interface of methods that see all unchanged training images once after training.

    Attributes:
        collects: whether the configured method requires this.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Collector)
        False
    """

    collects: bool

    def collect(self, image: Tensor) -> None:
        """Collects training images after training.

        Args:
            image: (B, 3, H, W) in [0, 1].
        """

    def finalise(self) -> None: ...


@runtime_checkable
class Exporter(Detector, Protocol):
    """The interface of methods whose adapted network can be used without them.

    Attributes:
        exports: whether the configured method exports its network.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Exporter)
        False
    """

    exports: bool

    def exported(self) -> dict[str, Tensor]:
        """Returns the adapted network's tensors under the names of the plain network."""


@runtime_checkable
class Adapted(Detector, Protocol):
    """The interface of methods that train a network with pretrained weights, and keep these weights as well.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Adapted)
        False
    """

    def token_maps(self, image: Tensor, *, adapted: bool) -> Tensor:
        """Computes the features by which images are scored.

        Args:
            image: (B, 3, H, W) in [0, 1].
            adapted: whether by the trained network, or by the one before training.

        Returns:
            (B, D, h, w) float32.
        """


@runtime_checkable
class Cautioned(Detector, Protocol):
    """The interface of methods that have something to say about their settings in the report of a run.

    Attributes:
        cautions: one line each; [] where there is nothing to say.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Cautioned)
        False
    """

    cautions: Sequence[str]


class FeatureReader(Protocol):
    """The interface of objects that compute named feature maps.

    Example:
        >>> from adframe.models.named_backbones import create_backbone
        >>> reader: FeatureReader = create_backbone("efficientnet_lite0")
        >>> list(reader.layers)
        ['blocks.2', 'blocks.4']
    """

    @property
    def layers(self) -> Sequence[str]: ...

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Computes feature maps.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, C, h, w) per layer.
        """


@runtime_checkable
class Layered(Detector, Protocol):
    """The interface of methods whose layers can be inspected, before averaging, fusion or projection.

    Example:
        >>> from adframe.models.padim import PaDiM
        >>> isinstance(PaDiM("efficientnet_lite0"), Layered)
        True
    """

    def feature_reader(self) -> FeatureReader: ...


@runtime_checkable
class Pictured(Detector, Protocol):
    """The interface of methods that can draw pictures of their work.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Pictured)
        False
    """

    def picture(self, image: Tensor) -> dict[str, Tensor]:
        """Draws pictures of images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, 3, H, W) in [0, 1] by name.
        """


@runtime_checkable
class Embedded(Detector, Protocol):
    """The interface of methods that compute vectors of whole images.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> isinstance(PixelMean(None), Embedded)
        False
    """

    def embeddings(self, image: Tensor) -> dict[str, Tensor]:
        """Computes vectors of images.

        Args:
            image: (B, 3, H, W) in [0, 1].

        Returns:
            (B, D) float32 by name.
        """
