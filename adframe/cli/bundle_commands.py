"""The commands `adframe export` and `adframe push`, for models that leave the machine."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from adframe.cli.arguments import Category, Model, Run, Trusted


class ExportFormat(StrEnum):
    """Runtimes for which `export` writes."""

    onnx = "onnx"
    openvino = "openvino"


class Precision(StrEnum):
    """Numbers in which `export` writes networks."""

    fp32 = "fp32"
    fp16 = "fp16"
    bf16 = "bf16"
    int8 = "int8"


def export(
    run: Run,
    out: Annotated[Path, typer.Option(help="New folder for the bundle.", show_default=False)],
    format: Annotated[ExportFormat, typer.Option(help="Runtime of the bundle.")] = ExportFormat.onnx,
    precision: Annotated[
        Precision, typer.Option(help="Numbers of the network; bf16 is for OpenVINO.")
    ] = Precision.fp32,
    category: Category = None,
    calibration: Annotated[
        str, typer.Option(help="Thresholds to pack: trained, or a name that calibrate wrote.")
    ] = "trained",
    normals: Annotated[
        list[str] | None,
        typer.Option(help="Normal image or folder for the ranges of int8; training images by default."),
    ] = None,
    accept: Annotated[
        bool, typer.Option("--accept", help="Keep a float32 bundle that changes a decision.")
    ] = False,
    trusted: Trusted = None,
) -> None:
    """Pack a model as a folder that needs neither torch nor its run, and prove that it decides alike.

    The bundle holds the network with the search in its memory, preparation of images, thresholds, a program
    predict.py and parity.json, which compares it with the run on validation, synthetic and test images. A
    float32 bundle that changes a decision is not written.
    """
    from adframe.cli.export import run_export

    run_export(
        run,
        out,
        kind=format.value,
        precision=precision.value,
        category=category,
        calibration=calibration,
        normals=normals or (),
        accept=accept,
        trusted=trusted or (),
    )


def push(
    source: Model,
    repository: Annotated[
        str, typer.Argument(help="Repository on the Hub, owner/name; created if missing.", show_default=False)
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, which is created if missing; main by default.")
    ] = None,
    private: Annotated[bool, typer.Option("--private", help="Make a new repository private.")] = False,
    message: Annotated[str, typer.Option(help="Message of the commit.", show_default=False)] = "",
    category: Category = None,
    calibration: Annotated[
        str, typer.Option(help="Thresholds to pack: trained, or a name that calibrate wrote.")
    ] = "trained",
    trusted: Trusted = None,
) -> None:
    """Share a model on the Hugging Face Hub, with a model card.

    Uploads a bundle, which is packed before where a run is given; tensors and JSON only. The card has the
    run's own numbers with their intervals, where the threshold comes from, and the limits. Needs
    pip install 'adframe[hub]' and `hf auth login`. adframe.load("hub:owner/name@revision") loads it.
    """
    from adframe.cli.push import run_push

    run_push(
        source,
        repository,
        revision=revision,
        private=private,
        message=message,
        category=category,
        calibration=calibration,
        trusted=trusted or (),
    )
