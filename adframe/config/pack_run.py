"""Packs the model of a run as a bundle, with what the run knows about it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from torch import Tensor

from adframe.config.load_detector import load_detector
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import read_config
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import to_view
from adframe.errors import AdframeError
from adframe.export.manifest import is_bundle
from adframe.export.pack import pack
from adframe.export.run_results import run_results
from adframe.inference.detector import TrainedDetector, stored_facts
from adframe.inference.drift_reference import DriftReference
from adframe.inference.images import input_images
from adframe.inference.results import TRAINED
from adframe.inference.run_reference import run_reference
from adframe.reporting.notes import warn
from adframe.results.names import method_of
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe


def pack_run(
    run: Path,
    out: Path,
    *,
    kind: str = "onnx",
    precision: str = "fp32",
    category: str | None = None,
    calibration: str = TRAINED,
    normals: Sequence[str] = (),
    program: Sequence[str] = (),
    accept: bool = False,
    trusted: Sequence[str] = (),
) -> dict[str, Any]:
    """Packs the model of a run.

    Args:
        run: the folder of the run.
        out: a new folder for the bundle.
        kind: `onnx` or `openvino`.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        category: which model; None for the only one.
        calibration: name of the thresholds to pack.
        normals: images for the ranges of int8; empty for training images of the run.
        program: a command that inspects the images named after it with the model, to measure what that needs.
        accept: whether a float32 bundle that changes a decision is kept.
        trusted: packages that the run's configuration may name.

    Returns:
        How the bundle differs from the run: the content of `parity.json`.

    Raises:
        AdframeError: the run has no such model, or the model cannot be exported.
    """
    if is_bundle(run):
        raise AdframeError(f"{run} is a bundle; give the folder of the run that it was made of")
    detector = load_detector(run, category=category, calibration=calibration, device="cpu", trusted=trusted)
    folder = RunFolder(run)
    folder.reopen()
    config = read_config(run, trusted=trusted)
    recipe = ConfigRecipe(OmegaConf.create(config), config=config)
    backbone = config.get("backbone") or {}
    about = {
        "method": method_of(config, environment=folder.environment),
        "backbone": backbone.get("name", ""),
        "run": folder.path.resolve().name,
        "seed": config["seed"],
    }
    return pack(
        detector,
        out,
        kind=kind,
        precision=precision,
        data=_data_of(recipe, folder, detector.category),
        facts=stored_facts(folder, detector.category),
        about=about,
        normals=_views(detector, normals),
        program=program,
        reference=_reference(run, detector),
        results=run_results(run, unit=detector.category),
        accept=accept,
    )


def _data_of(recipe: Recipe, run: RunFolder, unit: str) -> AnomalyData | None:
    """Returns the images of a model, read; None where the dataset is not there."""
    try:
        source = recipe.source()
        data = recipe.data(source, run.done if unit == "global" else [unit])
        data.setup()
    except (AdframeError, OSError) as error:
        warn(f"the bundle is not compared with the run, because its images are not there: {error}")
        return None
    return data


def _reference(run: Path, detector: TrainedDetector) -> DriftReference | None:
    """Returns the validation scores that the bundle carries; None where the run has kept none."""
    try:
        return run_reference(run, unit=detector.category, calibration=detector.calibration_name)
    except AdframeError as error:
        warn(f"`adframe drift` will need --reference for this bundle: {error}")
        return None


def _views(detector: TrainedDetector, given: Sequence[str]) -> list[Tensor]:
    listed, _ = input_images(list(given)) if given else ([], False)
    return [
        to_view(detector.pixels(image), detector.view, category=detector.inspected)[0] for image in listed
    ]
