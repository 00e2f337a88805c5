"""The page of a run: `report.html`, one self-contained file, a pure function of the run's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.io.files import write_whole
from adframe.reporting import run_breakdowns, run_facts
from adframe.reporting.document import (
    Block,
    Details,
    Facts,
    Page,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.format import span
from adframe.reporting.page_writer import render
from adframe.reporting.run_category import category_section
from adframe.reporting.run_sections import (
    calibration,
    configuration,
    decisions,
    environment,
    features,
    learning,
    probabilities,
    time_and_memory,
)
from adframe.reporting.tables import Table, metrics_table
from adframe.results.names import MEAN, TITLES
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

PAGE = "report.html"
_MOST_TYPES = 12  # types of defect that are shown at once


def write_page(run: Path) -> Path:
    """Write a run's `report.html` from what lies in its folder, and return its path.

    Args:
        run: the run's folder; metrics.json must be there, whatever else is missing the page leaves out.

    Raises:
        AdframeError: a file cannot be understood, or the page cannot be written.
    """
    path = run / PAGE
    write_whole(path, render(page_of(RunFolder.read(run))))
    return path


def page_of(run: RunFolder) -> Page:
    """What the page of a run holds."""
    after = (learning(run), features(run), time_and_memory(run), configuration(run), environment(run))
    found = [
        _results(run),
        calibration(run),
        decisions(run),
        _zones(run),
        probabilities(run),
        _lights(run),
        _defects(run),
        *(category_section(run, name, place=place) for place, name in enumerate(run.categories)),
        *after,
    ]
    return Page(
        title=run_facts.verdict(run),
        facts=run_facts.facts(run),
        sections=[section for section in found if section is not None],
        notes=[*_texts(run.environment.get("warnings")), *_odd_scores(run.rows)],
        command=run_facts.command(run),
        source="the files in the run's folder",
    )


def intervals_of(table: Table, run: RunFolder) -> dict[tuple[int, int], str]:
    """The interval of each cell, by (row, column), that has one: `(91.0 to 98.7)`, in per cent."""
    cells = ((line, place) for line in range(len(table.rows)) for place in range(1, len(table.columns)))
    found = {
        (line, place): run.intervals.get(str(table.rows[line][0]), {}).get(table.columns[place].key)
        for line, place in cells
    }
    return {at: f"({span(*pair)})" for at, pair in found.items() if pair}


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


def _results(run: RunFolder) -> Section:
    table = metrics_table(run.test)
    notes, marked = intervals_of(table, run), marks(table)
    parts = ["Metrics of the test images by category, in per cent; raw scores rank the images."]
    if notes:
        parts.append(
            "In brackets: the 95% bootstrap interval, in which the number would lie on other images of the "
            "same kind; the images of one part are kept together."
        )
    if MEAN in run.intervals:
        parts.append("The interval of the mean takes the categories as given.")
    if marked:
        parts.append("The best and the worst category of each column are marked.")
    tiles = Facts(tuple(run_facts.tiles(run)), tiles=True)
    body: Block = Text("metrics.json has no headline metric of the test images: are they labelled?", "absent")
    if len(table.columns) > 1:
        body = TableBlock("metrics", " ".join(parts), table, notes=notes, marks=marked)
    return Section("Results", (*([tiles] if tiles.pairs else []), body), anchor="results")


def _zones(run: RunFolder) -> Section | None:
    found = run_breakdowns.zone_table(run)
    if found is None:
        return None
    caption = (
        "Decisions by one threshold and by zone thresholds, in per cent; the better one of each pair is "
        "marked. FPR is the share of normal images that are called anomalous: lower is better. SegF1 and "
        "IoU compare the marked pixels with the annotated ones."
    )
    text = (
        "An image is compared with one threshold, or with local thresholds: one per zone of a grid over the "
        "image. Local thresholds pay off where parts of the image are always noisier than others."
    )
    table = TableBlock("zones", caption, found[0], marks=found[1])
    return Section("Thresholds compared", (text, table), anchor="zones")


def _lights(run: RunFolder) -> Section | None:
    table = run_breakdowns.light_table(run)
    if table is None:
        return None
    mean = ", as a mean over the categories" if len(run.categories) > 1 else ""
    caption = f"Metrics of the images taken in each light{mean}, in per cent."
    if TITLES["image/class_f1"] in table.header:
        caption += " For class F1, an image counts as anomalous if any pixel exceeds the pixel threshold."
    block = TableBlock("lights", caption, table, total=run_breakdowns.ALL)
    return Section("By light condition", (block,), anchor="lights")


def _defects(run: RunFolder) -> Section | None:
    table = run_breakdowns.defect_table(run)
    if table is None:
        return None
    caption = (
        "Each type of defect compared with all normal images of its category, in per cent, sorted by image "
        "AUROC, then by recall: the types that are hardest to detect come first. Recall is the share of "
        "these images that exceed the image threshold."
    )
    blocks: list[Block] = [TableBlock("defects", caption, table.part(0, _MOST_TYPES))]
    if len(table.rows) > _MOST_TYPES:
        rest = TableBlock("defects_more", "", table.part(_MOST_TYPES, None))
        blocks.append(Details(f"{len(table.rows) - _MOST_TYPES} more, in the same order", (rest,)))
    return Section("By defect type", tuple(blocks), anchor="defects")


def _odd_scores(rows: Sequence[Row]) -> list[str]:
    odd = sum(not math.isfinite(row["score"]) for row in rows)
    return [f"{odd} of {len(rows)} images have no finite score; curves leave them out."] if odd else []


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if value else []
