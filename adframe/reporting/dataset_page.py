"""The page of a dataset: its images, defects, light and sizes, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from adframe.data.base import ProgressCallback
from adframe.reporting import dataset_tables, figure_dataset, run_facts
from adframe.reporting.dataset_examples import defect_maps, example_galleries, shifted_examples
from adframe.reporting.dataset_stats import ImageReader, Survey
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
from adframe.reporting.synthetic_examples import Specimen, synthetic_galleries
from adframe.transforms.shift.shift import Shift

_SUBSETS = ("logical", "structural")  # MVTec LOCO scores them separately; each has its own colour


Categories = Sequence[tuple[Survey, tuple[Block, ...]]]  # the surveys, each with the pictures of its category


def category_pictures(
    survey: Survey,
    *,
    place: int,
    read: ImageReader,
    shifts: Sequence[Shift],
    examples: int,
    seed: int,
    progress: ProgressCallback,
    specimens: Iterable[Specimen] = (),
) -> tuple[Block, ...]:
    """Draws the pictures of a category for the page of its dataset.

    Args:
        survey: the measured category.
        place: of the category among the others, counted from 0; it makes the names of tables unique.
        read: reads the files.
        shifts: the shifts under which a few images are shown; with none there are no such pictures.
        examples: the largest number of images of each kind.
        seed: of the choice of images.
        progress: is called with what is being read.
        specimens: synthetic anomalies to show, family by family.

    Returns:
        Maps of defects, examples, shifted images and synthetic anomalies, in this order.
    """
    chosen = "The images are a random choice with a fixed seed."
    if survey.marks:
        chosen += (
            " Annotated defects are outlined in green. Below each image: the share that is marked, and the "
            "number of regions."
        )
    blocks: list[Block] = [*defect_maps(survey), Heading("Examples"), Text(chosen)]
    blocks += example_galleries(survey, read=read, count=examples, seed=seed, progress=progress)
    if shifts:
        what = (
            "The same image before and after the shift; its masks are moved with it."
            if len(shifts) == 1
            else "An image under each preset; shift=<name> shows and tests one of them."
        )
        marked = f"{what} Below each image: the share that is marked."
        blocks += [Heading("Under a domain shift"), Text(marked)]
        blocks += shifted_examples(
            survey, name=f"shift_{place}", read=read, shifts=shifts, seed=seed, progress=progress
        )
    synthetic = synthetic_galleries(specimens)
    if synthetic:
        blocks += [Heading("Synthetic anomalies"), Text(_SYNTHETIC), *synthetic]
    return tuple(blocks)


def page_of_dataset(
    categories: Categories,
    *,
    name: str,
    homepage: str,
    facts: Sequence[tuple[str, str]],
    command: str,
    split: str,
    warnings: Sequence[str] = (),
) -> Page:
    """Builds the page of a dataset.

    Args:
        categories: the surveys, each with the pictures of its category.
        name: of the dataset, as the configuration names it.
        homepage: address from which the dataset comes; "" where none is stated.
        facts: names and values for the head of the page, such as folder, licence and seed; those without a
            value are left out.
        command: the command line that makes the page again.
        split: where the split comes from, `Source.split_origin`.
        warnings: what is doubtful about the dataset's files.

    Returns:
        The page: an overview, then one section per category.
    """
    surveys = [survey for survey, _ in categories]
    sections = [_section(*each, place=place) for place, each in enumerate(categories)]
    return Page(
        title=_page_title(surveys, name=name),
        facts=[pair for pair in (*facts, ("from", homepage)) if pair[1]],
        sections=[_overview(surveys, split=split), *sections],
        notes=warnings,
        command=command,
        again="Make this page again",
        source="the dataset's files",
    )


_SYNTHETIC = (
    "From left to right: a normal training image, the same image with a synthetic anomaly, and the visible "
    "change outlined in green, which is the mask for training. Below: the share of the image that is marked."
)
_DRIFT = (
    "Mean ± standard deviation over a random sample of normal images, in per cent of full scale: the mean of "
    "the grey image (brightness) and its standard deviation (contrast). The last column is the difference of "
    "the mean brightness of test and training images, in standard deviations of the training images."
)


def _page_title(surveys: Sequence[Survey], *, name: str) -> str:
    records = [record for survey in surveys for record in survey.records]
    bad, normal = (sum(record.label == label for record in records) for label in (1, 0))
    unlabelled = len(records) - bad - normal
    parts = [f"{normal:,} normal"]
    parts += [f"{bad:,} anomalous"] if bad else []
    parts += [f"{unlabelled:,} unlabelled"] if unlabelled else []
    many = len(surveys) != 1
    dataset = run_facts.DATASETS.get(name, name)
    what = dataset if many else f"{surveys[0].category} ({dataset})"
    where = f" of {len(surveys)} categories" if many else ""
    return f"{what}: {counted(len(records), 'image')}{where}, {', '.join(parts)}"


def _overview(surveys: Sequence[Survey], *, split: str) -> Section:
    caption = f"Images by category, in {split}. Sizes are in pixels, height first."
    table = TableBlock(
        "categories", caption, dataset_tables.overview(surveys), total=dataset_tables.ALL_CATEGORIES
    )
    blocks: list[Block] = [_tiles(surveys), table]
    if any(survey.lights for survey in surveys):
        blocks += [
            Heading("Brightness and contrast by split"),
            TableBlock("light", _DRIFT, dataset_tables.drift(surveys)),
        ]
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
    ]
    if marks:
        median = float(np.median([mark.share for mark in marks]))
        pairs += [
            ("images with masks", f"{len(marks):,}"),
            ("annotated regions", f"{sum(mark.regions for mark in marks):,}"),
            ("median area of the defects, of the image", short_percent(median)),
        ]
    return Facts(tuple(pairs), tiles=True)


def _section(survey: Survey, pictures: tuple[Block, ...], *, place: int) -> Section:
    caption = "Images by kind and split." + (" Areas are shares of the image." if survey.marks else "")
    defects = counted(len(survey.defects), "type") + " of defect" if survey.defects else "no labelled defects"
    size = dataset_tables.sizes(survey)
    blocks: list[Block] = [
        Text(f"{counted(len(survey.records), 'image')}, {defects}, {size} px, height first."),
        TableBlock(f"kinds_{place}", caption, dataset_tables.contents(survey)),
    ]
    conditions = dataset_tables.conditions(survey)
    if conditions is not None:
        caption = "Images by light condition; brightness and contrast are measured on sampled normal images."
        blocks += [Heading("By light condition"), TableBlock(f"lights_{place}", caption, conditions)]
    return Section(
        survey.category,
        (*blocks, *_category_figures(survey, place=place), *pictures),
        anchor=f"category-{place}",  # a name may have any characters, an anchor may not
        group="Categories (images)",
        number=f"{len(survey.records):,}",
    )


def _category_figures(survey: Survey, *, place: int) -> list[Figure]:
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
                caption="Differences between images: one dot per image, or one dot per image size.",
                regions=[mark.regions for mark in survey.marks],
                lights=survey.lights,
                sizes=survey.sizes,
            )
        )
    return found
