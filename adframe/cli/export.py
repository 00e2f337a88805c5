"""`adframe export`: packs the model of a run as a bundle."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from adframe.config.pack_run import pack_run
from adframe.export.parity_page import parity_sentences
from adframe.inference.results import TRAINED
from adframe.reporting.notes import quieten


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
        precision: `fp32`, `fp16`, `bf16` or `int8`.
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
    parity = pack_run(
        run,
        out,
        kind=kind,
        precision=precision,
        category=category,
        calibration=calibration,
        normals=normals,
        program=_program(run, category, calibration=calibration, trusted=trusted),
        accept=accept,
        trusted=trusted,
    )
    console = Console(highlight=False, markup=False, soft_wrap=True)
    for line in parity_sentences(parity):
        console.print(line)
    console.print(f"bundle: {out} ({parity['bytes'] / 1e6:.1f} MB)")
    return out


def _program(run: Path, category: str | None, *, calibration: str, trusted: Sequence[str]) -> list[str]:
    """Returns the command that inspects images with the model of the run."""
    options = ["--calibration", calibration, "--device", "cpu"]
    for option, values in (("--category", [category] if category else []), ("--trusted", trusted)):
        for value in values:
            options += [option, value]
    return [sys.executable, "-m", "adframe", "predict", *options, str(run)]
