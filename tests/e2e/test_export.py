"""A model leaves torch: `adframe export`, the bundle it writes, and the program in it."""

from __future__ import annotations

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import openvino
import pytest
from PIL import Image

import adframe
from adframe.cli.predict import Request, run_prediction
from adframe.export import network
from adframe.export import pack as packing
from adframe.export.standalone import checked_manifest
from adframe.io.files import write_json
from tests.covering import further
from tests.e2e.bundles import packed, program, rows_of
from tests.e2e.scripts import ROOT, SMALL, clean_environment, train_here
from tests.fakes.convolutional import tiny_teacher

pytestmark = pytest.mark.slow  # packing takes seconds, and its proof starts a process

VIT = ("backbone=timm", "backbone.model=test_vit", "backbone.layers=[blocks.1]", "backbone.source=random")
CLIP = (
    *("model=clip_zero_shot", "model.references=collected", "calibration=mean_std"),
    *("backbone=clip_vit_b16_transformers", "backbone.model=clip", "backbone.layers=quarters"),
    "backbone.source=random",
)
SIT = ("model=sit", *VIT, "learning.epochs=1", "model.scoring.blocks=[1,2]")
# A threshold that is the score of an image would be exceeded by this image through rounding.
BETWEEN = "calibration=mean_std"
METHODS: dict[str, tuple[str, ...]] = {
    "vit": VIT,
    "blocks": ("coreset=0.9",),
    "reweighted": ("model.neighbours=3",),
    "per_layer": ("model.per_layer=true",),
    "pca": ("memory=pca",),
    "adaptive": ("fusion=adaptive",),
    "weighted": ("fusion=weighted", "fusion.layers=[1,0.5]"),
    "scales": ("model.scales=[0.6,1.0]",),
    "reduced": ("model.reduce=pca", "model.dimensions=8", "model.top_share=0.1"),
    "border": ("model.border=inside",),
    "padim": ("model=padim",),
    "pixel_mean": ("model=pixel_mean",),
    "anomaly_dino": ("model=anomaly_dino", *VIT),
    "rad": ("model=rad", *VIT),
    "subspace": ("model=subspace", *VIT),
    "token_gaussian": ("model=token_gaussian", *VIT),
    "clip_zero_shot": CLIP,
    "whitened": ("model.reduce=whiten", "model.dimensions=8"),
    "sit": SIT,
    "dinov2_lora": ("model=dinov2_lora", *VIT, "learning.epochs=1"),
    "dinomaly": (
        "model=dinomaly",
        *VIT,
        "learning.steps=8",
        "learning.warmup_steps=1",
        BETWEEN,
    ),
    "inp_former": (
        "model=inp_former",
        *VIT,
        "learning.epochs=6",
        "learning.warmup_steps=1",
        BETWEEN,
    ),
    "reverse_distillation": (
        "model=reverse_distillation",
        "backbone.layers=pyramid",
        "learning.epochs=2",
        BETWEEN,
    ),
    "efficient_ad": (
        "model=efficient_ad",
        "model.autoencoder_width=4",
        "image_size=256",
        "learning.epochs=2",
        "learning.steps=null",
        BETWEEN,
    ),
    "supersimplenet": (
        "model=supersimplenet",
        "model.hidden=16",
        "learning.epochs=2",
        BETWEEN,
    ),
    "tiled_features": ("tiling=features", "tiling.size=32"),
    "tiled_maps": ("tiling=default", "tiling.size=48"),
    "region": ("roi=boxes", "roi.boxes=[[8,8,48,40]]"),
    "aspect": ("keep_aspect=true", "image_size=[64,48]"),
    "zones": ("calibration.zones=2",),
}  # of PatchCore with the smallest network, where no method is named
DATA = ("dataset.train=12", "holdout=0.34", "category=tray")
# One of each kind of graph.
OFTEN = ("clip_zero_shot", "dinov2_lora", "zones")
OPENVINO = ("vit", "reweighted", "padim", "tiled_features")


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set of its own: it has more training images than the others'."""
    return tmp_path_factory.mktemp("export_toy") / "set"


@pytest.fixture(scope="module")
def base(toy: Path) -> list[str]:
    return [*SMALL, f"dataset.root={toy}"]


@pytest.fixture(scope="module")
def trained(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Trains the smallest form of a method, once."""
    runs = dict[str, Path]()

    def run_of(name: str) -> Path:
        if name not in runs:
            folder = tmp_path_factory.mktemp("run") / name
            sized: tuple[str, ...] = () if name in ("aspect", "efficient_ad") else ("image_size=64",)
            if name == "efficient_ad":
                sized = (f"model.teacher={tiny_teacher(folder.with_name('teacher.safetensors'))}",)
            runs[name] = train_here(*base, *DATA, *METHODS.get(name, ()), *sized, f"paths.run={folder}")
        return runs[name]

    return run_of


@pytest.fixture(scope="module")
def run(trained: Callable[[str], Path]) -> Path:
    """The run of a PatchCore."""
    return trained("patchcore")


@pytest.fixture(scope="module")
def bundle(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its bundle, which nobody may change."""
    return packed(run, tmp_path_factory.mktemp("bundle") / "screw")


@pytest.fixture(scope="module")
def images(run: Path, toy: Path) -> list[Path]:
    del run  # it draws the set
    return sorted((toy / "tray" / "test").rglob("*.png"))


@pytest.fixture
def copy(bundle: Path, tmp_path: Path) -> Path:
    """A copy of the bundle, to be damaged."""
    return Path(shutil.copytree(bundle, tmp_path / "copy"))


def facts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "parity.json").read_text())
    return found


def stated_arithmetic(folder: Path) -> str:
    return str(json.loads((folder / "bundle.json").read_text())["arithmetic"])


def assert_decides_as(run: Path, bundle: Path, images: list[Path]) -> None:
    """The bundle in `adframe.load` says what the run says: decisions, scores, heatmaps, masks, regions."""
    before, after = adframe.load(run, device="cpu"), adframe.load(bundle)
    assert after.calibration == before.calibration
    expected = before.predict(images)
    largest = max(abs(result.score) for result in expected)  # trained heads have scores around 0
    for one, two in zip(expected, after.predict(images), strict=True):
        assert two.anomalous == one.anomalous
        assert two.score == pytest.approx(one.score, abs=2e-4 * largest)
        assert two.heatmap.shape == one.heatmap.shape
        assert np.abs(two.heatmap - one.heatmap).max() < 2e-4 * np.abs(one.heatmap).max()
        assert two.decision.by_zones == one.decision.by_zones
        # A pixel whose score is the threshold up to rounding may change sides.
        assert (two.mask != one.mask).mean() < 1e-3
        assert len(two.regions) == len(one.regions)


def assert_proved(parity: dict[str, Any], *, changed: int = 0) -> None:
    """Validation, synthetic and test images, and the program, were compared."""
    assert set(parity["images"]) == {"validation normals", "synthetic anomalies", "test images"}
    assert [each["decisions_changed"] for each in parity["images"].values()] == [changed] * 3
    assert parity["images"]["test images"]["images"] == 7
    assert parity["script"]["images"] > 8
    assert parity["script"]["decisions_changed"] == changed
    assert parity["milliseconds"]["after"]["p50"] > 0


def test_a_bundle_of_patchcore_decides_as_its_run(run: Path, bundle: Path, images: list[Path]) -> None:
    assert_proved(facts_of(bundle))
    assert_decides_as(run, bundle, images)
    assert {path.name for path in bundle.iterdir()} == {
        "README.md", "bundle.json", "network.onnx", "parity.html", "parity.json", "predict.py",
        "results.json", "validation.json",
    }  # fmt: skip
    readme, page = (bundle / "README.md").read_text(), (bundle / "parity.html").read_text()
    assert "python predict.py image.png" in readme
    assert "0 decisions changed" in readme
    assert "The bundle changes 0 of" in page
    stated = json.loads((bundle / "bundle.json").read_text())
    assert (stated["version"], stated["input"], stated["category"]) == (1, [64, 64], "tray")
    assert stated["calibration"]["threshold"] == adframe.load(run).threshold
    assert stated["calibration"]["split"] == "val"


def test_the_bank_is_searched_in_blocks_inside_the_graph(bundle: Path) -> None:
    graph = onnx.load(str(bundle / "network.onnx")).graph
    assert [each.name for each in graph.input] == ["image"]
    assert {each.domain for each in graph.node} <= {"", "ai.onnx"}  # no operation of an extension
    assert not any(each.external_data for each in graph.initializer)


def test_the_commands_take_a_bundle_as_they_take_a_run(
    run: Path, bundle: Path, images: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    records = []
    for model in (run, bundle):
        out = tmp_path / model.name
        request = Request(run=model, images=tuple(map(str, images)), out=out, page=True, device="cpu")
        assert run_prediction(request, listed=io.StringIO()) == 0
        records.append([json.loads(line) for line in (out / "predictions.jsonl").read_text().splitlines()])
        assert (out / "index.html").exists()
    capsys.readouterr()
    for one, two in zip(*records, strict=True):
        assert [one[key] for key in ("image", "decision", "calibration", "warnings")] == [
            two[key] for key in ("image", "decision", "calibration", "warnings")
        ]
        assert one["score"] == pytest.approx(two["score"], rel=1e-5)


def test_the_program_of_a_bundle_says_what_the_run_says(
    run: Path, bundle: Path, images: list[Path], tmp_path: Path
) -> None:
    broken = tmp_path / "broken.png"
    broken.write_bytes(images[0].read_bytes()[:300])
    done = program(bundle, [images[0].parents[1], broken], "--heatmaps", str(tmp_path / "maps"))
    assert done.returncode == 1
    rows = rows_of(done.stdout)
    results = adframe.load(run, device="cpu").predict(images)
    assert [Path(row["image"]) for row in rows[:-1]] == images
    for row, result in zip(rows, results, strict=False):
        assert row["decision"] == ("anomalous" if result.anomalous else "normal")
        assert float(row["score"]) == pytest.approx(result.score, rel=1e-5)
        assert float(row["normalised"]) == pytest.approx(result.decision.normalised, rel=1e-3)
    assert (rows[-1]["decision"], rows[-1]["error"] != "") == ("error", True)
    maps = sorted((tmp_path / "maps").iterdir())
    for path, result in zip(maps, results, strict=True):
        assert np.load(path) == pytest.approx(result.heatmap, rel=1e-4)


def test_the_program_imports_neither_torch_nor_adframe(
    bundle: Path, images: list[Path], tmp_path: Path
) -> None:
    blocked = "raise ImportError('this is not to be imported')\n"
    for name in ("torch", "adframe", "cv2", "onnx", "torchvision"):
        (tmp_path / f"{name}.py").write_text(blocked)
    environment = clean_environment(tmp_path) | {"PYTHONPATH": str(tmp_path)}
    done = program(bundle, images, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(rows_of(done.stdout)) == len(images)


@pytest.mark.parametrize("name", further(METHODS, often=OFTEN))
def test_the_smallest_form_of_every_method_decides_as_its_run(
    name: str,
    trained: Callable[[str], Path],
    images: list[Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(network, "_BLOCK_BYTES", 1)  # the smallest blocks, of 256 rows
    folder = packed(trained(name), tmp_path / name)
    assert_proved(facts_of(folder))
    assert_decides_as(trained(name), folder, images)


@pytest.mark.parametrize("name", further(OPENVINO, often=["padim"]))
def test_openvino_decides_as_the_run(
    name: str, trained: Callable[[str], Path], images: list[Path], tmp_path: Path
) -> None:
    folder = packed(trained(name), tmp_path / name, kind="openvino")
    assert {"network.xml", "network.bin"} <= {path.name for path in folder.iterdir()}
    assert_proved(facts_of(folder))
    assert_decides_as(trained(name), folder, images)


@pytest.mark.exhaustive
@pytest.mark.parametrize("kind", ["onnx", "openvino"])
@pytest.mark.parametrize("name", ["patchcore", "padim"])
def test_smaller_numbers_change_scores_little(
    name: str, kind: str, trained: Callable[[str], Path], tmp_path: Path
) -> None:
    # PaDiM's Gaussians of few images magnify rounding.
    limits = {"fp16": 0.01, "bf16": 0.05, "int8": 0.25 if name == "patchcore" else 0.6}
    sizes = []
    for precision in ("fp32", "fp16", "int8", *(("bf16",) if kind == "openvino" else ())):
        folder = packed(trained(name), tmp_path / precision, kind=kind, precision=precision)
        assert stated_arithmetic(folder) == ("bf16" if precision == "bf16" else "f32")
        sizes.append(sum(path.stat().st_size for path in folder.glob("network.*")))
        if precision == "fp32":
            continue
        for compared in facts_of(folder)["images"].values():
            # OpenVINO calculates in float32 where the processor has no bfloat16.
            assert compared["largest_score_difference"] > 0 or precision == "bf16"
            assert compared["largest_score_difference"] < limits[precision] * compared["largest_score"]
    assert sizes[0] > sizes[1]
    assert sizes[0] > sizes[2]
    if kind == "openvino":
        assert (tmp_path / "bf16/network.bin").read_bytes() == (tmp_path / "fp32/network.bin").read_bytes()
        network = openvino.Core().read_model(str(tmp_path / "int8" / "network.xml"))
        for output in network.outputs:  # neither the score nor the smoothed heatmap is rounded
            makers = [each.get_source_output().get_node() for each in output.get_node().inputs()]
            inputs = [each.get_source_output().get_node() for maker in makers for each in maker.inputs()]
            assert "FakeQuantize" not in {node.get_type_name() for node in (*makers, *inputs)}
    else:
        graph = onnx.load(str(tmp_path / "int8" / "network.onnx")).graph
        assert "DequantizeLinear" in {node.op_type for node in graph.node}
        detector: Any = adframe.load(trained(name), device="cpu").detector
        rows = detector.memory.memory.bank if name == "patchcore" else detector.whitening
        kept = [onnx.numpy_helper.to_array(each) for each in graph.initializer]
        forms = (rows.numpy(), rows.mT.numpy())
        # The search keeps its float32 numbers.
        assert any(np.array_equal(each, form) for each in kept for form in forms)


@pytest.mark.exhaustive
def test_what_cannot_be_exported_says_why_and_leaves_nothing(
    base: list[str], trained: Callable[[str], Path], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    with pytest.raises(adframe.AdframeError, match=r"OpenVINO does not run SiT: .+; use --format onnx"):
        packed(trained("sit"), out, kind="openvino")
    with pytest.raises(adframe.AdframeError, match=r"onnx does not compute in bfloat16 .+--format openvino"):
        packed(trained("patchcore"), out, precision="bf16")
    musc = train_here(*base, *DATA, "model=musc", *VIT, f"paths.run={tmp_path / 'musc'}")
    with pytest.raises(
        adframe.AdframeError, match="MuSc cannot be exported: it scores test images by each other"
    ):
        packed(musc, out)
    for name, options in (("composed", ()), ("tiled", ("tiling=default", "tiling.size=48", "image_size=64"))):
        run = train_here(*base, *DATA, "composition=true", *options, f"paths.run={tmp_path / name}")
        with pytest.raises(adframe.AdframeError, match="composition=true counts visual words"):
            packed(run, out)
    assert not out.exists()
    assert not list(tmp_path.glob(".*"))


def test_a_bundle_that_decides_otherwise_is_refused_unless_accepted(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = packing.write_precision

    def doubling(*arguments: Any, **keywords: Any) -> str:
        """Doubles the score of the written network."""
        name = original(*arguments, **keywords)
        model = onnx.load(str(arguments[1] / name))
        for node in model.graph.node:
            node.output[:] = ["half" if each == "score" else each for each in node.output]
        model.graph.node.append(onnx.helper.make_node("Add", ["half", "half"], ["score"]))
        onnx.save(model, str(arguments[1] / name))
        return name

    monkeypatch.setattr(packing, "write_precision", doubling)
    with pytest.raises(adframe.AdframeError, match=r"decides otherwise about \d+ images; .*--accept"):
        packed(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
    folder = packed(run, tmp_path / "out", accept=True)
    assert facts_of(folder)["script"]["decisions_changed"] > 0
    assert {path.name for path in tmp_path.iterdir()} == {"out"}


def test_a_packing_that_fails_leaves_nothing(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(packing, "parity_page", failing)
    with pytest.raises(OSError, match="No space left"):
        packed(run, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_wrong_arguments_say_what_to_do(run: Path, bundle: Path, tmp_path: Path) -> None:
    for arguments, reason in (
        ({"category": "weave"}, "is of tray, not of weave"),
        ({"calibration": "night"}, "export the run with --calibration night"),
        ({"device": "cuda"}, "device=cuda: a bundle works on the processor"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            adframe.load(bundle, **arguments)
    assert adframe.load(bundle, category="tray", calibration="trained").category == "tray"
    with pytest.raises(adframe.AdframeError, match="is there already"):
        packed(run, bundle)
    with pytest.raises(adframe.AdframeError, match="is a bundle; give the folder of the run"):
        packed(bundle, tmp_path / "out")
    for arguments, reason in (({"kind": "tflite"}, "tflite"), ({"precision": "int4"}, "int4")):
        with pytest.raises(adframe.AdframeError, match=reason):
            packed(run, tmp_path / "out", **arguments)
    assert list(tmp_path.iterdir()) == []


def changed_file(folder: Path) -> None:
    with (folder / "network.onnx").open("ab") as file:
        file.write(b"\0")


def missing_file(folder: Path) -> None:
    (folder / "parity.json").unlink()


def link(folder: Path) -> None:
    shutil.move(folder / "network.onnx", folder.parent / "elsewhere.onnx")
    (folder / "network.onnx").symlink_to(folder.parent / "elsewhere.onnx")


def rewritten(folder: Path, **changes: Any) -> None:
    """Writes the list of a bundle with other entries; the hashes of its files are those of the files."""
    facts = json.loads((folder / "bundle.json").read_text()) | changes
    if isinstance(facts["files"], dict):
        for name in facts["files"]:
            if (folder / name).is_file():
                facts["files"][name] = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    write_json(folder / "bundle.json", facts)


def other_files(folder: Path, **more: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "bundle.json").read_text())["files"] | more
    return found


def outside(folder: Path) -> None:
    shutil.copy(folder / "network.onnx", folder.parent / "network.onnx")
    rewritten(folder, network="../network.onnx", files=other_files(folder, **{"../network.onnx": ""}))


def external(folder: Path, *, plain: bool) -> None:
    """Lets a tensor of the graph lie in a file outside of the folder."""
    model = onnx.load(str(folder / "network.onnx"))
    large = max(model.graph.initializer, key=lambda each: each.ByteSize())
    values = onnx.numpy_helper.to_array(large)
    (folder.parent / "secret.bin").write_bytes(values.tobytes())
    large.ClearField("raw_data")
    large.data_location = onnx.TensorProto.EXTERNAL
    for key, value in (("location", "../secret.bin"), ("offset", "0"), ("length", str(values.nbytes))):
        large.external_data.add(key=key, value=value)
    graph = model.SerializeToString()
    if not plain:  # the length of the key, 8, in two bytes; the lengths around it would grow by one
        assert graph.count(b"\x0a\x08location") == 1
        other = model.__class__.FromString(graph)
        del other.graph.initializer[:]
        entry = b"\x0a\x88\x00location\x12\x0d../secret.bin"
        tensor = onnx.TensorProto.FromString(large.SerializeToString())
        del tensor.external_data[:]
        body = tensor.SerializeToString() + b"\x6a" + bytes([len(entry)]) + entry
        assert onnx.TensorProto.FromString(body).external_data[0].key == "location"
        graph += b"\x3a" + varint(len(body) + 1 + len(varint(len(body)))) + b"\x2a" + varint(len(body)) + body
        assert onnx.ModelProto.FromString(graph).graph.initializer[-1].external_data[0].key == "location"
        graph = graph.replace(b"\x0a\x08location", b"\x0a\x08locatiom")
    (folder / "network.onnx").write_bytes(graph)
    rewritten(folder)


def varint(number: int) -> bytes:
    parts = [number >> shift & 127 for shift in range(0, max(1, number.bit_length()), 7)]
    return bytes([*(part | 128 for part in parts[:-1]), parts[-1]])


def no_network(folder: Path) -> None:
    (folder / "network.onnx").write_bytes(b"no network")
    rewritten(folder)


def pickled(folder: Path) -> None:
    (folder / "network.pt").write_bytes(b"\x80\x04N.")
    rewritten(folder, network="network.pt", files=other_files(folder, **{"network.pt": ""}))


DAMAGES: dict[str, tuple[Callable[[Path], None], str]] = {
    "changed": (changed_file, r"network\.onnx was changed after the bundle was written"),
    "missing": (missing_file, r"parity\.json is missing"),
    "link": (link, r"network\.onnx is missing, or is no file of the bundle"),
    "outside": (outside, r"\.\./network\.onnx is missing, or is no file of the bundle"),
    "version": (lambda folder: rewritten(folder, version=2), "has format 2; this program reads format 1"),
    "external": (lambda folder: external(folder, plain=True), "takes data from other files"),
    "hidden": (lambda folder: external(folder, plain=False), "takes data from other files"),
    "unlisted": (lambda folder: rewritten(folder, network="x.onnx"), r"uses x\.onnx, which is no file"),
    "no network": (no_network, r"network\.onnx cannot be loaded"),
    "pickle": (pickled, "an entry is not possible"),
    "files": (lambda folder: rewritten(folder, files=["network.onnx"]), "is damaged"),
    "input": (lambda folder: rewritten(folder, input=[0, 64]), "is not possible"),
    "no input": (lambda folder: rewritten(folder, input=None), "is damaged"),
    "threshold": (lambda folder: rewritten(folder, calibration={"threshold": "high"}), "is damaged"),
    "arithmetic": (lambda folder: rewritten(folder, arithmetic="f16"), "is not possible"),
    "nan": (lambda folder: rewritten(folder, calibration={"threshold": "nan"}), "is not possible"),
    "list": (lambda folder: write_json(folder / "bundle.json", [1]), "is not the list of a bundle"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_or_hostile_bundle_is_refused(
    name: str, copy: Path, images: list[Path], capfd: pytest.CaptureFixture[str]
) -> None:
    damage, reason = DAMAGES[name]
    damage(copy)
    with pytest.raises(adframe.AdframeError, match=reason) as refused:
        adframe.load(copy)
    assert "\n" not in str(refused.value)
    capfd.readouterr()
    done = program(copy, images[:1])
    assert (done.returncode, done.stdout) == (2, "")
    assert re.search(reason, done.stderr)
    assert len(done.stderr.splitlines()) == 1


def test_a_hostile_bundle_for_openvino_is_refused(run: Path, tmp_path: Path) -> None:
    folder = packed(run, tmp_path / "out", kind="openvino")
    files = other_files(folder)
    numbers = files.pop("network.bin")
    rewritten(folder, files=files)
    with pytest.raises(adframe.AdframeError, match=r"uses network\.bin, which is no file of the bundle"):
        adframe.load(folder)
    # A graph in another format would be read with its data from outside.
    (folder / "network.xml").write_bytes(b"\x08\x0a")
    rewritten(folder, files={**files, "network.bin": numbers})
    with pytest.raises(adframe.AdframeError, match="is not XML"):
        adframe.load(folder)


def test_a_picture_of_another_size_than_the_region_is_refused(
    trained: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = packed(trained("region"), tmp_path / "out")
    assert checked_manifest(folder)["roi"] == "roi.png"
    Image.new("RGB", (80, 64)).save(tmp_path / "wide.png")
    done = program(folder, [tmp_path / "wide.png"])
    assert done.returncode == 1
    assert "the region of interest is for images of 64x64" in rows_of(done.stdout)[0]["error"]


def test_an_environment_without_torch_gives_the_decisions_of_the_run(
    run: Path, bundle: Path, images: list[Path], tmp_path: Path
) -> None:
    """A bare virtual environment with three packages, at the versions with which the project is tested."""
    venv.create(tmp_path / "bare", with_pip=True)
    python = str(tmp_path / "bare" / "bin" / "python")
    constraints = str(ROOT / "constraints.txt")
    installed = subprocess.run(
        [python, "-m", "pip", "install", "-q", "-c", constraints, "numpy", "pillow", "onnxruntime"],
        capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    if installed.returncode != 0:
        pytest.skip(f"pip cannot install here: {installed.stderr.strip().splitlines()[-1]}")
    clean = clean_environment(tmp_path)
    clean.pop("PYTHONPATH", None)
    for name in ("torch", "adframe", "cv2"):
        missing = subprocess.run(
            [python, "-c", f"import {name}"], env=clean, capture_output=True, check=False
        )
        assert missing.returncode == 1
    done = program(bundle, images, python=python, env=clean, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    results = adframe.load(run, device="cpu").predict(images)
    assert [row["decision"] for row in rows_of(done.stdout)] == [
        "anomalous" if result.anomalous else "normal" for result in results
    ]


def test_the_command_packs_and_measures_the_run(run: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "adframe", "export", str(run), "--out", str(tmp_path / "out")],
        cwd=ROOT, env=clean_environment(tmp_path), capture_output=True, text=True, timeout=200, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert sum("0 decisions changed" in line for line in lines) == 3
    assert lines[-1].startswith(f"bundle: {tmp_path / 'out'} (")
    script = facts_of(tmp_path / "out")["script"]
    assert script["seconds"] < script["before"]["seconds"]
    assert script["memory_mib"] < script["before"]["memory_mib"] / 2
