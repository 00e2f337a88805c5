"""Experiments in visual anomaly detection, with numbers that can be trusted.

    import adframe
    data = adframe.MVTecAD("data/mvtec_ad", category="screw", image_size=256)
    result = adframe.fit(adframe.PatchCore("resnet18", coreset=0.1), data)
    result.metrics, result.intervals, result.threshold
    result.predict("some.png")
    adframe.compare(result, other)
    adframe.train("model=patchcore", "dataset=mvtec_loco")
    adframe.load("runs/screw").predict(["some.png", "a/folder"])

Names are imported when they are used, so that `import adframe` itself costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from adframe.analysis.compare import Comparison
    from adframe.api.datasets import BTAD, Folder, MVTecAD, MVTecAD2, MVTecLOCO, Toy, VisA
    from adframe.api.fitted import Fitted
    from adframe.api.loading import load
    from adframe.api.training import compare, fit, train
    from adframe.contracts import ImagePrediction
    from adframe.errors import AdframeError
    from adframe.inference.detector import TrainedDetector
    from adframe.inference.results import ImageResult
    from adframe.models.named_backbones import create_backbone
    from adframe.models.padim import PaDiM
    from adframe.models.patchcore import PatchCore
    from adframe.results.frame import Results, load_results
    from adframe.results.run_folder import RunFolder

_HOMES = {
    "AdframeError": "adframe.errors",
    "BTAD": "adframe.api.datasets",
    "Comparison": "adframe.analysis.compare",
    "Fitted": "adframe.api.fitted",
    "Folder": "adframe.api.datasets",
    "ImagePrediction": "adframe.contracts",
    "ImageResult": "adframe.inference.results",
    "MVTecAD": "adframe.api.datasets",
    "MVTecAD2": "adframe.api.datasets",
    "MVTecLOCO": "adframe.api.datasets",
    "PaDiM": "adframe.models.padim",
    "PatchCore": "adframe.models.patchcore",
    "Results": "adframe.results.frame",
    "RunFolder": "adframe.results.run_folder",
    "Toy": "adframe.api.datasets",
    "TrainedDetector": "adframe.inference.detector",
    "VisA": "adframe.api.datasets",
    "compare": "adframe.api.training",
    "create_backbone": "adframe.models.named_backbones",
    "fit": "adframe.api.training",
    "load": "adframe.api.loading",
    "load_results": "adframe.results.frame",
    "train": "adframe.api.training",
}

__all__ = [
    "BTAD", "AdframeError", "Comparison", "Fitted", "Folder", "ImagePrediction", "ImageResult", "MVTecAD",
    "MVTecAD2", "MVTecLOCO", "PaDiM", "PatchCore", "Results", "RunFolder", "Toy", "TrainedDetector", "VisA",
    "compare", "create_backbone", "fit", "load", "load_results", "train",
]  # fmt: skip


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'adframe' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
