"""Writes an exported network with 16-bit or 8-bit numbers, for ONNX Runtime and for OpenVINO."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from adframe.errors import AdframeError, unknown
from adframe.export.network import INPUT, quiet_libraries, rows_of_block
from adframe.export.standalone import reason_of
from adframe.models.memory import Bank, Memory
from adframe.models.padim import PaDiM

FORMATS = ("onnx", "openvino")
PRECISIONS = ("fp32", "fp16", "bf16", "int8")
_QUANTISED = ("Conv", "MatMul", "Gemm")  # operations with weights
# Operations that make patch features of feature maps. NNCF would round their results.
_RESHAPING = ("AvgPool", "Interpolate", "Concat", "Pad", "Transpose", "Reshape")


def write_precision(
    graph: Path, folder: Path, *, kind: str, precision: str, detector: nn.Module, images: Sequence[Tensor]
) -> str:
    """Writes the network of a bundle.

    With int8 the search in a memory bank, and PaDiM's distances, stay in float32: small differences of
    large numbers. With fp16 constants take half the space, and the runtime computes in float32, because
    processors rarely compute faster in float16; for ONNX Runtime the rows of the bank stay in float32. With
    bf16 the file is that of fp32, and `bundle.json` tells OpenVINO to compute in bfloat16 (`arithmetic_of`).

    Args:
        graph: the float32 ONNX graph.
        folder: the bundle.
        kind: `onnx` or `openvino`.
        precision: one of `PRECISIONS`.
        detector: the method, whose memories are left in float32.
        images: (3, H, W) training normals, for the ranges of int8.

    Returns:
        Name of the file of the network.

    Raises:
        AdframeError: the kind or the precision is unknown, a library is missing, there are no images for
            int8, or the runtime does not know an operation.
    """
    if kind not in FORMATS:
        raise AdframeError(unknown("format", kind, FORMATS))
    if precision not in PRECISIONS:
        raise AdframeError(unknown("precision", precision, PRECISIONS))
    if precision == "bf16" and kind != "openvino":
        raise AdframeError(f"{kind} does not compute in bfloat16 on processors; use --format openvino")
    if precision == "int8" and not images:
        raise AdframeError(
            "int8 needs training normals for its ranges; the dataset is not there: --normals <folder>"
        )
    try:
        if kind == "onnx":
            return _write_onnx(graph, folder, precision=precision, detector=detector, images=images)
        return _write_openvino(graph, folder, precision=precision, detector=detector, images=images)
    except ImportError as error:
        raise AdframeError(f"{error.name} is not installed: pip install 'adframe[export]'") from error


def arithmetic_of(precision: str) -> str:
    """Returns the numbers in which OpenVINO computes what a network does not hold as int8: `f32` or `bf16`.

    Args:
        precision: one of `PRECISIONS`.
    """
    return "bf16" if precision == "bf16" else "f32"


def _write_onnx(
    graph: Path, folder: Path, *, precision: str, detector: nn.Module, images: Sequence[Tensor]
) -> str:
    import onnx

    target = folder / "network.onnx"
    model = onnx.load(str(graph))
    if precision == "fp32":
        onnx.save(model, str(target))
    elif precision == "fp16":
        onnx.save(_half_weights(model, kept=_fixed_constants(model, detector)), str(target))
    else:
        from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # the library has no types
            def __init__(self) -> None:
                self._left = iter(images)

            def get_next(self) -> dict[str, np.ndarray] | None:
                image = next(self._left, None)
                return None if image is None else {INPUT: image[None].numpy()}

        with quiet_libraries():
            quantize_static(
                str(graph),
                str(target),
                Reader(),
                quant_format=QuantFormat.QDQ,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
                per_channel=True,
                op_types_to_quantize=list(_QUANTISED),
                nodes_to_exclude=_search_nodes(model, detector),
            )
    return target.name


def _write_openvino(
    graph: Path, folder: Path, *, precision: str, detector: nn.Module, images: Sequence[Tensor]
) -> str:
    import onnx
    import openvino

    target = folder / "network.xml"
    try:
        model = openvino.convert_model(str(graph))
        openvino.Core().compile_model(model, "CPU")  # some operations are only refused here
    except Exception as error:  # OpenVINO raises RuntimeError and types of its own
        raise AdframeError(
            f"OpenVINO does not run {type(detector).__name__}: {reason_of(error)}; use --format onnx"
        ) from error
    if precision == "int8":
        import nncf
        from nncf.quantization.advanced_parameters import AdvancedQuantizationParameters
        from nncf.quantization.range_estimator import RangeEstimatorParametersSet

        searching = set(_search_nodes(onnx.load(str(graph)), detector))
        names: set[str] = set()
        for node in model.get_ordered_ops():
            # Found by its inputs, because a node that computes an output has the name of the output.
            before = {each.get_source_output().get_node().get_friendly_name() for each in node.inputs()}
            if _origin(node.get_friendly_name()) in searching or before & names:
                names.add(node.get_friendly_name())
        with quiet_libraries():
            model = nncf.quantize(
                model,
                nncf.Dataset([image[None].numpy() for image in images]),
                # All of this lowers the error of heatmaps of held-out images without and with a synthetic
                # anomaly (screw, ResNet18) at the same speed. The usual ranges, means over images, would cut
                # off what anomalies excite.
                preset=nncf.QuantizationPreset.MIXED,
                fast_bias_correction=False,
                advanced_parameters=AdvancedQuantizationParameters(
                    activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
                ),
                subset_size=len(images),
                ignored_scope=nncf.IgnoredScope(names=sorted(names), types=list(_RESHAPING), validate=False),
            )
    openvino.save_model(model, str(target), compress_to_fp16=precision == "fp16")
    return target.name


def _origin(name: str) -> str:
    """Returns the name of the ONNX node from which a node of OpenVINO was made."""
    return name.split("/")[0]


def _search_nodes(model: Any, detector: nn.Module) -> list[str]:
    """Names the operations of a graph that search a memory or compute distances, and all that follow them."""
    after, found = _fixed_constants(model, detector), []
    for node in model.graph.node:  # in the order of computation
        if set(node.input) & after:
            found.append(node.name)
            after |= set(node.output)
    return found


def _fixed_constants(model: Any, detector: nn.Module) -> set[str]:
    """Names the constants of a graph that hold rows of a memory, or PaDiM's Gaussians."""
    from onnx import numpy_helper

    parts: list[np.ndarray] = []
    for module in detector.modules():
        if isinstance(module, Memory):
            rows = module.bank.cpu()
            block = rows_of_block(module, size=_input_size(model)) if isinstance(module, Bank) else len(rows)
            parts += [part.numpy() for part in torch.split(rows, block)]
        elif isinstance(module, PaDiM):
            parts.append(module.whitening.cpu().numpy())
    shapes = {tuple(sorted(part.shape)) for part in parts}
    found = set()
    for tensor in model.graph.initializer:
        if tuple(sorted(tensor.dims)) in shapes:
            values = numpy_helper.to_array(tensor)
            turned = values.swapaxes(-1, -2)  # folded together with a transposition
            if any(np.array_equal(values, part) or np.array_equal(turned, part) for part in parts):
                found.add(tensor.name)
    return found


def _input_size(model: Any) -> tuple[int, int]:
    sides = model.graph.input[0].type.tensor_type.shape.dim
    return sides[2].dim_value, sides[3].dim_value


def _half_weights(model: Any, *, kept: set[str]) -> Any:
    """Stores large float32 constants as float16, except for `kept`, and converts them where they are used."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in model.graph.initializer:
        if tensor.data_type != TensorProto.FLOAT or tensor.name in kept or np.prod(tensor.dims) < 1024:
            continue
        values = numpy_helper.to_array(tensor)
        if np.abs(values).max() > np.finfo(np.float16).max:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(
            helper.make_node("Cast", [f"{name}_half"], [name], name=f"{name}_cast", to=TensorProto.FLOAT)
        )
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model
