"""PaDiM as a whole run: its own layers, and the same numbers from the checkpoint."""

from pathlib import Path

from tests.e2e.scripts import SMALL, call, composed, metrics_of, train_here

OTHER = [text for text in SMALL if not text.startswith("backbone.layers")]


def test_padim_takes_three_layers_unless_told_otherwise() -> None:
    assert composed("train", "model=padim").model.backbone.layers == "pyramid"
    chosen = composed("train", "model=padim", "backbone=resnet18", "backbone.layers=[layer2]")
    assert chosen.model.backbone.layers == ["layer2"]
    assert composed("train", "backbone=resnet18").model.backbone.layers == ["layer2", "layer3"]


def test_a_run_and_its_evaluation_agree(toy: Path, tmp_path: Path) -> None:
    places = (f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}")
    run = train_here(*OTHER, "model=padim", "model.channels=20", "category=tray", *places)
    found = metrics_of(run)
    assert found["val"]["tray"]["model/width"] == 20
    assert found["val"]["tray"]["model/positions"] == 16**2
    outcome = call("evaluate", f"run={run}")
    assert (outcome.code, outcome.err) == (0, "")
    assert "numbers equal the run's to the last digit" in outcome.out


def test_a_size_that_cuts_patches_is_one_line_with_sizes_that_do_not(toy: Path, tmp_path: Path) -> None:
    places = (f"dataset.root={toy}", f"paths.run={tmp_path / 'run'}")
    wrong = ("backbone=timm", "backbone.model=test_vit", "backbone.source=random", "image_size=72")
    small = [text for text in OTHER if not text.startswith(("backbone", "image_size"))]
    outcome = call("train", *small, *wrong, "model=padim", "category=tray", *places)
    assert outcome.code != 0
    assert "nearest that do: image_size=64 or image_size=80" in outcome.err
    assert len(outcome.err.strip().splitlines()) == 1
