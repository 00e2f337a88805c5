"""A run is fitted again with other normal images: to old and new ones together, in a run of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

import adframe
from adframe.cli.update import run_update
from tests.e2e.predicted import assert_predicts_its_own_test
from tests.e2e.scripts import call, metrics_of, train_here
from tests.fakes.pages import words_of

PADIM = ("model=padim", "model.channels=8", "category=tray", "refit=true")


def small(base: list[str], root: Path) -> list[str]:
    plain = [text for text in base if not text.startswith("dataset.")]
    return [*plain, "dataset=mvtec_ad", f"dataset.root={root}", *PADIM]


@pytest.fixture(scope="module")
def fitted(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, Path, Path]:
    """A run on a set without two images, these images, a run on the whole set, and the smaller set."""
    folder = tmp_path_factory.mktemp("update")
    train_here(*base, "category=tray", f"paths.run={folder / 'draws'}")  # draws the set where it is missing
    root = Path(next(text for text in base if text.startswith("dataset.root=")).removeprefix("dataset.root="))
    whole, part, new = folder / "whole", folder / "part", folder / "new"
    shutil.copytree(root / "tray", whole / "tray")
    shutil.copytree(root / "tray", part / "tray")
    new.mkdir()
    for path in sorted((part / "tray" / "train" / "good").glob("*.png"))[-2:]:
        shutil.move(path, new / path.name)
    splits = f"paths.splits={folder / 'splits'}"
    run = train_here(*small(base, part), splits, f"paths.run={folder / 'run'}")
    both = train_here(
        *small(base, whole), f"paths.splits={folder / 'others'}", f"paths.run={folder / 'both'}"
    )
    return run, new, both, part


def scores(run: Path, images: Path) -> np.ndarray:
    return np.array([result.score for result in adframe.load(run).predict(images)])


def test_an_update_is_a_fit_to_old_and_new_images(
    fitted: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    run, new, both, part = fitted
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    updated = run_update(run, tmp_path / "updated", normals=[str(new)])
    test = part / "tray" / "test"
    assert np.allclose(scores(updated, test), scores(both, test), rtol=1e-4)
    assert not np.allclose(scores(run, test), scores(both, test), rtol=1e-3)
    assert {path: path.read_bytes() for path in before} == before
    facts = json.loads((updated / "environment.json").read_text())
    assert facts["parent"] == str(run)
    assert facts["update"] == "exact: fitted to old and new images together"
    assert facts["images"]["tray"]["count"] + metrics_of(updated)["val"]["tray"]["calibration/n"] == 6
    assert_predicts_its_own_test(updated, category="tray")
    outcome = call("evaluate", f"run={updated}")
    assert "numbers equal the run's to the last digit" in outcome.out


def test_removed_images_are_left_out_and_updates_add_up(
    fitted: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    run, new, _, _ = fitted
    first = run_update(run, tmp_path / "first", normals=[str(new)])
    again = run_update(first, tmp_path / "again", remove=["good/000.png"])
    counts = [
        json.loads((each / "environment.json").read_text())["images"]["tray"]["count"]
        + metrics_of(each)["val"]["tray"]["calibration/n"]
        for each in (run, first, again)
    ]
    assert counts == [4, 6, 5]


@pytest.fixture
def lost(fitted: tuple[Path, Path, Path, Path]) -> Iterator[Path]:
    """The set of the run is not there; the place where it is now."""
    part = fitted[3]
    away = part.with_name("away")
    part.rename(away)
    yield away
    away.rename(part)


def test_without_the_dataset_new_images_join_padim_exactly(
    fitted: tuple[Path, Path, Path, Path], lost: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, new, both, _ = fitted
    updated = run_update(run, tmp_path / "updated", normals=[str(new)])
    test = lost / "tray" / "test"
    assert np.allclose(scores(updated, test), scores(both, test), rtol=1e-4)
    assert not np.allclose(scores(run, test), scores(both, test), rtol=1e-3)
    facts = json.loads((updated / "environment.json").read_text())
    before = json.loads((run / "environment.json").read_text())
    assert facts["update"].startswith("exact: mean and covariance")
    assert facts["parent"] == str(run)
    assert facts["images"]["tray"]["count"] == before["images"]["tray"]["count"] + 2
    captured = capsys.readouterr()
    assert "update: exact: mean and covariance" in captured.out
    assert "2 normal images joined the model without the dataset" in captured.err
    page = words_of(updated / "report.html")
    assert "updated without the dataset and not tested" in page
    assert "exact: mean and covariance" in page
    assert adframe.load(updated).threshold == adframe.load(run).threshold
    again = run_update(updated, tmp_path / "again", normals=[str(new)])
    assert json.loads((again / "environment.json").read_text())["images"]["tray"]["count"] == 4 - 1 + 4


def test_a_bank_on_disk_moves_with_its_run_and_takes_more_images(
    base: list[str], fitted: tuple[Path, Path, Path, Path], tmp_path: Path
) -> None:
    _, new, _, part = fitted
    shutil.copytree(part, tmp_path / "set")
    own = [text for text in small(base, tmp_path / "set") if text not in PADIM[:2]]
    run = train_here(
        *own, "memory=disk", f"paths.splits={tmp_path / 'splits'}", f"paths.run={tmp_path / 'first'}"
    )
    moved, test = run.rename(tmp_path / "moved"), part / "tray" / "test"
    bank = moved / "checkpoints" / "tray.bank"
    before, content = scores(moved, test), bank.read_bytes()
    shutil.move(tmp_path / "set", tmp_path / "gone")
    updated = run_update(moved, tmp_path / "updated", normals=[str(new)])
    facts = json.loads((updated / "environment.json").read_text())
    assert facts["update"] == "exact: every patch of old and new images"
    assert (scores(updated, test) <= before + 1e-5).all()
    assert bank.read_bytes() == content
    assert (updated / "checkpoints" / "tray.bank").read_bytes()[: len(content)] == content
    bank.unlink()
    with pytest.raises(adframe.AdframeError, match="copy both files"):
        adframe.load(moved)


def test_without_the_dataset_nothing_can_be_removed(
    fitted: tuple[Path, Path, Path, Path], lost: Path, tmp_path: Path
) -> None:
    assert lost.is_dir()
    with pytest.raises(adframe.AdframeError, match=r"--remove fits the model again, which needs the dataset"):
        run_update(fitted[0], tmp_path / "out", remove=["good/000.png"])
    broken = tmp_path / "broken.png"
    broken.write_text("no image")
    with pytest.raises(adframe.AdframeError, match="cannot be decoded"):
        run_update(fitted[0], tmp_path / "out", normals=[str(broken)])
    assert not (tmp_path / "out").exists()


def test_what_cannot_be_updated_says_why(fitted: tuple[Path, Path, Path, Path], tmp_path: Path) -> None:
    run, _, _, _ = fitted
    for arguments, reason in (
        ({}, "give normal images with --normals"),
        ({"remove": ["good/999.png"]}, r"--remove good/999\.png is no training image of tray"),
        ({"remove": ["test/good/000.png"]}, "is no training image"),
        ({"normals": [str(tmp_path / "none.png")]}, "does not exist"),
        ({"normals": [str(run)], "category": "trey"}, "did you mean 'tray'"),
    ):
        with pytest.raises(adframe.AdframeError, match=reason):
            run_update(run, tmp_path / "out", **arguments)
        assert not (tmp_path / "out").exists()


@pytest.mark.slow
@pytest.mark.exhaustive
def test_a_joined_bank_ranks_like_a_new_one(tmp_path: Path) -> None:
    common = ("backbone=efficientnet_lite0", "coreset=0.1", "image_size=128", "num_workers=0", "logger=none")
    counts = ("dataset.train=20", "dataset.validation=0", "dataset.test_good=8", "dataset.test_bad=9")
    drawn, part, new = tmp_path / "drawn", tmp_path / "part", tmp_path / "new"
    own = (*common, "category=weave", f"paths.splits={tmp_path / 'splits'}")
    both = train_here(
        *own, *counts, "dataset.size=128", f"dataset.root={drawn}", f"paths.run={tmp_path / 'both'}"
    )
    shutil.copytree(drawn / "weave", part / "weave")
    new.mkdir()
    for path in sorted((part / "weave" / "train" / "good").glob("*.png"))[::2]:
        shutil.move(path, new / path.name)
    run = train_here(*own, "dataset=mvtec_ad", f"dataset.root={part}", f"paths.run={tmp_path / 'run'}")
    shutil.move(part, tmp_path / "gone")
    updated = run_update(run, tmp_path / "updated", normals=[str(new)])
    facts = json.loads((updated / "environment.json").read_text())
    assert facts["update"].startswith("approximation: new patches that lie farthest from the old bank")
    rows = {
        name: metrics_of(each)["val"]["weave"]["model/rows"]
        for name, each in (("run", run), ("updated", updated), ("both", both))
    }
    assert rows["run"] < rows["updated"] == rows["both"]
    tested = sorted((drawn / "weave" / "test").rglob("*.png"))
    labels = np.array(["good" not in path.parts for path in tested])
    found = {
        name: np.array([result.score for result in adframe.load(each).predict(list(map(str, tested)))])
        for name, each in (("run", run), ("updated", updated), ("both", both))
    }
    areas = {name: roc_auc_score(labels, each) for name, each in found.items()}
    assert abs(areas["updated"] - areas["both"]) <= 0.05
    distance = {name: np.abs(found[name] - found["both"]).mean() for name in ("run", "updated")}
    assert distance["updated"] < distance["run"]
    assert (found["updated"] <= found["run"] + 1e-4).all()
