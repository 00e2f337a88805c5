"""Inspects images with the model in this folder: python predict.py image.png [...]

Needs numpy, Pillow, and ONNX Runtime or OpenVINO; no torch, no adframe. Prints one line per image, with the
raw score, the threshold and the decision, as CSV. The network and the threshold are those of bundle.json.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
import re
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image, ImageOps

MANIFEST, VERSION = "bundle.json", 1
COLUMNS = ("image", "decision", "score", "threshold", "normalised", "milliseconds", "error")
# A tensor that an ONNX graph takes from another file has an entry with the key `location`. Its length, 8, may
# be written with more bytes than it needs.
EXTERNAL_DATA = re.compile(rb"(?:\x08|\x88\x80*\x00)location")
# Without EPS, for which Pillow would start an interpreter, and without formats that are not images.
FORMATS = ("PNG", "JPEG", "BMP", "DIB", "TIFF", "WEBP", "JPEG2000", "PPM", "GIF")


class Inspection(NamedTuple):
    """What the model says about an image.

    Attributes:
        score: raw image score.
        anomalous: whether it exceeds the threshold.
        heatmap: (H, W) float32 raw scores, in the frame of the image.
        milliseconds: time of the network.
    """

    score: float
    anomalous: bool
    heatmap: np.ndarray
    milliseconds: float


class BundledModel:
    """The model of a bundle.

    Args:
        folder: the folder of `bundle.json`.
        threads: number of threads; 0 for all cores.

    Attributes:
        facts: the content of `bundle.json`.
        threshold: an image with a larger raw score is anomalous.
        size: (H, W) of the network's input.
        region: (H0, W0) bool, the region of interest; None where the whole image is inspected.
        run: the function of `network`.

    Raises:
        ValueError: a file is missing, was changed, or is of another format.
        ImportError: the runtime is not installed.
    """

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        self.facts = checked_manifest(folder)
        self.threshold = float(self.facts["calibration"]["threshold"])
        self.size: tuple[int, int] = tuple(self.facts["input"])
        self.run = network(
            folder / self.facts["network"], threads=threads, arithmetic=self.facts.get("arithmetic", "f32")
        )
        self.region = None
        if self.facts["roi"]:
            with Image.open(folder / self.facts["roi"], formats=("PNG",)) as region:
                self.region = np.asarray(region.convert("L")) > 127

    def inspect(self, image: Path | Image.Image) -> Inspection:
        """Inspects one image.

        Args:
            image: a file, or an open image.

        Returns:
            The score, the decision and the heatmap.

        Raises:
            ValueError: the image is of a kind or a size that the model does not take.
            OSError: the file cannot be read.
        """
        pixels = read_pixels(image, bits=self.facts["bits"])
        view, box = self.view(pixels)
        start = time.perf_counter()
        score, heatmap = self.run(view)
        spent = 1000 * (time.perf_counter() - start)
        frame = restored(heatmap, size=pixels.shape[:2], box=box)
        if self.region is not None:
            frame = np.where(self.region, frame, frame.min())
        return Inspection(score, score > self.threshold, frame, spent)

    def normalised(self, score: float) -> float | None:
        """Maps a score to standard deviations from the mean of normal images; None for another scale."""
        scale = self.facts["calibration"]["scale"]
        if scale["kind"] != "z_score":
            return None
        mean, deviation = scale["points"]
        return float((score - mean) / deviation)

    def view(self, pixels: np.ndarray) -> tuple[np.ndarray, tuple[int, int, int, int]]:
        """Brings an image to the size of the network.

        Args:
            pixels: (H0, W0, 3) uint8 or uint16.

        Returns:
            (1, 3, H, W) float32, and the (top, left, height, width) that it covers of the image.

        Raises:
            ValueError: the region of interest is for images of another size.
        """
        height, width = pixels.shape[:2]
        if self.region is not None:
            if self.region.shape != (height, width):
                raise ValueError(
                    f"the region of interest is for images of {'x'.join(map(str, self.region.shape))} "
                    f"pixels, not {height}x{width}"
                )
            grey = np.array(np.iinfo(pixels.dtype).max * 0.5).astype(pixels.dtype)
            pixels = np.where(self.region[:, :, None], pixels, grey)
        if not self.facts["keep_aspect"]:
            return as_input(resized(pixels, self.size)), (0, 0, height, width)
        scale = min(self.size[0] / height, self.size[1] / width)
        inner = max(1, round(height * scale)), max(1, round(width * scale))
        top, left = (self.size[0] - inner[0]) // 2, (self.size[1] - inner[1]) // 2
        sides = ((top, self.size[0] - inner[0] - top), (left, self.size[1] - inner[1] - left), (0, 0))
        padded = np.pad(resized(pixels, inner), sides, mode="edge")
        tall, wide = height / inner[0], width / inner[1]
        box = (-top * tall, -left * wide, self.size[0] * tall, self.size[1] * wide)
        return as_input(padded), (round(box[0]), round(box[1]), round(box[2]), round(box[3]))


def checked_manifest(folder: Path) -> dict[str, Any]:
    """Reads `bundle.json` and checks that no file of the bundle was changed.

    Raises:
        ValueError: a file is missing, was changed, lies outside of the folder, or is of another format.
    """
    try:
        facts: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        version = facts["version"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{folder / MANIFEST} is not the list of a bundle: {error!r}") from error
    if version != VERSION:
        raise ValueError(f"{folder} has format {version!r}; this program reads format {VERSION}")
    try:
        files = {str(name): str(digest) for name, digest in facts["files"].items()}
        used = [str(facts["network"]), *([str(facts["roi"])] if facts["roi"] else [])]
        height, width = map(int, facts["input"])
        known = height > 0 and width > 0 and not math.isnan(float(facts["calibration"]["threshold"]))
        known = known and facts.get("arithmetic", "f32") in ("f32", "bf16")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged: {error!r}") from error
    if not known or Path(used[0]).suffix not in (".onnx", ".xml"):
        raise ValueError(f"{folder / MANIFEST} is damaged: an entry is not possible")
    if used[0].endswith(".xml"):
        used.append(f"{used[0][:-4]}.bin")  # the numbers of a network for OpenVINO
    for name, digest in files.items():
        path = folder / name
        if Path(name).name != name or path.is_symlink() or not path.is_file():
            raise ValueError(f"{path} is missing, or is no file of the bundle")
        if hashlib.sha256(path.read_bytes()).hexdigest() != digest:
            raise ValueError(f"{path} was changed after the bundle was written")
    for name in used:
        if name not in files:
            raise ValueError(f"{folder / MANIFEST} uses {name}, which is no file of the bundle")
    return facts


def network(path: Path, *, threads: int, arithmetic: str = "f32") -> Any:
    """Opens the network.

    Args:
        path: the .onnx or .xml file.
        threads: number of threads; 0 for all cores.
        arithmetic: `f32`; or `bf16`, in which OpenVINO calculates where the processor has it.

    Returns:
        A function from a (1, 3, H, W) float32 image to its raw score and its (h, w) float32 heatmap.

    Raises:
        ValueError: the graph takes data from other files, or the runtime refuses it.
        ImportError: the runtime is not installed.
    """
    graph = path.read_bytes()
    try:
        if path.suffix == ".onnx":
            if EXTERNAL_DATA.search(graph):
                raise ValueError("it takes data from other files, which a bundle never does")
            return _onnx_network(graph, threads=threads)
        if not graph.startswith(b"<?xml"):
            raise ValueError("it is not XML")  # OpenVINO would take it for a network of another format
        numbers = path.with_suffix(".bin").read_bytes()
        return _openvino_network(graph, numbers, threads=threads, arithmetic=arithmetic)
    except ImportError:
        raise
    except Exception as error:  # each runtime has exceptions of its own
        raise ValueError(f"{path} cannot be loaded: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """Returns the line of an error of a runtime that says what is wrong, without places in its source."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
    return next((line for line in lines if not line.startswith(("Exception from", "Check '"))), lines[0])


def _onnx_network(graph: bytes, *, threads: int) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # it warns about buffers that it cannot use again
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])

    def run_onnx(image: np.ndarray) -> tuple[float, np.ndarray]:
        score, heatmap = session.run(None, {"image": image})
        return float(score[0]), heatmap[0, 0]

    return run_onnx


def _openvino_network(graph: bytes, numbers: bytes, *, threads: int, arithmetic: str) -> Any:
    import openvino

    core = openvino.Core()
    model = core.read_model(graph, numbers)
    settings: dict[str, Any] = {"INFERENCE_NUM_THREADS": threads} if threads else {}
    # Without a hint OpenVINO would calculate in bfloat16 where the processor has it, and change scores.
    compiled = core.compile_model(model, "CPU", {**settings, "INFERENCE_PRECISION_HINT": arithmetic})
    request = compiled.create_infer_request()

    def run_openvino(image: np.ndarray) -> tuple[float, np.ndarray]:
        found = request.infer([image])
        return float(found[0][0]), np.array(found[1][0, 0])

    return run_openvino


def read_pixels(image: Path | Image.Image, *, bits: int) -> np.ndarray:
    """Reads an image as (H, W, 3) RGB, uint8 or uint16: alpha over black, EXIF orientation applied.

    Args:
        image: a file, or an open image.
        bits: number of used bits of 16-bit samples.

    Raises:
        ValueError: the image has 16-bit colour, floating-point values, or values beyond `bits`.
        OSError: the file cannot be read.
    """
    if isinstance(image, Path):
        Image.init()  # registers all formats
        # From memory, because Pillow rotates memory-mapped TIFF files wrongly.
        with Image.open(io.BytesIO(image.read_bytes()), formats=FORMATS) as opened:
            return read_pixels(opened, bits=bits)
    if image.format != "MPO" and getattr(image, "n_frames", 1) > 1:
        raise ValueError("it has several pages or frames; save the right one as a separate file")
    if image.mode in ("F", "LAB", "HSV"):
        raise ValueError(f"images of mode {image.mode} are not taken; save it as 8 or 16 bit")
    upright = ImageOps.exif_transpose(image)
    if image.mode.startswith("I"):
        grey = np.asarray(upright).astype(np.int64)
        declared = int(getattr(image, "tag_v2", {}).get(258, (16,))[0])  # bits of a sample in a TIFF file
        bits = declared if 8 < declared < 16 else bits
        top = 2**bits - 1
        if grey.min() < 0 or grey.max() > top:
            raise ValueError(f"its values reach {grey.max()}, beyond {bits} bits")
        if bits == 8:
            return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
        return np.repeat(((grey * 65535 + top // 2) // top).astype(np.uint16)[:, :, None], 3, axis=2)
    tiles = getattr(image, "tile", None)  # how Pillow decodes the file
    if tiles and ";16" in str(tiles[0][3]):
        raise ValueError("images with 16 bits a colour are not taken here; adframe reads them")
    if upright.mode in ("RGBA", "LA", "PA") or "transparency" in upright.info:
        over = Image.new("RGBA", upright.size, (0, 0, 0, 255))
        upright = Image.alpha_composite(over, upright.convert("RGBA"))
    return np.asarray(upright.convert("RGB"))


def resized(pixels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resizes (H, W, 3) pixels bilinearly with antialiasing; uint16 becomes float32 in [0, 1]."""
    shape = (size[1], size[0])
    if pixels.dtype == np.uint8:
        return np.asarray(Image.fromarray(pixels).resize(shape, Image.Resampling.BILINEAR))
    bands = [Image.fromarray(pixels[:, :, band].astype(np.float32) / 65535) for band in range(3)]
    return np.stack([np.asarray(band.resize(shape, Image.Resampling.BILINEAR)) for band in bands], axis=2)


def as_input(pixels: np.ndarray) -> np.ndarray:
    """(H, W, 3) uint8, or float32 in [0, 1] -> (1, 3, H, W) float32 in [0, 1]."""
    scaled = pixels.astype(np.float32) / 255 if pixels.dtype == np.uint8 else pixels
    return np.ascontiguousarray(scaled.transpose(2, 0, 1)[None])


def restored(heatmap: np.ndarray, *, size: tuple[int, ...], box: tuple[int, int, int, int]) -> np.ndarray:
    """Resizes a heatmap to the part of the image that it covers; other pixels get its minimum."""
    top, left, height, width = box
    view = bilinear(heatmap, (height, width))
    if box == (0, 0, size[0], size[1]):
        return view
    frame = np.full((size[0], size[1]), heatmap.min(), np.float32)
    rows = slice(max(top, 0), min(top + height, size[0]))
    columns = slice(max(left, 0), min(left + width, size[1]))
    frame[rows, columns] = view[
        rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
    ]
    return frame


def bilinear(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Interpolates (h, w) float32 bilinearly between the centres of pixels, without antialiasing."""
    for axis, length in enumerate(size):
        source = (np.arange(length) + 0.5) * values.shape[axis] / length - 0.5
        source = source.clip(0, values.shape[axis] - 1)
        low = np.floor(source).astype(int)
        high = np.minimum(low + 1, values.shape[axis] - 1)
        share = (source - low).astype(np.float32)
        share = share[:, None] if axis == 0 else share
        values = values.take(low, axis) * (1 - share) + values.take(high, axis) * share
    return values.astype(np.float32)


def main() -> int:
    """Inspects the images of the command line."""
    parser = argparse.ArgumentParser(description="Inspects images with the model in this folder.")
    parser.add_argument("images", nargs="+", type=Path, help="image files, or folders of PNG, JPEG and BMP")
    parser.add_argument("--model", type=Path, default=Path(__file__).resolve().parent, help="the bundle")
    parser.add_argument("--heatmaps", type=Path, help="folder for heatmaps as .npy, float32")
    parser.add_argument("--threads", type=int, default=0, help="0 takes all cores")
    given = parser.parse_args()
    try:
        model = BundledModel(given.model, threads=given.threads)
    except (ImportError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    listed = [path for each in given.images for path in (_pictures(each) if each.is_dir() else [each])]
    if given.heatmaps:
        given.heatmaps.mkdir(parents=True, exist_ok=True)
    writer = csv.DictWriter(sys.stdout, COLUMNS, lineterminator="\n")
    writer.writeheader()
    failed = False
    for number, path in enumerate(listed):
        try:
            found = model.inspect(path)
        except Exception as error:  # Pillow raises many types for broken files
            failed = True
            writer.writerow({"image": path, "decision": "error", "error": str(error)})
            continue
        writer.writerow(
            {
                "image": path,
                "decision": "anomalous" if found.anomalous else "normal",
                "score": repr(found.score),
                "threshold": repr(model.threshold),
                "normalised": model.normalised(found.score),
                "milliseconds": round(found.milliseconds, 2),
            }
        )
        if given.heatmaps:
            np.save(given.heatmaps / f"{number:05}_{path.stem}.npy", found.heatmap)
    return 1 if failed else 0


def _pictures(folder: Path) -> list[Path]:
    kinds = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff")
    return sorted(path for path in folder.rglob("*") if path.suffix.lower() in kinds)


if __name__ == "__main__":
    sys.exit(main())
