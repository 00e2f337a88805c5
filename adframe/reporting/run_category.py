"""The section of one category on the page of a run: curves, types of defect, lights, and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath

from adframe.reporting import run_breakdowns
from adframe.reporting.document import (
    Block,
    Card,
    CardGallery,
    Details,
    Facts,
    Heading,
    Picture,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.figure_scores import scores
from adframe.reporting.format import counted
from adframe.reporting.tables import shown
from adframe.results.gallery import GalleryEntry, picture_bytes
from adframe.results.names import HEADLINE, TITLES
from adframe.results.predictions import Row
from adframe.results.run_folder import RunFolder

_FIRST = 4  # pictures of a kind that are shown at once; the others are folded
_TRUTH = 1  # place of the annotated defect among the pictures of an image
_ORDER = "From left to right: the image{} and the heatmap. "
_ANNOTATED = ", the annotated defect outlined in green, where there is one,"
_TILES = (
    "The colour scale is the same in the whole category; a white line surrounds pixels with higher scores "
    "than every pixel of the normal validation images."
)
_INSPECTED = " A blue line surrounds the region of interest, where there is one."


def category_section(run: RunFolder, name: str, *, place: int) -> Section:
    """Builds the section of one category.

    Args:
        run: the run.
        name: of the category.
        place: of the category among the others, counted from 0; it makes the names of figures unique.

    Returns:
        The section.
    """
    rows = [row for row in run.rows if row["category"] == name]
    numbers = run.test.get(name, {})
    keys = [key for key in (*HEADLINE, "image/class_f1") if numbers.get(key) is not None]
    blocks: list[Block] = [Text(f"{_image_counts(rows)}.")] if rows else []
    if keys:
        blocks.append(Facts(tuple((TITLES[key], shown(numbers[key], percent=True)) for key in keys)))
    if rows:
        thresholds = [row["threshold"] for row in rows if row["threshold"] is not None]
        caption = (
            "Normal images are counted upwards and anomalous ones downwards; the ring marks the rates at the "
            "threshold."
        )
        figure = scores(
            f"scores_{place}", caption=caption, rows=rows, threshold=thresholds[0] if thresholds else None
        )
        blocks.append(figure)
    else:
        blocks.append(Text("There are no curves: predictions.parquet has no row of this category.", "absent"))
    blocks += _category_tables(run, name, place=place)
    blocks += _gallery_blocks(run, name)
    return Section(
        name,
        tuple(blocks),
        anchor=f"category-{place}",  # a name may have any characters, an anchor may not
        group="Categories (image AUROC)",
        number=shown(numbers.get("image/auroc"), percent=True),
    )


def _category_tables(run: RunFolder, name: str, *, place: int) -> list[Block]:
    """Returns the tables of defect types and lights, unless they repeat those of a run of one category."""
    alone = len(run.categories) == 1
    blocks: list[Block] = []
    defects = run_breakdowns.category_defects(run, name)
    if defects is not None and not (alone and run_breakdowns.defect_table(run)):
        caption = f"Each type of defect of {name} compared with all its normal images, in per cent."
        blocks += [Heading("By defect type"), TableBlock(f"defects_{place}", caption, defects)]
    lights = run_breakdowns.category_lights(run, name)
    if lights is not None and not (alone and run_breakdowns.light_table(run)):
        caption = f"Metrics of the images of {name} taken in each light, in per cent."
        blocks += [Heading("By light condition"), TableBlock(f"lights_{place}", caption, lights)]
    return blocks


def _gallery_blocks(run: RunFolder, category: str) -> list[Block]:
    blocks: list[Block] = []
    annotated = run.annotated
    outlined = any(each.path in annotated for each in run.gallery if each.category == category)
    explained = _ORDER.format(_ANNOTATED if outlined else "") + _TILES
    has_tiles = any(each.has_tiles for each in run.gallery if each.category == category)
    across = 0 if not has_tiles else 3 if outlined else 2  # equally large in all galleries of the category
    explained += _INSPECTED if run.config.get("roi") else ""
    for kind, title in (("worst", "Worst decisions"), ("best", "Best decisions")):
        found = [each for each in run.gallery if each.category == category and each.kind == kind]
        if not found:
            continue
        cards = tuple(_decision_card(run, each, annotated=each.path in annotated) for each in found)
        first, more = (CardGallery(part, across=across) for part in (cards[:_FIRST], cards[_FIRST:]))
        blocks += [Heading(title), *([] if blocks else [Text(explained)]), first]
        if more.cards:
            blocks.append(Details(f"{len(more.cards)} more", (more,)))
    return blocks


def _decision_card(run: RunFolder, entry: GalleryEntry, *, annotated: bool) -> Card:
    verdict = {True: "called anomalous", False: "called normal", None: "not decided"}[entry.decision]
    plain = entry.subset in entry.defect or entry.subset in ("anomaly", "good")
    title = entry.defect if plain else f"{entry.defect} ({entry.subset})"
    name = entry.path.rpartition("/")[2]
    names = ("the image", "the annotated defect", "the heatmap")
    alts = names if entry.has_tiles else (", ".join(names),)
    shown_tiles = [
        (file, alt)
        for place, (file, alt) in enumerate(zip(entry.files, alts, strict=True))
        if annotated or place != _TRUTH
    ]
    threshold = "" if entry.threshold is None else f", threshold {shown(entry.threshold)}"
    return Card(
        tuple(
            Picture(picture_bytes(run.path, file), alt=f"{title}, {name}: {alt}.")
            for file, alt in shown_tiles
        ),
        title=title,
        note=f"score {shown(entry.score)}{threshold}: {verdict}",
        path=_below_root(run, entry.path),
        verdict=entry.verdict if entry.verdict in ("right", "wrong") else "",
    )


def _below_root(run: RunFolder, path: str) -> str:
    """Returns the path of an image below the root of the run's dataset; elsewhere the whole path."""
    dataset = run.config.get("dataset")
    root = str(dataset.get("root") or "") if isinstance(dataset, dict) else ""
    inside = root and PurePath(path).is_relative_to(root)
    return PurePath(path).relative_to(root).as_posix() if inside else path


def _image_counts(rows: Sequence[Row]) -> str:
    counts = {
        "normal": sum(row["label"] == 0 for row in rows),
        "anomalous": sum(row["label"] == 1 for row in rows),
        "unlabelled": sum(row["label"] is None for row in rows),
    }
    kinds = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    flagged = sum(row["decision"] is True for row in rows if row["label"] is None)
    tail = f"; {flagged} of the unlabelled called anomalous" if counts["unlabelled"] else ""
    return f"{counted(len(rows), 'test image')}: {kinds}{tail}"
