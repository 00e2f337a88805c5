"""A run's numbers on real images, counted again from its files with other people's tools."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import tifffile
from PIL import Image
from sklearn.metrics import average_precision_score, roc_auc_score

from tests import real
from tests.e2e.scripts import call, metrics_of, train_here
from tests.metrics import official
from tests.metrics.official import LocoImage

SCREW = real.DATA / "mvtec_ad" / "screw"
BOTTLE = real.DATA / "mvtec_loco" / "juice_bottle"
RESNET = real.WEIGHTS / "resnet18_trunk" / "model.safetensors"
ENOUGH = 1500  # pixels of a channel suffice, in the bottles' configuration here
both = pytest.mark.parametrize("run", ["screws", "bottles"], indirect=True)
pytestmark = [pytest.mark.slow, real.needs(SCREW), real.needs(BOTTLE), real.needs(RESNET)]


@dataclass
class Run:
    """What a run left on disk, read without adframe."""

    folder: Path
    dataset: str
    root: Path
    category: str
    rows: list[dict[str, Any]] = field(default_factory=list)
    maps: list[np.ndarray] = field(default_factory=list)
    masks: list[np.ndarray] = field(default_factory=list)
    defects: list[str] = field(default_factory=list)  # folders of the images

    def __post_init__(self) -> None:
        self.rows = pq.read_table(self.folder / "predictions.parquet").to_pylist()
        for image in (Path(row["path"]) for row in self.rows):
            defect, base = image.parent.name, self.root / self.category
            scores = tifffile.imread(self.folder / f"maps/{self.category}/test/{defect}/{image.stem}.tiff")
            truth = base / "ground_truth" / defect
            files = [truth / f"{image.stem}_mask.png", *(truth / image.stem).glob("*.png")]
            mask = [np.asarray(Image.open(file)) > 0 for file in files if file.is_file()]
            assert len(mask) == (defect != "good")
            assert scores.shape == Image.open(image).size[::-1]
            self.maps.append(scores)
            self.masks.append(mask[0] if mask else np.zeros(scores.shape, bool))
            self.defects.append(defect)

    @property
    def metrics(self) -> dict[str, float]:
        found: dict[str, float] = metrics_of(self.folder)["test"][self.category]
        return found

    @property
    def labels(self) -> list[bool]:
        return [defect != "good" for defect in self.defects]

    def pixels(self) -> tuple[np.ndarray, np.ndarray]:
        truth, scores = (np.concatenate([m.ravel() for m in planes]) for planes in (self.masks, self.maps))
        return truth, scores


def link(files: Iterable[Path], folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        (folder / file.name).symlink_to(file)


def some(folder: Path, *, start: int = 0, step: int) -> list[Path]:
    return sorted(folder.iterdir())[start::step]


def trained(folder: Path, *, dataset: str, category: str) -> Run:
    train_here(
        f"dataset={dataset}", f"dataset.root={folder / 'set'}", f"category={category}",
        "backbone=resnet18", f"backbone.checkpoint={RESNET}", "image_size=128", "coreset=0.02",
        "num_workers=0", "logger=none", f"paths.run={folder / 'run'}", "save_maps=true",
        "callbacks.maps.dtype=float32",
    )  # fmt: skip
    return Run(folder / "run", dataset, folder / "set", category)


@pytest.fixture
def run(request: pytest.FixtureRequest) -> Run:
    """The run of a test's name for it."""
    found: Run = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="module")
def screws(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Every eighth screw to train on and to test."""
    folder = tmp_path_factory.mktemp("screws")
    base = folder / "set/screw"
    link(some(SCREW / "train/good", step=8), base / "train/good")
    for images in (SCREW / "test").iterdir():
        link(some(images, step=8), base / "test" / images.name)
    for masks in (SCREW / "ground_truth").iterdir():
        link(some(masks, step=8), base / "ground_truth" / masks.name)
    return trained(folder, dataset="mvtec_ad", category="screw")


@pytest.fixture(scope="module")
def bottles(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Some of the bottles; the data have no structural anomalies, so some logical ones play them."""
    folder = tmp_path_factory.mktemp("bottles")
    base = folder / "set/juice_bottle"
    link(some(BOTTLE / "train/good", step=8), base / "train/good")
    link(some(BOTTLE / "validation/good", step=2), base / "validation/good")
    link(some(BOTTLE / "test/good", step=2), base / "test/good")
    for start, subset in enumerate(["logical_anomalies", "structural_anomalies"]):
        for part in ("test", "ground_truth"):
            link(some(BOTTLE / part / "logical_anomalies", start=4 * start, step=8), base / part / subset)
    rule = {"pixel_value": 255, "saturation_threshold": ENOUGH, "relative_saturation": False}
    (base / "defects_config.json").write_text(json.dumps([{"defect_name": "all", **rule}]))
    return trained(folder, dataset="mvtec_loco", category="juice_bottle")


@both
def test_pixel_metrics_are_scikit_learns_at_the_masks_own_resolution(run: Run) -> None:
    assert run.metrics["pixel/auroc"] == pytest.approx(roc_auc_score(*run.pixels()), abs=1e-4)
    assert run.metrics["pixel/ap"] == pytest.approx(average_precision_score(*run.pixels()), abs=1e-4)


@both
def test_image_metrics_are_scikit_learns_on_the_ledgers_scores(run: Run) -> None:
    scores = [row["score"] for row in run.rows]
    assert run.metrics["image/auroc"] == pytest.approx(roc_auc_score(run.labels, scores), abs=1e-12)
    assert run.metrics["image/ap"] == pytest.approx(average_precision_score(run.labels, scores), abs=1e-12)


@pytest.mark.parametrize("limit", [0.3, 0.05])
def test_aupro_is_the_official_scripts(screws: Run, limit: float) -> None:
    theirs = official.ad_aupro(screws.maps, masks=screws.masks, limit=limit)
    assert screws.metrics[f"pixel/aupro_{limit}"] == pytest.approx(theirs, abs=1e-5)


@both
def test_both_f1_of_ad2_are_equal_at_the_runs_threshold(run: Run) -> None:
    threshold = metrics_of(run.folder)["val"][run.category]["calibration/pixel_threshold"]
    ours = run.metrics["pixel/segf1"], run.metrics["image/class_f1"]
    assert ours == pytest.approx(official.ad2_f1(run.maps, masks=run.masks, threshold=threshold), abs=1e-12)


def test_auspro_is_the_official_scripts(bottles: Run) -> None:
    images = []
    for scores, mask, defect in zip(bottles.maps, bottles.masks, bottles.defects, strict=True):
        enough = official.loco_saturation(ENOUGH, relative=False, area=int(mask.sum()))
        channels = [(mask, enough)] if mask.any() else []
        images.append(LocoImage(scores, channels, defect.removesuffix("_anomalies")))
    theirs = official.loco_auspro(images, limits=(0.05, 0.3), seed=0)
    assert len(theirs) == 6
    for name, value in theirs.items():
        subset, _, limit = name.rpartition("/")
        ours = bottles.metrics[f"{subset}/pixel/auspro_{limit}".lstrip("/")]
        assert ours == pytest.approx(value, abs=1e-4)


@both
def test_the_saved_maps_alone_score_as_the_run_did(run: Run) -> None:
    outcome = call(
        "evaluate", f"maps={run.folder / 'maps'}", f"dataset={run.dataset}", f"dataset.root={run.root}",
        "output=out",
    )  # fmt: skip
    assert (outcome.code, outcome.err) == (0, "")
    theirs = metrics_of(Path("out"))["test"][run.category]
    wanted = {k: v for k, v in run.metrics.items() if "pixel/" in k and not k.endswith(("segf1", "iou"))}
    assert len(wanted) >= 5
    assert {name: theirs[name] for name in wanted} == wanted
    tops = [float(scores.max()) for scores in run.maps]
    assert theirs["image/auroc"] == pytest.approx(roc_auc_score(run.labels, tops), abs=1e-12)
