"""The page of a run: `report.html`, one self-contained file, which depends only on the run's folder."""

from __future__ import annotations

import math
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
from adframe.reporting.page_writer import render_page
from adframe.reporting.run_category import category_section
from adframe.reporting.run_sections import (
    calibration_section,
    configuration_section,
    decisions_section,
    environment_section,
    features_section,
    learning_section,
    probabilities_section,
    time_section,
)
from adframe.reporting.tables import Table, metrics_table
from adframe.results.names import MEAN, TITLES
from adframe.results.run_folder import RunFolder

PAGE = "report.html"
_MOST_TYPES = 12  # types of defect that are shown at once; the others are folded


def write_page(run: Path) -> Path:
    """Writes the `report.html` of a run from the files in its folder.

    Args:
        run: the run's folder; metrics.json must exist, all other files may be missing.

    Returns:
        The path of the page.

    Raises:
        AdframeError: a file cannot be read, or the page cannot be written.
    """
    path = run / PAGE
    write_whole(path, render_page(page_of_run(RunFolder.read(run))))
    return path


def page_of_run(run: RunFolder) -> Page:
    """Builds the page of a run.

    Args:
        run: the run.

    Returns:
        The page; sections without content are left out.
    """
    after = (
        learning_section(run),
        features_section(run),
        time_section(run),
        configuration_section(run),
        environment_section(run),
    )
    found = [
        _results_section(run),
        calibration_section(run),
        decisions_section(run),
        _zones_section(run),
        probabilities_section(run),
        _lights_section(run),
        _defects_section(run),
        *(category_section(run, name, place=place) for place, name in enumerate(run.categories)),
        *after,
    ]
    odd = sum(not math.isfinite(row["score"]) for row in run.rows)
    not_finite = (
        [f"{odd} of {len(run.rows)} images have no finite score; the curves leave them out."] if odd else []
    )
    return Page(
        title=run_facts.run_verdict(run, weakest=False),  # the tables show it
        facts=run_facts.facts(run),
        sections=[section for section in found if section is not None],
        notes=[*_warning_texts(run.environment.get("warnings")), *not_finite],
        command=run_facts.command(run),
        source="the files in the run's folder",
    )


def cell_intervals(table: Table, run: RunFolder) -> dict[tuple[int, int], str]:
    """Writes the 95% interval of each cell of a table of metrics.

    Args:
        table: its first column names the categories.
        run: the run with the intervals.

    Returns:
        (row, column) -> `(91.0 to 98.7)` in per cent, for the cells with an interval.
    """
    cells = ((line, place) for line in range(len(table.rows)) for place in range(1, len(table.columns)))
    found = {
        (line, place): run.intervals.get(str(table.rows[line][0]), {}).get(table.columns[place].key)
        for line, place in cells
    }
    return {at: f"({span(*pair)})" for at, pair in found.items() if pair}


def best_and_worst(table: Table) -> dict[tuple[int, int], str]:
    """Marks the best and the worst category of each column.

    Args:
        table: of metrics by category; the row of the mean does not count.

    Returns:
        (row, column) -> `best` or `worst`; none in a column with fewer than three known or only equal values.
    """
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


def _results_section(run: RunFolder) -> Section:
    table = metrics_table(run.test)
    notes, marked = cell_intervals(table, run), best_and_worst(table)
    parts = ["Metrics of the test images by category, in per cent; images are ranked by raw scores."]
    if notes:
        parts.append(
            "In brackets: the 95% interval, which says how much the number would vary with other "
            "images of the same kind; images of one physical part are resampled together."
        )
    if MEAN in run.intervals and any(row[0] == MEAN for row in table.rows):
        parts.append("The interval of the mean treats the categories as fixed.")
    if marked:
        parts.append("The best and the worst category of each column are marked.")
    tiles = Facts(tuple(run_facts.tiles(run)), tiles=True)
    body: Block = Text(
        "metrics.json has no main metric of the test images: they may have no labels.", "absent"
    )
    if len(table.columns) > 1:
        body = TableBlock("metrics", " ".join(parts), table, notes=notes, marks=marked)
    return Section("Results", (*([tiles] if tiles.pairs else []), body), anchor="results")


def _zones_section(run: RunFolder) -> Section | None:
    found = run_breakdowns.zone_table(run)
    if found is None:
        return None
    caption = (
        "Decisions by one threshold and by zone thresholds, in per cent; the better one of each pair is "
        "marked. FPR is the share of normal images that are called anomalous: lower is better. SegF1 and "
        "IoU compare the predicted pixels with the annotated ones."
    )
    text = (
        "The anomaly map of an image is compared with one threshold, or with one threshold per zone of a "
        "grid over the image. Zone thresholds help where some parts of the image always have higher scores."
    )
    table = TableBlock("zones", caption, found[0], marks=found[1])
    return Section("Thresholds compared", (text, table), anchor="zones")


def _lights_section(run: RunFolder) -> Section | None:
    table = run_breakdowns.light_table(run)
    if table is None:
        return None
    mean = ", as a mean over the categories" if len(run.categories) > 1 else ""
    caption = f"Metrics of the images taken in each light{mean}, in per cent."
    if TITLES["image/class_f1"] in table.header:
        caption += " For class F1, an image counts as anomalous if any pixel exceeds the pixel threshold."
    block = TableBlock("lights", caption, table, total=run_breakdowns.ALL_LIGHTS)
    return Section("By light condition", (block,), anchor="lights")


def _defects_section(run: RunFolder) -> Section | None:
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


def _warning_texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if value else []
