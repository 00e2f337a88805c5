"""model.robust=: defective images among the training images are named and left out of the model."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest

from adframe.cli.update import run_update
from tests.covering import further
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import metrics_of, train_here
from tests.fakes.pages import words_of

pytestmark = pytest.mark.slow  # trains on sets of 40 images

PLAIN = ("backbone=efficientnet_lite0", "image_size=128", "num_workers=0", "logger=none")
DEFECTS = ("bad_0.png", "bad_1.png")
METHODS = {"patchcore": ("model=patchcore", "coreset=0.1"), "padim": ("model=padim", "model.channels=8")}


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Forty normal training images, and the same with two defective ones among them."""
    folder = tmp_path_factory.mktemp("robust")
    counts = ("dataset.train=40", "dataset.validation=0", "dataset.test_good=3", "dataset.test_bad=4")
    train_here(
        *PLAIN, "dataset=toy", "dataset.size=128", *counts, f"dataset.root={folder / 'drawn'}",
        "category=weave", f"paths.run={folder / 'draws'}",
    )  # fmt: skip
    roots = {name: folder / name for name in ("clean", "mixed")}
    for root in roots.values():
        shutil.copytree(folder / "drawn" / "weave", root / "weave")
        shutil.rmtree(root / "weave" / "validation", ignore_errors=True)
    for name, kind in zip(DEFECTS, ("hole", "loose_thread"), strict=True):
        path = min((folder / "drawn" / "weave" / "test" / kind).glob("*.png"))
        shutil.copy(path, roots["mixed"] / "weave" / "train" / "good" / name)
    return roots


def run_on(root: Path, folder: Path, *overrides: str) -> Path:
    return train_here(
        *PLAIN, "dataset=mvtec_ad", f"dataset.root={root}", "category=weave", *overrides,
        f"paths.splits={folder / 'splits'}", f"paths.run={folder / 'run'}",
    )  # fmt: skip


def left_out(run: Path) -> list[str]:
    rows = csv.DictReader((run / "screening" / "weave.csv").read_text().splitlines())
    return sorted(Path(row["image"]).name for row in rows if row["left_out"] == "True")


@pytest.mark.parametrize("method", further(METHODS, often=["patchcore"]))
def test_defective_training_images_are_named_and_left_out(
    method: str, sets: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = run_on(sets["mixed"], tmp_path, *METHODS[method], "model.robust=5")
    assert left_out(run) == list(DEFECTS)
    shown = "model.robust= left 2 of 42 training images out"
    assert shown in capsys.readouterr().err
    assert shown in words_of(run / "report.html")
    environment = json.loads((run / "environment.json").read_text())
    assert any(shown in line and "bad_0.png" in line for line in environment["warnings"])
    assert_predicts_its_own_test(run, category="weave")
    # A held-out image that was left out takes no part in the threshold either.
    drawn = json.loads(next((tmp_path / "splits").rglob("*.json")).read_text())["protocols"]
    held_out = [Path(name).name for name in drawn["holdout 0.2 of train"]["val"]]
    counted = metrics_of(run)["val"]["weave"]["calibration/n"]
    assert counted == len(held_out) - len({*held_out} & {*DEFECTS})
    updated = run_update(run, tmp_path / "updated", normals=[str(sets["mixed"] / "weave" / "test" / "good")])
    assert left_out(updated) == list(DEFECTS)


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", METHODS)
def test_clean_training_images_stay(method: str, sets: dict[str, Path], tmp_path: Path) -> None:
    run = run_on(sets["clean"], tmp_path, *METHODS[method], "model.robust=5")
    assert len(left_out(run)) <= 1
    assert "screening" not in [
        path.name for path in run_on(sets["clean"], tmp_path / "plain", *METHODS[method]).iterdir()
    ]
