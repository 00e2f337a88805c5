"""A page of what a dataset holds: `python -m adframe.cli.explore dataset=mvtec_ad shift=moderate`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig
from rich.console import Console

from adframe.cli.attempts import attempt
from adframe.cli.main import guard
from adframe.config.build import build, build_source, wanted
from adframe.config.signatures import shown
from adframe.config.validate import RULES, Rule, resolved
from adframe.contracts import Record
from adframe.data.base import Source
from adframe.data.counts import mismatches
from adframe.data.dataset import View, regions_of
from adframe.data.masks import read_truth
from adframe.data.synthetic import SyntheticDataset
from adframe.data.validate_files import examine
from adframe.errors import AdframeError, unknown
from adframe.io.images import read_image, read_size
from adframe.io.secrets import hide_in_text
from adframe.reporting.console import print_wide
from adframe.reporting.dataset_page import About, Chapter, chapter, write_exploration
from adframe.reporting.dataset_stats import Reader, draw, survey
from adframe.reporting.dataset_tables import overview
from adframe.reporting.download_progress import shown_progress
from adframe.reporting.synthetic_examples import Specimen
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis

READER = Reader(
    image=lambda record: read_image(record.path, bits=record.bits),
    size=read_size,
    masks=read_truth,
    regions=regions_of,
)
STAGES = ("sizes", "masks", "light", "examples", "shifts", "synthesis")  # of a category, as they are reported
GROUPS = ("paths", "dataset", "shift", "synthesis", "presets")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000


OWN_RULES: dict[str, Rule] = {
    "category": RULES["category"],
    "seed": RULES["seed"],
    "examples": (_is_count, "a whole number from 1 to 1000"),
    "sample": (_is_count, "a whole number from 1 to 1000"),
    "image_size": RULES["image_size"],
    "trusted": RULES["trusted"],
    "output": (lambda v: isinstance(v, str) and v.endswith(".html"), "the path of a page, ending in .html"),
}


def explore(cfg: DictConfig) -> Path:
    """Surveys the chosen categories, writes the page, prints a table of counts; returns the page's path."""
    _check(cfg)
    shifts, synthesis = _shifts(cfg), build(cfg, "synthesis")
    source, records, warnings = _records(cfg)
    view = View(size=_size(cfg), preprocess=source.preprocess)
    chapters: list[Chapter] = []
    with shown_progress() as told:
        for name, group in groupby(records, key=lambda record: record.category):
            members, progress = list(group), _staged(told, name)
            made = _specimens(cfg, members, synthesis=synthesis, view=view, progress=progress)
            chapters.append(
                _chapter(cfg, members, place=len(chapters), shifts=shifts, specimens=made, progress=progress)
            )
    page = Path(str(cfg.output))
    write_exploration(page, chapters, about=_about(cfg, source, records, warnings))
    print_wide(overview([each.survey for each in chapters]), rest=page.name)
    Console(soft_wrap=True, highlight=False, markup=False).print(f"page: {page}")
    return page


def _records(cfg: DictConfig) -> tuple[Source, list[Record], list[str]]:
    """The images of the chosen categories, in the dataset's own split, and what is doubtful about them.

    What a run holds out of train is left where it lies: the page shows the dataset, not a run. `place`
    is as in a run, so that a shift with the same seed makes the same pictures.
    """
    source = build_source(cfg)
    records, warnings = [], []
    for name in source.choose(wanted(cfg)):
        scanned = [replace(r, place=i) for i, r in enumerate(source.scan(name))]
        training = {r.path for r in scanned if r.split == "train"}
        examined, _, lines = examine(source, name, scanned, training=training)
        records += examined
        warnings += lines
    return source, records, warnings


def _chapter(
    cfg: DictConfig,
    records: list[Record],
    *,
    place: int,
    shifts: list[Shift],
    specimens: Iterator[Specimen],
    progress: Callable[[str, int, int], None],
) -> Chapter:
    found = survey(records, read=READER, sample=cfg.sample, seed=cfg.seed, progress=progress)
    return chapter(
        found,
        place=place,
        read=READER,
        shifts=shifts,
        examples=cfg.examples,
        seed=cfg.seed,
        progress=progress,
        specimens=specimens,
    )


def _specimens(
    cfg: DictConfig,
    records: list[Record],
    *,
    synthesis: Synthesis,
    view: View,
    progress: Callable[[str, int, int], None],
) -> Iterator[Specimen]:
    """For each family a few normal training images, as a training would see them, with an anomaly."""
    normal = [record for record in records if record.split == "train" and record.label == 0]
    for place, family in enumerate(synthesis.families):
        progress("synthesis", place, len(synthesis.families))
        chosen = draw(normal, cfg.examples, seed=cfg.seed, key=f"synthesis/{family}")
        images = SyntheticDataset(chosen, view=view, synthesis=synthesis, donors=normal, purpose="train")
        for position, record in enumerate(chosen):
            before, drawn = images.example(position, family=family)
            yield Specimen(
                family=family,
                held_out=family == synthesis.held_out,
                record=record,
                frame=read_size(record.path),
                before=before,
                after=drawn.image,
                mask=drawn.mask,
            )


def _size(cfg: DictConfig) -> tuple[int, int] | None:
    size: Any = resolved(cfg, "image_size")
    return (size, size) if isinstance(size, int) else None if size is None else (size[0], size[1])


def _shifts(cfg: DictConfig) -> list[Shift]:
    """The chosen shift; where it changes nothing, the presets, so that one sees what there is."""
    chosen: Shift = build(cfg, "shift")
    return (
        [chosen] if chosen.transforms else [build(cfg, f"presets.{name}") for name in map(str, cfg.presets)]
    )


def _about(cfg: DictConfig, source: Source, records: list[Record], warnings: list[str]) -> About:
    overrides = shlex.join(map(hide_in_text, HydraConfig.get().overrides.task))
    return About(
        name=source.name,
        homepage=source.homepage,
        facts=(
            ("folder", str(Path(source.root).resolve())),
            ("licence", source.licence),
            ("shift", str(cfg.shift.name)),
            *((("synthesis", str(cfg.synthesis.name)),) if cfg.synthesis.families else ()),
            ("seed", str(cfg.seed)),
        ),
        command=f"python -m adframe.cli.explore {overrides}".strip(),
        warnings=(*(mismatches(source.name, records) if source.check_counts else ()), *warnings),
    )


def _staged(told: Callable[[str, int, int], None], name: str) -> Callable[[str, int, int], None]:
    """One line a category: its stages one after another, each as long."""

    def progress(stage: str, done: int, total: int) -> None:
        told(name, 100 * STAGES.index(stage) + 100 * done // total, 100 * len(STAGES))

    return progress


def _check(cfg: DictConfig) -> None:
    for key in map(str, cfg):
        if key not in (*OWN_RULES, *GROUPS):  # added with `+`: nobody would read it
            raise AdframeError(unknown("override", key, [*OWN_RULES, *GROUPS]))
    for key in (*OWN_RULES, *GROUPS):
        if key not in cfg:
            raise AdframeError(f"{key} is missing; it was taken out with ~{key}")
    for key, (right, description) in OWN_RULES.items():
        if not right(value := resolved(cfg, key)):
            raise AdframeError(f"{key}={shown(value)} is not possible; {key} must be {description}")


@hydra.main(version_base="1.3", config_path="../../conf", config_name="explore")
def main(cfg: DictConfig) -> None:
    """Composes the configuration."""
    attempt(lambda: explore(cfg))


if __name__ == "__main__":
    guard(main)
