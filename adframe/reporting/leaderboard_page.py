"""A sweep's runs in one table: what varied, the numbers with their intervals, the costs; the best marked."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from adframe.io.files import write_whole
from adframe.reporting import run_facts
from adframe.reporting.html import fill
from adframe.reporting.tables import DASH, Cell, Column, Table, is_share, shown, table_of
from adframe.results.sweep_folder import MEMORY, MODEL, SECONDS, Ends, Entry, Sweep, best, value_of

NAME = "leaderboard"  # of the files
STUDY = "study.html"  # of the page that a study makes of the same runs
MEGABYTES = {MODEL: "model MB", MEMORY: "memory MB"}


def for_programs(sweep: Sweep) -> Table:
    """Raw numbers under full names; `best` names the metrics by which a run is the best."""
    winners = best(sweep)
    rows: list[dict[str, Cell]] = []
    for entry in sweep.entries:
        row: dict[str, Cell] = {key: entry.told.get(key) for key in sweep.varied}
        row |= {"run": entry.run, **entry.costs}
        if sweep.objective:
            row[sweep.objective] = entry.objective
        row |= {key: entry.metrics.get(key) for key in sweep.measured}
        for key, ends in entry.intervals.items():
            row |= {f"{key}_low": ends[0], f"{key}_high": ends[1]}
        row["best"] = " ".join(key for key, runs in winners.items() if entry.run in runs) or None
        rows.append(row | {"folder": entry.folder, "error": entry.error})
    keys = list(dict.fromkeys(key for row in rows for key in row))
    last = [key for key in ("best", "folder", "error") if any(row.get(key) is not None for row in rows)]
    return table_of(rows, keys=[*(key for key in keys if key not in ("best", "folder", "error")), *last])


def for_people(sweep: Sweep, *, bold: str = "{}", intervals: bool = True) -> Table:
    """Percentages, short titles, whole seconds.

    Args:
        sweep: the runs.
        bold: around a number that is the best of its column.
        intervals: below or behind a number where it could lie on other images.
    """
    winners = best(sweep)
    costs = [key for key in (SECONDS, MODEL, MEMORY) if any(key in entry.costs for entry in sweep.entries)]
    asked = [sweep.objective] if sweep.objective else []
    columns = [
        *(Column(key, _title(key, sweep.varied)) for key in [*sweep.varied, "run"]),
        *(Column(key, MEGABYTES.get(key, key)) for key in costs),
        *(Column(key, key) for key in asked),
        *(table_of([{key: 0.0}]).columns[0] for key in sweep.measured),
    ]
    plain = tuple(replace(column, percent=False) for column in columns)
    rows = []
    for entry in sweep.entries:
        row: list[Cell] = [entry.told.get(key) for key in sweep.varied]
        row += [entry.run, *(_cost(entry, key) for key in costs)]
        for key in [*asked, *sweep.measured]:
            text = _number(sweep, entry, key, intervals=intervals)
            row.append(bold.format(text) if entry.run in winners.get(key, ()) else text)
        rows.append(tuple(row))
    return Table(plain, tuple(rows))


def write_sweep(sweep: Sweep) -> Path:
    """Writes `leaderboard.csv`, `.md` and `.html`; returns the page."""
    title = verdict(sweep)
    failed = [entry for entry in sweep.entries if entry.error is not None]
    text = for_people(sweep, bold="**{}**").to_markdown()
    errors = "".join(f"- run {entry.run}: {entry.error}\n" for entry in failed)
    notes = "\n".join(remarks(sweep))
    markdown = f"# {title}\n\n{text}\n{notes}\n" + (f"\n{errors}" if errors else "")
    context = {
        "title": title,
        "sweep": sweep,
        "table": for_people(sweep, intervals=False),
        "best": _places(sweep),
        "ends": _ends(sweep),
        "failed": failed,
        "remarks": remarks(sweep),
        "links": [entry.run if entry.folder else None for entry in sweep.entries],
        "study": (sweep.folder / STUDY).is_file(),
        "seconds": run_facts.duration(sum(entry.costs.get(SECONDS) or 0 for entry in sweep.entries)),
    }
    page = sweep.folder / f"{NAME}.html"
    write_whole(sweep.folder / f"{NAME}.csv", for_programs(sweep).to_csv())
    write_whole(sweep.folder / f"{NAME}.md", markdown)
    write_whole(page, fill("sweep.html", context))
    return page


def verdict(sweep: Sweep) -> str:
    """One sentence: how many runs, and the highest number."""
    done = [entry for entry in sweep.entries if entry.error is None]
    start = f"{len(done)} run{'' if len(done) == 1 else 's'}"
    first = done[0] if done else None
    value = value_of(sweep, first, sweep.ordering) if first else None
    if first is None or value is None or not math.isfinite(value):
        return (
            f"{start}, {len(sweep.entries) - len(done)} failed" if len(done) < len(sweep.entries) else start
        )
    told = ", ".join(f"{key}={first.told[key]}" for key in sweep.varied if key in first.told)
    number = shown(value, percent=is_share(sweep.ordering))
    name = table_of([{sweep.ordering: 0.0}]).header[0]
    side = "lowest" if sweep.objective and sweep.minimise else "highest"
    return f"{start}: the {side} {name} is {number}" + (f", with {told}" if told and len(done) > 1 else "")


def remarks(sweep: Sweep) -> list[str]:
    """What a reader has to know before choosing by the table."""
    if sweep.objective:
        order = (
            f"In the order of {sweep.objective}, a number of validation images: the search has seen none "
            "of the test images."
        )
    else:
        order = "Best image AUROC of test images first; to choose a setting by it is to choose on test data."
    overlap = (
        "Runs see the same images, so intervals that overlap do not say that two runs are alike: "
        "python evaluate.py compare=[<run>,<run>] tests the difference."
    )
    return [order, overlap] if len(sweep.entries) > 1 else [order]


def _number(sweep: Sweep, entry: Entry, key: str, *, intervals: bool) -> str:
    value = value_of(sweep, entry, key)
    text = shown(value, percent=is_share(key))
    ends = entry.intervals.get(key)
    return f"{text} ({_span(ends)})" if ends and intervals and value is not None else text


def _span(ends: Ends) -> str:
    return DASH.join(shown(end, percent=True) for end in ends)


def _cost(entry: Entry, key: str) -> str | None:
    value = entry.costs.get(key)
    if key == SECONDS:
        return "failed" if entry.error is not None else shown(None if value is None else round(value))
    return None if value is None else f"{value / 1e6:.{3 if value < 1e9 else 4}g}"


def _title(key: str, keys: Sequence[str]) -> str:
    """`model.top_share` is `top_share`, unless another key would be called the same."""
    last = key.rpartition(".")[2]
    alike = [other for other in keys if other.rpartition(".")[2] == last]
    return key if "/" in key or len(alike) > 1 else last


def _places(sweep: Sweep) -> set[tuple[int, int]]:
    """Cells of `for_people` that are the best of their column."""
    winners, columns = best(sweep), for_people(sweep).columns
    return {
        (line, place)
        for place, column in enumerate(columns)
        for line, entry in enumerate(sweep.entries)
        if entry.run in winners.get(column.key, ())
    }


def _ends(sweep: Sweep) -> dict[tuple[int, int], str]:
    """The interval of each cell of `for_people` that has one."""
    columns = for_people(sweep).columns
    return {
        (line, place): _span(entry.intervals[column.key])
        for line, entry in enumerate(sweep.entries)
        for place, column in enumerate(columns)
        if column.key in entry.intervals
    }
