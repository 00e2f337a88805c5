"""A category's sampled patch features, by layer, and what each layer tells: kept in a run's folder."""

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
from adframe.io.files import write_whole

FOLDER = "features"
TRAIN, NORMAL, ANOMALOUS = 0, 1, 2  # kinds: of training images; of test images, without and with a defect
_LARGEST = float(np.finfo(np.float16).max)
Triple = tuple[float, float, float]  # value, low, high


@dataclass(frozen=True, slots=True)
class LayerSample:
    """Patches of one layer.

    Attributes:
        name: the layer's.
        grid: (h, w) cells of an image.
        features: (n, C) float32, of float16's precision once read back.
        kinds: (n,) int8: `TRAIN`, `NORMAL` or `ANOMALOUS`.
        images: (n,) int32 into the sample's images.
        cells: (n, 2) int16: row and column on the grid.
        image_auroc: of the layer alone, shares with a 95 % interval; NaN where not known.
        patch_auroc: the same of test patches, all layers on the finest grid, so that they compare.
        drawn: (2, resamples) float32, both in each resample of the test images; all layers of a
            sample, and of others of the same images and seed, have the same resamples.
        reached: anomalous test images in which at least one of the layer's cells counts as anomalous.
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
        """(k, C) features of one kind."""
        return np.asarray(self.features[self.kinds == kind])


@dataclass(frozen=True, slots=True)
class PatchSample:
    """What `callbacks.patches.PatchSurvey` saw of a category.

    Attributes:
        category: its name.
        backbone: whose features these are.
        layers: in the network's order.
        paths: of the images that any patch is from.
        defects: of these images: the defect type, `good` for normal ones.
        covered: the share of a cell that must be annotated for it to count as anomalous.
        anomalous: anomalous test images.
        tested: test images.
        seconds: that both passes took.
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


def sample_file(run: Path, *, category: str) -> Path:
    """Where a category's sample lies."""
    return run / FOLDER / f"{category}.patches.npz"


def write_sample(run: Path, sample: PatchSample) -> Path:
    """Writes `features/<category>.patches.npz`, features in float16; returns its path."""
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
            f"features_{place}": layer.features.clip(-_LARGEST, _LARGEST).astype(np.float16),
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


def read_sample(run: Path, *, category: str) -> PatchSample | None:
    """What `write_sample` left; None where it left nothing.

    Raises:
        AdframeError: the file is there and cannot be understood.
    """
    path = sample_file(run, category=category)
    if not path.is_file():
        return None
    try:
        with np.load(path, allow_pickle=False) as stored:
            return _unpacked(dict(stored))
    except (OSError, ValueError, KeyError, EOFError, IndexError, zipfile.BadZipFile, zlib.error) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it, or run the evaluation again"
        ) from error


def read_samples(run: Path) -> dict[str, PatchSample]:
    """The samples of all categories of a run, by category; none where it kept none."""
    names = sorted(path.name.removesuffix(".patches.npz") for path in (run / FOLDER).glob("*.patches.npz"))
    found = {name: read_sample(run, category=name) for name in names}
    return {name: sample for name, sample in found.items() if sample is not None}


def _unpacked(stored: Mapping[str, np.ndarray]) -> PatchSample:
    covered, anomalous, tested, seconds = stored["facts"].tolist()
    names = stored["layers"].tolist()
    return PatchSample(
        category=str(stored["category"]),
        backbone=str(stored["backbone"]),
        layers=tuple(_layer(stored, name, place) for place, name in enumerate(names)),
        paths=tuple(stored["paths"].tolist()),
        defects=tuple(stored["defects"].tolist()),
        covered=covered,
        anomalous=int(anomalous),
        tested=int(tested),
        seconds=seconds,
    )


def _layer(stored: Mapping[str, np.ndarray], name: str, place: int) -> LayerSample:
    told, grid = stored[f"told_{place}"].tolist(), stored[f"grid_{place}"].tolist()
    found = LayerSample(
        name=name,
        grid=(grid[0], grid[1]),
        features=stored[f"features_{place}"].astype(np.float32),
        kinds=stored[f"kinds_{place}"],
        images=stored[f"images_{place}"],
        cells=stored[f"cells_{place}"],
        image_auroc=tuple(told[0]),
        patch_auroc=tuple(told[1]),
        drawn=stored[f"drawn_{place}"],
        reached=int(stored[f"reached_{place}"]),
    )
    if any(len(each) != len(found.features) for each in (found.kinds, found.images, found.cells)):
        raise ValueError(f"the columns of {name} are not of one length")
    return found
