"""The page of a dataset: what is in it, before anything is trained; one self-contained file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from adframe.io.files import write_whole
from adframe.reporting import dataset_plots, dataset_tables, run_facts
from adframe.reporting.dataset_examples import (
    Album,
    Row,
    Strip,
    Tile,
    counted,
    example_rows,
    percent,
    shift_strips,
)
from adframe.reporting.dataset_stats import Progress, Reader, Survey
from adframe.reporting.heatmaps import overlaid
from adframe.reporting.html import fill
from adframe.reporting.outlines import Heatmap, Pixels, resized
from adframe.reporting.plots import Plot
from adframe.reporting.synthetic_examples import Exhibit, Specimen, exhibits
from adframe.reporting.tables import Table
from adframe.results.gallery import fitted_uris
from adframe.transforms.shift.shift import Shift

_PLACES = 176  # pixels, the width of a small map of where defects lie
_MAPS = 11  # types of defect with a map of their own


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of the dataset besides what was measured."""

    name: str
    homepage: str
    facts: tuple[tuple[str, str], ...]  # names and values: folder, licence, seed, ...
    command: str  # makes the page again
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Chapter:
    """All that the page shows of one category; its pictures are in the album."""

    survey: Survey
    places: tuple[Tile, ...]
    rows: tuple[Row, ...]
    strips: tuple[Strip, ...]
    exhibits: tuple[Exhibit, ...] = ()


@dataclass(frozen=True, slots=True)
class _Section:
    anchor: str
    name: str
    images: int
    summary: str
    contents: Table
    conditions: Table | None
    plots: tuple[Plot, ...]
    chapter: Chapter


def chapter(
    survey: Survey,
    album: Album,
    *,
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
        album: takes in the pictures.
        read: from files to pixels.
        shifts: under which to show a few images; none for no such pictures.
        examples: how many images of each kind at most.
        seed: draws them.
        progress: told of what is being read.
        specimens: synthetic anomalies to show, family by family.
    """
    rows = example_rows(survey, album, read=read, count=examples, seed=seed, progress=progress)
    strips = (
        shift_strips(survey, album, read=read, shifts=shifts, seed=seed, progress=progress) if shifts else []
    )
    return Chapter(survey, _places(survey, album), tuple(rows), tuple(strips), exhibits(specimens, album))


def write_exploration(path: Path, chapters: Sequence[Chapter], *, album: Album, about: About) -> None:
    """Writes the page whole or not at all.

    Args:
        path: where it goes.
        chapters: the categories.
        album: their pictures.
        about: the dataset.

    Raises:
        AdframeError: the page cannot be written.
    """
    write_whole(path, render(chapters, album=album, about=about))


def render(chapters: Sequence[Chapter], *, album: Album, about: About) -> str:
    """The page's HTML, a function of its arguments; nothing is fetched from elsewhere."""
    surveys = [each.survey for each in chapters]
    title = _title(surveys, name=about.name)
    context = {
        "title": title,
        "about": about,
        "tiles": _tiles(surveys),
        "table": dataset_tables.overview(surveys),
        "drift": dataset_tables.drift(surveys) if any(survey.lights for survey in surveys) else None,
        "plots": _overview_plots(surveys),
        "sections": [_section(each, place=place) for place, each in enumerate(chapters)],
        "uris": fitted_uris(album.files),
    }
    return fill("exploration.html", context, styles=("page.css", "exploration.css"))


def _title(surveys: Sequence[Survey], *, name: str) -> str:
    records = [record for survey in surveys for record in survey.records]
    bad, normal = (sum(record.label == label for record in records) for label in (1, 0))
    unlabelled = len(records) - bad - normal
    parts = [f"{normal:,} normal"]
    parts += [f"{bad:,} defective"] if bad else []
    parts += [f"{unlabelled:,} unlabelled"] if unlabelled else []
    many = len(surveys) != 1
    what = ", ".join([run_facts.DATASETS.get(name, name), *(() if many else (surveys[0].category,))])
    where = f" of {len(surveys)} categories" if many else ""
    return f"{what}: {counted(len(records), 'image')}{where}, {', '.join(parts)}"


def _tiles(surveys: Sequence[Survey]) -> list[tuple[str, str]]:
    marks = [mark for survey in surveys for mark in survey.marks]
    tiles = [
        (f"{sum(len(survey.records) for survey in surveys):,}", "images"),
        (f"{sum(len(survey.defects) for survey in surveys):,}", "types of defect"),
        (f"{len(marks):,}", "images with masks"),
        (f"{sum(mark.regions for mark in marks):,}", "annotated regions"),
    ]
    if marks:
        median = float(np.median([mark.share for mark in marks]))
        tiles.append((f"{percent(median)} %", "of the image: the median defect"))
    return tiles


def _overview_plots(surveys: Sequence[Survey]) -> tuple[Plot, ...]:
    """Category against category; a single one has all its drawings in its own section."""
    if len(surveys) < 2:
        return ()
    shares = {survey.category: [mark.share for mark in survey.marks] for survey in surveys}
    return (dataset_plots.area_plot(shares, title="Area of defects by category", styles={}),)


def _section(chapter: Chapter, *, place: int) -> _Section:
    survey = chapter.survey
    return _Section(
        anchor=f"category-{place}",  # never the name: it may be anything
        name=survey.category,
        images=len(survey.records),
        summary=_summary(survey),
        contents=dataset_tables.contents(survey),
        conditions=dataset_tables.conditions(survey),
        plots=_plots(survey),
        chapter=chapter,
    )


def _summary(survey: Survey) -> str:
    defects = counted(len(survey.defects), "type") + " of defect" if survey.defects else "no labelled defects"
    size = dataset_tables.sizes(survey)
    return f"{counted(len(survey.records), 'image')}, {defects}, {size} px, height first"


def _plots(survey: Survey) -> tuple[Plot, ...]:
    styles = {record.defect: record.subset for record in survey.records if record.subset in _SUBSETS}
    shares: Mapping[str, list[float]] = {
        defect: [mark.share for mark in survey.marks if mark.defect == defect] for defect in survey.defects
    }
    plots = [dataset_plots.area_plot(shares, title="Area of defects", styles=styles)] if shares else []
    plots += [dataset_plots.region_plot([mark.regions for mark in survey.marks])] if shares else []
    plots.append(dataset_plots.light_plot(survey.lights))
    return (*plots, *([dataset_plots.size_plot(survey.sizes)] if len(survey.sizes) > 1 else []))


_SUBSETS = ("logical", "structural")  # what MVTec LOCO scores apart: each has its own colour


def _places(survey: Survey, album: Album) -> tuple[Tile, ...]:
    """The mean normal image, then where the defects lie on it: all of them, and type by type."""
    if survey.mean is None:
        return ()
    name = survey.category
    tiles = [Tile(album.paste(survey.mean), f"{name}: the mean of normal images.", "mean normal image")]
    if not survey.density:
        return tuple(tiles)
    counts = {defect: sum(mark.defect == defect for mark in survey.marks) for defect in survey.density}
    every = sum(survey.density[defect] * count for defect, count in counts.items()) / sum(counts.values())
    maps = {"all defects": np.asarray(every, np.float32)} if len(survey.density) > 1 else {}
    for what, values in (maps | dict(list(survey.density.items())[:_MAPS])).items():
        highest = f"up to {100 * float(values.max()):.0f} %"
        alt = f"{name}: where the masks of {what} lie; {highest} of the images are marked at one place."
        tiles.append(Tile(album.paste(_map(survey.mean, values)), alt, what, highest))
    return tuple(tiles)


def _map(mean: Pixels, values: Heatmap) -> Pixels:
    size = round(mean.shape[0] * _PLACES / mean.shape[1]), _PLACES
    return overlaid(
        resized(mean, size), resized(values, size), threshold=None, low=0.0, high=float(values.max())
    )
