"""The page of a dataset: what is in it, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.io.files import write_whole
from adframe.reporting import dataset_tables, figure_dataset, run_facts
from adframe.reporting.dataset_examples import defect_maps, example_galleries, shifted_examples
from adframe.reporting.dataset_stats import Progress, Reader, Survey
from adframe.reporting.document import (
    Block,
    Facts,
    Figure,
    Heading,
    Page,
    Section,
    TableBlock,
    Text,
)
from adframe.reporting.format import counted, short_percent
from adframe.reporting.page_writer import render
from adframe.reporting.synthetic_examples import Specimen, synthetic_galleries
from adframe.transforms.shift.shift import Shift

_SUBSETS = ("logical", "structural")  # MVTec LOCO scores them apart: each has its own colour


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of the dataset besides what was measured."""

    name: str
    homepage: str
    facts: tuple[tuple[str, str], ...]  # names and values: folder, licence, seed, ...
    command: str  # that makes the page again
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """What was measured of one category, and its pictures."""

    survey: Survey
    pictures: tuple[Block, ...]


def chapter(
    survey: Survey,
    *,
    place: int,
    read: Reader,
    shifts: Sequence[Shift],
    examples: int,
    seed: int,
    progress: Progress,
    specimens: Iterable[Specimen] = (),
) -> Chapter:
    """Draws the pictures of a category.

    Args:
        survey: what was measured.
        place: of the category among the others.
        read: from files to pixels.
        shifts: under which a few images are shown; none for no such pictures.
        examples: the largest number of images of each kind.
        seed: of the choice of images.
        progress: is called with what is being read.
        specimens: synthetic anomalies to show, family by family.
    """
    blocks: list[Block] = [*defect_maps(survey), Heading("Examples"), Text(_examples_text(survey))]
    blocks += example_galleries(survey, read=read, count=examples, seed=seed, progress=progress)
    if shifts:
        blocks += [Heading("Under a domain shift"), Text(_shifts_text(shifts))]
        blocks += shifted_examples(
            survey, name=f"shift_{place}", read=read, shifts=shifts, seed=seed, progress=progress
        )
    synthetic = synthetic_galleries(specimens)
    if synthetic:
        blocks += [Heading("Synthetic anomalies"), Text(_SYNTHETIC), *synthetic]
    return Chapter(survey, tuple(blocks))


def write_exploration(path: Path, chapters: Sequence[Chapter], *, about: About) -> None:
    """Writes the page whole or not at all.

    Args:
        path: where it goes.
        chapters: the categories.
        about: the dataset.

    Raises:
        AdframeError: the page cannot be written.
    """
    write_whole(path, render(page_of(chapters, about=about)))


def page_of(chapters: Sequence[Chapter], *, about: About) -> Page:
    """What the page of a dataset holds."""
    surveys = [each.survey for each in chapters]
    return Page(
        title=_title(surveys, name=about.name),
        facts=[*about.facts, ("from", about.homepage)],
        sections=[_overview(surveys), *(_section(each, place=place) for place, each in enumerate(chapters))],
        notes=about.warnings,
        command=about.command,
        again="Make this page again",
        source="the dataset's files",
    )


_SYNTHETIC = (
    "From left to right: a normal training image, the same image with a synthetic anomaly, and the visible "
    "change outlined in green, which is the mask for training. Below: the share of the image that is marked."
)
_DRIFT = (
    "Mean ± standard deviation over a seeded sample of normal images, in per cent of full scale: the mean of "
    "the grey image (brightness) and its standard deviation (contrast). The last column is the difference of "
    "the mean brightness of test and training images, in standard deviations of the training images."
)


def _title(surveys: Sequence[Survey], *, name: str) -> str:
    records = [record for survey in surveys for record in survey.records]
    bad, normal = (sum(record.label == label for record in records) for label in (1, 0))
    unlabelled = len(records) - bad - normal
    parts = [f"{normal:,} normal"]
    parts += [f"{bad:,} anomalous"] if bad else []
    parts += [f"{unlabelled:,} unlabelled"] if unlabelled else []
    many = len(surveys) != 1
    what = ", ".join([run_facts.DATASETS.get(name, name), *(() if many else (surveys[0].category,))])
    where = f" of {len(surveys)} categories" if many else ""
    return f"{what}: {counted(len(records), 'image')}{where}, {', '.join(parts)}"


def _overview(surveys: Sequence[Survey]) -> Section:
    caption = "Images by category, in the original split of the dataset. Sizes are in pixels, height first."
    table = TableBlock("categories", caption, dataset_tables.overview(surveys), total=dataset_tables.ALL)
    blocks: list[Block] = [_tiles(surveys), table]
    if any(survey.lights for survey in surveys):
        blocks += [Heading("Light by split"), TableBlock("light", _DRIFT, dataset_tables.drift(surveys))]
    if len(surveys) > 1 and any(survey.marks for survey in surveys):
        shares = {survey.category: [mark.share for mark in survey.marks] for survey in surveys}
        caption = "Area of the defects of an image by category; the line is the median."
        blocks.append(figure_dataset.defect_areas("areas", caption=caption, shares=shares, subsets={}))
    return Section("Overview", tuple(blocks), anchor="overview")


def _tiles(surveys: Sequence[Survey]) -> Facts:
    marks = [mark for survey in surveys for mark in survey.marks]
    pairs = [
        ("images", f"{sum(len(survey.records) for survey in surveys):,}"),
        ("types of defect", f"{sum(len(survey.defects) for survey in surveys):,}"),
        ("images with masks", f"{len(marks):,}"),
        ("annotated regions", f"{sum(mark.regions for mark in marks):,}"),
    ]
    if marks:
        median = float(np.median([mark.share for mark in marks]))
        pairs.append(("of the image: the median defect", short_percent(median)))
    return Facts(tuple(pairs), tiles=True)


def _section(chapter: Chapter, *, place: int) -> Section:
    survey = chapter.survey
    caption = "Images by kind and split." + (" Areas are shares of the image." if survey.marks else "")
    blocks: list[Block] = [
        Text(f"{_summary(survey)}."),
        TableBlock(f"kinds_{place}", caption, dataset_tables.contents(survey)),
    ]
    conditions = dataset_tables.conditions(survey)
    if conditions is not None:
        caption = "Images by light condition; brightness and contrast are of sampled normal images."
        blocks += [Heading("By light"), TableBlock(f"lights_{place}", caption, conditions)]
    return Section(
        survey.category,
        (*blocks, *_figures(survey, place=place), *chapter.pictures),
        anchor=f"category-{place}",  # never the name: it may be anything
        group="Categories (images)",
        number=f"{len(survey.records):,}",
    )


def _summary(survey: Survey) -> str:
    defects = counted(len(survey.defects), "type") + " of defect" if survey.defects else "no labelled defects"
    size = dataset_tables.sizes(survey)
    return f"{counted(len(survey.records), 'image')}, {defects}, {size} px, height first"


def _figures(survey: Survey, *, place: int) -> list[Figure]:
    found = []
    if survey.marks:
        found.append(
            figure_dataset.defect_areas(
                f"areas_{place}",
                caption="Area of the defects of an image by type; the line is the median.",
                shares={
                    defect: [mark.share for mark in survey.marks if mark.defect == defect]
                    for defect in survey.defects
                },
                subsets={r.defect: r.subset for r in survey.records if r.subset in _SUBSETS},
            )
        )
    if survey.marks or survey.lights or len(survey.sizes) > 1:
        found.append(
            figure_dataset.images(
                f"images_{place}",
                caption="What differs between images: one dot per image, or per size of images.",
                regions=[mark.regions for mark in survey.marks],
                lights=survey.lights,
                sizes=survey.sizes,
            )
        )
    return found


def _examples_text(survey: Survey) -> str:
    marked = (
        " Annotated defects are outlined in green; below each image: the share that is marked, and the "
        "number of regions."
    )
    return f"The choice is random with a fixed seed.{marked if survey.marks else ''}"


def _shifts_text(shifts: Sequence[Shift]) -> str:
    one = "The same image before and after the shift; its masks are moved with it."
    many = "What the presets make of an image; shift=<name> shows and tests one of them."
    return f"{one if len(shifts) == 1 else many} Below each image: the share that is marked."
