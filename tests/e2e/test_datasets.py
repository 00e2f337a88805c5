"""Datasets other than the toy set through the scripts: unlabelled images, downloads, counts, views."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import tarfile
from pathlib import Path

import pytest

from adframe.results.predictions import read_predictions
from tests.e2e.scripts import BACKBONE, call, metrics_of, numbers_of, train_here
from tests.e2e.test_bad_input import refused
from tests.fakes.pages import words_of
from tests.fakes.pictures import draw, draw_mask

TINY = (*BACKBONE, "image_size=64", "num_workers=0", "logger=none")
KNOWN = {"image/accuracy", "image/fpr"}  # all that normal images can tell


@pytest.fixture
def product(tmp_path: Path) -> Path:
    root = tmp_path / "bolts"
    for i in range(8):
        draw(root / "good" / f"{i}.png")
    for i in range(3):
        draw(root / "bad" / "dent" / f"{i}.png", defect=True)
        draw_mask(root / "masks" / "dent" / f"{i}_mask.png")
        draw(root / "new" / f"{i}.png", defect=i > 0)
    return root


def train_on(root: Path, *overrides: str) -> Path:
    run = root.parent / "runs" / str(len(list(root.parent.glob("runs/*"))))
    outcome = call("train", *TINY, "dataset=folder", f"dataset.root={root}", f"paths.run={run}", *overrides)
    assert (outcome.code, outcome.err) == (0, ""), outcome
    assert (run / "report.html").stat().st_size > 1000
    return run


def numbers(run: Path, category: str) -> dict[str, float]:
    """What is known: NaN is null on disk."""
    return {name: v for name, v in metrics_of(run)["test"][category].items() if v is not None}


def test_scoring_only_makes_up_no_metric(product: Path) -> None:
    run = train_on(product, "dataset.unlabelled=new")
    for row in ("bolts", "mean"):
        assert {name for name in numbers(run, row) if "/" in name} == KNOWN
    new = [row for row in read_predictions(run / "predictions.parquet") if row["label"] is None]
    assert [row["subset"] for row in new] == ["unlabelled"] * 3
    assert all(math.isfinite(row["score"]) and row["decision"] is not None for row in new)
    assert {Path(row["path"]).name for row in new if row["decision"]} == {"1.png", "2.png"}
    assert "3 unlabelled; 2 of the unlabelled called anomalous" in words_of(run / "report.html")


@pytest.mark.slow
def test_a_folder_of_normals_alone_runs_and_so_does_its_board(product: Path) -> None:
    run = train_on(product, "logger=wandb", "logger.mode=offline", "dataset.product=M6 bolt")
    assert set(metrics_of(run)["test"]) == {"M6 bolt", "mean"}
    assert {name for name in numbers(run, "M6 bolt") if "/" in name} == KNOWN


def test_anomalies_without_masks_have_no_pixel_metric(product: Path) -> None:
    run = train_on(product, "dataset.abnormal=bad")
    assert numbers(run, "bolts")["image/auroc"] == 1
    assert not [name for name in numbers(run, "bolts") if name.startswith("pixel/")]
    masked = train_on(product, "dataset.abnormal=bad", "dataset.masks=masks", "dataset.unlabelled=new")
    assert numbers(masked, "bolts")["pixel/auroc"] > 0.9


def test_a_folders_run_evaluates_to_itself_and_scores_what_comes_in_later(product: Path) -> None:
    run = train_on(product, "dataset.abnormal=[bad]", "dataset.masks=masks", "dataset.unlabelled=new")
    assert "numbers equal the run's" in call("evaluate", f"run={run}").out
    (evaluated,) = (run / "evaluations").iterdir()
    assert numbers_of(evaluated) == numbers_of(run)
    draw(product / "new" / "later.png", defect=True)
    outcome = call("evaluate", f"run={run}")
    assert "numbers equal the run's" in outcome.out
    *_, latest = sorted((run / "evaluations").iterdir())
    assert len(read_predictions(latest / "predictions.parquet")) == len(numbers_of(run)[2]) + 1


def test_a_place_that_is_empty_is_one_line_and_leaves_nothing(product: Path, tmp_path: Path) -> None:
    places = (f"dataset.root={product}", f"paths.runs={tmp_path / 'runs'}")
    outcome = call("train", *TINY, "dataset=folder", *places, "dataset.abnormal=missing")
    assert refused(outcome, "dataset.abnormal=missing no images there")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["bolts"]


@pytest.mark.slow
def test_private_test_sets_are_scored_and_not_measured(toy_ad2: object, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad2", f"dataset.root={toy_ad2.root}", "category=[tray,weave]")
    public = train_here(*TINY, *places, f"paths.run={tmp_path / 'public'}")
    private = train_here(*TINY, *places, "dataset.private=true", f"paths.run={tmp_path / 'private'}")
    assert metrics_of(private)["test"] == metrics_of(public)["test"]
    rows = read_predictions(private / "predictions.parquet")
    assert sum(row["label"] is None for row in rows) == 16
    assert {row["condition"] for row in rows if row["label"] is None} == {"regular", "mixed"}
    assert "unlabelled" in (private / "report.html").read_text()


def archive_of(folder: Path, place: Path) -> str:
    with tarfile.open(place, "w:xz") as tar:
        tar.add(folder, arcname="mvtec")
    digest = hashlib.sha256(place.read_bytes()).hexdigest()
    target = "_target_:adframe.data.download.Archive"
    return f"dataset.archives=[{{{target},url:'file://{place}',sha256:{digest},strip:1}}]"


def test_a_download_is_fetched_unpacked_and_trained_on(toy_ad: object, tmp_path: Path) -> None:
    archive = archive_of(Path(toy_ad.root), tmp_path / "set.tar.xz")
    places = ("dataset=mvtec_ad", f"dataset.root={tmp_path / 'data'}", "dataset.download=true", archive)
    outcome = call("train", *TINY, *places, "category=tray", f"paths.run={tmp_path / 'run'}")
    assert outcome.code == 0, outcome
    direct = ("dataset=mvtec_ad", f"dataset.root={toy_ad.root}", "category=tray")
    assert metrics_of(train_here(*TINY, *direct, f"paths.run={tmp_path / 'direct'}")) is not None
    assert numbers(tmp_path / "run", "tray") == numbers(tmp_path / "direct", "tray")
    assert "numbers equal the run's" in call("evaluate", f"run={tmp_path / 'run'}").out


def test_a_download_with_another_sum_is_one_line(toy_ad: object, tmp_path: Path) -> None:
    archive = archive_of(Path(toy_ad.root), tmp_path / "set.tar.xz").replace("sha256:", "sha256:0000")
    archive = archive[: archive.index("0000") + 64] + archive[archive.index("0000") + 68 :]
    places = ("dataset=mvtec_ad", f"dataset.root={tmp_path / 'data'}", "dataset.download=true", archive)
    outcome = call("train", *TINY, *places, f"paths.runs={tmp_path / 'runs'}")
    assert outcome.code == 2
    assert [line for line in outcome.err.splitlines() if line.startswith("error: ")] == [
        outcome.err.splitlines()[-1]
    ]
    assert "SHA-256" in outcome.err
    assert not (tmp_path / "runs").exists()


@pytest.fixture
def short(toy_ad: object, tmp_path: Path) -> Path:
    """Two official names on a set that is not theirs."""
    for name, official in (("tray", "bottle"), ("weave", "carpet")):
        shutil.copytree(Path(toy_ad.root) / name, tmp_path / "ad" / official)
    return tmp_path / "ad"


def test_counts_that_are_not_official_are_noted_and_the_run_goes_on(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "category=bottle", "dataset.check_counts=true")
    outcome = call("train", *TINY, *places, f"paths.run={tmp_path / 'run'}")
    notes = outcome.err.splitlines()
    assert outcome.code == 0
    assert len(notes) == 3
    assert notes[0] == "note: bottle: 6 images in train good, the official set has 209"
    assert notes[0].removeprefix("note: ") in (tmp_path / "run" / "report.html").read_text()
    again = call("evaluate", f"run={tmp_path / 'run'}")
    assert again.err.splitlines() == notes
    (evaluated,) = (tmp_path / "run" / "evaluations").iterdir()
    assert notes[0].removeprefix("note: ") in (evaluated / "report.html").read_text()


def test_what_validation_borrows_is_said(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "category=carpet", "split=mvtec_shift_protocol")
    outcome = call("train", *TINY, *places, f"paths.run={tmp_path / 'run'}")
    assert "note: carpet: validation holds 3 anomalous images of the dataset's test split" in outcome.err
    rows = read_predictions(tmp_path / "run" / "predictions.parquet")
    assert sum(row["label"] == 1 for row in rows) == 3
    assert metrics_of(tmp_path / "run")["val"]["carpet"]["calibration/n"] == 1
    assert [path.name for path in Path("splits").iterdir()] == ["mvtec_ad_carpet_42.json"]


def test_a_run_that_fails_early_writes_no_split(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "category=carpet")
    outcome = call("train", *TINY, *places, "trainer.devices=abc", f"paths.runs={tmp_path / 'runs'}")
    assert outcome.code == 2
    assert not Path("splits").exists()


def test_a_split_that_no_longer_fits_is_one_line(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "category=carpet", f"paths.runs={tmp_path / 'r'}")
    assert call("train", *TINY, *places).code == 0
    (short / "carpet/train/good/000.png").rename(short / "carpet/train/good/900.png")
    assert refused(call("train", *TINY, *places), "1 gone 1 new mvtec_ad_carpet_42.json delete")
    Path("splits/mvtec_ad_carpet_42.json").write_text("{")
    assert refused(call("train", *TINY, *places), "is no split file delete it")


def test_one_global_model_evaluates_equal(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "scope=global", f"paths.run={tmp_path / 'run'}")
    run = train_here(*TINY, *places)
    assert [path.name for path in (run / "checkpoints").iterdir()] == ["global.ckpt"]
    assert list(metrics_of(run)["test"]) == ["bottle", "carpet", "mean"]
    assert "numbers equal the run's" in call("evaluate", f"run={run}").out
    (evaluated,) = (run / "evaluations").iterdir()
    assert metrics_of(evaluated)["test"] == metrics_of(run)["test"]
    assert len(list(Path("splits").iterdir())) == 2


@pytest.mark.slow
@pytest.mark.parametrize("view", ["image_size=[48,80]", "keep_aspect=true", "image_size=null"])
def test_every_view_finds_the_defect_of_a_wide_image(view: str, tmp_path: Path) -> None:
    root, size = tmp_path / "strips", (64, 128)
    for i in range(8):
        draw(root / "good" / f"{i}.png", size=size)
    for i in range(2):
        draw(root / "bad" / f"{i}.png", size=size, defect=True)
        draw_mask(root / "masks" / f"{i}.png", size=size)
    run = train_on(root, "dataset.abnormal=bad", "dataset.masks=masks", "coreset=1", view)
    assert numbers(run, "strips")["image/auroc"] == 1
    assert numbers(run, "strips")["pixel/auroc"] > 0.85
    assert "numbers equal the run's" in call("evaluate", f"run={run}").out


@pytest.mark.parametrize("workers", [0, 2])
def test_native_sizes_that_differ_are_one_line_before_any_work(workers: int, tmp_path: Path) -> None:
    for i in range(8):
        draw(tmp_path / "parts" / "good" / f"{i}.png", size=(64, 64 + 8 * i))
    places = (f"dataset.root={tmp_path / 'parts'}", f"paths.runs={tmp_path / 'runs'}")
    arguments = (*TINY, "dataset=folder", *places, "image_size=null", f"num_workers={workers}")
    assert refused(call("train", *arguments), "images of 8 sizes cannot share a batch batch_size=1")
    assert not (tmp_path / "runs").exists()
    assert call("train", *arguments, "batch_size=1").code == 0


def test_preprocessing_by_name_changes_scores(product: Path, tmp_path: Path) -> None:
    runs = [train_on(product, f"dataset.preprocess={name}") for name in ("none", "grey_world")]
    plain, grey = ([r["score"] for r in read_predictions(run / "predictions.parquet")] for run in runs)
    assert plain != grey
    assert "numbers equal the run's" in call("evaluate", f"run={runs[1]}").out
    places = (f"dataset.root={product}", f"paths.run={tmp_path / 'no'}", "dataset.preprocess=grayworld")
    outcome = call("train", *TINY, "dataset=folder", *places)
    assert refused(outcome, "unknown dataset.preprocess 'grayworld' did you mean 'grey_world'?")


def test_a_split_from_another_place_wins(short: Path, tmp_path: Path) -> None:
    places = ("dataset=mvtec_ad", f"dataset.root={short}", "category=bottle", "refit=false")
    first = train_here(*TINY, *places, f"paths.run={tmp_path / 'first'}")
    book = Path("splits/mvtec_ad_bottle_42.json")
    content = json.loads(book.read_text())
    (sides,) = content["protocols"].values()
    sides["train"], sides["val"] = sides["train"][1:] + sides["val"], sides["train"][:1]
    book.write_text(json.dumps(content))
    second = train_here(*TINY, *places, f"paths.run={tmp_path / 'second'}")
    assert metrics_of(first)["val"] != metrics_of(second)["val"]
    assert json.loads(book.read_text()) == content
