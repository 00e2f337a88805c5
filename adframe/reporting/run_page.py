"""The page of a run: `report.html`, one self-contained file, a pure function of the run's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from adframe.io.files import write_whole
from adframe.reporting import reliability_diagram, run_breakdowns, run_facts, threshold_summary
from adframe.reporting.feature_plots import clouds
from adframe.reporting.html import fill
from adframe.reporting.plots import Plot, histogram_plot, pr_plot, roc_plot
from adframe.reporting.summary import Confusion, Timing, confusion, interval, timing
from adframe.reporting.tables import DASH, Table, metrics_table, shown
from adframe.reporting.training_curves import learned
from adframe.results.gallery import BUDGET, Picture, data_uris
from adframe.results.names import HEADLINE, MEAN, TITLES
from adframe.results.predictions import Row
from adframe.results.run_files import config_text
from adframe.results.run_folder import RunFolder

PAGE = "report.html"
_FIRST = 4  # pictures of a kind that are open to the eye; the others wait behind a fold


@dataclass(frozen=True, slots=True)
class Shelf:
    """The best or the worst pictures of a category."""

    kind: str
    first: tuple[Picture, ...]
    folded: tuple[Picture, ...]


@dataclass(frozen=True, slots=True)
class Section:
    """All that the page says of one category."""

    anchor: str
    name: str
    auroc: float | None
    contents: str  # how many images of which kind
    metrics: tuple[tuple[str, str], ...]
    plots: tuple[Plot, ...]
    defects: Table | None
    lights: Table | None
    shelves: tuple[Shelf, ...]


def write_page(run: Path) -> Path:
    """Write a run's `report.html` from what lies in its folder, and return its path.

    Args:
        run: the run's folder; metrics.json must be there, whatever else is missing the page leaves out.

    Raises:
        AdframeError: a file cannot be understood, or the page cannot be written.
    """
    path = run / PAGE
    write_whole(path, render(RunFolder.read(run)))
    return path


def render(run: RunFolder) -> str:
    """The page's HTML. No external request: pictures are data URIs, style and script are inside."""
    table = metrics_table(run.test)
    lines = threshold_summary.calibrated(run)
    lessons = learned(run.path)
    taken = sum(len(lesson.grid) for lesson in lessons) * 3 // 4  # bytes; base64 makes four of three
    context = {
        "run": run,
        "title": run_facts.verdict(run),
        "verdict": run_facts.verdict(run),
        "facts": run_facts.facts(run),
        "tiles": run_facts.tiles(run),
        "warnings": _texts(run.environment.get("warnings")) + _odd_scores(run.rows),
        "table": table,
        "marks": marks(table),
        "ends": ends(table, run),
        "calibration": threshold_summary.calibration_name(run),
        "calibrated": lines,
        "pixel_rule": threshold_summary.pixel_rule(run),
        "pixels": any(line.pixel_threshold is not None for line in lines),
        "categories": len(run.categories),
        "asked": threshold_summary.asked_rate(run),
        "broken": threshold_summary.broken_promises(run, lines),
        "decisions": _decisions(run),
        "duel": run_breakdowns.duel(run),
        "held": reliability_diagram.held(run),
        "lights": run_breakdowns.light_table(run),
        "defects": run_breakdowns.defect_table(run),
        "sections": [_section(run, name, place=place) for place, name in enumerate(run.categories)],
        "lessons": lessons,
        "clouds": clouds(run.path, run.categories),
        "timings": _timings(run),
        "model_facts": {name: run_facts.model_facts(run, name) for name in run.categories},
        "command": run_facts.command(run),
        "config": config_text(run.config) if run.config else "",
        "environment": _environment(run),
        "uris": data_uris(run.path, run.gallery, budget=BUDGET - taken),
        "interval": interval,
    }
    return fill("page.html", context)


def ends(table: Table, run: RunFolder) -> dict[tuple[int, int], str]:
    """The interval of each cell, by (row, column), that has one: `91.0–98.7`, in per cent."""  # noqa: RUF002
    cells = ((line, place) for line in range(len(table.rows)) for place in range(1, len(table.columns)))
    found = {
        (line, place): run.intervals.get(str(table.rows[line][0]), {}).get(table.columns[place].key)
        for line, place in cells
    }
    return {at: DASH.join(shown(end, percent=True) for end in pair) for at, pair in found.items() if pair}


def marks(table: Table) -> dict[tuple[int, int], str]:
    """Cells, by (row, column), that are best or worst of their column; none below three categories."""
    rows = [place for place, row in enumerate(table.rows) if row[0] != MEAN]
    found: dict[tuple[int, int], str] = {}
    for column in range(1, len(table.columns)):
        cells = {place: table.rows[place][column] for place in rows}
        known = {
            place: cell for place, cell in cells.items() if isinstance(cell, float) and math.isfinite(cell)
        }
        if len(known) < 3 or min(known.values()) == max(known.values()):
            continue
        found |= {(place, column): "best" for place, cell in known.items() if cell == max(known.values())}
        found |= {(place, column): "worst" for place, cell in known.items() if cell == min(known.values())}
    return found


def _section(run: RunFolder, name: str, *, place: int) -> Section:
    rows = [row for row in run.rows if row["category"] == name]
    thresholds = [row["threshold"] for row in rows if row["threshold"] is not None]
    numbers = run.test.get(name, {})
    alone = len(run.categories) == 1
    keys = [key for key in (*HEADLINE, "image/class_f1") if numbers.get(key) is not None]
    return Section(
        anchor=f"category-{place}",  # never the name: it may be anything
        name=name,
        auroc=numbers.get("image/auroc"),
        contents=_contents(rows),
        metrics=tuple((TITLES[key], shown(numbers[key], percent=True)) for key in keys),
        plots=(
            (
                histogram_plot(rows, threshold=thresholds[0] if thresholds else None),
                roc_plot(rows),
                pr_plot(rows),
            )
            if rows
            else ()
        ),
        # The only category's tables would say what the run's own already say.
        defects=None
        if alone and run_breakdowns.defect_table(run)
        else run_breakdowns.category_defects(run, name),
        lights=None
        if alone and run_breakdowns.light_table(run)
        else run_breakdowns.category_lights(run, name),
        shelves=tuple(_shelf(run, name, kind) for kind in ("worst", "best")),
    )


def _shelf(run: RunFolder, category: str, kind: str) -> Shelf:
    found = tuple(each for each in run.gallery if each.category == category and each.kind == kind)
    return Shelf(kind, found[:_FIRST], found[_FIRST:])


def _contents(rows: Sequence[Row]) -> str:
    counts = {
        "normal": sum(row["label"] == 0 for row in rows),
        "anomalous": sum(row["label"] == 1 for row in rows),
        "unlabelled": sum(row["label"] is None for row in rows),
    }
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    flagged = sum(row["decision"] is True for row in rows if row["label"] is None)
    tail = f"; {flagged} of the unlabelled called anomalous" if counts["unlabelled"] else ""
    return f"{len(rows)} test images: {kinds}{tail}" if rows else ""


def _decisions(run: RunFolder) -> list[tuple[str, Confusion]]:
    """Counts for each category, then pooled where there are several; only what has been decided."""
    counts = [
        (name, confusion([row for row in run.rows if row["category"] == name])) for name in run.categories
    ]
    lines = [(name, count) for name, count in counts if count.total]
    return [*lines, ("all images", confusion(run.rows))] if len(lines) > 1 else lines


def _timings(run: RunFolder) -> list[Timing]:
    parts = [(name, [row for row in run.rows if row["category"] == name]) for name in run.categories]
    return [timing(rows, name=name) for name, rows in parts if rows]


def _environment(run: RunFolder) -> list[tuple[str, str]]:
    hidden = ("command", "warnings")
    return run_facts.flat({key: value for key, value in run.environment.items() if key not in hidden})


def _odd_scores(rows: Sequence[Row]) -> list[str]:
    odd = sum(not math.isfinite(row["score"]) for row in rows)
    return [f"{odd} of {len(rows)} images have no finite score; curves leave them out."] if odd else []


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if value else []
