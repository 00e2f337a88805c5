"""A small bundle, made without a run: pixel_mean on pictures of noise."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from adframe.calibration.calibrator import Calibrator
from adframe.calibration.rules import FixedFpr, MeanStd, Sample
from adframe.data.dataset import View
from adframe.data.image_facts import ImageFacts
from adframe.export.pack import pack
from adframe.inference.detector import TrainedDetector
from adframe.inference.drift_reference import DriftReference
from adframe.inference.images import input_images
from adframe.metrics.pixel import PixelMetrics
from adframe.models.pixel_mean import PixelMean
from adframe.systems.training_free import TrainingFreeSystem

SIZE = (24, 32)  # of the network's input
FACTS = ImageFacts(count=8, bits=16, grey=False, sides=(48, 48), aspects=(4 / 3, 4 / 3))


def noise(seed: int, *, spot: bool = False) -> np.ndarray:
    """A picture (48, 64, 3) uint8 of noise around grey, with a bright spot where asked."""
    pixels = np.random.default_rng(seed).integers(90, 160, (48, 64, 3), dtype=np.uint8)
    if spot:
        pixels[10:30, 20:44] = 255
    return pixels


def write_pictures(folder: Path) -> list[Path]:
    """Writes three normal pictures and one with a spot."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number}.png" for number in range(4)]
    for number, path in enumerate(paths):
        Image.fromarray(noise(100 + number, spot=number == 3)).save(path)
    return paths


def small_detector(*, keep_aspect: bool = False) -> TrainedDetector:
    """A fitted model with thresholds of 12 pictures; a picture with a spot is anomalous."""
    method = PixelMean(None)
    calibrator = Calibrator(image=FixedFpr(fpr=0.1), pixel=MeanStd())
    system = TrainingFreeSystem(
        detector=method, calibrator=calibrator, pixel=PixelMetrics(limits=(0.3,)), refit=False
    )
    detector = TrainedDetector(
        system, view=View(size=SIZE, keep_aspect=keep_aspect), category="plate", facts=FACTS
    )
    listed, _ = input_images([noise(seed) for seed in range(20)])
    views = [detector.prepare(image).tensor for image in listed]
    method.collect(torch.stack([view for view in views[:8] if view is not None]))
    method.finalise()
    with torch.inference_mode():
        found = system(torch.stack([view for view in views[8:] if view is not None]))
    scores, pixels = found.score.numpy(), found.heatmap.numpy().ravel()
    none = np.array([])
    calibrator.fit(
        scores,
        np.zeros(12),
        split="val",
        pixels={},
        whole=Sample.of(pixels, none),
        peaks=np.zeros((12, 1, 1)),
    )
    return detector


def small_reference(detector: TrainedDetector) -> DriftReference:
    """The scores of the pictures to which the threshold was fitted."""
    results = detector.predict([noise(seed) for seed in range(8, 20)])
    scores = np.array(sorted(result.score for result in results))
    return DriftReference("plate", scores, "12 normal validation images of the run", rate=0.1)


def write_bundle(folder: Path, *, keep_aspect: bool = False, with_scores: bool = True) -> TrainedDetector:
    """Packs the model for ONNX Runtime, and returns it."""
    detector = small_detector(keep_aspect=keep_aspect)
    pack(
        detector, folder, kind="onnx", precision="fp32", data=None, facts=FACTS,
        about={"method": "PixelMean", "backbone": "", "run": "plate", "seed": 1},
        reference=small_reference(detector) if with_scores else None,
    )  # fmt: skip
    return detector


BLOCKED = (
    "torch", "torchvision", "torchmetrics", "lightning", "timm", "transformers", "peft", "sklearn", "pandas",
    "pyarrow", "matplotlib", "wandb", "onnx", "openvino", "huggingface_hub", "safetensors",
)  # fmt: skip


def environment_without(folder: Path, names: tuple[str, ...] = BLOCKED) -> dict[str, str]:
    """An environment in which Python finds packages as if some were not installed."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "sitecustomize.py").write_text(
        "import importlib.machinery, sys\n"
        "class Finder(importlib.machinery.PathFinder):\n"
        "    @classmethod\n"
        "    def find_spec(cls, name, path=None, target=None):\n"
        f"        if name.partition('.')[0] in {set(names)!r}:\n"
        "            return None\n"
        "        return super().find_spec(name, path, target)\n"
        "place = sys.meta_path.index(importlib.machinery.PathFinder)\n"
        "sys.meta_path[place] = Finder\n"
    )
    root = Path(__file__).parents[2]
    return os.environ | {"PYTHONPATH": f"{folder}{os.pathsep}{root}"}
