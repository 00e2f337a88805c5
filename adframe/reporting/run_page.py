"""The page of a run: `report.html`, one self-contained file, a pure function of the run's folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from adframe.io.files import write_whole
from adframe.reporting import run_breakdowns, run_facts
from adframe.reporting.document import (
    Block,
    Card,
    Details,
    Facts,
    Gallery,
    Heading,
    Page,
    Picture,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.figure_scores import scores
from adframe.reporting.format import counted, span
from adframe.reporting.page_writer import render
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
from adframe.reporting.tables import Table, metrics_table, shown
from adframe.results.gallery import GalleryEntry, picture_bytes
from adframe.results.names import HEADLINE, MEAN, TITLES
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

PAGE = "report.html"
_FIRST = 4  # pictures of a kind that are shown at once; the others are folded away
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
        *(_category(run, name, place=place) for place, name in enumerate(run.categories)),
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


def _category(run: RunFolder, name: str, *, place: int) -> Section:
    rows = [row for row in run.rows if row["category"] == name]
    numbers = run.test.get(name, {})
    keys = [key for key in (*HEADLINE, "image/class_f1") if numbers.get(key) is not None]
    blocks: list[Block] = [Text(f"{_contents(rows)}.")] if rows else []
    if keys:
        blocks.append(Facts(tuple((TITLES[key], shown(numbers[key], percent=True)) for key in keys)))
    if rows:
        thresholds = [row["threshold"] for row in rows if row["threshold"] is not None]
        caption = (
            "Normal images are counted upwards and anomalous ones downwards; the ring is at the rates of the "
            "decisions."
        )
        figure = scores(
            f"scores_{place}", caption=caption, rows=rows, threshold=thresholds[0] if thresholds else None
        )
        blocks.append(figure)
    else:
        blocks.append(
            Text("There are no curves: predictions.parquet has no rows of this category.", "absent")
        )
    blocks += _category_tables(run, name, place=place)
    blocks += _pictures(run, name)
    return Section(
        name,
        tuple(blocks),
        anchor=f"category-{place}",  # never the name: it may be anything
        group="Categories (image AUROC)",
        number=shown(numbers.get("image/auroc"), percent=True),
    )


def _category_tables(run: RunFolder, name: str, *, place: int) -> list[Block]:
    """Types of defect and lights; the tables of an only category would repeat those of the run."""
    alone = len(run.categories) == 1
    blocks: list[Block] = []
    defects = run_breakdowns.category_defects(run, name)
    if defects is not None and not (alone and run_breakdowns.defect_table(run)):
        caption = "Each type of defect compared with all normal images, in per cent."
        blocks += [Heading("By defect type"), TableBlock(f"defects_{place}", caption, defects)]
    lights = run_breakdowns.category_lights(run, name)
    if lights is not None and not (alone and run_breakdowns.light_table(run)):
        caption = "Metrics of the images taken in each light, in per cent."
        blocks += [Heading("By light condition"), TableBlock(f"lights_{place}", caption, lights)]
    return blocks


def _pictures(run: RunFolder, category: str) -> list[Block]:
    blocks: list[Block] = []
    for kind, title in (("worst", "Worst decisions"), ("best", "Best decisions")):
        found = [each for each in run.gallery if each.category == category and each.kind == kind]
        if not found:
            continue
        cards = tuple(_card(run, each) for each in found)
        explained = [] if blocks else [Text(_TILES)]
        blocks += [Heading(title), *explained, Gallery(cards[:_FIRST])]
        if cards[_FIRST:]:
            blocks.append(Details(f"{len(cards) - _FIRST} more", (Gallery(cards[_FIRST:]),)))
    return blocks


_TILES = (
    "From left to right: the image, the annotated defect outlined in green, and the heatmap. The colour "
    "scale is the same in the whole category; a white line surrounds what lies above every pixel of the "
    "normal validation images."
)


def _card(run: RunFolder, entry: GalleryEntry) -> Card:
    verdict = {True: "called anomalous", False: "called normal", None: "not decided"}[entry.decision]
    plain = entry.subset in entry.defect or entry.subset in ("anomaly", "good")
    title = entry.defect if plain else f"{entry.defect} ({entry.subset})"
    name = entry.path.rpartition("/")[2]
    names = ("the image", "the annotated defect", "the heatmap")
    alts = names if entry.has_tiles else (", ".join(names),)
    threshold = "" if entry.threshold is None else f", threshold {shown(entry.threshold)}"
    return Card(
        tuple(
            Picture(picture_bytes(run.path, file), alt=f"{title}, {name}: {alt}.")
            for file, alt in zip(entry.files, alts, strict=True)
        ),
        title=title,
        note=f"score {shown(entry.score)}{threshold}: {verdict}",
        path=entry.path,
        verdict=entry.verdict if entry.verdict in ("right", "wrong") else "",
    )


def _contents(rows: Sequence[Row]) -> str:
    counts = {
        "normal": sum(row["label"] == 0 for row in rows),
        "anomalous": sum(row["label"] == 1 for row in rows),
        "unlabelled": sum(row["label"] is None for row in rows),
    }
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    flagged = sum(row["decision"] is True for row in rows if row["label"] is None)
    tail = f"; {flagged} of the unlabelled called anomalous" if counts["unlabelled"] else ""
    return f"{counted(len(rows), 'test image')}: {kinds}{tail}"


def _odd_scores(rows: Sequence[Row]) -> list[str]:
    odd = sum(not math.isfinite(row["score"]) for row in rows)
    return [f"{odd} of {len(rows)} images have no finite score; curves leave them out."] if odd else []


def _texts(value: object) -> list[str]:
    if isinstance(value, list):
        return [str(item) for item in value]
    return [str(value)] if value else []
