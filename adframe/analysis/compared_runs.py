"""The runs that are compared: their predictions, and the check that all were tested on the same images."""

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
class ComparedRun:
    """A run under the name that a comparison gives it.

    Attributes:
        name: name in the comparison, such as `A`.
        run: the run.
        images: predictions of its labelled test images.

    Example:
        >>> images = {("bolt", "test/good/000.png"): {"score": 0.5, "label": 0, "group": ""}}
        >>> parts_of(ComparedRun("A", RunFolder(Path("runs/one")), images))
        (0, 0)
    """

    name: str
    run: RunFolder
    images: dict[Key, Row]


def read_compared_run(name: str, path: Path) -> ComparedRun:
    """Reads a run for a comparison.

    Args:
        name: name in the comparison.
        path: the run's folder.

    Returns:
        The run with the predictions of its labelled test images.

    Raises:
        AdframeError: the folder is not a run's, or its predictions have no labelled test image.
    """
    run = RunFolder.read(path)
    images = {_key(row, run): row for row in run.rows if row["label"] is not None}
    if not images:
        raise AdframeError(f"{path} has no labelled test images in its predictions.parquet to compare")
    return ComparedRun(name, run, images)


def _key(row: Row, run: RunFolder) -> Key:
    """The category, and the path below the dataset's root: another run may have read the data elsewhere.

    A run that was started with a relative root has relative paths in its rows, and an absolute root in its
    configuration. So the longest end of the root with which a path begins is removed.
    """
    dataset = run.config.get("dataset")
    root = Path(str(dataset.get("root") or "")) if isinstance(dataset, dict) else Path()
    path = Path(row["path"])
    ends = (Path(*root.parts[start:]) for start in range(len(root.parts)))
    below = next((path.relative_to(end) for end in ends if path.is_relative_to(end)), path)
    return row["category"], str(below)


def check_same(first: ComparedRun, other: ComparedRun) -> None:
    """Checks that two runs were tested on the same images with the same labels.

    Args:
        first: one run.
        other: another run.

    Raises:
        AdframeError: images are missing in one of them, or have another label, subset or group.
    """
    missing_keys = first.images.keys() - other.images.keys()
    extra_keys = other.images.keys() - first.images.keys()
    parts = [
        f"{len(keys)} are missing in {each.run.path} (such as {' '.join(min(keys))})"
        for keys, each in ((missing_keys, other), (extra_keys, first))
        if keys
    ]
    if parts:
        raise AdframeError(f"the runs were tested on different images: {' and '.join(parts)}")
    facts = ("label", "subset", "group")
    pairs = ((key, first.images[key], other.images[key]) for key in sorted(first.images))
    if changed := [key for key, a, b in pairs if any(a[fact] != b[fact] for fact in facts)]:
        raise AdframeError(
            f"{first.run.path} and {other.run.path} have {len(changed)} images with another label, subset or "
            f"group (such as {' '.join(changed[0])}); test them again with the same dataset"
        )


def fused(runs: Sequence[ComparedRun]) -> ComparedRun:
    """Returns the mean of several runs' normalised scores, image by image, as one more run.

    Normalised scores are in units of each run's own normal validation images. So neither test images nor
    labels decide on the weight of a run.

    Args:
        runs: runs on the same images.

    Raises:
        AdframeError: a run has no normalised scores.
    """
    for each in runs:
        if any(row["normalised"] is None for row in each.images.values()):
            raise AdframeError(
                f"{each.run.path} has no normalised scores to fuse; run it with "
                "calibration.normalisation=z_score"
            )
    images = {
        key: row | {"score": sum(each.images[key]["normalised"] for each in runs) / len(runs)}
        for key, row in runs[0].images.items()
    }
    return ComparedRun("+".join(each.name for each in runs), runs[0].run, images)


def parts_of(run: ComparedRun) -> tuple[int, int]:
    """Counts the images that show a photographed part, and these parts.

    Args:
        run: a compared run; several of its images may show one part.

    Returns:
        Number of images with a part, and number of parts; the same name in two categories is two parts.
    """
    parts = [(category, row["group"]) for (category, _), row in run.images.items() if row["group"]]
    return len(parts), len(set(parts))


def about(run: ComparedRun) -> dict[str, Cell]:
    """Returns a row of a table that describes a run: its method, backbone, dataset, seed and folder.

    Args:
        run: a compared run.
    """
    facts = dict(run_facts.facts(run.run))
    kept = {key: facts.get(key) for key in ("method", "backbone", "dataset", "shift", "seed")}
    known: dict[str, Cell] = {key: value for key, value in kept.items() if value}
    return {"run": run.name, **known, "folder": str(run.run.path)}


def differing_settings(runs: Sequence[ComparedRun]) -> Table | None:
    """Returns the settings in which the runs' configurations differ, without folders and secrets.

    Args:
        runs: compared runs.

    Returns:
        One row per setting and one column per run; None where the configurations are equal.
    """
    configs = [dict(run_facts.flat(yaml.safe_load(config_text(each.run.config)))) for each in runs]
    keys = dict.fromkeys(key for config in configs for key in config if not key.startswith("paths."))
    differing = [key for key in keys if len({config.get(key) for config in configs}) > 1]
    columns = (Column("setting", "setting"), *(Column(each.name, each.name) for each in runs))
    rows = tuple((key, *(config.get(key) for config in configs)) for key in differing)
    return Table(columns, rows) if rows else None
