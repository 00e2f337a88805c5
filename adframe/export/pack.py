"""Packs a trained model as a bundle, and proves that the bundle decides as the model does."""

from __future__ import annotations

import csv
import io
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from torch import Tensor

from adframe.contracts import IMAGE
from adframe.data.datamodule import AnomalyData
from adframe.data.image_facts import ImageFacts
from adframe.errors import AdframeError
from adframe.export import standalone
from adframe.export.bundle import SCRIPT, load_bundle, write_manifest
from adframe.export.manifest import VALIDATION as VALIDATION_FILE
from adframe.export.network import without_store, write_onnx
from adframe.export.parity import (
    SYNTHETIC,
    TEST,
    VALIDATION,
    Comparison,
    compare_batches,
    latencies,
    run_measured,
)
from adframe.export.parity_page import parity_page, parity_sentences
from adframe.export.precision import arithmetic_of, write_precision
from adframe.export.run_results import RESULTS
from adframe.inference.detector import TrainedDetector
from adframe.inference.drift_reference import DriftReference, write_reference
from adframe.io.files import write_json, write_whole
from adframe.models.composition import Composition
from adframe.reporting.page_writer import render_page
from adframe.transforms.synthesis.patches import Scar
from adframe.transforms.synthesis.stages import Structural, Texture
from adframe.transforms.synthesis.synthesis import Synthesis

_RANGE_IMAGES = 64  # training normals from which int8 takes its ranges
_SCRIPT_IMAGES = 32  # images on which the bundle's own program is run


def pack(
    detector: TrainedDetector,
    folder: Path,
    *,
    kind: str,
    precision: str,
    data: AnomalyData | None,
    facts: ImageFacts | None,
    about: Mapping[str, Any],
    normals: Sequence[Tensor] = (),
    program: Sequence[str] = (),
    reference: DriftReference | None = None,
    results: Mapping[str, Any] | None = None,
    accept: bool = False,
) -> dict[str, Any]:
    """Writes a bundle and compares it with the model.

    Args:
        detector: the model, on the CPU.
        folder: a new folder.
        kind: `onnx` or `openvino`.
        precision: `fp32`, `fp16`, `bf16` or `int8`.
        data: the images of the run; None where the dataset is not there.
        facts: the kind of the training images.
        about: where the model comes from, for people.
        normals: (3, H, W) images for the ranges of int8; empty for training images of `data`.
        program: a command that inspects the images named after it with the model, to measure what that needs.
        reference: scores of normal validation images, for `adframe drift`; None packs none.
        results: how the model was tested, for a model card; None packs none.
        accept: whether a float32 bundle that changes a decision is kept.

    Returns:
        The content of `parity.json`.

    Raises:
        AdframeError: the model cannot be exported, `folder` exists, or a float32 bundle decides otherwise.
    """
    if folder.exists():
        raise AdframeError(f"{folder} is there already; choose another --out or remove it")
    size = _input_size(detector, data)
    _check(detector)
    partial = folder.with_name(f".{folder.name}.partial")  # a folder that is there is a whole bundle
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        graph = partial / "graph.onnx"
        write_onnx(detector.detector, graph, size=size)
        if precision == "int8" and not normals and data is not None:
            normals = list(islice(_images(data), _RANGE_IMAGES))
        network = write_precision(
            graph, partial, kind=kind, precision=precision, detector=detector.detector, images=normals
        )
        graph.unlink()
        _write_region(detector, data, partial)
        shutil.copyfile(standalone.__file__, partial / SCRIPT)
        if reference is not None:
            write_reference(partial / VALIDATION_FILE, reference)
        if results is not None:
            write_json(partial / RESULTS, results)
        about = {**about, "format": kind, "precision": precision}

        def list_files() -> None:
            write_manifest(
                partial,
                detector,
                facts=facts,
                network=network,
                arithmetic=arithmetic_of(precision),
                size=size,
                about=about,
            )

        list_files()
        parity = _compare(detector, partial, data, program=program)
        parity["bytes"] = sum(path.stat().st_size for path in partial.iterdir())
        write_json(partial / "parity.json", parity)
        write_whole(partial / "parity.html", render_page(parity_page(parity, about=about)))
        write_whole(partial / "README.md", _readme(detector, about, parity))
        list_files()  # again, with the files that state what it is like
        compared = [*parity["images"].values(), *([parity["script"]] if "script" in parity else [])]
        changed = sum(each["decisions_changed"] for each in compared)
        if precision == "fp32" and changed and not accept:
            raise AdframeError(
                f"the bundle decides otherwise about {changed} images; see what differs with --accept, which "
                "keeps it"
            )
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return parity


def _compare(
    detector: TrainedDetector, folder: Path, data: AnomalyData | None, *, program: Sequence[str]
) -> dict[str, Any]:
    """Compares the model and its bundle on all images that are there; the script on some of them."""
    bundle = load_bundle(folder)
    found: list[Comparison] = []
    if data is not None:
        # Features that the run stored would hide the time of its backbone.
        before, after = without_store(detector.system), bundle.system
        loaders = {VALIDATION: data.val_dataloader(), TEST: data.test_dataloader()}
        if _can_synthesise(data):
            data.synthesis = data.synthesis or _default_synthesis(data.seed)
            loaders[SYNTHETIC] = data.synthetic_dataloader("val")
        for name, loader in loaders.items():
            compared = compare_batches(name, loader, before, after)
            if compared is not None:
                found.append(compared)
    parity: dict[str, Any] = {
        "threshold": detector.threshold,
        "images": {each.name: each.facts(threshold=detector.threshold) for each in found},
    }
    if found:
        parity["milliseconds"] = latencies(found)
        parity["script"] = _compare_script(detector, folder, data, program=program)
    return parity


def _compare_script(
    detector: TrainedDetector, folder: Path, data: AnomalyData | None, *, program: Sequence[str]
) -> dict[str, Any]:
    """Runs the bundle's own program, and counts how often it decides as the model does."""
    assert data is not None
    records = [record for record in data.records if record.split in ("val", "test")]
    places = np.unique(np.linspace(0, len(records) - 1, _SCRIPT_IMAGES).round().astype(int))
    paths = [records[place].path for place in places]
    printed, memory, seconds = run_measured([sys.executable, str(folder / SCRIPT), *map(str, paths)])
    rows = list(csv.DictReader(io.StringIO(printed)))
    pairs = list(zip(rows, detector.predict(paths), strict=True))
    facts: dict[str, Any] = {}
    if program:
        _, before_memory, before_seconds = run_measured([*program, *map(str, paths)])
        facts = {"before": {"memory_mib": before_memory, "seconds": before_seconds}}
    return facts | {
        "images": len(paths),
        "decisions_changed": sum(
            row["decision"] != ("anomalous" if result.anomalous else "normal") for row, result in pairs
        ),
        "largest_score_difference": max(abs(float(row["score"]) - result.score) for row, result in pairs),
        "memory_mib": memory,
        "seconds": seconds,
    }


def _input_size(detector: TrainedDetector, data: AnomalyData | None) -> tuple[int, int]:
    """Returns the one size of the network's input; a graph takes no other."""
    if detector.view.size is not None:
        return detector.view.size
    if data is None:
        raise AdframeError("image_size=null: without the dataset the size of the images is unknown")
    if len(data.sizes) > 1:
        raise AdframeError(f"image_size=null with images of {len(data.sizes)} sizes: a bundle takes one size")
    return detector.view.of(next(iter(data.sizes)))


def _check(detector: TrainedDetector) -> None:
    if detector.view.preprocess != "none":
        raise AdframeError(
            f"dataset.preprocess={detector.view.preprocess} works outside of the network; bundles lack it"
        )
    if any(isinstance(module, Composition) for module in detector.detector.modules()):
        raise AdframeError(
            "composition=true counts visual words outside of the network; it is not in bundles"
        )


def _write_region(detector: TrainedDetector, data: AnomalyData | None, folder: Path) -> None:
    if detector.view.roi is None:
        return
    sizes = set() if data is None else data.sizes
    if len(sizes) != 1:
        raise AdframeError("a region of interest is packed for images of one size, which is unknown here")
    inside = detector.view.roi.inside(detector.inspected, next(iter(sizes)))
    if inside is not None:
        _, encoded = cv2.imencode(".png", inside.astype(np.uint8) * 255)
        write_whole(folder / "roi.png", encoded.tobytes())


def _images(data: AnomalyData) -> Iterator[Tensor]:
    for batch in data.plain_dataloader():
        yield from batch[IMAGE]


def _can_synthesise(data: AnomalyData) -> bool:
    normal = [record for record in data.records if record.label == 0 and record.split == "train"]
    return len(normal) > 1


def _default_synthesis(seed: int) -> Synthesis:
    """Returns spots, noise and lines, for runs without synthetic anomalies of their own."""
    area = (0.001, 0.03)
    shapes = ["ellipse", "polygon", "line"]
    return Synthesis(
        {
            "structural": Structural(
                area=area, patches=1, shapes=shapes, contrast=(0.15, 0.8), opacity=(0.5, 1)
            ),
            "texture": Texture(area=area, patches=1, grain=(0.004, 0.04), opacity=(0.3, 1)),
            "scar": Scar(length=(0.08, 0.3), width=(0.008, 0.04), degrees=(-90, 90), jitter=0.2),
        },
        name="parity",
        seed=seed,
    )


def _readme(detector: TrainedDetector, about: Mapping[str, Any], parity: Mapping[str, Any]) -> str:
    runtime = "onnxruntime" if about["format"] == "onnx" else "openvino"
    fitted = detector.calibration
    lines = [
        f"# {about['method']} on {detector.category}",
        "",
        f"A trained model for visual anomaly detection, in {about['precision']} for {runtime}.",
        "",
        f"    pip install numpy pillow {runtime}",
        "    python predict.py image.png",
        "",
        f"An image with a raw score above {fitted.threshold:.6g} is anomalous ({fitted.statistic}, from "
        f"{fitted.n} normal images of the {fitted.split} split).",
        "",
        *(f"- {line}" for line in parity_sentences(parity)),
        "",
        "`bundle.json` lists the files with their SHA-256, the thresholds and their origin. `parity.json`",
        "and `parity.html` compare this model with the run that it was made of. Nothing in this folder is",
        "run as code when the model is loaded; `predict.py` is a program that you can read.",
    ]
    return "\n".join(lines) + "\n"
