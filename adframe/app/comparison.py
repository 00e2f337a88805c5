"""Compares finished runs on the same images: `python evaluate.py compare=[runA,runB]`.

Everything comes from the runs' ledgers; no model is loaded and no image is read.
"""

from __future__ import annotations

import math
import shlex
import string
import time
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import yaml
from rich.console import Console

from adframe.app.console import print_wide
from adframe.app.entrants import Entrant, check_same, fused, read_entrant
from adframe.contracts import AdframeError
from adframe.metrics.significance import holm, wilcoxon
from adframe.metrics.standings import Standing, mean_standings, standings
from adframe.ops.files import write_whole
from adframe.reports import words
from adframe.reports.run_folder import config_text
from adframe.reports.tables import DASH, MEAN, Cell, Column, Table, shown, table_of
from adframe.reports.template import fill

RESAMPLES, LEVEL = 1000, 0.95
_FUSED = "The line with + is the mean of the runs' scores, each in units of its own validation normals."
_FEWEST = 5  # categories from which on Wilcoxon's test is made
_SHOWN = (
    Column("category", "category"),
    Column("run", "run"),
    Column("auroc", "image AUROC", True),
    Column("interval", "95% interval"),
    Column("difference", "more than A"),
    Column("difference_interval", "95% interval"),
    Column("p", "p DeLong"),
    Column("holm", "p Holm"),
)
_STORED = (
    "category", "run", "image/auroc", "image/auroc_low", "image/auroc_high", "difference",
    "difference_low", "difference_high", "p_bootstrap", "p_delong", "p_holm"
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Line:
    """One run in one category; `holm` is `standing.p` corrected for all the comparisons of the table."""

    category: str
    run: str
    standing: Standing
    holm: float


def compare(runs: list[Path], *, output: Path | None, seed: int, fuse: bool = False) -> Path:
    """Prints how the runs differ in image AUROC; writes a page, a CSV, a Markdown and a LaTeX table.

    Args:
        runs: two or more runs' folders; each is compared with the first.
        output: the folder to write; by default `<first run>/comparisons/<time>`.
        seed: of the bootstrap.
        fuse: adds the mean of all runs' normalised scores as one more line.

    Returns:
        The folder.

    Raises:
        AdframeError: a folder is no run's, or the runs were tested on different images.
    """
    if len(runs) < 2 or len(runs) > len(string.ascii_uppercase):
        raise AdframeError(f"compare takes 2 to {len(string.ascii_uppercase)} runs, not {len(runs)}")
    if len({path.resolve() for path in runs}) < len(runs):
        raise AdframeError("compare names a run twice; give different runs' folders")
    entrants = [read_entrant(name, path) for name, path in zip(string.ascii_uppercase, runs, strict=False)]
    for other in entrants[1:]:
        check_same(entrants[0], other)
    lines = _lines([*entrants, fused(entrants)] if fuse else entrants, seed=seed)
    folder = output or _unused(runs[0] / "comparisons" / time.strftime("%Y-%m-%d_%H-%M-%S"))
    notes = [*_across(lines), *_remarks(entrants[0]), *([_FUSED] if fuse else [])]
    command = f"compare=[{','.join(str(entrant.run.path) for entrant in entrants)}]"
    given = [shlex.quote(command), *(["fuse=true"] if fuse else [])]
    _write(folder, entrants, lines, notes=notes, seed=seed, command=f"python evaluate.py {' '.join(given)}")
    print_wide(_for_people(lines), rest="comparison.csv")
    console = Console(soft_wrap=True, highlight=False, markup=False)
    for entrant in entrants:
        console.print(f"{entrant.name}: {entrant.run.path}")
    for note in notes:
        console.print(note)
    console.print(f"comparison: {folder / 'comparison.html'}")
    return folder


def _lines(entrants: Sequence[Entrant], *, seed: int) -> list[Line]:
    categories = list(dict.fromkeys(category for category, _ in entrants[0].images))
    found = {category: _category(entrants, category, seed=seed) for category in categories}
    rows = list(found.items())
    if len(rows) > 1:
        rows.append((MEAN, mean_standings(list(found.values()), level=LEVEL)))
    flat = [
        (category, entrant.name, standing)
        for category, row in rows
        for entrant, standing in zip(entrants, row, strict=True)
    ]
    corrected = holm([standing.p for _, _, standing in flat])
    return [Line(*line, p) for line, p in zip(flat, corrected, strict=True)]


def _category(entrants: Sequence[Entrant], category: str, *, seed: int) -> list[Standing]:
    keys = sorted(key for key in entrants[0].images if key[0] == category)
    rows = [entrants[0].images[key] for key in keys]
    return standings(
        [np.array([entrant.images[key]["score"] for key in keys], np.float64) for entrant in entrants],
        labels=np.array([bool(row["label"]) for row in rows]),
        subsets=np.array([row["subset"] for row in rows], dtype=str),
        groups=[row["group"] for row in rows],
        resamples=RESAMPLES,
        level=LEVEL,
        seed=(seed, zlib.crc32(category.encode())),  # or the categories' draws would move together
    )


def _across(lines: Sequence[Line]) -> list[str]:
    """Wilcoxon's test of each run against the first, a pair of AUROCs a category."""
    values: dict[str, list[float]] = {}
    for line in lines:
        if line.category != MEAN and math.isfinite(line.standing.value):
            values.setdefault(line.run, []).append(line.standing.value)
    first, *others = values or {"": []}
    count = len(values.get(first, []))
    if count < _FEWEST:
        return [f"No test across categories: Wilcoxon's needs {_FEWEST} or more, here are {count}."]
    p_values = [wilcoxon(values[first], values[name]) for name in others]
    text = "Across {} categories, {} against {}: p {} (Wilcoxon's signed ranks), {} by Holm's correction."
    triples = zip(others, p_values, holm(p_values), strict=True)
    found = [text.format(count, name, first, _p(p), _p(adjusted)) for name, p, adjusted in triples]
    least = 2 / 2**count  # every category on the same side
    return [*found, f"With {count} categories, that p is never below {least:.3f}."] if least > 0.05 else found


def _remarks(first: Entrant) -> list[str]:
    groups = [row["group"] for row in first.images.values() if row["group"]]
    if len(groups) == len(set(groups)):
        return []
    return [
        f"{len(groups)} images show {len(set(groups))} parts: DeLong's p takes them for independent and is "
        "too small; the intervals keep a part's images together and hold."
    ]


def _write(
    folder: Path,
    entrants: Sequence[Entrant],
    lines: Sequence[Line],
    *,
    notes: Sequence[str],
    seed: int,
    command: str,
) -> None:
    table, runs = _for_people(lines), table_of([_about(entrant) for entrant in entrants])
    stored = Table(tuple(Column(key, key) for key in _STORED), tuple(_raw(line) for line in lines))
    title = _verdict(lines)
    text = "\n".join([f"# {title}\n", runs.to_markdown(), table.to_markdown(), *notes, ""])
    context = {
        "title": title,
        "table": table,
        "runs": runs,
        "settings": _settings(entrants),
        "notes": notes,
        "images": len(entrants[0].images),
        "resamples": RESAMPLES,
        "seed": seed,
        "command": command,
    }
    write_whole(folder / "comparison.csv", stored.to_csv())
    write_whole(folder / "comparison.md", text)
    write_whole(folder / "comparison.tex", table.to_latex())
    write_whole(folder / "comparison.html", fill("comparison.html", context))


def _about(entrant: Entrant) -> dict[str, Cell]:
    facts = dict(words.facts(entrant.run))
    kept = {key: facts.get(key) for key in ("method", "backbone", "dataset", "shift", "seed")}
    known: dict[str, Cell] = {key: value for key, value in kept.items() if value}
    return {"run": entrant.name, **known, "folder": str(entrant.run.path)}


def _settings(entrants: Sequence[Entrant]) -> Table | None:
    """What the runs' configurations differ in, without where they lie and without secrets."""
    configs = [dict(words.flat(yaml.safe_load(config_text(entrant.run.config)))) for entrant in entrants]
    keys = dict.fromkeys(key for config in configs for key in config if not key.startswith("paths."))
    differ = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    columns = (Column("setting", "setting"), *(Column(entrant.name, entrant.name) for entrant in entrants))
    rows = tuple((key, *(config.get(key) for config in configs)) for key in differ)
    return Table(columns, rows) if rows else None


def _for_people(lines: Iterable[Line]) -> Table:
    return Table(_SHOWN, tuple(_cells(line) for line in lines))


def _cells(line: Line) -> tuple[Cell, ...]:
    own, more = line.standing, line.standing.difference
    start = (line.category, line.run, own.value, _ends(own.low, own.high))
    if more is None:
        return (*start, None, None, None, None)
    return (*start, _signed(more.value), _ends(more.low, more.high), _p(own.p), _p(line.holm))


def _raw(line: Line) -> tuple[Cell, ...]:
    own, more = line.standing, line.standing.difference
    gain = (None,) * 4 if more is None else (more.value, more.low, more.high, more.p)
    return (line.category, line.run, own.value, own.low, own.high, *gain, own.p, line.holm)


def _verdict(lines: Sequence[Line]) -> str:
    """One sentence on the last category, which is the mean where there are several."""
    last = [line for line in lines if line.category == lines[-1].category]
    where = "mean image AUROC" if last[0].category == MEAN else f"image AUROC of {last[0].category}"
    known = [line for line in last if math.isfinite(line.standing.value)]
    if not known:
        return f"{len(last)} runs without an {where}: a class is missing"
    best = max(known, key=lambda line: line.standing.value)
    numbers = ", ".join(f"{line.run} {shown(line.standing.value, percent=True)}" for line in last)
    gains = [line.standing.difference for line in last[1:]]
    if not any(gain and (gain.low > 0 or gain.high < 0) for gain in gains):
        return f"No difference to A in {where} that these images could show: {numbers}"
    return f"{best.run} has the highest {where}: {numbers}"


def _signed(value: float) -> str:
    return f"{100 * value:+.1f}" if math.isfinite(value) else DASH


def _ends(low: float, high: float) -> str:
    return f"[{100 * low:.1f}, {100 * high:.1f}]" if math.isfinite(low) else DASH


def _p(value: float) -> str:
    if not math.isfinite(value):
        return DASH
    return f"{value:.3f}" if value >= 0.001 else "<0.001"


def _unused(path: Path) -> Path:
    """The path, numbered where another comparison of the same second has it."""
    number = len(list(path.parent.glob(f"{path.name}*")))
    return path.with_name(f"{path.name}_{number}") if number else path
