"""The leaderboard of a sweep: overrides, metrics with intervals, and costs of its runs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adframe.io.files import write_whole
from adframe.io.program import command_of
from adframe.reporting import run_facts
from adframe.reporting.document import Page, Section, TableBlock
from adframe.reporting.format import span
from adframe.reporting.page_writer import render_page
from adframe.reporting.summary import confusion
from adframe.reporting.tables import Cell, Column, Table, is_share, shown, table_of
from adframe.results.run_folder import MEMORY, MODEL, SECONDS
from adframe.results.sweep_folder import SweepFolder, SweepRun

NAME = "leaderboard"  # of the files, without suffix
_NAMED = 2  # runs with the same best number that the title names
MEGABYTES = {MODEL: "model MB", MEMORY: "memory MB"}


def raw_table(sweep: SweepFolder) -> Table:
    """Builds the table for programs: unrounded numbers under full names.

    Args:
        sweep: the runs.

    Returns:
        One row per run; the column `best` names the metrics in which the run is the best.
    """
    winners = sweep.best()
    rows: list[dict[str, Cell]] = []
    for run in sweep.runs:
        row: dict[str, Cell] = {key: run.overrides.get(key) for key in sweep.varied}
        row |= {"run": run.name, **run.costs}
        if sweep.objective:
            row[sweep.objective] = run.objective
        row |= {key: run.metrics.get(key) for key in sweep.measured}
        for key, ends in run.intervals.items():
            row |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
        row["best"] = " ".join(key for key, runs in winners.items() if run.name in runs) or None
        rows.append(row | {"folder": str(run.folder.path) if run.folder else None, "error": run.error})
    keys = list(dict.fromkeys(key for row in rows for key in row))
    last = [key for key in ("best", "folder", "error") if any(row.get(key) is not None for row in rows)]
    return table_of(rows, keys=[*(key for key in keys if key not in ("best", "folder", "error")), *last])


def rounded_table(sweep: SweepFolder, *, bold: str = "{}", intervals: bool = True) -> Table:
    """Builds the table for readers: percentages, short titles, whole seconds.

    Args:
        sweep: the runs.
        bold: format string for the best number of each column, such as `**{}**`.
        intervals: whether the 95% interval follows each number.

    Returns:
        One row per run in the order of the sweep.
    """
    winners = sweep.best()
    costs = [key for key in (SECONDS, MODEL, MEMORY) if any(key in run.costs for run in sweep.runs)]
    asked = [sweep.objective] if sweep.objective else []
    columns = [
        *(Column(key, _short_key(key, sweep.varied)) for key in [*sweep.varied, "run"]),
        *(Column(key, MEGABYTES.get(key, key)) for key in costs),
        *(Column(key, key) for key in asked),
        *(table_of([{key: 0.0}]).columns[0] for key in sweep.measured),
    ]
    # The cells are already texts in per cent; a percentage column would multiply them again.
    plain = tuple(replace(column, percent=False) for column in columns)
    rows = []
    for run in sweep.runs:
        row: list[Cell] = [run.overrides.get(key) for key in sweep.varied]
        row += [run.name, *(_cost(run, key) for key in costs)]
        for key in [*asked, *sweep.measured]:
            text = _metric_text(sweep, run, key, intervals=intervals)
            row.append(bold.format(text) if run.name in winners.get(key, ()) else text)
        rows.append(tuple(row))
    return Table(plain, tuple(rows))


def write_leaderboard(sweep: SweepFolder, *, study: Path | None = None) -> Path:
    """Writes `leaderboard.csv`, `.md` and `.html`.

    Args:
        sweep: the sweep.
        study: the page of its study, to which the leaderboard links; None where there is none.

    Returns:
        The path of the page.

    Raises:
        AdframeError: a file cannot be written.
    """
    title = leaderboard_title(sweep)
    text = rounded_table(sweep, bold="**{}**").to_markdown()
    errors = "".join(f"- run {run.name}: {run.error}\n" for run in sweep.failed)
    notes = "\n".join(leaderboard_notes(sweep))
    markdown = f"# {title}\n\n{text}\n{notes}\n" + (f"\n{errors}" if errors else "")
    page = sweep.path / f"{NAME}.html"
    write_whole(sweep.path / f"{NAME}.csv", raw_table(sweep).to_csv())
    write_whole(sweep.path / f"{NAME}.md", markdown)
    write_whole(page, render_page(_page(sweep, title=title, study=study)))
    return page


def _page(sweep: SweepFolder, *, title: str, study: Path | None) -> Page:
    winners = sweep.best()
    columns = rounded_table(sweep).columns
    cells = {
        (line, place): (run, column.key)
        for line, run in enumerate(sweep.runs)
        for place, column in enumerate(columns)
    }
    notes = {at: f"({span(*run.intervals[key])})" for at, (run, key) in cells.items() if key in run.intervals}
    marks = {at: "best" for at, (run, key) in cells.items() if run.name in winners.get(key, ())}
    links = {
        at: f"{run.name}/report.html"
        for at, (run, key) in cells.items()
        if key == "run" and (sweep.path / run.name / "report.html").is_file()
    }
    caption = "Metrics of the test images in per cent, as a mean over the categories."
    caption += " In brackets: the 95% interval." if notes else ""
    caption += " The best value of each column is marked." if marks else ""
    table = TableBlock(
        NAME,
        f"{caption} Memory is the largest amount that the process of the run used.",
        rounded_table(sweep, intervals=False),
        notes=notes,
        marks=marks,
        links=links,
    )
    failed = tuple(f"Run {run.name} failed: {run.error}" for run in sweep.failed)
    count = f"{len(sweep.runs)}" + (f", {len(sweep.failed)} failed" if sweep.failed else "")
    return Page(
        title=title,
        facts=[
            ("runs", count),
            ("overrides", ", ".join(sweep.varied) or "nothing"),
            ("time, all runs", run_facts.duration(sweep.seconds)),
        ],
        sections=[
            Section("Results", (table, *leaderboard_notes(sweep)), anchor="results"),
            *([Section("Failed runs", failed, anchor="failed")] if failed else []),
        ],
        command=sweep.command,
        again="Run the sweep again",
        links=[(study.name, "Figures and tests")] if study else [],
    )


def leaderboard_title(sweep: SweepFolder) -> str:
    """Summarises a sweep in one sentence: the number of runs, and the best run with its number and its
    decisions on test images.

    Args:
        sweep: the runs, the best one first.

    Returns:
        The sentence without a full stop; runs with the same best number are both named, or counted.
    """
    done = [run for run in sweep.runs if run.error is None]
    start = f"{len(done)} run{'' if len(done) == 1 else 's'}"
    first = done[0] if done else None
    value = sweep.value(first, sweep.ordering) if first else None
    if first is None or value is None or not math.isfinite(value):
        return f"{start}, {len(sweep.runs) - len(done)} failed" if len(done) < len(sweep.runs) else start
    tied = [run for run in done if sweep.value(run, sweep.ordering) == value]
    number = shown(value, percent=is_share(sweep.ordering))
    name = table_of([{sweep.ordering: 0.0}]).header[0]
    side = "lowest" if sweep.objective and sweep.minimise else "highest"
    counts = confusion(first.folder.rows) if first.folder is not None else None
    decisions = (
        f"; this run {counts.decisions}" if counts is not None and counts.found + counts.missed else ""
    )
    if len(tied) == len(done) > 1:
        return f"{start}: {'both' if len(done) == 2 else 'all'} have {name} {number}"
    named = [text for run in tied if (text := _overrides_text(sweep, run))] if len(done) > 1 else []
    which = f", with {' and with '.join(named)}" if 0 < len(named) <= _NAMED else ""
    if len(tied) > _NAMED:
        which = f", in {len(tied)} of them"
    return f"{start}: the {side} {name} is {number}{which}" + (decisions if len(tied) == 1 else "")


def leaderboard_notes(sweep: SweepFolder) -> list[str]:
    """Returns what a reader must know before choosing a setting by the table.

    Args:
        sweep: the runs.

    Returns:
        One or two sentences.
    """
    if sweep.objective:
        order = (
            f"The runs are in the order of {sweep.objective}, which is measured on validation images: the "
            "search has used no test image."
        )
    else:
        order = (
            "The runs are in the order of the image AUROC on test images, the best one first; a setting that "
            "is chosen by it is chosen on test data."
        )
    overlap = (
        "The runs use the same images, so two can differ significantly although their intervals overlap: "
        f"{command_of('evaluate')} compare=[<run>,<run>] tests the difference."
    )
    return [order, overlap] if len(sweep.runs) > 1 else [order]


def _overrides_text(sweep: SweepFolder, run: SweepRun) -> str:
    return ", ".join(f"{key}={run.overrides[key]}" for key in sweep.varied if key in run.overrides)


def _metric_text(sweep: SweepFolder, run: SweepRun, key: str, *, intervals: bool) -> str:
    value = sweep.value(run, key)
    text = shown(value, percent=is_share(key))
    ends = run.intervals.get(key)
    return f"{text} ({span(*ends)})" if ends and intervals and value is not None else text


def _cost(run: SweepRun, key: str) -> str | None:
    value = run.costs.get(key)
    if key == SECONDS:
        return "failed" if run.error is not None else shown(None if value is None else round(value))
    return None if value is None else f"{value / 1e6:.{3 if value < 1e9 else 4}g}"


def _short_key(key: str, keys: Sequence[str]) -> str:
    """Shortens `model.top_share` to `top_share`, unless another key would get the same name."""
    last = key.rpartition(".")[2]
    same_name = [other for other in keys if other.rpartition(".")[2] == last]
    return key if "/" in key or len(same_name) > 1 else last
