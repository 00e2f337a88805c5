"""Reads `bundle.json`: what a bundle holds, without torch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from adframe.calibration.fitted import FittedCalibration
from adframe.data.image_facts import ImageFacts
from adframe.errors import AdframeError
from adframe.export.standalone import MANIFEST, checked_manifest
from adframe.inference.drift_reference import DriftReference, read_reference
from adframe.inference.results import TRAINED
from adframe.ops.mask_postprocessing import MaskPostprocessing

VALIDATION = "validation.json"  # scores of normal validation images, for `adframe drift`


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What `bundle.json` states.

    Attributes:
        category: a category, or `global`.
        network: name of the file of the network.
        arithmetic: numbers in which OpenVINO calculates, `f32` or `bf16`.
        size: (H, W) of the network's input in pixels.
        keep_aspect: whether images are fitted into `size` instead of stretched.
        roi: name of the picture of the region of interest; None for the whole image.
        images: the kind of the training images; None where it is unknown.
        calibration: the thresholds.
        calibration_name: `trained`, or the name of thresholds that were fitted later.
        postprocess: morphology of the masks; None for none.
        files: names of the files of the bundle, other than `bundle.json`.
    """

    category: str
    network: str
    arithmetic: str
    size: tuple[int, int]
    keep_aspect: bool
    roi: str | None
    images: ImageFacts | None
    calibration: FittedCalibration
    calibration_name: str
    postprocess: MaskPostprocessing | None
    files: frozenset[str]


def is_bundle(path: Path) -> bool:
    """Tells whether a folder holds a bundle.

    Args:
        path: a folder.
    """
    return (path / MANIFEST).is_file()


def read_manifest(folder: Path, *, category: str | None = None, calibration: str = TRAINED) -> Manifest:
    """Checks every file of a bundle against its hash, and reads what the bundle states.

    Args:
        folder: the bundle.
        category: the category that the bundle must be of; None for any.
        calibration: name of the thresholds that it must have; `trained` takes those that it has.

    Returns:
        The content of `bundle.json`.

    Raises:
        AdframeError: a file is missing, was changed or is damaged, or the bundle has another category or
            other thresholds.
    """
    try:
        facts = checked_manifest(folder)
    except ValueError as error:
        raise AdframeError(str(error)) from error
    try:
        height, width = map(int, facts["input"])
        postprocess = facts["postprocess"]
        manifest = Manifest(
            category=str(facts["category"]),
            network=str(facts["network"]),
            arithmetic=str(facts.get("arithmetic", "f32")),
            size=(height, width),
            keep_aspect=bool(facts["keep_aspect"]),
            roi=str(facts["roi"]) if facts["roi"] else None,
            images=None if facts["images"] is None else ImageFacts.from_plain(facts["images"]),
            calibration=FittedCalibration.from_plain(facts["calibration"]),
            calibration_name=str(facts["calibration_name"]),
            postprocess=None if postprocess is None else MaskPostprocessing(**postprocess),
            files=frozenset(facts["files"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise AdframeError(f"{folder / MANIFEST} is damaged: {error!r}") from error
    if category not in (None, manifest.category):
        raise AdframeError(f"the bundle {folder} is of {manifest.category}, not of {category}")
    if calibration not in (TRAINED, manifest.calibration_name):
        raise AdframeError(
            f"the bundle {folder} has the thresholds {manifest.calibration_name}; export the run with "
            f"--calibration {calibration}"
        )
    return manifest


@contextmanager
def runtime_errors(network: Path) -> Iterator[None]:
    """Turns the errors with which a network cannot be opened into those of a user.

    Args:
        network: the .onnx or .xml file.

    Raises:
        AdframeError: the runtime is not installed, or a file cannot be read or is refused.
    """
    try:
        yield
    except ImportError as error:
        library = "onnxruntime" if network.suffix == ".onnx" else "openvino"
        raise AdframeError(f"{network} needs {library}: pip install {library}") from error
    except (OSError, ValueError) as error:
        raise AdframeError(str(error)) from error


def bundle_reference(
    folder: Path, *, category: str | None = None, calibration: str = TRAINED
) -> DriftReference:
    """Reads the scores of normal validation images that a bundle carries.

    Args:
        folder: the bundle.
        category: as in `read_manifest`.
        calibration: as in `read_manifest`.

    Returns:
        The reference.

    Raises:
        AdframeError: as `read_manifest`; or the bundle carries none.
    """
    manifest = read_manifest(folder, category=category, calibration=calibration)
    if VALIDATION not in manifest.files:
        raise AdframeError(
            f"{folder} has no {VALIDATION}: its run kept no validation scores; give a log of normal images "
            "with --reference"
        )
    return read_reference(folder / VALIDATION)
