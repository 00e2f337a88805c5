"""Domain shifts, on the fly and on disk, through the scripts."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from adframe.results.predictions import read_predictions
from tests.e2e.scripts import BACKBONE, call, composed, metrics_of, numbers_of, train_here
from tests.e2e.test_bad_input import refused
from tests.fakes.pictures import files

ONE = ("category=weave",)


def rows(run: Path) -> list[dict]:
    return read_predictions(run / "predictions.parquet")


def drawn(run: Path) -> list[dict]:
    return [json.loads(row["shift"]) if row["shift"] else {} for row in rows(run)]


def evaluations(run: Path) -> list[Path]:
    return sorted((run / "evaluations").iterdir())


@pytest.fixture(scope="module")
def plain(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train_here(*base, *ONE, f"paths.run={tmp_path_factory.mktemp('plain') / 'run'}")


@pytest.fixture(scope="module")
def shifted(base: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = f"paths.run={tmp_path_factory.mktemp('shifted') / 'run'}"
    return train_here(*base, *ONE, "shift=severe", place)


def test_a_shift_to_test_leaves_the_model_and_its_threshold(plain: Path, shifted: Path) -> None:
    one, other = (metrics_of(run) for run in (plain, shifted))
    for name in ("calibration/threshold", "calibration/n", "model/rows"):
        assert one["val"]["weave"][name] == other["val"]["weave"][name]
    assert one["test"] != other["test"]


def test_what_was_drawn_is_in_the_ledger(plain: Path, shifted: Path) -> None:
    assert {row["shift"] for row in rows(plain)} == {""}
    told = drawn(shifted)
    assert all({"rotation.degrees", "noise.sigma", "brightness.factor"} <= set(one) for one in told)
    assert len({one["rotation.degrees"] for one in told}) == len(told)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 2])
def test_a_shift_repeats_with_any_number_of_workers(
    workers: int, base: list[str], shifted: Path, tmp_path: Path
) -> None:
    place = f"paths.run={tmp_path / 'run'}"
    again = train_here(*base, *ONE, "shift=severe", "batch_size=8", f"num_workers={workers}", place)
    assert numbers_of(again) == numbers_of(shifted)


def test_training_and_validation_too_where_asked_for(base: list[str], shifted: Path, tmp_path: Path) -> None:
    splits = "shift.splits=[train,val,test]"
    run = train_here(*base, *ONE, "shift=severe", splits, f"paths.run={tmp_path / 'run'}")
    assert drawn(run) == drawn(shifted)
    thresholds = {rows(one)[0]["threshold"] for one in (run, shifted)}
    assert len(thresholds) == 2


def test_an_evaluation_shifts_what_a_run_has_learned(plain: Path, shifted: Path) -> None:
    for _ in range(2):
        outcome = call("evaluate", f"run={plain}", "shift=severe")
        assert (outcome.code, outcome.err) == (0, "")
        assert "numbers differ from the run's" in outcome.out
    first, second = evaluations(plain)
    assert numbers_of(first) == numbers_of(second)
    assert numbers_of(first) == numbers_of(shifted)  # the run's seed, threshold and model
    noted = json.loads((first / "environment.json").read_text())
    assert noted["shift"] == "severe"
    config = (first / "config.yaml").read_text()
    assert yaml.safe_load(config)["shift"]["seed"] == 42
    assert "${" not in config


def test_a_shifted_run_evaluates_to_itself(shifted: Path) -> None:
    assert call("evaluate", f"run={shifted}").code == 0
    assert numbers_of(evaluations(shifted)[-1]) == numbers_of(shifted)


def test_an_evaluation_takes_single_settings(plain: Path) -> None:
    before = set(evaluations(plain)) if (plain / "evaluations").is_dir() else set()
    overrides = ("shift=rotation", "shift.transforms.rotation.degrees=5")
    assert call("evaluate", f"run={plain}", *overrides).code == 0
    (new,) = set(evaluations(plain)) - before
    assert drawn(new) == [{"rotation.degrees": 5.0}] * len(rows(new))


def test_a_transform_is_added_and_another_one_set(base: list[str], tmp_path: Path) -> None:
    added = "+shift/transform@shift.transforms.jpeg=jpeg"
    overrides = ("shift=rotation", added, "shift.transforms.rotation.degrees=5")
    outcome = call("train", *base, *ONE, *overrides, f"paths.run={tmp_path / 'run'}")
    assert (outcome.code, outcome.err) == (0, "")
    told = drawn(tmp_path / "run")
    assert {frozenset(one) for one in told} == {frozenset({"rotation.degrees", "jpeg.quality"})}
    assert {one["rotation.degrees"] for one in told} == {5.0}


SHIFTS = {
    "shift=sever": "unknown shift 'sever' did you mean 'severe'?",
    "shift.splits=[tset]": "unknown split 'tset' did you mean 'test'? shift.splits",
    "shift.seed=-1": "shift.seed=-1 must be 0 or more",
    "+shift.transforms.jpg=3": "shift.transforms.jpg",
    "shift=rotation shift.transforms.rotation.degrees=[3,1]": "shift.transforms.rotation.degrees=[3,1]",
    "shift=rotation shift.transforms.rotation.degree=3": "shift.transforms.rotation.degree degrees",
}


@pytest.mark.parametrize("overrides", SHIFTS)
def test_a_shift_that_cannot_be_is_one_line(overrides: str, base: list[str], tmp_path: Path) -> None:
    outcome = call("train", *base, *ONE, f"paths.runs={tmp_path / 'runs'}", *overrides.split())
    assert refused(outcome, SHIFTS[overrides])
    assert list(tmp_path.iterdir()) == []


def test_an_evaluations_shift_that_cannot_be_is_one_line(plain: Path) -> None:
    assert refused(call("evaluate", f"run={plain}", "shift=sever"), "unknown shift 'sever' 'severe'")
    overrides = ("shift=rotation", "shift.transforms.rotation.degrees=abc")
    assert refused(call("evaluate", f"run={plain}", *overrides), "shift.transforms.rotation.degrees=abc")


def on_disk(toy: Path, place: Path, *more: str) -> list[str]:
    roots = (f"dataset.root={place / 'set'}", f"dataset.origin.root={toy}")
    small = (*BACKBONE, "image_size=64", "num_workers=0", "logger=none", "category=weave")
    return ["dataset=mvtec_shift", *roots, *small, *more]


@pytest.fixture(scope="module")
def stored(toy: Path, plain: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A folder with the shifted set, and the run that wrote it."""
    place = tmp_path_factory.mktemp("stored")
    return place, train_here(*on_disk(toy, place, f"paths.run={place / 'run'}"))


def test_a_set_on_disk_is_written_by_the_run_and_tested(stored: tuple[Path, Path]) -> None:
    place, run = stored
    assert (place / "set" / "shifted_splits.json").is_file()
    assert {row["shift"] for row in rows(run)} == {""}  # the pictures themselves are shifted
    assert all(row["path"].endswith("_shifted.png") for row in rows(run))
    assert metrics_of(run)["test"]["weave"]["pixel/aupro_0.3"] is not None


def test_the_set_is_found_the_second_time_and_evaluated(
    stored: tuple[Path, Path], toy: Path, tmp_path: Path
) -> None:
    place, run = stored
    before = files(place / "set")
    again = train_here(*on_disk(toy, place, f"paths.run={tmp_path / 'run'}"))
    assert numbers_of(again) == numbers_of(run)
    outcome = call("evaluate", f"run={run}")
    assert "numbers equal the run's to the last digit" in outcome.out
    assert files(place / "set") == before


def test_other_settings_on_disk_are_one_line(stored: tuple[Path, Path], toy: Path, tmp_path: Path) -> None:
    place, _ = stored
    before = files(place / "set")
    severe = on_disk(toy, place, "shift@dataset.shift=severe", f"paths.runs={tmp_path / 'runs'}")
    assert refused(call("train", *severe), "dataset.shift=moderate, not severe dataset.root=")
    seed = on_disk(toy, place, "seed=7", f"paths.runs={tmp_path / 'runs'}")
    assert refused(call("train", *seed), "dataset.shift.seed=42, not 7")
    assert files(place / "set") == before


def test_the_shift_of_the_set_is_named_where_its_numbers_are(toy: Path, tmp_path: Path) -> None:
    cfg = composed("train", *on_disk(toy, tmp_path, "shift@dataset.shift=mild"))
    assert (cfg.dataset.shift.name, cfg.shift.name) == ("mild", "none")
    assert cfg.dataset.shift.seed == cfg.dataset.seed == 42


def test_any_dataset_may_be_shifted_and_is_made_or_fetched_first(toy: Path, tmp_path: Path) -> None:
    sizes = [f"dataset.origin.{name}" for name in ("size=64", "train=4", "test_good=2", "test_bad=3")]
    origin = ("dataset@dataset.origin=toy", *sizes, "dataset.origin.products=[weave]")
    arguments = [text for text in on_disk(toy, tmp_path, *origin) if "origin.root" not in text]
    run = train_here(*arguments, f"paths.data={tmp_path / 'data'}", f"paths.run={tmp_path / 'run'}")
    book = json.loads((tmp_path / "set" / "shifted_splits.json").read_text())
    assert book["settings"]["origin"] == "toy"
    assert list(book["categories"]) == list(metrics_of(run)["val"]) == ["weave"]
    assert "numbers equal the run's" in call("evaluate", f"run={run}").out
