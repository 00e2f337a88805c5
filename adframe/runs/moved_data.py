"""A run whose data lies in another folder than when it was started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from adframe.errors import AdframeError
from adframe.io.files import write_json
from adframe.results.predictions import write_ledger
from adframe.results.run_files import read_book
from adframe.results.run_folder import RunFolder


def moved(folder: RunFolder, config: dict[str, Any], root: Path) -> dict[str, Any]:
    """The configuration, and in the folder the rows, with the data's new place; nothing is written yet.

    Args:
        folder: the run's, reopened.
        config: the run's own.
        root: the folder that holds the dataset now.
    """
    before, after = Path(str(config["dataset"]["root"])), with_root(config, root)
    for entry in (*folder.rows, *folder.pictures):
        if (path := Path(entry["path"])).is_relative_to(before):
            entry["path"] = str(root / path.relative_to(before))
    return after


def keep_moved(folder: RunFolder, config: dict[str, Any]) -> None:
    """Writes what `moved` has changed, once the data is known to be the same; else does nothing."""
    if read_book(folder.path / "config.yaml")["dataset"]["root"] == config["dataset"]["root"]:
        return
    if folder.done:
        write_ledger(folder.path / "predictions.parquet", folder.rows)
        write_json(folder.path / "heatmaps" / "index.json", folder.pictures)
    folder.write_config(config)


def with_root(config: Mapping[str, Any], root: Path) -> dict[str, Any]:
    """A run's configuration with its data in another folder.

    Raises:
        AdframeError: its data lies in several folders.
    """
    if config["dataset"].get("members"):
        raise AdframeError(
            "dataset.root= cannot move a run of dataset=several, whose members have roots of their own: "
            "put the data where the run found it"
        )
    return {**config, "dataset": {**config["dataset"], "root": str(root)}}
