"""Losses by epoch, and the last grid of pictures."""

import math
import re
from pathlib import Path

import numpy as np
import pytest

from adframe.errors import AdframeError
from adframe.reporting.figure_render import svg
from adframe.reporting.heatmaps import write_picture
from adframe.reporting.run_page import write_page
from adframe.reporting.training_curves import (
    Epoch,
    best_epoch,
    last_grids,
    loss_figure,
    read_epochs,
    training_curves,
    write_epochs,
)
from tests.fakes.run_folder import write_run


def epochs(*held_out: float) -> dict[int, Epoch]:
    return {
        number: {"train/total": 2.0 / number, "val/total": loss, "seconds": 1.5}
        for number, loss in enumerate(held_out, start=1)
    }


def grid(run: Path, name: str, *, size: int = 20) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (size, size, 3)).astype(np.uint8)
    write_picture(run / "reconstructions" / name, noise)


def test_what_is_written_is_read_with_columns_that_come_later(tmp_path: Path) -> None:
    known = epochs(3.0, 1 / 3)
    known[2]["val/late"] = 0.25
    write_epochs(tmp_path, known, unit="a.b")
    assert read_epochs(tmp_path, unit="a.b") == known
    assert read_epochs(tmp_path, unit="a") == {}


@pytest.mark.parametrize(
    ("losses", "best"), [((3.0, 1.0, 1.0, 2.0), 2), ((math.nan, 2.0, math.inf), 2), ((math.nan,), None)]
)
def test_the_best_is_the_first_of_the_lowest(losses: tuple[float, ...], best: int | None) -> None:
    assert best_epoch(epochs(*losses)) == best


def drawn(*held_out: float) -> str:
    figure = loss_figure(epochs(*held_out), unit="a", name="f")
    assert figure is not None
    return svg(figure)


def test_a_curve_has_both_losses_and_the_best_epoch() -> None:
    drawing = drawn(3.0, 1.0, 2.0)
    assert all(f">{text}</text>" in drawing for text in ("training", "held out", "epoch 2, which is kept"))
    assert "log scale" not in drawing
    assert "log scale" in drawn(300.0, 1.0)
    assert loss_figure({1: {"seconds": 1.0}}, unit="a", name="f") is None
    assert "Epoch" in drawn(1.0)


def test_the_last_grid_of_each_unit_counts(tmp_path: Path) -> None:
    for name in ("a_epoch_9999.png", "a_epoch_10000.png", "a_epoch_2_epoch_0003.png", "other.png"):
        grid(tmp_path, name)
    assert last_grids(tmp_path) == {
        "a": (10000, "a_epoch_10000.png"),
        "a_epoch_2": (3, "a_epoch_2_epoch_0003.png"),
    }


def test_a_large_grid_is_slimmed_and_a_stolen_one_left_out(tmp_path: Path) -> None:
    run = tmp_path / "run"
    grid(run, "a_epoch_0001.png", size=300)
    grid(tmp_path, "secret.png")
    (run / "reconstructions/b_epoch_0001.png").symlink_to(tmp_path / "reconstructions/secret.png")
    (found,) = training_curves(run)
    assert found.unit == "a"
    assert found.grid.startswith(b"\xff\xd8\xff")
    assert len(found.grid) < (run / "reconstructions/a_epoch_0001.png").stat().st_size


def test_the_page_shows_them_where_they_are(tmp_path: Path) -> None:
    run = write_run(tmp_path, categories=("bolt", "tray"))
    assert 'id="learning"' not in write_page(run).read_text()
    write_epochs(run, epochs(3.0, 1.0), unit="global")
    grid(run, "global_epoch_0007.png")
    (section,) = re.findall(r'<section id="learning">.*?</section>', write_page(run).read_text(), flags=re.S)
    assert "Loss by epoch: global." in section
    assert "after epoch 7" in section
    assert section.count("<svg") == section.count("<img") == 1


@pytest.mark.parametrize("text", ["epoch,val/total\none,2\n", "val/total\n1\n", "epoch\n1,2,3\n"])
def test_a_file_that_is_none_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "learning").mkdir()
    (tmp_path / "learning/c.csv").write_text(text)
    with pytest.raises(AdframeError, match=r"learning/c\.csv"):
        read_epochs(tmp_path, unit="c")
