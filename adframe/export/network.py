"""Writes the network of a trained detector, and the search in its memory, as one ONNX graph."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import onnxruntime
import torch
from torch import Tensor, nn

from adframe.contracts import Transductive
from adframe.errors import AdframeError
from adframe.models.cached_backbone import StoredBackbone
from adframe.models.disk_bank import DiskBank
from adframe.models.memory import Bank

OPSET = 18  # the first with antialiasing, which resizing may use
INPUT, SCORE, HEATMAP = "image", "score", "heatmap"  # names in the graph
Module = TypeVar("Module", bound=nn.Module)
_BLOCK_BYTES = 32 << 20  # of the distance matrix of one block of a memory bank


class Graph(nn.Module):
    """The detector as a graph has it: tensors in, tensors out.

    Args:
        detector: the fitted method.

    Example:
        >>> from adframe.models.pixel_mean import PixelMean
        >>> method = PixelMean(None)
        >>> method.collect(torch.rand(2, 3, 32, 32))
        >>> method.finalise()
        >>> score, heatmap = Graph(method)(torch.rand(1, 3, 32, 32))
        >>> score.shape, heatmap.shape
        (torch.Size([1]), torch.Size([1, 1, 32, 32]))
    """

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Scores an image.

        Args:
            image: (1, 3, H, W) float32 in [0, 1].

        Returns:
            (1,) raw score and (1, 1, H, W) heatmap, float32.
        """
        prediction = self.detector(image)
        return prediction.score.float(), prediction.heatmap.float()


def exportable(detector: nn.Module, *, size: tuple[int, int]) -> nn.Module:
    """Copies a detector into a form that can be exported.

    Stored features are not used, banks are searched in blocks, so that the graph's memory is bounded, and
    position embeddings are resized once: ONNX resizes by other bicubic weights than torch.

    Args:
        detector: the fitted method.
        size: (H, W) of the network's input in pixels.

    Returns:
        The copy, in evaluation mode and on the CPU.
    """
    found = without_store(detector).cpu().eval().requires_grad_(False)
    for module in found.modules():
        if isinstance(module, Bank):
            module.block_rows = rows_of_block(module, size=size)
        resize = getattr(module, "set_input_size", None)
        if getattr(module, "dynamic_img_size", False) and callable(resize):
            resize(img_size=size)
    return found


def without_store(detector: Module) -> Module:
    """Copies a module, without the stores from which backbones read features of images that they know.

    Args:
        detector: a method, or a system with one.

    Returns:
        The copy, which computes everything.
    """
    found = copy.deepcopy(detector)
    for module in list(found.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, StoredBackbone):
                setattr(module, name, child.backbone)
    return found


def rows_of_block(bank: Bank, *, size: tuple[int, int]) -> int:
    """Returns how many rows of a bank the graph compares with all patches of an image at once.

    Args:
        bank: the memory.
        size: (H, W) of the network's input in pixels.
    """
    # A patch is 8 pixels wide, as in the usual layers of convolutional networks; tokens are wider.
    patches = max(1, size[0] * size[1] // 64)
    return min(len(bank.bank), max(256, _BLOCK_BYTES // (4 * patches)))


def write_onnx(detector: nn.Module, path: Path, *, size: tuple[int, int]) -> None:
    """Writes a detector as an ONNX graph for single images of one size.

    Args:
        detector: the fitted method.
        path: the file to write; tensors beyond 2 GB, the limit of the format, make it fail.
        size: (H, W) of the network's input in pixels.

    Raises:
        AdframeError: the method uses an operation that ONNX does not have; the message names it.
    """
    if isinstance(detector, Transductive):
        raise AdframeError(
            f"{type(detector).__name__} cannot be exported: it scores test images by each other; "
            "export a model that is fitted to normal images, such as model=rad"
        )
    if any(isinstance(module, DiskBank) for module in detector.modules()):
        raise AdframeError(
            "memory=disk cannot be exported: a graph holds its bank in memory; export a model with a smaller "
            "bank, such as memory=random coreset=0.01"
        )
    graph = Graph(exportable(detector, size=size)).eval()
    image = torch.rand((1, 3, *size), generator=torch.Generator().manual_seed(0))
    with torch.no_grad(), quiet_libraries():
        graph(image)  # fills the caches of constant matrices, which are computed by numpy
        try:
            program = torch.onnx.export(
                graph,
                (image,),
                input_names=[INPUT],
                output_names=[SCORE, HEATMAP],
                opset_version=OPSET,
                dynamo=True,
                optimize=False,  # the exporter's own folding of constants changed the scores of SiT
                verbose=False,
            )
            assert program is not None
            _write_folded(program.model_proto.SerializeToString(), path)
        except Exception as error:  # the exporter raises many types
            raise AdframeError(
                f"{type(detector).__name__} cannot be exported: {_first_reason(error)}"
            ) from error


def _write_folded(graph: bytes, path: Path) -> None:
    """Writes a graph with its constants folded by ONNX Runtime, as standard operations only."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # it warns about each operation that it does not fold
    onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])


def _first_reason(error: BaseException) -> str:
    """Returns the line of the innermost error, without the exporter's advice to developers of models."""
    while error.__cause__ is not None:
        error = error.__cause__
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Silences progress, advice and warnings of exporters and quantisers.

    They warn about code that is followed with constant shapes, which is intended.
    """
    names = ("torch.onnx", "onnxscript", "torch.export", "nncf")
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in names)]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
