"""How a method learned: losses by epoch, and the last picture of what it rebuilds."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from adframe.errors import AdframeError
from adframe.io.csv_text import csv_text
from adframe.io.files import write_whole
from adframe.reporting.document import Figure
from adframe.reporting.figure_training import losses
from adframe.results.gallery import picture_bytes, shrunk

FOLDER, GRIDS = "learning", "reconstructions"
TRAIN, HELD_OUT = "train/total", "val/total"
_GRID = re.compile(r"(.+)_epoch_(\d+)\.png")
_SMALL = 150_000  # bytes of a grid that stays as it is

Epoch = dict[str, float]  # by column


@dataclass(frozen=True, slots=True)
class Learned:
    """What the page shows of one training."""

    unit: str  # a category, or `global`
    figure: Figure | None
    grid: bytes  # the file of the last grid of pictures; empty where there is none
    epoch: int  # of the grid


def write_epochs(run: Path, epochs: Mapping[int, Epoch], *, unit: str) -> None:
    """Writes `learning/<unit>.csv`, one row per epoch in order.

    Args:
        run: the run's folder.
        epochs: columns by the epoch's number, counted from 1.
        unit: what was fitted.
    """
    columns = list(dict.fromkeys(name for epoch in epochs.values() for name in epoch))
    rows = [[number, *(epochs[number].get(name) for name in columns)] for number in sorted(epochs)]
    write_whole(_file(run, unit), csv_text(["epoch", *columns], rows))


def read_epochs(run: Path, *, unit: str) -> dict[int, Epoch]:
    """What `write_epochs` left, by number; {} where it left nothing.

    Raises:
        AdframeError: the file is there and cannot be understood.
    """
    path = _file(run, unit)
    if not path.is_file():
        return {}
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            rows = [{key: float(text) for key, text in row.items() if text} for row in csv.DictReader(lines)]
        return {int(row.pop("epoch")): row for row in rows}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, csv.Error) as error:
        raise AdframeError(f"cannot read {path}: {error!r}; delete it, the report is made without") from error


def learned(run: Path) -> list[Learned]:
    """Every training of a run that left losses or pictures, in the order of their names."""
    grids = last_grids(run)
    raw = {unit: picture_bytes(run, f"{GRIDS}/{file}") for unit, (_, file) in grids.items()}
    units = sorted({path.stem for path in (run / FOLDER).glob("*.csv")} | {unit for unit in raw if raw[unit]})
    return [
        Learned(
            unit,
            loss_figure(read_epochs(run, unit=unit), unit=unit, name=f"losses_{place}"),
            _slim(raw.get(unit, b"")),
            grids.get(unit, (0, ""))[0],
        )
        for place, unit in enumerate(units)
    ]


def last_grids(run: Path) -> dict[str, tuple[int, str]]:
    """By unit, the epoch of its last grid of pictures and the file's name in `reconstructions/`."""
    found: dict[str, tuple[int, str]] = {}
    for path in sorted((run / GRIDS).glob("*.png")):
        if match := _GRID.fullmatch(path.name):
            unit, epoch = match[1], int(match[2])
            found[unit] = max(found.get(unit, (0, "")), (epoch, path.name))
    return found


def best_epoch(epochs: Mapping[int, Epoch]) -> int | None:
    """The first of those with the lowest held-out loss: the one that is kept."""
    known = {n: each[HELD_OUT] for n, each in epochs.items() if math.isfinite(each.get(HELD_OUT, math.nan))}
    return min(known, key=lambda number: (known[number], number)) if known else None


def loss_figure(epochs: Mapping[int, Epoch], *, unit: str, name: str) -> Figure | None:
    """Total losses by epoch, of training and of held-out images, the best epoch marked; None without any.

    Args:
        epochs: by number.
        unit: what was fitted.
        name: of the figure.
    """
    columns = {"training": TRAIN, "held out": HELD_OUT}
    known = {
        label: {number: loss for number, epoch in epochs.items() if _is_known(loss := epoch.get(column))}
        for label, column in columns.items()
    }
    series = {label: points for label, points in known.items() if points}
    if not series:
        return None
    return losses(name, caption=f"Loss by epoch: {unit}.", series=series, best=best_epoch(epochs))


def _slim(content: bytes) -> bytes:
    """Large PNGs as JPEG: a page holds the grids of many categories."""
    return content if len(content) <= _SMALL else shrunk(content, scale=1.0)


def _file(run: Path, unit: str) -> Path:
    return run / FOLDER / f"{unit}.csv"


def _is_known(loss: float | None) -> TypeGuard[float]:
    return loss is not None and math.isfinite(loss)
