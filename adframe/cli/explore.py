"""Writes a page about a dataset: `python -m adframe.cli.explore dataset=mvtec_ad shift=moderate`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
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
from adframe.config.build import build, build_source, requested_category
from adframe.config.signatures import as_typed
from adframe.config.validate import RULES, ValueRule, resolved_value
from adframe.contracts import Record
from adframe.data.base import ProgressCallback, Source
from adframe.data.counts import mismatches
from adframe.data.dataset import View, regions_of
from adframe.data.masks import read_truth
from adframe.data.synthetic import SyntheticDataset
from adframe.data.validate_files import examine
from adframe.errors import AdframeError, unknown
from adframe.io.files import write_whole
from adframe.io.images import read_image, read_size
from adframe.io.program import CONF, command_of
from adframe.io.secrets import hide_in_text
from adframe.reporting.console import print_wide
from adframe.reporting.dataset_page import category_pictures, page_of_dataset
from adframe.reporting.dataset_stats import ImageReader, Survey, draw, survey
from adframe.reporting.dataset_tables import overview
from adframe.reporting.document import Block
from adframe.reporting.download_progress import shown_progress
from adframe.reporting.page_writer import render_page
from adframe.reporting.synthetic_examples import Specimen
from adframe.transforms.shift.shift import Shift
from adframe.transforms.synthesis.synthesis import Synthesis

READER = ImageReader(
    image=lambda record: read_image(record.path, bits=record.bits),
    size=read_size,
    masks=read_truth,
    regions=regions_of,
)
STAGES = ("sizes", "masks", "light", "examples", "shifts", "synthesis")  # of the survey of a category
EXPLORE_GROUPS = ("paths", "dataset", "shift", "synthesis", "presets")


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 1000


EXPLORE_RULES: dict[str, ValueRule] = {
    "category": RULES["category"],
    "seed": RULES["seed"],
    "examples": (_is_count, "a whole number from 1 to 1000"),
    "sample": (_is_count, "a whole number from 1 to 1000"),
    "image_size": RULES["image_size"],
    "trusted": RULES["trusted"],
    "output": (lambda v: isinstance(v, str) and v.endswith(".html"), "the path of a page, ending in .html"),
}


def explore(cfg: DictConfig) -> Path:
    """Surveys the chosen categories, writes the page, and prints a table of counts.

    Args:
        cfg: the configuration of `explore`, composed.

    Returns:
        The path of the page.

    Raises:
        AdframeError: a value is impossible, or a file of the dataset is missing or broken.
    """
    _check_config(cfg)
    shifts, synthesis = _chosen_shifts(cfg), build(cfg, "synthesis")
    source, records, warnings = _scan_records(cfg)
    view = View(size=_view_size(cfg), preprocess=source.preprocess)
    categories: list[tuple[Survey, tuple[Block, ...]]] = []
    with shown_progress() as update:
        for name, group in groupby(records, key=lambda record: record.category):
            members, progress = list(group), _overall_progress(update, name)
            found = survey(members, read=READER, sample=cfg.sample, seed=cfg.seed, progress=progress)
            pictures = category_pictures(
                found,
                place=len(categories),
                read=READER,
                shifts=shifts,
                examples=cfg.examples,
                seed=cfg.seed,
                progress=progress,
                specimens=_specimens(cfg, members, synthesis=synthesis, view=view, progress=progress),
            )
            categories.append((found, pictures))
    page = Path(str(cfg.output))
    overrides = shlex.join(map(hide_in_text, HydraConfig.get().overrides.task))
    content = page_of_dataset(
        categories,
        name=source.name,
        homepage=source.homepage,
        facts=(
            ("folder", str(Path(source.root).resolve())),
            ("licence", source.licence),
            ("shift", str(cfg.shift.name)),
            *((("synthetic anomalies", str(cfg.synthesis.name)),) if cfg.synthesis.families else ()),
            ("seed", str(cfg.seed)),
        ),
        command=f"{command_of('explore')} {overrides}".strip(),
        split=source.split_origin,
        warnings=(*(mismatches(source.name, records) if source.check_counts else ()), *warnings),
    )
    write_whole(page, render_page(content))
    print_wide(overview([found for found, _ in categories]), rest=page.name)
    Console(soft_wrap=True, highlight=False, markup=False).print(f"page: {page}")
    return page


def _scan_records(cfg: DictConfig) -> tuple[Source, list[Record], list[str]]:
    """Lists the images of the chosen categories in the dataset's own split, with warnings about the files.

    Images that a run would hold out of train stay there: the page shows the dataset, not a run. `place` is as
    in
    a run, so that a shift with the same seed makes the same pictures.
    """
    source = build_source(cfg)
    records, warnings = [], []
    for name in source.choose(requested_category(cfg)):
        scanned = [replace(r, place=i) for i, r in enumerate(source.scan(name))]
        training = {r.path for r in scanned if r.split == "train"}
        examined, _, lines = examine(source, name, scanned, training=training)
        records += examined
        warnings += lines
    return source, records, warnings


def _specimens(
    cfg: DictConfig,
    records: list[Record],
    *,
    synthesis: Synthesis,
    view: View,
    progress: ProgressCallback,
) -> Iterator[Specimen]:
    """Yields a few normal training images per family, as a training sees them, with an anomaly."""
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


def _view_size(cfg: DictConfig) -> tuple[int, int] | None:
    size: Any = resolved_value(cfg, "image_size")
    return (size, size) if isinstance(size, int) else None if size is None else (size[0], size[1])


def _chosen_shifts(cfg: DictConfig) -> list[Shift]:
    """Returns the chosen shift; the presets where it changes nothing."""
    chosen: Shift = build(cfg, "shift")
    return (
        [chosen] if chosen.transforms else [build(cfg, f"presets.{name}") for name in map(str, cfg.presets)]
    )


def _overall_progress(update: ProgressCallback, name: str) -> ProgressCallback:
    """Returns a function that shows all stages of a category in one line, each as equally long."""

    def progress(stage: str, done: int, total: int) -> None:
        update(name, 100 * STAGES.index(stage) + 100 * done // total, 100 * len(STAGES))

    return progress


def _check_config(cfg: DictConfig) -> None:
    for key in map(str, cfg):
        if key not in (*EXPLORE_RULES, *EXPLORE_GROUPS):  # added with `+`, and never read
            raise AdframeError(unknown("override", key, [*EXPLORE_RULES, *EXPLORE_GROUPS]))
    for key in (*EXPLORE_RULES, *EXPLORE_GROUPS):
        if key not in cfg:
            raise AdframeError(f"{key} is missing; it was removed with ~{key}")
    for key, (right, description) in EXPLORE_RULES.items():
        if not right(value := resolved_value(cfg, key)):
            raise AdframeError(f"{key}={as_typed(value)} is not possible; {key} must be {description}")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="explore")
def main(cfg: DictConfig) -> None:
    """Composes the configuration and writes the page.

    Args:
        cfg: the configuration, from Hydra.
    """
    attempt(lambda: explore(cfg))


if __name__ == "__main__":
    guard(main)
