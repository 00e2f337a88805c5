"""How a method learned: losses by epoch, and the last picture of what it rebuilds."""

from __future__ import annotations

import csv
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from adframe.errors import AdframeError
from adframe.io.csv_text import csv_text
from adframe.io.files import write_whole
from adframe.reporting import svg
from adframe.reporting.plots import Plot
from adframe.results.gallery import fitted_uris, picture_bytes, shrunk

FOLDER, GRIDS = "learning", "reconstructions"
TRAIN, HELD_OUT = "train/total", "val/total"
_GRID = re.compile(r"(.+)_epoch_(\d+)\.png")
BUDGET = 2_500_000  # bytes of all grids in a page
_SMALL = 150_000  # bytes of a grid that stays as it is
_FEW = 12  # epochs: so many or fewer are marked one by one
_WIDE = 20.0  # highest over lowest loss: from here on a straight scale would show the first epochs alone

Epoch = dict[str, float]  # by column


@dataclass(frozen=True, slots=True)
class Learned:
    """What the page shows of one training."""

    unit: str  # a category, or `global`
    plot: Plot | None
    grid: str  # the last grid as a data URI; "" where there is none
    epoch: int  # of the grid


def write_epochs(run: Path, epochs: Mapping[int, Epoch], *, unit: str) -> None:
    """Writes `learning/<unit>.csv`, a row an epoch in order.

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
    raw = {unit: _slim(picture_bytes(run, f"{GRIDS}/{file}")) for unit, (_, file) in grids.items()}
    uris = fitted_uris(raw, budget=BUDGET)
    units = sorted({path.stem for path in (run / FOLDER).glob("*.csv")} | set(uris))
    return [
        Learned(unit, loss_plot(read_epochs(run, unit=unit)), uris.get(unit, ""), grids.get(unit, (0, ""))[0])
        for unit in units
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


def loss_plot(epochs: Mapping[int, Epoch]) -> Plot | None:
    """Total losses by epoch, in training and on held-out images, the best epoch marked; None without any."""
    lines = {name: points for name in (TRAIN, HELD_OUT) if (points := _points(epochs, name))}
    if not lines:
        return None
    values = [value for points in lines.values() for _, value in points]
    log = min(values) > 0 and max(values) / min(values) > _WIDE
    frame, best = _frame(sorted(epochs), values, log=log), best_epoch(epochs)
    parts = [_axes(frame, values, log=log)]
    if best is not None:
        parts.append(svg.segment(frame, (best, frame.y[0]), (best, frame.y[1]), name="threshold"))
    legend = []
    for name, points in lines.items():
        style, text = ("train", "training") if name == TRAIN else ("held-out", "held out")
        parts += _line([(x, _height(y, log=log)) for x, y in points], frame=frame, name=style)
        legend.append((style, text))
    legend += [("threshold", f"lowest held out: epoch {best}, kept")] if best is not None else []
    words = f"Loss over {len(epochs)} epochs: {', '.join(text for _, text in legend)}"
    return Plot("Loss by epoch", svg.drawing(parts, title=words), tuple(legend))


def _slim(content: bytes) -> bytes:
    """Large PNGs as JPEG: a page holds the grids of many categories."""
    return content if len(content) <= _SMALL else shrunk(content, scale=1.0)


def _file(run: Path, unit: str) -> Path:
    return run / FOLDER / f"{unit}.csv"


def _points(epochs: Mapping[int, Epoch], name: str) -> list[tuple[int, float]]:
    known = ((number, epochs[number].get(name, math.nan)) for number in sorted(epochs))
    return [(number, value) for number, value in known if math.isfinite(value)]


def _height(value: float, *, log: bool) -> float:
    return math.log10(value) if log else value


def _frame(numbers: list[int], values: list[float], *, log: bool) -> svg.Frame:
    low, high = (_height(end(values), log=log) for end in (min, max))
    pad = 0.06 * (high - low) or max(0.05 * abs(high), 1e-6)
    side = 0.03 * (numbers[-1] - numbers[0]) or 0.5
    return svg.Frame((numbers[0] - side, numbers[-1] + side), (low - pad, high + pad))


def _axes(frame: svg.Frame, values: list[float], *, log: bool) -> Markup:
    x_ticks = [(x, f"{x:g}") for x in svg.round_ticks(*frame.x) if x % 1 == 0]
    if log:
        steps = (m * 10.0**p for p in range(-12, 12) for m in (1, 2, 5))
        y_ticks = [(math.log10(s), f"{s:g}") for s in steps if min(values) <= s <= max(values)]
    else:
        y_ticks = [(y, f"{y:.4g}") for y in svg.round_ticks(*frame.y)]
    name = "total loss, log scale" if log else "total loss"
    return svg.axes(frame, x_ticks=x_ticks, y_ticks=y_ticks, x_name="epoch", y_name=name)


def _line(points: list[tuple[int, float]], *, frame: svg.Frame, name: str) -> list[Markup]:
    parts = [svg.line(frame, [x for x, _ in points], [y for _, y in points], name=name)]
    if len(points) <= _FEW:
        parts += [svg.dot(frame, x, y, name=name, title=f"epoch {x}", radius=3) for x, y in points]
    return parts
