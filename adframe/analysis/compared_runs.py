"""The runs that are compared: their ledgers read, and held to have seen the same images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from adframe.errors import AdframeError
from adframe.reporting import run_facts
from adframe.reporting.tables import Cell, Column, Table
from adframe.results.predictions import Row
from adframe.results.run_files import config_text
from adframe.results.run_folder import RunFolder

Key = tuple[str, str]  # category, and path below the dataset's root


@dataclass(frozen=True, slots=True)
class Entrant:
    """A run that is compared: what it is called here, and its labelled test images."""

    name: str
    run: RunFolder
    images: dict[Key, Row]


def read_entrant(name: str, path: Path) -> Entrant:
    """A run as its folder tells.

    Raises:
        AdframeError: the folder is no run's, or its ledger has no labelled test image.
    """
    run = RunFolder.read(path)
    images = {_key(row, run): row for row in run.rows if row["label"] is not None}
    if not images:
        raise AdframeError(f"{path} has no labelled test images in its predictions.parquet to compare")
    return Entrant(name, run, images)


def _key(row: Row, run: RunFolder) -> Key:
    """The category, and the path below the dataset's root, because the same data may have lain elsewhere.

    A run that was started with a relative root has relative paths in its rows, and an absolute root in its
    configuration: the longest end of the root with which a path begins is taken off.
    """
    dataset = run.config.get("dataset")
    root = Path(str(dataset.get("root") or "")) if isinstance(dataset, dict) else Path()
    path = Path(row["path"])
    ends = (Path(*root.parts[start:]) for start in range(len(root.parts)))
    below = next((path.relative_to(end) for end in ends if path.is_relative_to(end)), path)
    return row["category"], str(below)


def check_same(first: Entrant, other: Entrant) -> None:
    """Refuses two runs on different images, with which differ and how many."""
    lacking, more = first.images.keys() - other.images.keys(), other.images.keys() - first.images.keys()
    parts = [
        f"{len(keys)} are missing in {entrant.run.path} (such as {' '.join(min(keys))})"
        for keys, entrant in ((lacking, other), (more, first))
        if keys
    ]
    if parts:
        raise AdframeError(f"the runs were tested on different images: {' and '.join(parts)}")
    facts = ("label", "subset", "group")
    pairs = ((key, first.images[key], other.images[key]) for key in sorted(first.images))
    if changed := [key for key, a, b in pairs if any(a[fact] != b[fact] for fact in facts)]:
        raise AdframeError(
            f"{first.run.path} and {other.run.path} know {len(changed)} images by another label, subset or "
            f"group (such as {' '.join(changed[0])}); test them again with the same dataset"
        )


def fused(entrants: Sequence[Entrant]) -> Entrant:
    """The mean of several runs' normalised scores, image by image, as one more entrant.

    Normalised scores are in units of each run's own validation normals, so no test image and no
    label decides how much a run counts.

    Raises:
        AdframeError: a run without such scores.
    """
    for entrant in entrants:
        if any(row["normalised"] is None for row in entrant.images.values()):
            raise AdframeError(
                f"{entrant.run.path} has no normalised scores to fuse; run it with "
                "calibration.normalisation=z_score"
            )
    first = entrants[0]
    images = {
        key: row | {"score": sum(each.images[key]["normalised"] for each in entrants) / len(entrants)}
        for key, row in first.images.items()
    }
    return Entrant("+".join(entrant.name for entrant in entrants), first.run, images)


def parts_of(entrant: Entrant) -> tuple[int, int]:
    """Images that belong to a photographed part, and how many parts those are; names repeat in categories."""
    parts = [(category, row["group"]) for (category, _), row in entrant.images.items() if row["group"]]
    return len(parts), len(set(parts))


def about(entrant: Entrant) -> dict[str, Cell]:
    """What a run is, in a row of a table."""
    facts = dict(run_facts.facts(entrant.run))
    kept = {key: facts.get(key) for key in ("method", "backbone", "dataset", "shift", "seed")}
    known: dict[str, Cell] = {key: value for key, value in kept.items() if value}
    return {"run": entrant.name, **known, "folder": str(entrant.run.path)}


def settings(entrants: Sequence[Entrant]) -> Table | None:
    """What the runs' configurations differ in, without where they lie and without secrets."""
    configs = [dict(run_facts.flat(yaml.safe_load(config_text(entrant.run.config)))) for entrant in entrants]
    keys = dict.fromkeys(key for config in configs for key in config if not key.startswith("paths."))
    differ = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    columns = (Column("setting", "setting"), *(Column(entrant.name, entrant.name) for entrant in entrants))
    rows = tuple((key, *(config.get(key) for config in configs)) for key in differ)
    return Table(columns, rows) if rows else None
