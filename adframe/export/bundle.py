"""The files of a bundle: a trained model in a folder that needs neither its run nor torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import Quantile
from adframe.contracts import Prediction
from adframe.data.dataset import View
from adframe.data.image_facts import ImageFacts
from adframe.data.roi import Roi
from adframe.errors import AdframeError
from adframe.export import standalone
from adframe.export.manifest import read_manifest, runtime_errors
from adframe.export.standalone import MANIFEST, VERSION
from adframe.inference.detector import TrainedDetector
from adframe.inference.results import TRAINED
from adframe.io.files import write_json
from adframe.metrics.pixel import PixelMetrics
from adframe.systems.detection import DetectionSystem

SCRIPT = "predict.py"


class ExportedNetwork(nn.Module):
    """The network of a bundle as a detector: it scores images one after the other.

    Args:
        path: the .onnx or .xml file.
        threads: number of threads; 0 for all cores.
        arithmetic: as in `standalone.network`.

    Raises:
        AdframeError: the runtime is not installed, or refuses the file.
    """

    def __init__(self, path: Path, *, threads: int = 0, arithmetic: str = "f32") -> None:
        super().__init__()
        self.name = path.name
        with runtime_errors(path):
            self._run = standalone.network(path, threads=threads, arithmetic=arithmetic)

    def forward(self, image: Tensor) -> Prediction:
        """Scores images.

        Args:
            image: (B, 3, H, W) float32 in [0, 1] of the size for which the network was exported.

        Returns:
            Raw scores (B,) and heatmaps (B, 1, h, w).
        """
        found = [self._run(one[None]) for one in image.cpu().numpy()]
        scores = torch.tensor([score for score, _ in found], dtype=torch.float32)
        return Prediction(scores, torch.from_numpy(np.stack([heatmap for _, heatmap in found])[:, None]))

    def facts(self) -> dict[str, float]:
        """Returns nothing: a bundle states its size in bytes."""
        return {}


def write_manifest(
    folder: Path,
    detector: TrainedDetector,
    *,
    facts: ImageFacts | None,
    network: str,
    arithmetic: str,
    size: tuple[int, int],
    about: Mapping[str, Any],
) -> None:
    """Writes `bundle.json`, after all other files of the bundle.

    Args:
        folder: the bundle.
        detector: the model that was exported.
        facts: the kind of its training images.
        network: name of the file of the network.
        arithmetic: as in `standalone.network`.
        size: (H, W) of the network's input.
        about: where the model comes from, for people: it is not read again.
    """
    calibrator = detector.system.calibrator
    postprocess = calibrator.postprocess
    names = sorted(path.name for path in folder.iterdir() if path.name != MANIFEST)
    write_json(
        folder / MANIFEST,
        {
            "version": VERSION,
            "about": dict(about),
            "category": detector.category,
            "network": network,
            "arithmetic": arithmetic,
            "input": list(size),
            "keep_aspect": detector.view.keep_aspect and detector.view.size is not None,
            "bits": 16 if facts is None else facts.bits,
            "images": None if facts is None else facts.plain(),
            "roi": "roi.png" if (folder / "roi.png").exists() else None,
            "calibration": asdict(detector.calibration),
            "calibration_name": detector.calibration_name,
            "postprocess": None if postprocess is None else vars(postprocess),
            "files": {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names},
        },
    )


def load_bundle(
    folder: Path,
    *,
    category: str | None = None,
    calibration: str = TRAINED,
    device: str = "auto",
    threads: int = 0,
) -> TrainedDetector:
    """Loads a bundle; nothing in it is run as code, and every file is checked against its hash.

    Args:
        folder: the bundle.
        category: the category that the bundle must be of; None for any.
        calibration: name of the thresholds that it must have; `trained` takes those that it has.
        device: `auto` or `cpu`; bundles work nowhere else.
        threads: number of threads of the network; 0 for all cores.

    Returns:
        The model, with the interface of a model that is loaded from a run.

    Raises:
        AdframeError: a file is missing, was changed or is not readable, the runtime is not installed, or the
            bundle has another category or other thresholds.
    """
    if device not in ("auto", "cpu"):
        raise AdframeError(f"device={device}: a bundle works on the processor; choose cpu, or load its run")
    manifest = read_manifest(folder, category=category, calibration=calibration)
    calibrator = Calibrator(image=Quantile(), pixel=Quantile(), postprocess=manifest.postprocess)
    calibrator.set_extra_state(asdict(manifest.calibration))
    view = View(
        size=manifest.size,
        keep_aspect=manifest.keep_aspect,
        roi=None if manifest.roi is None else Roi(mask=folder / manifest.roi),
    )
    system = DetectionSystem(
        detector=ExportedNetwork(folder / manifest.network, threads=threads, arithmetic=manifest.arithmetic),
        calibrator=calibrator,
        pixel=PixelMetrics(),
    )
    detector = TrainedDetector(system, view=view, category=manifest.category, facts=manifest.images)
    detector.calibration_name = manifest.calibration_name
    return detector


def read_about(folder: Path) -> dict[str, Any]:
    """Reads where the model of a bundle comes from.

    Args:
        folder: the bundle.

    Returns:
        The facts, such as `run`, `method`, `precision`.
    """
    found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))["about"]
    return found
