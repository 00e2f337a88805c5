"""Handles runs whose data lies in another folder than at the start of the run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.results.predictions import write_predictions
from adframe.results.run_files import read_run_file
from adframe.results.run_folder import RunFolder


def with_moved_data(folder: RunFolder, config: dict[str, Any], root: Path) -> dict[str, Any]:
    """Replaces the place of the data in a run's configuration and in the rows of its folder, in memory only.

    Args:
        folder: the run's folder, reopened; the paths in its rows and pictures are changed.
        config: the run's own configuration; it is not changed.
        root: the folder that holds the dataset now.

    Returns:
        The configuration with the new place.

    Raises:
        AdframeError: the data lies in several folders.
    """
    before, after = Path(str(config["dataset"]["root"])), with_root(config, root)
    for entry in (*folder.rows, *folder.pictures):
        if (path := Path(entry["path"])).is_relative_to(before):
            entry["path"] = str(root / path.relative_to(before))
    return after


def write_moved_data(folder: RunFolder, config: dict[str, Any]) -> None:
    """Writes the changes of `with_moved_data`; call it after the data was found to be unchanged.

    Args:
        folder: the run's folder.
        config: the configuration with the new place; nothing is written where the place is the stored one.
    """
    if read_run_file(folder.path / "config.yaml")["dataset"]["root"] == config["dataset"]["root"]:
        return
    if folder.done:
        write_predictions(folder.path / "predictions.parquet", folder.rows)
        write_json(folder.path / "heatmaps" / "index.json", folder.pictures)
    folder.write_config(config)


def with_root(config: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """Returns a run's configuration with its data in another folder.

    Args:
        config: the run's configuration; it is not changed.
        root: the folder that holds the dataset now.

    Returns:
        The changed copy.

    Raises:
        AdframeError: the run's data lies in several folders (`dataset=several`).
    """
    if config["dataset"].get("members"):
        raise AdframeError(
            "dataset.root= cannot move a run of dataset=several, whose members have roots of their own: "
            "put the data back where the run found it"
        )
    return {**config, "dataset": {**config["dataset"], "root": str(root)}}
