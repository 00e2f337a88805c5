"""Sampled patch features of a category by layer, with the AUROC of each layer, stored in a run's folder."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from adframe.errors import AdframeError
from adframe.io.anomaly_maps import HALF_MAX
from adframe.io.files import write_whole
from adframe.results.names import FEATURES_FOLDER
from adframe.stats.intervals import Measured, Units

TRAIN, NORMAL, ANOMALOUS = 0, 1, 2  # kinds of patches: training; test without a defect, with a defect
Triple = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True, slots=True)
class LayerSample:
    """The sampled patches of one layer.

    Attributes:
        name: of the layer.
        grid: (h, w) number of cells of an image.
        features: (n, C) float32; once read back they have the precision of float16.
        kinds: (n,) int8: `TRAIN`, `NORMAL` or `ANOMALOUS`.
        images: (n,) int32, index into the images of the sample.
        cells: (n, 2) int16: row and column on the grid.
        image_auroc: AUROC of image scores of this layer alone, in [0, 1], with the ends of its 95 % interval;
            NaN where unknown.
        patch_auroc: the same of test patches; all layers are compared on the finest grid.
        drawn: (2, resamples) float32, both AUROCs in each bootstrap resample of the test images; all samples
            of the same images and seed have the same resamples.
        reached: number of anomalous test images with at least one anomalous cell in this layer.

    Example:
        >>> layer = LayerSample(
        ...     "layer2", (4, 4), np.zeros((2, 8), np.float32), np.array([TRAIN, NORMAL], np.int8),
        ...     np.array([0, 1], np.int32), np.zeros((2, 2), np.int16),
        ...     (0.9, 0.8, 0.95), (0.9, 0.8, 0.95), np.zeros((2, 10), np.float32), reached=0,
        ... )
        >>> layer.of(NORMAL).shape
        (1, 8)
    """

    name: str
    grid: tuple[int, int]
    features: np.ndarray
    kinds: np.ndarray
    images: np.ndarray
    cells: np.ndarray
    image_auroc: Triple
    patch_auroc: Triple
    drawn: np.ndarray
    reached: int

    def of(self, kind: int) -> np.ndarray:
        """Selects the features of one kind of patches.

        Args:
            kind: `TRAIN`, `NORMAL` or `ANOMALOUS`.

        Returns:
            (k, C) float32.
        """
        return np.asarray(self.features[self.kinds == kind])


@dataclass(frozen=True, slots=True)
class PatchSample:
    """The sample of one category, as `diagnostics.patch_survey.PatchSurvey` draws it.

    Attributes:
        category: its name.
        backbone: the network whose features these are.
        layers: in the network's order.
        paths: the images from which any patch was drawn.
        defects: the types of defect of these images, `good` for normal ones.
        covered: share of a cell, in [0, 1], that must be annotated for the cell to count as anomalous.
        anomalous: number of anomalous test images.
        tested: number of test images.
        seconds: the time of both passes.

    Example:
        >>> sample = PatchSample("bolt", "resnet18", (), (), (), 0.5, anomalous=0, tested=0, seconds=1.5)
        >>> sample.backbone
        'resnet18'
    """

    category: str
    backbone: str
    layers: tuple[LayerSample, ...]
    paths: tuple[str, ...]
    defects: tuple[str, ...]
    covered: float
    anomalous: int
    tested: int
    seconds: float

    @property
    def units(self) -> Units:
        """The numbers of normal and of anomalous test images."""
        return Units(self.tested - self.anomalous, self.anomalous)


def measured_auroc(measure: str, value: float, drawn: np.ndarray, units: Units) -> Measured:
    """Joins an AUROC of a layer with its bootstrap draws.

    Args:
        measure: `image_auroc` or `patch_auroc`.
        value: the AUROC in [0, 1].
        drawn: (resamples,) draws.
        units: the numbers of test images.

    Returns:
        The AUROC; that of patches has the interval of a pixel metric.
    """
    name = {"image_auroc": "image/auroc", "patch_auroc": "pixel/auroc"}[measure]
    return Measured(name, value, np.asarray(drawn), units)


def sample_file(run: Path, *, category: str) -> Path:
    """Returns the file of a category's sample.

    Args:
        run: the run's folder.
        category: the name of the category.

    Returns:
        `<run>/features/<category>.patches.npz`, whether it exists or not.
    """
    return run / FEATURES_FOLDER / f"{category}.patches.npz"


def write_patch_sample(run: Path, sample: PatchSample) -> Path:
    """Writes `features/<category>.patches.npz`, with the features in float16.

    Args:
        run: the run's folder.
        sample: the sample.

    Returns:
        The path of the file.
    """
    arrays: dict[str, Any] = {
        "category": np.array(sample.category),
        "backbone": np.array(sample.backbone),
        "layers": np.array([layer.name for layer in sample.layers], dtype=str),
        "paths": np.array(sample.paths, dtype=str),
        "defects": np.array(sample.defects, dtype=str),
        "facts": np.array([sample.covered, sample.anomalous, sample.tested, sample.seconds]),
    }
    for place, layer in enumerate(sample.layers):
        arrays |= {
            f"features_{place}": layer.features.clip(-HALF_MAX, HALF_MAX).astype(np.float16),
            f"kinds_{place}": layer.kinds,
            f"images_{place}": layer.images,
            f"cells_{place}": layer.cells,
            f"grid_{place}": np.array(layer.grid),
            f"told_{place}": np.array([layer.image_auroc, layer.patch_auroc]),
            f"drawn_{place}": layer.drawn.astype(np.float32),
            f"reached_{place}": np.array(layer.reached),
        }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **arrays)
    path = sample_file(run, category=sample.category)
    write_whole(path, buffer.getvalue())
    return path


def read_patch_sample(run: Path, *, category: str) -> PatchSample | None:
    """Reads the file of `write_patch_sample`.

    Args:
        run: the run's folder.
        category: the name of a category.

    Returns:
        The sample; None where there is no file.

    Raises:
        AdframeError: the file exists and cannot be read.
    """
    path = sample_file(run, category=category)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _unpack_sample(dict(stored))
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error


def read_patch_samples(run: Path) -> dict[str, PatchSample]:
    """Reads the samples of all categories of a run.

    Args:
        run: the run's folder.

    Returns:
        Category -> sample, by name; {} where the run has none.

    Raises:
        AdframeError: a file cannot be read.
    """
    names = sorted(
        path.name.removesuffix(".patches.npz") for path in (run / FEATURES_FOLDER).glob("*.patches.npz")
    )
    found = {name: read_patch_sample(run, category=name) for name in names}
    return {name: sample for name, sample in found.items() if sample is not None}


def _unpack_sample(stored: Mapping[str, np.ndarray]) -> PatchSample:
    covered, anomalous, tested, seconds = stored["facts"].tolist()
    names = stored["layers"].tolist()
    return PatchSample(
        category=str(stored["category"]),
        backbone=str(stored["backbone"]),
        layers=tuple(_unpack_layer(stored, name, place) for place, name in enumerate(names)),
        paths=tuple(stored["paths"].tolist()),
        defects=tuple(stored["defects"].tolist()),
        covered=covered,
        anomalous=int(anomalous),
        tested=int(tested),
        seconds=seconds,
    )


def _unpack_layer(stored: Mapping[str, np.ndarray], name: str, place: int) -> LayerSample:
    # The key `told_` stays: files of earlier runs have it.
    aurocs, grid = stored[f"told_{place}"].tolist(), stored[f"grid_{place}"].tolist()
    layer = LayerSample(
        name=name,
        grid=(grid[0], grid[1]),
        features=stored[f"features_{place}"].astype(np.float32),
        kinds=stored[f"kinds_{place}"],
        images=stored[f"images_{place}"],
        cells=stored[f"cells_{place}"],
        image_auroc=tuple(aurocs[0]),
        patch_auroc=tuple(aurocs[1]),
        drawn=stored[f"drawn_{place}"],
        reached=int(stored[f"reached_{place}"]),
    )
    if any(len(each) != len(layer.features) for each in (layer.kinds, layer.images, layer.cells)):
        raise ValueError(f"the columns of {name} differ in length")
    return layer
