"""Folders of runs and sweeps as a stranger may have changed them: no script runs what they name."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from adframe.analysis.compared_runs import read_compared_run
from adframe.analysis.error_analysis.thumbnails import Thumbnails
from adframe.cli.evaluate import open_source
from adframe.results.predictions import read_predictions, write_predictions
from tests.e2e.scripts import Outcome, call

PLACES = ("dataset", "model", "calibration.image", "callbacks.gallery", "split", "shift")


@pytest.fixture
def taken(finished: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, of which everything may be changed."""
    return Path(shutil.copytree(finished, tmp_path / "taken"))


def spoil(run: Path, place: str, node: Any) -> None:
    """Puts a node into a run's configuration."""
    config = yaml.safe_load((run / "config.yaml").read_text())
    *above, last = place.split(".")
    inner = config
    for key in above:
        inner = inner[key]
    inner[last] = node
    (run / "config.yaml").write_text(yaml.safe_dump(config | {"trusted": ["pathlib"]}))


def touching(mark: Path, **more: Any) -> dict[str, Any]:
    return {
        "_target_": "pathlib.Path.touch",
        "_args_": [{"_target_": "pathlib.Path", "_args_": [str(mark)]}],
        **more,
    }


def refused(outcome: Outcome, mark: Path) -> None:
    assert not mark.exists()
    assert outcome.code == 2
    assert "_target_=pathlib.Path.touch is not a part of adframe" in outcome.err
    assert outcome.err.count("\n") == 1


@pytest.mark.parametrize("place", PLACES)
def test_an_evaluation_runs_no_code_of_the_folder(place: str, taken: Path, tmp_path: Path) -> None:
    root = yaml.safe_load((taken / "config.yaml").read_text())["dataset"]["root"]
    spoil(taken, place, touching(tmp_path / "mark", root=root))
    refused(call("evaluate", f"run={taken}"), tmp_path / "mark")
    assert not (taken / "evaluations").exists()


def test_a_configuration_that_is_not_resolved_is_refused(taken: Path, tmp_path: Path) -> None:
    spoil(taken, "hidden", touching(tmp_path / "mark"))
    spoil(taken, "model", "${hidden}")
    outcome = call("evaluate", f"run={taken}")
    assert outcome.code == 2
    assert "holds ${hidden}; write the value itself in its place" in outcome.err
    assert not (tmp_path / "mark").exists()


def test_neither_a_submission_nor_a_resumption_runs_it(taken: Path, tmp_path: Path) -> None:
    root = yaml.safe_load((taken / "config.yaml").read_text())["dataset"]["root"]
    spoil(taken, "dataset", touching(tmp_path / "mark", root=root))
    refused(call("evaluate", f"run={taken}", f"submission={tmp_path / 'sent'}"), tmp_path / "mark")
    (taken / "metrics.json").unlink()
    refused(call("train", f"resume={taken}"), tmp_path / "mark")
    spoil(taken, "dataset", touching(tmp_path / "mark", root="x"))
    refused(call("train", f"resume={taken}"), tmp_path / "mark")


def test_pages_of_mistakes_and_comparisons_do_not_run_it(taken: Path, finished: Path, tmp_path: Path) -> None:
    root = yaml.safe_load((taken / "config.yaml").read_text())["dataset"]["root"]
    spoil(taken, "dataset", touching(tmp_path / "mark", root=root))
    shutil.rmtree(taken / "heatmaps")  # so that pictures are looked for on disk
    assert call("evaluate", f"errors={taken}").code == 0
    assert call("evaluate", f"compare=[{taken},{finished}]").code == 0
    assert not (tmp_path / "mark").exists()


@pytest.mark.parametrize("argument", [
    "+model.extra._target_=os.getcwd", "hydra.launcher._target_=os.getcwd", " hydra.callbacks.x._target_=o.f",
    "model@hydra.launcher=sit", "--config-dir=/tmp", "hydra/launcher=basic", "model=../../tmp/evil",
    "+model.extra=[{_target_:os.getcwd}]",
])  # fmt: skip
def test_a_sweep_does_not_go_on_with_arguments_that_run_code(
    argument: str, tmp_path: Path, base: list[str]
) -> None:
    arguments = ["-m", *base, "category=weave", "seed=0,1", "trusted=[os]", argument]
    book = {"arguments": arguments, "folder": str(tmp_path), "jobs": []}
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps(book))
    outcome = call("sweep", f"resume={tmp_path / 'sweep'}")
    assert outcome.code == 2
    assert any(text in outcome.err for text in ("may run code that is not", "is not a part of adframe"))
    assert not list(tmp_path.rglob("config.yaml"))


def test_pictures_outside_of_the_datasets_root_stay_out_of_pages(taken: Path, tmp_path: Path) -> None:
    Image.fromarray(np.full((64, 64, 3), 7, np.uint8)).save(tmp_path / "secret.png")
    shutil.rmtree(taken / "heatmaps")
    rows = read_predictions(taken / "predictions.parquet")
    link = Path(rows[1]["path"]).with_name("link.png")
    link.symlink_to(tmp_path / "secret.png")
    try:
        rows[0]["path"], rows[1]["path"] = str(tmp_path / "secret.png"), str(link)
        write_predictions(taken / "predictions.parquet", rows)
        run, album = read_compared_run("A", taken), Thumbnails(open_source)
        keys = list(run.images)[:3]
        pictures = [album.tiles(run, key)[0] for key in keys]
    finally:
        link.unlink()
    assert album.missing == set(keys[:2])
    assert pictures[0] == pictures[1] != pictures[2]


def test_pictures_of_mistakes_come_from_the_root_that_is_given(taken: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((taken / "config.yaml").read_text())
    shutil.rmtree(taken / "heatmaps")
    shutil.copytree(config["dataset"]["root"], tmp_path / "moved")
    run = read_compared_run("A", taken)
    here, there, nowhere = (
        Thumbnails(open_source, root=root) for root in (None, tmp_path / "moved", tmp_path / "empty")
    )
    for key in run.images:
        assert here.tiles(run, key) == there.tiles(run, key)
        nowhere.tiles(run, key)
    assert (here.missing, there.missing, nowhere.missing) == (set(), set(), set(run.images))


def test_pictures_behind_a_link_of_the_dataset_itself_are_shown(taken: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((taken / "config.yaml").read_text())
    shutil.rmtree(taken / "heatmaps")
    shutil.copytree(config["dataset"]["root"], tmp_path / "real")
    (tmp_path / "linked").mkdir()
    for category in (tmp_path / "real").iterdir():
        (tmp_path / "linked" / category.name).symlink_to(category)
    run, here, there = (
        read_compared_run("A", taken),
        Thumbnails(open_source),
        Thumbnails(open_source, root=tmp_path / "linked"),
    )
    assert [there.tiles(run, key) for key in run.images] == [here.tiles(run, key) for key in run.images]
    assert not there.missing


def test_pictures_of_several_datasets_are_found_below_their_own_roots(taken: Path, tmp_path: Path) -> None:
    config = yaml.safe_load((taken / "config.yaml").read_text())
    shutil.rmtree(taken / "heatmaps")
    member = config["dataset"] | {"root": str(config["dataset"]["root"])}
    whole = {
        "_target_": "adframe.data.multi_dataset.Several",
        "name": "several",
        "root": str(tmp_path / "other"),
    }
    about = {key: member[key] for key in ("homepage", "licence", "tree", "preprocess")}
    spoil(taken, "dataset", whole | about | {"members": {"toy": member}})
    run, album = read_compared_run("A", taken), Thumbnails(open_source)
    for key in run.images:
        album.tiles(run, key)
    assert not album.missing
