"""Losses by epoch and pictures of reconstructions: their files, and their figures for the page."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from adframe.errors import AdframeError
from adframe.io.csv_text import csv_text
from adframe.io.files import write_whole
from adframe.reporting.document import Figure
from adframe.reporting.figure_training import loss_curves
from adframe.results.gallery import picture_bytes, shrink_picture

LEARNING_FOLDER, GRIDS_FOLDER = "learning", "reconstructions"
TRAIN, HELD_OUT = "train/total", "val/total"
_GRID_FILE = re.compile(r"(.+)_epoch_(\d+)\.png")
_LARGEST_PNG = 150_000  # bytes; a larger grid of pictures becomes a JPEG on the page

Epoch = dict[str, float]  # column -> value


@dataclass(frozen=True, slots=True)
class TrainingCurve:
    """The losses and the last pictures of one training.

    Attributes:
        unit: a category, or `global`.
        figure: losses by epoch; None without any.
        grid: the PNG or JPEG file of the last grid of pictures; empty without any.
        epoch: of the grid, counted from 1.

    Example:
        >>> TrainingCurve("global", figure=None, grid=b"", epoch=0).unit
        'global'
    """

    unit: str
    figure: Figure | None
    grid: bytes
    epoch: int


def write_epochs(run: Path, epochs: Mapping[int, Epoch], *, unit: str) -> None:
    """Writes `learning/<unit>.csv`, one row per epoch in order.

    Args:
        run: the run's folder.
        epochs: number of the epoch, counted from 1 -> column -> value.
        unit: the fitted category, or `global`.

    Raises:
        AdframeError: the file cannot be written.
    """
    columns = list(dict.fromkeys(name for epoch in epochs.values() for name in epoch))
    rows = [[number, *(epochs[number].get(name) for name in columns)] for number in sorted(epochs)]
    write_whole(_curve_path(run, unit), csv_text(["epoch", *columns], rows))


def read_epochs(run: Path, *, unit: str) -> dict[int, Epoch]:
    """Reads the file of `write_epochs`.

    Args:
        run: the run's folder.
        unit: the fitted category, or `global`.

    Returns:
        Number of the epoch -> column -> value; {} where there is no file.

    Raises:
        AdframeError: the file exists and cannot be read.
    """
    path = _curve_path(run, unit)
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [{key: float(text) for key, text in row.items() if text} for row in csv.DictReader(lines)]
        return {int(row.pop("epoch")): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise AdframeError(
            f"cannot read {path}: {error!r}; delete it to make the report without it"
        ) from error


def training_curves(run: Path) -> list[TrainingCurve]:
    """Collects every training of a run that stored losses or pictures.

    Args:
        run: the run's folder.

    Returns:
        One record per training, by name.

    Raises:
        AdframeError: a file of losses cannot be read.
    """
    grids = last_grids(run)
    raw = {unit: picture_bytes(run, f"{GRIDS_FOLDER}/{file}") for unit, (_, file) in grids.items()}
    units = sorted(
        {path.stem for path in (run / LEARNING_FOLDER).glob("*.csv")} | {unit for unit in raw if raw[unit]}
    )
    return [
        TrainingCurve(
            unit,
            loss_figure(read_epochs(run, unit=unit), unit=unit, name=f"losses_{place}"),
            # A page holds the grids of many categories, so that large PNGs become JPEGs.
            grid if len(grid) <= _LARGEST_PNG else shrink_picture(grid, scale=1.0),
            grids.get(unit, (0, ""))[0],
        )
        for place, unit in enumerate(units)
        for grid in [raw.get(unit, b"")]
    ]


def last_grids(run: Path) -> dict[str, tuple[int, str]]:
    """Finds the last grid of pictures of each training.

    Args:
        run: the run's folder.

    Returns:
        Category or `global` -> number of the epoch, and the file's name in `reconstructions/`.
    """
    found: dict[str, tuple[int, str]] = {}
    for path in sorted((run / GRIDS_FOLDER).glob("*.png")):
        if match := _GRID_FILE.fullmatch(path.name):
            unit, epoch = match[1], int(match[2])
            found[unit] = max(found.get(unit, (0, "")), (epoch, path.name))
    return found


def best_epoch(epochs: Mapping[int, Epoch]) -> int | None:
    """Finds the epoch with the lowest held-out loss, whose weights are kept.

    Args:
        epochs: number of the epoch -> column -> value.

    Returns:
        The first such epoch; None without finite held-out losses.

    Example:
        >>> best_epoch({1: {"val/total": 0.5}, 2: {"val/total": 0.3}, 3: {"val/total": 0.3}})
        2
    """
    known = {n: each[HELD_OUT] for n, each in epochs.items() if math.isfinite(each.get(HELD_OUT, math.nan))}
    return min(known, key=lambda number: (known[number], number)) if known else None


def loss_figure(epochs: Mapping[int, Epoch], *, unit: str, name: str) -> Figure | None:
    """Draws the total losses of training and held-out images by epoch, with the best epoch marked.

    Args:
        epochs: number of the epoch -> column -> value.
        unit: the fitted category, or `global`.
        name: of the figure.

    Returns:
        The figure; None without finite losses.
    """
    columns = {"training": TRAIN, "held out": HELD_OUT}
    known = {
        label: {
            number: loss
            for number, epoch in epochs.items()
            if (loss := epoch.get(column)) is not None and math.isfinite(loss)
        }
        for label, column in columns.items()
    }
    series = {label: points for label, points in known.items() if points}
    if not series:
        return None
    return loss_curves(name, caption=f"Loss by epoch: {unit}.", series=series, best=best_epoch(epochs))


def _curve_path(run: Path, unit: str) -> Path:
    return run / LEARNING_FOLDER / f"{unit}.csv"
