"""`adframe export`: packs the model of a run as a bundle."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from omegaconf import OmegaConf
from rich.console import Console
from torch import Tensor

from adframe.config.load_detector import load_detector
from adframe.config.recipe import ConfigRecipe
from adframe.config.saved_config import read_config
from adframe.data.datamodule import AnomalyData
from adframe.data.dataset import to_view
from adframe.errors import AdframeError
from adframe.export.bundle import is_bundle
from adframe.export.pack import pack
from adframe.export.parity_page import parity_sentences
from adframe.inference.detector import TRAINED, TrainedDetector, stored_facts
from adframe.inference.images import input_images
from adframe.reporting.console import quieten, warn
from adframe.results.names import method_of
from adframe.results.run_folder import RunFolder
from adframe.runs.recipe import Recipe


def run_export(
    run: Path,
    out: Path,
    *,
    kind: str = "onnx",
    precision: str = "fp32",
    category: str | None = None,
    calibration: str = TRAINED,
    normals: Sequence[str] = (),
    accept: bool = False,
    trusted: Sequence[str] = (),
) -> Path:
    """Packs the model of a run, and prints how the bundle differs from it.

    Args:
        run: the folder of the run.
        out: a new folder for the bundle.
        kind: `onnx` or `openvino`.
        precision: `fp32`, `fp16` or `int8`.
        category: which model; None for the only one.
        calibration: name of the thresholds to pack.
        normals: images for the ranges of int8; empty for training images of the run.
        accept: whether a float32 bundle that changes a decision is kept.
        trusted: packages that the run's configuration may name.

    Returns:
        The folder of the bundle.

    Raises:
        AdframeError: the run has no such model, or the model cannot be exported.
    """
    quieten()
    if is_bundle(run):
        raise AdframeError(f"{run} is a bundle; give the folder of the run that it was made of")
    detector = load_detector(run, category=category, calibration=calibration, device="cpu", trusted=trusted)
    folder = RunFolder(run)
    folder.reopen()
    config = read_config(run, trusted=trusted)
    recipe = ConfigRecipe(OmegaConf.create(config), config=config)
    data = _data_of(recipe, folder, detector.category)
    backbone = config.get("backbone") or {}
    about = {
        "method": method_of(config),
        "backbone": backbone.get("name", ""),
        "run": folder.path.resolve().name,
        "seed": config["seed"],
    }
    parity = pack(
        detector,
        out,
        kind=kind,
        precision=precision,
        data=data,
        facts=stored_facts(folder, detector.category),
        about=about,
        normals=_views(detector, normals),
        program=_program(run, detector.inspected, calibration=calibration, trusted=trusted),
        accept=accept,
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in parity_sentences(parity):
        console.print(line)
    console.print(f"bundle: {out} ({parity['bytes'] / 1e6:.1f} MB)")
    return out


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


def _program(run: Path, category: str, *, calibration: str, trusted: Sequence[str]) -> list[str]:
    """Returns the command that inspects images with the model of the run."""
    options = [] if category == "global" else ["--category", category]
    for name in trusted:
        options += ["--trusted", name]
    options += ["--calibration", calibration, "--device", "cpu"]
    return [sys.executable, "-m", "adframe", "predict", *options, str(run)]


def _views(detector: TrainedDetector, given: Sequence[str]) -> list[Tensor]:
    listed, _ = input_images(list(given)) if given else ([], False)
    return [
        to_view(detector.pixels(image), detector.view, category=detector.inspected)[0] for image in listed
    ]
